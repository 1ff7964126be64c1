//! Reaching a GPU.

use std::panic;

use candle_core::Device;

use crate::error::{Error, Result};

/// The NVIDIA GPU number `ordinal`.
pub(super) fn cuda(ordinal: usize) -> Result<Device> {
    if !cfg!(feature = "cuda") {
        return Err(Error::invalid(format!(
            "this zoolake was built without CUDA, so there is no device `cuda:{ordinal}`"
        ))
        .with_hint("build it with `--features cuda` (docs/gpu.md), or use `--device cpu`"));
    }
    let none = |why: &str| {
        let why = why.lines().next().unwrap_or_default().to_owned();
        Error::not_found(format!("cannot use device `cuda:{ordinal}`: {why}"))
            .with_hint("`nvidia-smi` lists the GPUs, counted from 0; `--device cpu` needs none")
    };
    // One stream for all threads: what one of them uploads, another may use. The
    // driver's bindings panic where they find no library.
    match panic::catch_unwind(|| Device::new_cuda_with_stream(ordinal)) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(none(&error.to_string())),
        Err(_) => Err(none("the CUDA driver is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_so() {
        let error = cuda(1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "this zoolake was built without CUDA, so there is no device `cuda:1`"
        );
        assert!(error.hint().is_some());
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_gpu_beyond_the_last_is_an_error_and_no_panic() {
        let error = cuda(usize::from(u16::MAX)).unwrap_err();
        assert!(error.to_string().starts_with("cannot use device `cuda:65535`: "), "{error}");
    }
}
