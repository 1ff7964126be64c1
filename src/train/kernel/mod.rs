//! The engine for convolutional networks on a CPU: a whole step of training in
//! hand-written vector code, one network per thread.
//!
//! Owns the arithmetic of every architecture that is a chain of convolutions and
//! linear layers, as those of the published CNN zoos are; others are for the
//! candle engine. Draws, order and start come from the caller, as for every
//! [`Engine`](super::Engine), and results are checked against PyTorch's and the
//! candle engine's.
//!
//! What makes it fast: nothing is allocated in a step; all a network touches stays
//! in the first two caches; the images of a batch lie side by side ([`plan`]), so
//! that every load is of neighbours whatever the kernel's size; tiles of results
//! stay in registers ([`convolution`], [`gradient`]); and each instruction set has
//! its own copy of the code, chosen when the program runs ([`isa`]).
//!
//! # Safety
//! This is the one module with `unsafe` code, for vector instructions and for
//! positions that are not checked. What it rests on:
//!
//! * Instructions: only [`Isa`] runs a kernel, and a value of it exists only for
//!   what the processor has.
//! * Positions: images and labels are checked against the architecture when a
//!   network is made, indices at every step; all other positions follow from the
//!   [`plan`]. Buffers have room for a vector beyond their last number
//!   ([`buffer`]), and so has every row ([`plan::Grid`]).
//! * In unit tests every load and store asserts its bounds ([`lanes`]), and the
//!   tests run every architecture, activation, instruction set and odd batch size.
//!   `.ci/sanitize` lets AddressSanitizer, and the standard library's debug assertions,
//!   look at all of it once more: they also see accesses for which nobody wrote an assertion.

#![expect(unsafe_code, reason = "vector instructions and unchecked positions: see Safety")]
#![expect(unsafe_op_in_unsafe_fn, reason = "kernels are unsafe from end to end")]

mod activation;
mod buffer;
mod convolution;
mod denormals;
mod dropout;
mod gather;
mod gradient;
mod isa;
mod lanes;
mod loss;
mod math;
mod network;
mod optimizer;
mod pass;
mod plan;
mod pool;
#[cfg(test)]
mod tests;

pub(crate) use denormals::FlushToZero;
pub use isa::Isa;
pub(super) use network::logits;

use self::network::KernelNetwork;
use self::plan::Plan;
use super::{Engine, Network};
use crate::arch::Arch;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::zoo::Hyper;

/// Trains convolutional networks with vector code of our own, in `f32`.
#[derive(Debug)]
pub struct KernelEngine {
    isa: Isa,
}

impl KernelEngine {
    /// An engine that uses `isa`.
    pub fn new(isa: Isa) -> Self {
        Self { isa }
    }

    /// Whether the engine can train networks of this architecture.
    pub fn knows(arch: &Arch) -> bool {
        Plan::new(arch, 1).is_some()
    }

    /// Fails if the engine cannot train networks of this architecture.
    ///
    /// # Errors
    /// `Invalid`, with what to choose instead.
    pub fn expect(arch: &Arch) -> Result<()> {
        Plan::of(arch, 1).map(drop)
    }
}

impl Engine for KernelEngine {
    fn name(&self) -> &'static str {
        self.isa.engine_name()
    }

    fn network<'a>(
        &'a self,
        arch: &'a Arch,
        hyper: &'a Hyper,
        dataset: &'a Dataset,
        weights: &[f32],
    ) -> Result<Box<dyn Network + 'a>> {
        Ok(Box::new(KernelNetwork::new(self.isa, arch, hyper, dataset, weights)?))
    }
}
