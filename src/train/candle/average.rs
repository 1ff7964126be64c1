//! The mean of each channel of each image.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType};

use super::element::{storage, values, with_element};

/// `[C, N, H, W]`, channels outermost, to `[N, C]`.
pub(super) struct GlobalAverage;

impl CustomOp1 for GlobalAverage {
    fn name(&self) -> &'static str {
        "global_average"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (channels, images, height, width) = layout.shape().dims4()?;
        let plane = height * width;
        with_element!(x.dtype(), T => {
            let x = values::<T>(x, layout)?;
            let share = T::from_f64(1.0 / plane as f64);
            let mut out = Vec::with_capacity(images * channels);
            for image in 0..images {
                for channel in 0..channels {
                    let pixels = &x[(channel * images + image) * plane..][..plane];
                    out.push(pixels.iter().sum::<T>() * share);
                }
            }
            Ok((storage(out), (images, channels).into()))
        })
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.contiguous()?.apply_op1_no_bwd(&Spread(x.shape().clone())).map(Some)
    }
}

/// The reverse, to a shape `[C, N, H, W]`: an equal share for each pixel.
struct Spread(Shape);

impl CustomOp1 for Spread {
    fn name(&self) -> &'static str {
        "global_average_input_gradient"
    }

    fn cpu_fwd(&self, gradient: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (channels, images, height, width) = self.0.dims4()?;
        let plane = height * width;
        with_element!(gradient.dtype(), T => {
            let gradient = values::<T>(gradient, layout)?;
            let share = T::from_f64(1.0 / plane as f64);
            let mut out = Vec::with_capacity(self.0.elem_count());
            for channel in 0..channels {
                for image in 0..images {
                    out.resize(out.len() + plane, share * gradient[image * channels + channel]);
                }
            }
            Ok((storage(out), self.0.clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::candle::fixtures::{check_layer, inputs};

    #[test]
    fn agrees_with_pytorch() {
        check_layer("global_avg_pool", inputs, |x| {
            x[0].transpose(0, 1)?.contiguous()?.apply_op1(GlobalAverage)
        });
    }
}
