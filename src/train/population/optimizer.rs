//! Adam and SGD as `torch.optim` has them, for all parameters of all members at
//! once. Weight decay is coupled: an L2 term in the gradient, biases too.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::parameters::Places;
use crate::train::schedule::{BETA2, EPSILON};
use crate::train::{Memory, Schedule};
use crate::zoo::{self, Hyper};

/// The update rule of a population with its state. Every tensor lies as the
/// parameters do.
pub(super) struct Optimizer {
    rule: Rule,
    /// Learning rates, the largest ones if they move.
    lr: Tensor,
    weight_decay: Tensor,
    /// That of the first member: the others' differ in the largest rate only.
    schedule: Schedule,
    largest: f64,
    steps: u64,
    /// Adam: the running means of the gradient and of its square; SGD: the
    /// velocity.
    moments: Vec<Tensor>,
}

enum Rule {
    /// β₂ = 0.999, ε = 1e-8; β₁ is the momentum of the schedule.
    Adam,
    /// With each member's momentum, or that of the schedule; no dampening, not
    /// Nesterov.
    Sgd { momentum: Option<Tensor> },
}

impl Optimizer {
    /// The rule that all of `hypers` ask for, at its start; they see `images` images
    /// per epoch.
    pub(super) fn new(
        places: Places<'_>,
        hypers: &[&Hyper],
        images: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let spread = |value: fn(&Hyper) -> f64| {
            let values: Vec<f64> = hypers.iter().map(|hyper| value(hyper)).collect();
            places.spread(&values, device)?.to_dtype(dtype)
        };
        let (lr, weight_decay) = (spread(|hyper| hyper.lr)?, spread(|hyper| hyper.weight_decay)?);
        let zeros = lr.zeros_like()?;
        let (rule, moments) = match hypers[0].optimizer {
            zoo::Optimizer::Sgd => {
                let momentum = hypers[0].momentum().map(|_| spread(|hyper| hyper.momentum));
                (Rule::Sgd { momentum: momentum.transpose()? }, vec![zeros])
            }
            zoo::Optimizer::Adam => (Rule::Adam, vec![zeros.clone(), zeros]),
        };
        let (schedule, largest) = (Schedule::new(hypers[0], images), hypers[0].lr);
        Ok(Self { rule, lr, weight_decay, schedule, largest, steps: 0, moments })
    }

    /// The parameters after one more step.
    pub(super) fn step(&mut self, parameters: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        let pace = self.schedule.at(self.steps as usize);
        self.steps += 1;
        let gradient = (gradient + (&self.weight_decay * parameters)?)?;
        let change = match (&self.rule, self.moments.as_mut_slice()) {
            (Rule::Adam, [first, second]) => {
                let mean = |old: &Tensor, new: &Tensor, keep: f64| {
                    old.affine(keep, 0.0)? + new.affine(1.0 - keep, 0.0)?
                };
                *first = mean(first, &gradient, pace.momentum)?;
                *second = mean(second, &gradient.sqr()?, BETA2)?;
                // Both are corrected for their start at zero.
                let correction = |beta: f64| 1.0 / (1.0 - beta.powf(self.steps as f64));
                let scale = second.sqrt()?.affine(correction(BETA2).sqrt(), EPSILON)?;
                (first.affine(correction(pace.momentum), 0.0)? / scale)?
            }
            (Rule::Sgd { momentum }, [velocity]) => {
                let kept = match momentum {
                    Some(momentum) => (momentum * &*velocity)?,
                    None => velocity.affine(pace.momentum, 0.0)?,
                };
                *velocity = (kept + gradient)?;
                velocity.clone()
            }
            (_, moments) => bail!("{} moments are those of another optimiser", moments.len()),
        };
        parameters - (&self.lr * change)?.affine(pace.lr / self.largest, 0.0)?
    }

