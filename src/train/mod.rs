//! Training: one model from its seed to its last epoch, and many models in
//! parallel.
//!
//! Owns randomness, initialisation, the epoch loop, the engines and the runner.
//! Hands finished models to its caller; knows nothing of where they are stored.

mod augment;
mod candle;
mod course;
mod engine;
mod init;
mod kernel;
mod memory;
mod progress;
#[cfg(test)]
mod promises;
mod runner;
mod schedule;
mod state;
mod stream;

pub use augment::Change;
pub use candle::CandleEngine;
pub use course::train_model;
pub use engine::{Engine, Network};
pub use init::initial_weights;
pub use kernel::{Isa, KernelEngine};
pub use memory::Memory;
pub use progress::{Observer, Sink, Stop};
pub use runner::Runner;
pub use schedule::{Pace, Schedule};
pub use state::{Metrics, State, Status, Trained};
pub use stream::{Draws, Purpose, Stream};

use crate::arch::Arch;
use crate::dataset::Dataset;

/// The fastest engine on the CPU for networks of an architecture on a data set: the
/// kernels where they know it and its images stay as they are, otherwise candle.
pub fn fastest(arch: &Arch, dataset: &Dataset) -> Box<dyn Engine> {
    if KernelEngine::knows(arch) && dataset.augment.is_none() {
        Box::new(KernelEngine::new(Isa::best()))
    } else {
        Box::new(CandleEngine::cpu())
    }
}
