//! The engine on candle: every architecture, layer by layer.
//!
//! Owns the forward and backward pass of each kind of layer, the loss and the
//! update rules; the readable reference that faster engines are checked against,
//! and itself checked against PyTorch's numbers.
//!
//! candle provides tensors and the form of an operation (`CustomOp`). The
//! operations themselves are here, because candle's are wrong or slow: see each
//! file. They run on the calling thread alone, in a
//! fixed order of arithmetic, so that the same input gives the same bits however
//! many threads there are.

mod activation;
mod average;
mod batch;
mod batch_norm;
mod conv;
mod dropout;
mod element;
#[cfg(test)]
pub(super) mod fixtures;
mod flatten;
mod forward;
mod linear;
mod loss;
mod matmul;
mod network;
mod optimizer;
mod patches;
mod pool;
mod residual;
mod response;
mod tape;
#[cfg(test)]
mod tests;
mod tile;
mod transform;
mod winograd;
mod workspace;

use candle_core::DType;

pub(super) use self::loss::argmax;
use self::network::CandleNetwork;
pub(super) use self::response::Response;
use super::{Engine, Network};
use crate::arch::Arch;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::zoo::Hyper;

/// Trains networks with candle, in `f32`.
#[derive(Debug)]
pub struct CandleEngine(());

impl CandleEngine {
    /// An engine that computes on the calling thread.
    pub fn cpu() -> Self {
        Self(())
    }
}

impl Engine for CandleEngine {
    /// Named after the vector instructions too: with some, a product and a sum are
    /// rounded once.
    fn name(&self) -> &'static str {
        match instructions() {
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V3(_) => "candle_avx2",
            #[cfg(target_arch = "aarch64")]
            pulp::Arch::Neon(_) => "candle_neon",
            _ => "candle_portable",
        }
    }

    fn network<'a>(
        &'a self,
        arch: &'a Arch,
        hyper: &'a Hyper,
        dataset: &'a Dataset,
        weights: &[f32],
    ) -> Result<Box<dyn Network + 'a>> {
        Ok(Box::new(CandleNetwork::new(arch, hyper, dataset, weights, DType::F32)?))
    }
}

/// The vector instructions that the engine computes with. On x86-64 they are AVX2 at most: tiles
/// are made for it, and the engine is named after it.
fn instructions() -> pulp::Arch {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = pulp::x86::V3::try_new() {
        return pulp::Arch::V3(avx2);
    }
    pulp::Arch::new()
}

/// Turns an error of candle, which is a bug of ours, into one that says what was
/// going on.
fn failed(doing: &'static str) -> impl FnOnce(candle_core::Error) -> Error {
    move |error| Error::internal(format!("{doing} with candle: {error}")).with_source(error)
}