    /// What the rule remembers of a population of one.
    pub(super) fn memory(&self) -> Result<Memory> {
        let values = |moment: &Tensor| moment.to_dtype(DType::F32)?.to_vec1::<f32>();
        let moments = self.moments.iter().map(values).collect::<Result<_>>()?;
        Ok(Memory { steps: self.steps, moments })
    }

    /// Goes on as the rule that had this memory.
    pub(super) fn remember(&mut self, memory: &Memory) -> Result<()> {
        if memory.moments.len() != self.moments.len() {
            bail!("{} moments are those of another optimiser", memory.moments.len());
        }
        for (moment, values) in self.moments.iter_mut().zip(&memory.moments) {
            if values.len() != moment.elem_count() {
                bail!("{} values for {} parameters", values.len(), moment.elem_count());
            }
            let values = Tensor::from_slice(values, values.len(), moment.device())?;
            *moment = values.to_dtype(moment.dtype())?;
        }
        self.steps = memory.steps;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::train::candle::fixtures::{hyper, values};
    use crate::zoo::Scheduler;

    /// One parameter and its moments, step by step.
    fn follow(hyper: &Hyper, images: usize, start: f64, gradients: &[f64]) -> f64 {
        let schedule = Schedule::new(hyper, images);
        let (mut parameter, mut first, mut second) = (start, 0.0, 0.0);
        for (step, gradient) in gradients.iter().enumerate() {
            let (pace, power) = (schedule.at(step), step as i32 + 1);
            let gradient = gradient + hyper.weight_decay * parameter;
            parameter -= pace.lr
                * match hyper.optimizer {
                    zoo::Optimizer::Sgd => {
                        first = pace.momentum * first + gradient;
                        first
                    }
                    zoo::Optimizer::Adam => {
                        first = pace.momentum * first + (1.0 - pace.momentum) * gradient;
                        second = BETA2 * second + (1.0 - BETA2) * gradient * gradient;
                        let root = (second / (1.0 - BETA2.powi(power))).sqrt();
                        first / (1.0 - pace.momentum.powi(power)) / (root + EPSILON)
                    }
                };
        }
        parameter
    }

    #[test]
    fn every_parameter_follows_its_members_rule() {
        let layout = Arch::by_name("cnn_s").unwrap().layout().clone();
        let places = Places { layout: &layout, members: 2 };
        let size = 2 * layout.size();
        for optimizer in [zoo::Optimizer::Sgd, zoo::Optimizer::Adam] {
            for scheduler in [Scheduler::Constant, Scheduler::OneCycle] {
                let first = Hyper { optimizer, scheduler, epochs: 3, ..hyper("relu", 5) };
                let second = Hyper { lr: 0.1, weight_decay: 0.2, momentum: 0.5, ..first.clone() };
                let hypers = [&first, &second];
                let mut rule =
                    Optimizer::new(places, &hypers, 10, DType::F64, &Device::Cpu).unwrap();
                let start = values(1, &[size]);
                let gradients: Vec<Tensor> = (2..8).map(|seed| values(seed, &[size])).collect();
                let end = gradients.iter().fold(start.clone(), |parameters, gradient| {
                    rule.step(&parameters, gradient).unwrap()
                });
                let numbers = |tensor: &Tensor| tensor.to_vec1::<f64>().unwrap();
                let (start, end) = (numbers(&start), numbers(&end));
                let gradients: Vec<Vec<f64>> = gradients.iter().map(numbers).collect();
                // The first tensor has 200 values of the first member, then of the second.
                for (at, hyper) in [(0, &first), (199, &first), (200, &second), (399, &second)] {
                    let gradients: Vec<f64> = gradients.iter().map(|all| all[at]).collect();
                    let expected = follow(hyper, 10, start[at], &gradients);
                    let found = end[at];
                    assert!((found - expected).abs() < 1e-12, "{found}, not {expected}: {hyper:?}");
                }
            }
        }
    }
}
