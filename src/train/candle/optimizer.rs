//! Adam and SGD as `torch.optim` has them: weight decay is coupled, an L2 term
//! in the gradient of every parameter, biases too. Updates run in place.

use candle_core::backend::BackendStorage;
use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, InplaceOp3, Layout, Result, Tensor, Var, bail};
use candle_nn::Optimizer;

use super::element::{Element, values, values_mut, with_element};
use crate::train::schedule::{BETA2, EPSILON};
use crate::train::{Memory, Pace};
use crate::zoo::{self, Hyper};

/// The update rule of one model, with its state.
pub(super) enum AnyOptimizer {
    /// See [`Adam`].
    Adam(Adam),
    /// See [`Sgd`].
    Sgd(Sgd),
}

impl AnyOptimizer {
    /// The rule that `hyper` asks for, at its start.
    pub(super) fn new(parameters: &[Var], hyper: &Hyper) -> Result<Self> {
        let parameters = parameters.to_vec();
        let pace = Pace { lr: hyper.lr, momentum: hyper.momentum };
        let config = Config { pace, weight_decay: hyper.weight_decay };
        Ok(match hyper.optimizer {
            zoo::Optimizer::Adam => Self::Adam(Adam::new(parameters, config)?),
            zoo::Optimizer::Sgd => Self::Sgd(Sgd::new(parameters, config)?),
        })
    }

    /// Moves the parameters once, at the given pace.
    pub(super) fn step(&mut self, gradients: &GradStore, pace: Pace) -> Result<()> {
        match self {
            Self::Adam(adam) => {
                adam.config.pace = pace;
                adam.step(gradients)
            }
            Self::Sgd(sgd) => {
                sgd.config.pace = pace;
                sgd.step(gradients)
            }
        }
    }

    /// What the rule remembers of its parameters, in their order.
    pub(super) fn moments(&self) -> Result<Vec<Vec<f32>>> {
        Ok(match self {
            Self::Adam(Adam { parameters, .. }) => vec![
                flattened(parameters.iter().map(|moments| &moments.first))?,
                flattened(parameters.iter().map(|moments| &moments.second))?,
            ],
            Self::Sgd(Sgd { parameters, .. }) => {
                vec![flattened(parameters.iter().map(|(_, velocity)| velocity))?]
            }
        })
    }

    /// Goes on as the rule that had this memory.
    pub(super) fn remember(&mut self, memory: &Memory) -> Result<()> {
        match (self, memory.moments.as_slice()) {
            (Self::Adam(adam), [first, second]) => {
                adam.steps = i32::try_from(memory.steps).unwrap_or(i32::MAX);
                refill(adam.parameters.iter_mut().map(|moments| &mut moments.first), first)?;
                refill(adam.parameters.iter_mut().map(|moments| &mut moments.second), second)
            }
            (Self::Sgd(sgd), [velocity]) => {
                refill(sgd.parameters.iter_mut().map(|(_, velocity)| velocity), velocity)
            }
            (_, moments) => bail!("{} moments are those of another optimiser", moments.len()),
        }
    }
}

/// The values of `tensors`, one after the other.
fn flattened<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    for tensor in tensors {
        values.extend(tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?);
    }
    Ok(values)
}

/// The reverse of [`flattened`].
fn refill<'a>(tensors: impl Iterator<Item = &'a mut Tensor>, mut values: &[f32]) -> Result<()> {
    for tensor in tensors {
        let Some((of_tensor, others)) = values.split_at_checked(tensor.elem_count()) else {
            bail!("too few moments")
        };
        let of_tensor = Tensor::from_slice(of_tensor, tensor.shape(), tensor.device())?;
        *tensor = of_tensor.to_dtype(tensor.dtype())?;
        values = others;
    }
    if values.is_empty() { Ok(()) } else { bail!("{} moments too many", values.len()) }
}

/// Settings of an update rule.
pub(super) struct Config {
    /// Of the next step.
    pace: Pace,
    weight_decay: f64,
}

/// `torch.optim.Adam` with β₂ = 0.999, ε = 1e-8; β₁ is the momentum of the pace.
pub(super) struct Adam {
    config: Config,
    steps: i32,
    parameters: Vec<Moments>,
}

