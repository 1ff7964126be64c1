//! From the layout of convolutions to that of linear layers.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::element::{Element, storage, values, with_element};

/// `[C, N, H, W]`, channels outermost, to `[N, C*H*W]`.
pub(super) struct Flatten;

impl CustomOp1 for Flatten {
    fn name(&self) -> &'static str {
        "flatten"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (channels, images, height, width) = layout.shape().dims4()?;
        let plane = height * width;
        with_element!(x.dtype(), T => {
            let out = swapped(values::<T>(x, layout)?, channels, images, plane);
            Ok((storage(out), (images, channels * plane).into()))
        })
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        gradient.apply_op1_no_bwd(&Unflatten(x.shape().clone())).map(Some)
    }
}

/// The reverse, to a shape `[C, N, H, W]`.
struct Unflatten(Shape);

impl CustomOp1 for Unflatten {
    fn name(&self) -> &'static str {
        "unflatten"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (channels, images, height, width) = self.0.dims4()?;
        with_element!(x.dtype(), T => {
            let out = swapped(values::<T>(x, layout)?, images, channels, height * width);
            Ok((storage(out), self.0.clone()))
        })
    }
}

/// `[outer, inner, plane]` as `[inner, outer, plane]`.
fn swapped<T: Element>(x: &[T], outer: usize, inner: usize, plane: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(x.len());
    for i in 0..inner {
        for o in 0..outer {
            out.extend_from_slice(&x[(o * inner + i) * plane..][..plane]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn images_come_first_and_gradients_find_back() {
        let x = Tensor::arange(0f32, 12., &Device::Cpu).unwrap().reshape((2, 3, 1, 2)).unwrap();
        let x = Var::from_tensor(&x).unwrap();
        let out = x.apply_op1(Flatten).unwrap();
        let expected = [[0f32, 1., 6., 7.], [2., 3., 8., 9.], [4., 5., 10., 11.]];
        assert_eq!(out.to_vec2::<f32>().unwrap(), expected);
        let gradients = (&out * &out).unwrap().sum_all().unwrap().backward().unwrap();
        let gradient = gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>();
        assert_eq!(gradient.unwrap(), (0..12).map(|i| 2.0 * i as f32).collect::<Vec<_>>());
    }
}
