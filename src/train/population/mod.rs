//! The engine for GPUs: models of one architecture in lockstep.
//!
//! One small network leaves a GPU idle between operations, so every operation
//! here is done for all networks of a population at once: tensors have a leading
//! axis of members. Owns forward and backward pass, loss and update rules in this
//! form; knows nothing of which models belong together but what has to be equal.
//!
//! Only operations that candle has for every device are used, so that the tests
//! of this engine on the CPU are tests of what a GPU runs. Activations are
//! `[members, channels, positions, images]`: images innermost, so that patches of
//! a convolution, windows of a pooling and the features of a linear layer are
//! selections along one axis, and every layer with parameters is one batched
//! matrix product.
//!
//! Members do not meet in any sum, but a device may pick another kernel for
//! another number of them: results are the same to rounding, not to the bit.

mod activation;
mod batch_norm;
mod conv;
mod data;
mod device;
mod dropout;
#[cfg(test)]
mod layer_tests;
mod linear;
mod lockstep;
mod loss;
mod optimizer;
mod parameters;
mod pool;
mod steps;
mod tape;
#[cfg(test)]
mod tests;
mod window;

use std::num::NonZero;

use candle_core::{DType, Device};

use self::lockstep::{Alone, Lockstep};
use super::{Engine, Network, Population, Together, footprint};
use crate::arch::Arch;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::zoo::Hyper;

/// Members of a population beyond which nothing is gained: an operation on so
/// many keeps a GPU busy.
const MOST_MEMBERS: usize = 256;

/// Trains populations of networks in `f32`, on a GPU or on the CPU.
#[derive(Debug)]
pub struct PopulationEngine {
    device: Device,
    /// Bytes of activations a population may take.
    budget: usize,
    members: Option<NonZero<usize>>,
}

impl PopulationEngine {
    /// An engine on the CPU: to compare with, since other engines are faster there.
    pub fn cpu() -> Self {
        Self { device: Device::Cpu, budget: 64 << 20, members: None }
    }

    /// An engine on the NVIDIA GPU number `ordinal`.
    ///
    /// # Errors
    /// If zoolake was built without CUDA, there is no driver, or no such GPU.
    pub fn cuda(ordinal: usize) -> Result<Self> {
        Ok(Self { device: device::cuda(ordinal)?, budget: 4 << 30, members: None })
    }

    /// Trains at most `members` models together, whatever they take.
    #[must_use]
    pub fn with_members(self, members: NonZero<usize>) -> Self {
        Self { members: Some(members), ..self }
    }
}

impl Engine for PopulationEngine {
    fn name(&self) -> &'static str {
        match self.device {
            Device::Cpu => "population",
            _ => "population_cuda",
        }
    }

    fn network<'a>(
        &'a self,
        arch: &'a Arch,
        hyper: &'a Hyper,
        dataset: &'a Dataset,
        weights: &[f32],
    ) -> Result<Box<dyn Network + 'a>> {
        let members =
            Lockstep::new(self, DType::F32, arch, vec![hyper], dataset, &[weights.to_vec()])?;
        Ok(Box::new(Alone(members)))
    }

    fn together(&self) -> Option<&dyn Together> {
        Some(self)
    }
}

impl Together for PopulationEngine {
    fn room(&self, arch: &Arch, hyper: &Hyper) -> NonZero<usize> {
        let fitting = self.budget / footprint::training(arch, hyper.batch_size).max(1);
        let fitting = NonZero::new(fitting.min(MOST_MEMBERS)).unwrap_or(NonZero::<usize>::MIN);
        self.members.unwrap_or(fitting)
    }

    fn population<'a>(
        &'a self,
        arch: &'a Arch,
        hypers: Vec<&'a Hyper>,
        dataset: &'a Dataset,
        weights: &[Vec<f32>],
    ) -> Result<Box<dyn Population + 'a>> {
        Ok(Box::new(Lockstep::new(self, DType::F32, arch, hypers, dataset, weights)?))
    }
}

/// Turns an error of candle into one that says what was going on: out of memory
/// is the device's, anything else a bug of ours.
fn failed(doing: &'static str) -> impl FnOnce(candle_core::Error) -> Error {
    move |error| {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        if text.to_lowercase().contains("out of memory") {
            Error::new(crate::error::Kind::Unavailable, format!("{doing}: {line}"))
                .with_hint("train fewer models together with `--population N`")
        } else {
            Error::internal(format!("{doing} in a population: {line}")).with_source(error)
        }
    }
}