/// A parameter and the running means of its gradient and of its square.
struct Moments {
    parameter: Var,
    first: Tensor,
    second: Tensor,
}

impl Optimizer for Adam {
    type Config = Config;

    fn new(parameters: Vec<Var>, config: Config) -> Result<Self> {
        let with_moments = |parameter: Var| {
            let (first, second) = (parameter.zeros_like()?, parameter.zeros_like()?);
            Ok(Moments { parameter, first, second })
        };
        let parameters = parameters.into_iter().map(with_moments).collect::<Result<_>>()?;
        Ok(Self { config, steps: 0, parameters })
    }

    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        self.steps = self.steps.saturating_add(1);
        let Config { pace: Pace { lr, momentum: beta1 }, weight_decay } = self.config;
        let step = AdamStep {
            size: lr / (1.0 - beta1.powi(self.steps)),
            root_correction: (1.0 - BETA2.powi(self.steps)).sqrt(),
        };
        for Moments { parameter, first, second } in &self.parameters {
            let Some(gradient) = gradients.get(parameter) else { continue };
            first.inplace_op3(
                gradient,
                parameter,
                &InPlace(FirstMoment { beta1, weight_decay }),
            )?;
            second.inplace_op3(gradient, parameter, &InPlace(SecondMoment { weight_decay }))?;
            parameter.inplace_op3(first, second, &InPlace(step))?;
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        self.config.pace.lr
    }

    fn set_learning_rate(&mut self, lr: f64) {
        self.config.pace.lr = lr;
    }
}

/// `torch.optim.SGD` with momentum, no dampening, not Nesterov.
pub(super) struct Sgd {
    config: Config,
    /// Parameters and their velocities, zero at first: PyTorch starts with the
    /// first gradient, which is the same.
    parameters: Vec<(Var, Tensor)>,
}

impl Optimizer for Sgd {
    type Config = Config;

    fn new(parameters: Vec<Var>, config: Config) -> Result<Self> {
        let with_velocity = |parameter: Var| {
            let velocity = parameter.zeros_like()?;
            Ok((parameter, velocity))
        };
        let parameters = parameters.into_iter().map(with_velocity).collect::<Result<_>>()?;
        Ok(Self { config, parameters })
    }

    fn step(&mut self, gradients: &GradStore) -> Result<()> {
        let Config { pace: Pace { lr, momentum }, weight_decay } = self.config;
        for (parameter, velocity) in &self.parameters {
            let Some(gradient) = gradients.get(parameter) else { continue };
            velocity.inplace_op3(
                gradient,
                parameter,
                &InPlace(Velocity { weight_decay, momentum }),
            )?;
            parameter.inplace_op3(velocity, velocity, &InPlace(SgdStep { lr }))?;
        }
        Ok(())
    }

    fn learning_rate(&self) -> f64 {
        self.config.pace.lr
    }

    fn set_learning_rate(&mut self, lr: f64) {
        self.config.pace.lr = lr;
    }
}

/// What becomes of a value, given the values at the same place of two other
/// tensors.
trait Rule {
    const NAME: &'static str;

    fn rule<T: Element>(&self) -> impl Fn(T, T, T) -> T;
}

/// `m`, gradient, parameter.
struct FirstMoment {
    beta1: f64,
    weight_decay: f64,
}

impl Rule for FirstMoment {
    const NAME: &'static str = "adam_first_moment";

    fn rule<T: Element>(&self) -> impl Fn(T, T, T) -> T {
        let decay = T::from_f64(self.weight_decay);
        let (keep, add) = (T::from_f64(self.beta1), T::from_f64(1.0 - self.beta1));
        move |m, gradient, parameter| keep * m + add * (gradient + decay * parameter)
    }
}

/// `v`, gradient, parameter.
struct SecondMoment {
    weight_decay: f64,
}

impl Rule for SecondMoment {
    const NAME: &'static str = "adam_second_moment";

    fn rule<T: Element>(&self) -> impl Fn(T, T, T) -> T {
        let decay = T::from_f64(self.weight_decay);
        let (keep, add) = (T::from_f64(BETA2), T::from_f64(1.0 - BETA2));
        move |v, gradient, parameter| {
            let gradient = gradient + decay * parameter;
            keep * v + add * gradient * gradient
        }
    }
}

