//! Learning rate and momentum of every step.

use std::f64::consts::PI;

use crate::zoo::{Hyper, Optimizer, Scheduler};

/// PyTorch's defaults of `OneCycleLR`: the share of steps that speed up, the
/// largest rate over the first, the first over the last, and the momenta.
const SPEED_UP: f64 = 0.3;
const FIRST: f64 = 25.0;
const LAST: f64 = 1e4;
const MOMENTUM: [f64; 2] = [0.85, 0.95];

/// What of Adam stays the same whatever the schedule: β₂ and ε.
pub(super) const BETA2: f64 = 0.999;
pub(super) const EPSILON: f64 = 1e-8;

/// What an optimiser is told before a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Learning rate.
    pub lr: f64,
    /// Momentum of SGD, β₁ of Adam.
    pub momentum: f64,
}

/// The pace of a model from its first step to its last. A function of the step
/// alone: a model that is resumed needs to know only where it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    scheduler: Scheduler,
    pace: Pace,
    /// Steps of the whole training.
    steps: usize,
}

impl Schedule {
    /// The schedule of a model that sees `images` images per epoch.
    pub fn new(hyper: &Hyper, images: usize) -> Self {
        let momentum = match hyper.optimizer {
            Optimizer::Sgd => hyper.momentum,
            Optimizer::Adam => 0.9,
        };
        Self {
            scheduler: hyper.scheduler,
            pace: Pace { lr: hyper.lr, momentum },
            steps: images.div_ceil(hyper.batch_size.max(1)) * hyper.epochs,
        }
    }

    /// The pace of `step`, counted from 0 over all epochs.
    pub fn at(&self, step: usize) -> Pace {
        match self.scheduler {
            Scheduler::Constant => self.pace,
            Scheduler::OneCycle => self.one_cycle(step as f64),
        }
    }

    /// `torch.optim.lr_scheduler.OneCycleLR` as PyTorch computes it: along half a
    /// cosine up to the rate, then along another down; the momentum the other way.
    fn one_cycle(&self, step: f64) -> Pace {
        let [low, high] = MOMENTUM;
        let (fast, end) = (self.pace.lr, self.steps as f64 - 1.0);
        let top = SPEED_UP * self.steps as f64 - 1.0;
        let first = fast / FIRST;
        if step <= top {
            let share = step / top;
            Pace { lr: ease(first, fast, share), momentum: ease(high, low, share) }
        } else {
            let share = (step - top) / (end - top);
            Pace { lr: ease(fast, first / LAST, share), momentum: ease(low, high, share) }
        }
    }
}

/// From `start` to `end` along half a cosine.
fn ease(start: f64, end: f64, share: f64) -> f64 {
    end + (start - end) / 2.0 * (1.0 + (PI * share).cos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::{Activation, Init};

    #[derive(serde::Deserialize)]
    struct Case {
        lr: f64,
        epochs: usize,
        images: usize,
        batch: usize,
        /// Step, learning rate, momentum.
        paces: Vec<(usize, f64, f64)>,
    }

    fn hyper(scheduler: Scheduler, lr: f64, epochs: usize, batch_size: usize) -> Hyper {
        Hyper {
            activation: Activation::Relu,
            init: Init::KaimingUniform,
            optimizer: Optimizer::Sgd,
            scheduler,
            lr,
            weight_decay: 0.0,
            dropout: 0.0,
            momentum: 0.9,
            batch_size,
            epochs,
            seed: 0,
        }
    }

    #[test]
    fn one_cycle_agrees_with_pytorch() {
        let text = include_str!("../../tests/fixtures/gradients/schedules.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        for case in cases {
            let hyper = hyper(Scheduler::OneCycle, case.lr, case.epochs, case.batch);
            let schedule = Schedule::new(&hyper, case.images);
            for (step, lr, momentum) in case.paces {
                let found = schedule.at(step);
                assert!((found.lr - lr).abs() <= 1e-14 * case.lr, "{step}: {found:?}, not {lr}");
                assert!((found.momentum - momentum).abs() <= 1e-14, "{step}: {found:?}");
            }
        }
    }

    #[test]
    fn constant_is_the_same_at_every_step() {
        let schedule = Schedule::new(&hyper(Scheduler::Constant, 0.1, 3, 10), 100);
        assert_eq!(schedule.at(29), Pace { lr: 0.1, momentum: 0.9 });
        assert_eq!(schedule.at(0), schedule.at(29));
    }
}
