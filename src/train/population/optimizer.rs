//! Adam and SGD as `torch.optim` has them, for all parameters of all members at
//! once. Weight decay is coupled: an L2 term in the gradient, biases too.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::parameters::Places;
use crate::train::Memory;
use crate::zoo::{self, Hyper};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The update rule of a population with its state. Every tensor lies as the
/// parameters do.
pub(super) struct Optimizer {
    rule: Rule,
    lr: Tensor,
    weight_decay: Tensor,
    steps: u64,
    /// Adam: the running means of the gradient and of its square; SGD: the
    /// velocity.
    moments: Vec<Tensor>,
}

enum Rule {
    /// β = (0.9, 0.999), ε = 1e-8.
    Adam,
    /// With momentum, no dampening, not Nesterov.
    Sgd { momentum: Tensor },
}

impl Optimizer {
    /// The rule that all of `hypers` ask for, at its start.
    pub(super) fn new(
        places: Places<'_>,
        hypers: &[&Hyper],
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let spread = |value: fn(&Hyper) -> f64| {
            let values: Vec<f64> = hypers.iter().map(|hyper| value(hyper)).collect();
            places.spread(&values, device)?.to_dtype(dtype)
        };
        let (lr, weight_decay) = (spread(|hyper| hyper.lr)?, spread(|hyper| hyper.weight_decay)?);
        let zeros = lr.zeros_like()?;
        let (rule, moments) = match hypers.first().map(|hyper| hyper.optimizer) {
            Some(zoo::Optimizer::Sgd) => {
                (Rule::Sgd { momentum: spread(|hyper| hyper.momentum)? }, vec![zeros])
            }
            _ => (Rule::Adam, vec![zeros.clone(), zeros]),
        };
        Ok(Self { rule, lr, weight_decay, steps: 0, moments })
    }

    /// The parameters after one more step.
    pub(super) fn step(&mut self, parameters: &Tensor, gradient: &Tensor) -> Result<Tensor> {
        self.steps += 1;
        let gradient = (gradient + (&self.weight_decay * parameters)?)?;
        let change = match (&self.rule, self.moments.as_mut_slice()) {
            (Rule::Adam, [first, second]) => {
                let mean = |old: &Tensor, new: &Tensor, keep: f64| {
                    old.affine(keep, 0.0)? + new.affine(1.0 - keep, 0.0)?
                };
                *first = mean(first, &gradient, BETA1)?;
                *second = mean(second, &gradient.sqr()?, BETA2)?;
                // Both are corrected for their start at zero.
                let correction = |beta: f64| 1.0 / (1.0 - beta.powf(self.steps as f64));
                let scale = second.sqrt()?.affine(correction(BETA2).sqrt(), EPSILON)?;
                (first.affine(correction(BETA1), 0.0)? / scale)?
            }
            (Rule::Sgd { momentum }, [velocity]) => {
                *velocity = ((momentum * &*velocity)? + gradient)?;
                velocity.clone()
            }
            (_, moments) => bail!("{} moments are those of another optimiser", moments.len()),
        };
        parameters - (&self.lr * change)?
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
