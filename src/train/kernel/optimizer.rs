//! The update rules, as PyTorch has them: weight decay is added to the gradient.

use super::buffer::Buffer;
use super::lanes::Lanes;
use crate::error::{Error, Result};
use crate::train::schedule::{BETA2, EPSILON};
use crate::train::{Memory, Pace, Schedule};
use crate::zoo::{self, Hyper};

/// The update rule of one model, with its state.
pub(super) struct Optimizer {
    rule: Rule,
    schedule: Schedule,
    weight_decay: f32,
    /// How many it moves.
    parameters: usize,
    steps: i32,
}

/// A rule and one number, or two, for each parameter.
enum Rule {
    /// Running means of the gradient and of its square.
    Adam { first: Buffer, second: Buffer },
    /// Zero at first: PyTorch starts with the first gradient, which is the same.
    Sgd { velocity: Buffer },
}

impl Optimizer {
    /// The rule that `hyper` asks for, at its start, for epochs of so many `images`.
    pub(super) fn new(hyper: &Hyper, images: usize, parameters: usize) -> Self {
        let rule = match hyper.optimizer {
            zoo::Optimizer::Adam => {
                Rule::Adam { first: Buffer::new(parameters), second: Buffer::new(parameters) }
            }
            zoo::Optimizer::Sgd => Rule::Sgd { velocity: Buffer::new(parameters) },
        };
        let schedule = Schedule::new(hyper, images);
        Self { rule, schedule, weight_decay: hyper.weight_decay as f32, parameters, steps: 0 }
    }

    /// What the rule remembers.
    pub(super) fn memory(&self) -> Memory {
        let n = self.parameters;
        let moments = match &self.rule {
            Rule::Adam { first, second } => vec![first[..n].to_vec(), second[..n].to_vec()],
            Rule::Sgd { velocity } => vec![velocity[..n].to_vec()],
        };
        Memory { steps: u64::from(self.steps.unsigned_abs()), moments }
    }

    /// Goes on as the rule that had this memory.
    ///
    /// # Errors
    /// `Internal` if it was another optimiser's, or of another size.
    pub(super) fn remember(&mut self, memory: &Memory) -> Result<()> {
        let n = self.parameters;
        let mut own = match &mut self.rule {
            Rule::Adam { first, second } => vec![first, second],
            Rule::Sgd { velocity } => vec![velocity],
        };
        if own.len() != memory.moments.len() || memory.moments.iter().any(|m| m.len() != n) {
            return Err(Error::internal("the optimiser's memory is another one's"));
        }
        for (own, moments) in own.iter_mut().zip(&memory.moments) {
            own[..n].copy_from_slice(moments);
        }
        self.steps = i32::try_from(memory.steps).unwrap_or(i32::MAX);
        Ok(())
    }

    /// Moves `parameters` against their `gradient`.
    ///
    /// # Safety
    /// Both have room for a vector beyond as many as [`Optimizer::new`] was told.
    #[inline(always)]
    pub(super) unsafe fn step<L: Lanes>(&mut self, parameters: &mut [f32], gradient: &[f32]) {
        let n = self.parameters;
        let Pace { lr, momentum } = self.schedule.at(self.steps.unsigned_abs() as usize);
        self.steps = self.steps.saturating_add(1);
        let decay = L::splat(self.weight_decay);
        match &mut self.rule {
            Rule::Adam { first, second } => {
                let size = lr / (1.0 - momentum.powi(self.steps));
                let root = (1.0 - BETA2.powi(self.steps)).sqrt();
                let (size, root) = (L::splat(-size as f32), L::splat((1.0 / root) as f32));
                for i in (0..n).step_by(L::WIDTH) {
                    let p = L::load(parameters, i);
                    let g = L::fma(decay, p, L::load(gradient, i));
                    let m = L::load(first, i);
                    let m = L::fma(L::splat((1.0 - momentum) as f32), L::sub(g, m), m);
                    L::store(first, i, m);
                    let v = L::mul(L::load(second, i), L::splat(BETA2 as f32));
                    let v = L::fma(L::mul(g, L::splat((1.0 - BETA2) as f32)), g, v);
                    L::store(second, i, v);
                    let below = L::fma(L::sqrt(v), root, L::splat(EPSILON as f32));
                    L::store(parameters, i, L::fma(size, L::div(m, below), p));
                }
            }
            Rule::Sgd { velocity } => {
                let (size, momentum) = (L::splat(-lr as f32), L::splat(momentum as f32));
                for i in (0..n).step_by(L::WIDTH) {
                    let p = L::load(parameters, i);
                    let g = L::fma(decay, p, L::load(gradient, i));
                    let v = L::fma(momentum, L::load(velocity, i), g);
                    L::store(velocity, i, v);
                    L::store(parameters, i, L::fma(size, v, p));
                }
            }
        }
    }
}
