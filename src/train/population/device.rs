//! Reaching a GPU.

use candle_core::Device;

use crate::error::{Error, Result};

/// The NVIDIA GPU number `ordinal`.
pub(super) fn cuda(ordinal: usize) -> Result<Device> {
    if !cfg!(feature = "cuda") {
        return Err(Error::invalid(format!(
            "this zoolake was built without CUDA, so it cannot use `cuda:{ordinal}`"
        ))
        .with_hint("build it with `--features cuda` (docs/gpu.md), or use the CPU"));
    }
    // One stream for all threads: what one of them uploads, another may use.
    Device::new_cuda_with_stream(ordinal).map_err(|error| {
        let text = error.to_string();
        let why = text.lines().next().unwrap_or_default();
        Error::not_found(format!("cannot use `cuda:{ordinal}`: {why}"))
            .with_hint("`nvidia-smi` lists the GPUs, counted from 0")
            .with_source(error)
    })
}

#[cfg(all(test, not(feature = "cuda")))]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_cuda_says_so() {
        let error = cuda(1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "this zoolake was built without CUDA, so it cannot use `cuda:1`"
        );
        assert!(error.hint().is_some());
    }
}
