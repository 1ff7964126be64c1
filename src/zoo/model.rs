//! One model of a zoo, and the id that says which one it is.

use sha2::{Digest, Sha256};

use super::hyper::{Hyper, Scheduler};

/// A model to train or trained: its place in a zoo and its hyperparameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Positive and the same wherever and whenever the model is trained: see
    /// [`Model::new`].
    pub id: i64,
    /// The zoo it belongs to.
    pub zoo: String,
    /// `<zoo>/<index in the grid>`, such as `mnist_seed/00017`; says where the
    /// model stood in the grid it was trained with, while the id says what it is.
    pub name: String,
    /// Name of the data set.
    pub dataset: String,
    /// Name of the architecture.
    pub arch: &'static str,
    /// Hyperparameters.
    pub hyper: Hyper,
}

impl Model {
    /// The model at `index` of the grid of `zoo`.
    ///
    /// Its id is the first 63 bits of a SHA-256 over zoo, data set,
    /// architecture and hyperparameters, so that a worker can tell what a store
    /// already has without asking anyone. The index is no part of it: a grid
    /// may grow without renumbering what is trained.
    pub fn new(zoo: &str, index: usize, dataset: &str, arch: &'static str, hyper: Hyper) -> Self {
        Self {
            id: model_id(zoo, dataset, arch, &hyper),
            zoo: zoo.to_owned(),
            name: format!("{zoo}/{index:05}"),
            dataset: dataset.to_owned(),
            arch,
            hyper,
        }
    }
}

/// Hashes a canonical text of the model. Floats are written as their shortest
/// decimal, so `1e-3` and `0.001` are one model. The first line versions it.
fn model_id(zoo: &str, dataset: &str, arch: &str, hyper: &Hyper) -> i64 {
    let Hyper { activation, init, optimizer, lr, weight_decay, dropout, .. } = hyper;
    // What is ignored does not make another model.
    let momentum = hyper.momentum().unwrap_or(0.0);
    // Ids are older than schedulers: the one there was is not mentioned.
    let scheduler = match hyper.scheduler {
        Scheduler::Constant => String::new(),
        other => format!("scheduler={}\n", other.name()),
    };
    let canonical = format!(
        "zoolake model 1\nzoo={zoo:?}\ndataset={dataset:?}\narch={arch}\nactivation={}\ninit={}\n\
         optimizer={}\nlr={lr:?}\nweight_decay={weight_decay:?}\ndropout={dropout:?}\n\
         momentum={momentum:?}\nbatch_size={}\nepochs={}\nseed={}\n{scheduler}",
        activation.name(),
        init.name(),
        optimizer.name(),
        hyper.batch_size,
        hyper.epochs,
        hyper.seed,
    );
    let digest = Sha256::digest(canonical.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    let id = i64::from_be_bytes(first) & i64::MAX;
    id.max(1) // zero would need 63 zero bits; ids are positive by contract
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::{Activation, Init, Optimizer};

    fn hyper(seed: u64) -> Hyper {
        Hyper {
            activation: Activation::Tanh,
            init: Init::Uniform,
            optimizer: Optimizer::Adam,
            scheduler: Scheduler::Constant,
            lr: 3e-4,
            weight_decay: 0.0,
            dropout: 0.0,
            momentum: 0.9,
            batch_size: 10,
            epochs: 50,
            seed,
        }
    }

    /// Ids are on disk: this value may never change.
    #[test]
    fn ids_are_frozen() {
        let model = Model::new("mnist_seed", 16, "mnist", "cnn_s", hyper(17));
        assert_eq!(model.name, "mnist_seed/00016");
        assert_eq!(model.id, 5_710_284_755_468_252_748);
    }

    #[test]
    fn ids_depend_on_what_the_model_is_and_not_on_where_it_stands() {
        let id = |zoo, index, hyper| Model::new(zoo, index, "mnist", "cnn_s", hyper).id;
        assert_eq!(id("a", 0, hyper(1)), id("a", 9, hyper(1)));
        assert_ne!(id("a", 0, hyper(1)), id("b", 0, hyper(1)));
        assert_ne!(id("a", 0, hyper(1)), id("a", 0, hyper(2)));
        assert_ne!(id("a", 0, hyper(1)), id("a", 0, Hyper { epochs: 51, ..hyper(1) }));
        let one_cycle = |momentum| Hyper {
            optimizer: Optimizer::Sgd,
            scheduler: Scheduler::OneCycle,
            momentum,
            ..hyper(1)
        };
        assert_ne!(id("a", 0, hyper(1)), id("a", 0, one_cycle(0.9)));
        assert_eq!(id("a", 0, one_cycle(0.5)), id("a", 0, one_cycle(0.9)));
    }
}
