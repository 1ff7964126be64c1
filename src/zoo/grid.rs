//! A grid of hyperparameters and the order in which it is walked.

use super::hyper::{Activation, Hyper, Init, Optimizer, Scheduler};
use super::seeds::Seeds;
use crate::error::{Error, Result};

/// The values of each axis. The model at index 0 has the first value of every
/// axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// Values of `activation`.
    pub activation: Vec<Activation>,
    /// Values of `init`.
    pub init: Vec<Init>,
    /// Values of `optimizer`.
    pub optimizer: Vec<Optimizer>,
    /// Values of `scheduler`.
    pub scheduler: Vec<Scheduler>,
    /// Values of `lr`.
    pub lr: Vec<f64>,
    /// Values of `weight_decay`.
    pub weight_decay: Vec<f64>,
    /// Values of `dropout`.
    pub dropout: Vec<f64>,
    /// Values of `momentum`.
    pub momentum: Vec<f64>,
    /// Values of `batch_size`.
    pub batch_size: Vec<usize>,
    /// Values of `seed`.
    pub seeds: Seeds,
}

impl Grid {
    /// The number of models, or `None` if it does not fit a `usize`.
    pub fn len(&self) -> Option<usize> {
        self.cells()?.checked_mul(self.seeds.len())
    }

    /// The number of cells, which is that of models with one seed each.
    pub(super) fn cells(&self) -> Option<usize> {
        self.axis_lengths().into_iter().try_fold(1_usize, usize::checked_mul)
    }

    /// Whether an axis has no values.
    pub fn is_empty(&self) -> bool {
        self.seeds.is_empty() || self.axis_lengths().contains(&0)
    }

    /// Lengths in the order of the walk, fastest first; the seed comes last.
    ///
    /// The published zoos were enumerated by Ray Tune, which sorts the axes by
    /// their path (`model::dropout`, `model::init_type`, `model::nlin`,
    /// `optim::lr`, `optim::optimizer`, `optim::wd`, `seed`) and turns the first
    /// one fastest (specification, section 1.3). Axes that no published zoo
    /// varies stand where they do not disturb that order: before the seed.
    fn axis_lengths(&self) -> [usize; 9] {
        [
            self.dropout.len(),
            self.init.len(),
            self.activation.len(),
            self.lr.len(),
            self.optimizer.len(),
            self.weight_decay.len(),
            self.momentum.len(),
            self.batch_size.len(),
            self.scheduler.len(),
        ]
    }

    /// An error if momenta are to be compared where nothing depends on them: the
    /// models would be the same.
    pub(super) fn momentum_counts(&self) -> Result<()> {
        let ignored = if self.optimizer.contains(&Optimizer::Adam) {
            "`optimizer` has `adam`, which ignores it: put `sgd`"
        } else if self.scheduler.contains(&Scheduler::OneCycle) {
            "`scheduler` has `one_cycle`, which sets it: put `constant`"
        } else {
            return Ok(());
        };
        match self.momentum.len() {
            0 | 1 => Ok(()),
            _ => Err(Error::invalid(format!(
                "`momentum` has several values and {ignored} with these values into a zoo of its own"
            ))),
        }
    }

    /// The hyperparameters of a cell with one `seed`, in the published order:
    /// dropout turns fastest. `cell` is below [`Grid::cells`].
    pub(super) fn cell(&self, cell: usize, epochs: usize, seed: u64) -> Hyper {
        let mut rest = cell;
        let place = self.axis_lengths().map(|length| {
            let place = rest % length;
            rest /= length;
            place
        });
        Hyper {
            dropout: self.dropout[place[0]],
            init: self.init[place[1]],
            activation: self.activation[place[2]],
            lr: self.lr[place[3]],
            optimizer: self.optimizer[place[4]],
            weight_decay: self.weight_decay[place[5]],
            momentum: self.momentum[place[6]],
            batch_size: self.batch_size[place[7]],
            scheduler: self.scheduler[place[8]],
            epochs,
            seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MNIST Hyp-10-fix of the paper: i = d + 2 init + 8 nlin + 32 lr + 64 opt +
    /// 128 wd + 256 seed (specification, section 1.3).
    #[test]
    fn the_walk_is_the_published_one() {
        let grid = Grid {
            activation: vec![
                Activation::Tanh,
                Activation::Relu,
                Activation::Sigmoid,
                Activation::Gelu,
            ],
            init: vec![Init::Uniform, Init::Normal, Init::KaimingUniform, Init::KaimingNormal],
            optimizer: vec![Optimizer::Adam, Optimizer::Sgd],
            scheduler: vec![Scheduler::Constant],
            lr: vec![1e-3, 1e-4],
            weight_decay: vec![1e-3, 1e-4],
            dropout: vec![0.0, 0.5],
            momentum: vec![0.9],
            batch_size: vec![10],
            seeds: Seeds::Same((1..=10).collect()),
        };
        assert_eq!(grid.len(), Some(2560));
        assert_eq!(grid.cells(), Some(256));
        let hyper = grid.cell(1 + 2 * 2 + 8 * 3 + 32 + 64, 50, 10);
        assert_eq!(hyper.dropout, 0.5);
        assert_eq!(hyper.init, Init::KaimingUniform);
        assert_eq!(hyper.activation, Activation::Gelu);
        assert_eq!(hyper.lr, 1e-4);
        assert_eq!(hyper.optimizer, Optimizer::Sgd);
        assert_eq!(hyper.weight_decay, 1e-3);
        assert_eq!(hyper.seed, 10);
        assert_eq!(hyper.epochs, 50);
    }
}
