//! Dropout with draws from outside: candle's own generator cannot be seeded.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::element::{Element, storage, values, with_element};

/// Multiplies each element by its entry: 0 if it is dropped, else
/// `1 / (1 - rate)`.
pub(super) struct Dropout {
    mask: Vec<f64>,
}

impl Dropout {
    /// Drops elements of a tensor with probability `rate`. An element is kept if
    /// its draw, uniform in [0, 1), is at least the rate; `draw` is called once
    /// per element, image by image.
    ///
    /// The tensor is `[N, F]`, or `[C, N, H, W]` as convolutions have it.
    pub(super) fn new(shape: &Shape, rate: f64, draw: &mut dyn FnMut() -> f32) -> Result<Self> {
        let (channels, images, size) = match *shape.dims() {
            [images, features] => (1, images, features),
            [channels, images, height, width] => (channels, images, height * width),
            ref dims => bail!("cannot drop out of {dims:?}"),
        };
        let scale = 1.0 / (1.0 - rate);
        let mut mask = vec![0.0; shape.elem_count()];
        for image in 0..images {
            for channel in 0..channels {
                for entry in &mut mask[(channel * images + image) * size..][..size] {
                    *entry = if f64::from(draw()) >= rate { scale } else { 0.0 };
                }
            }
        }
        Ok(Self { mask })
    }

    fn apply<T: Element>(&self, x: &[T]) -> Vec<T> {
        x.iter().zip(&self.mask).map(|(x, entry)| *x * T::from_f64(*entry)).collect()
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T => {
            Ok((storage(self.apply(values::<T>(x, layout)?)), layout.shape().clone()))
        })
    }

    fn bwd(&self, _x: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1_no_bwd(self).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Channels are outermost in memory, but images are in the order of draws.
    #[test]
    fn draws_go_image_by_image_and_the_rate_itself_is_kept() {
        let x = Tensor::ones((2, 2, 1, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        let mut draws = [0.0, 0.25, 0.5, 0.1, 0.9, 0.2, 0.3, 0.24].into_iter();
        let dropout = Dropout::new(x.shape(), 0.25, &mut || draws.next().unwrap()).unwrap();
        let out = x.apply_op1(dropout).unwrap();
        let kept = 1.0 / 0.75;
        let out = out.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(out, [0.0, kept, kept, 0.0, kept, 0.0, kept, 0.0]);
        assert!(draws.next().is_none());
    }
}
