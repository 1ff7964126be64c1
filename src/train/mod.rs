//! Training: one model from its seed to its last epoch, and many models in
//! parallel.
//!
//! Owns randomness, initialisation, the epoch loop, the engines, the runner, and
//! what long models leave on disk while they train. Hands finished models to its
//! caller; knows nothing of where they are stored.

mod augment;
mod calibration;
mod candle;
mod course;
mod engine;
mod footprint;
mod init;
mod kernel;
mod memory;
mod population;
mod progress;
#[cfg(test)]
mod promises;
mod response;
mod runner;
mod schedule;
mod state;
mod stream;
mod together;
mod weights;
mod work;

pub use augment::Change;
pub use calibration::Calibration;
pub use candle::CandleEngine;
pub use course::train_model;
pub use engine::{Engine, Network, Population, Together};
pub use footprint::activation_bytes;
pub use init::initial_weights;
pub use kernel::{Isa, KernelEngine};
pub use memory::Memory;
pub use population::PopulationEngine;
pub use progress::{Observer, Sink, Stop};
pub use response::{Boundary, accuracy, boundaries, logits};
pub use runner::Runner;
pub use schedule::{Pace, Schedule};
pub use state::{Metrics, State, Status, Trained};
pub use stream::{Draws, Purpose, Stream};
pub use together::members;
pub use weights::{Kept, Weights};
pub use work::Workplace;

use crate::arch::Arch;

/// The fastest engine on the CPU for networks of an architecture: the kernels where
/// they know it, otherwise candle.
pub fn fastest(arch: &Arch) -> Box<dyn Engine> {
    if KernelEngine::knows(arch) {
        Box::new(KernelEngine::new(Isa::best()))
    } else {
        Box::new(CandleEngine::cpu())
    }
}