/// Parameter, `m`, `v`; both moments corrected for their start at zero.
#[derive(Clone, Copy)]
struct AdamStep {
    size: f64,
    root_correction: f64,
}

impl Rule for AdamStep {
    const NAME: &'static str = "adam_step";

    fn rule<T: Element>(&self) -> impl Fn(T, T, T) -> T {
        let (size, epsilon) = (T::from_f64(self.size), T::from_f64(EPSILON));
        let root_correction = T::from_f64(self.root_correction);
        move |parameter, m, v| parameter - size * m / (v.sqrt() / root_correction + epsilon)
    }
}

/// Velocity, gradient, parameter.
struct Velocity {
    weight_decay: f64,
    momentum: f64,
}

impl Rule for Velocity {
    const NAME: &'static str = "sgd_velocity";

    fn rule<T: Element>(&self) -> impl Fn(T, T, T) -> T {
        let (decay, momentum) = (T::from_f64(self.weight_decay), T::from_f64(self.momentum));
        move |velocity, gradient, parameter| momentum * velocity + (gradient + decay * parameter)
    }
}

/// Parameter, velocity, anything.
struct SgdStep {
    lr: f64,
}

impl Rule for SgdStep {
    const NAME: &'static str = "sgd_step";

    fn rule<T: Element>(&self) -> impl Fn(T, T, T) -> T {
        let lr = T::from_f64(self.lr);
        move |parameter, velocity, _| parameter - lr * velocity
    }
}

/// Applies a rule to every value of a tensor.
struct InPlace<R>(R);

impl<R: Rule> InplaceOp3 for InPlace<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn cpu_fwd(
        &self,
        target: &mut CpuStorage,
        layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<()> {
        with_element!(x.dtype(), T => {
            let others = values::<T>(x, x_layout)?.iter().zip(values::<T>(y, y_layout)?);
            let rule = self.0.rule::<T>();
            for (value, (x, y)) in values_mut::<T>(target, layout)?.iter_mut().zip(others) {
                *value = rule(*value, *x, *y);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Schedule;
    use crate::train::candle::fixtures;
    use crate::zoo::{Activation, Init, Scheduler};

    #[derive(serde::Deserialize)]
    struct Case {
        optimizer: String,
        scheduler: String,
        lr: f64,
        weight_decay: f64,
        momentum: f64,
        steps: usize,
        shapes: Vec<Vec<usize>>,
        parameters: Vec<Vec<f64>>,
    }

    #[test]
    fn agrees_with_pytorch() {
        for case in fixtures::cases::<Case>("optimizers") {
            let hyper = Hyper {
                activation: Activation::Tanh,
                init: Init::Uniform,
                optimizer: zoo::Optimizer::by_name(&case.optimizer).unwrap(),
                scheduler: Scheduler::by_name(&case.scheduler).unwrap(),
                lr: case.lr,
                weight_decay: case.weight_decay,
                dropout: 0.0,
                momentum: case.momentum,
                batch_size: 1,
                epochs: case.steps,
                seed: 0,
            };
            let inputs = fixtures::inputs(&case.shapes);
            let parameters: Vec<Var> =
                inputs.iter().map(|tensor| Var::from_tensor(tensor).unwrap()).collect();
            let mut optimizer = AnyOptimizer::new(&parameters, &hyper).unwrap();
            let schedule = Schedule::new(&hyper, 1);
            for step in 0..case.steps {
                let mut gradients = GradStore::default();
                for parameter in &parameters {
                    let gradient = fixtures::values(10 + step as u32, parameter.dims());
                    gradients.insert(parameter, gradient);
                }
                optimizer.step(&gradients, schedule.at(step)).unwrap();
            }
            for (parameter, expected) in parameters.iter().zip(&case.parameters) {
                let found = parameter.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                for (found, expected) in found.iter().zip(expected) {
                    let what = format!("{} {} {found}", case.optimizer, case.scheduler);
                    assert!((found - expected).abs() < 1e-13, "{what}");
                }
            }
        }
    }
}
