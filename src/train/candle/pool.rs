//! 2x2 maximum with stride 2, as PyTorch does it.
//!
//! Not candle's: the backward pass of its `max_pool2d` (0.11.1) gives a unique
//! maximum a quarter of its gradient and misplaces it where a side is odd.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::element::{Element, storage, values, with_element};

/// Planes of `height` x `width` values.
struct Geometry {
    height: usize,
    width: usize,
}

impl Geometry {
    fn new(dims: &[usize]) -> Result<Self> {
        match *dims {
            [.., height, width] if height >= 2 && width >= 2 => Ok(Self { height, width }),
            _ => bail!("cannot pool {dims:?}"),
        }
    }

    /// `dims` after pooling.
    fn pooled(&self, dims: &[usize]) -> Vec<usize> {
        let mut dims = dims.to_vec();
        dims.truncate(dims.len().saturating_sub(2));
        dims.extend([self.height / 2, self.width / 2]);
        dims
    }

    /// Pairs of rows, one above the other, plane by plane.
    fn pairs<'a, T: Element>(&self, x: &'a [T]) -> impl Iterator<Item = (&'a [T], &'a [T])> {
        let width = self.width;
        x.chunks_exact(self.height * width)
            .flat_map(move |plane| plane.chunks_exact(2 * width))
            .map(move |rows| rows.split_at(width))
    }

    fn forward<T: Element>(&self, x: &[T]) -> Vec<T> {
        let mut out = Vec::with_capacity(x.len() / 4);
        for (upper, lower) in self.pairs(x) {
            let windows = twos(upper).iter().zip(twos(lower));
            out.extend(windows.map(|(&[a, b], &[c, d])| larger(larger(a, b), larger(c, d))));
        }
        out
    }

    fn backward<T: Element>(&self, x: &[T], gradient: &[T]) -> Vec<T> {
        let mut out = vec![T::zero(); x.len()];
        let planes = out.chunks_exact_mut(self.height * self.width);
        let outs = planes.flat_map(|plane| plane.chunks_exact_mut(2 * self.width));
        let gradients = gradient.chunks_exact(self.width / 2);
        for (((upper, lower), out), gradients) in self.pairs(x).zip(outs).zip(gradients) {
            let windows = twos(upper).iter().zip(twos(lower));
            for (i, ((&[a, b], &[c, d]), gradient)) in windows.zip(gradients).enumerate() {
                // Without a branch, as which one wins cannot be predicted.
                let below = (beats(c, a) & beats(c, b)) | (beats(d, a) & beats(d, b));
                let right = (below & beats(d, c)) | (!below & beats(b, a));
                out[2 * i + self.width * usize::from(below) + usize::from(right)] = *gradient;
            }
        }
        out
    }
}

/// The values of a row two by two; an odd last one is dropped.
fn twos<T>(row: &[T]) -> &[[T; 2]] {
    row.as_chunks().0
}

/// Whether `y` replaces `x`, which comes before it, as the maximum: the first of
/// equals stays, and NaN is the largest of all, as in PyTorch.
fn beats<T: Element>(y: T, x: T) -> bool {
    (y > x) | y.is_nan()
}

fn larger<T: Element>(x: T, y: T) -> T {
    if beats(y, x) { y } else { x }
}

/// The maximum of each 2x2 window of the last two dimensions; an odd last row
/// or column is dropped. A window that holds a NaN gives NaN.
pub(super) struct MaxPool2d;

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(layout.dims())?;
        with_element!(x.dtype(), T => {
            let out = geometry.forward(values::<T>(x, layout)?);
            Ok((storage(out), geometry.pooled(layout.dims()).into()))
        })
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        x.apply_op2_no_bwd(&gradient.contiguous()?, &InputGradient).map(Some)
    }
}

/// The gradient of the input: the output's, at each window's maximum.
struct InputGradient;

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "max_pool2d_input_gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(x_layout.dims())?;
        with_element!(x.dtype(), T => {
            let x = values::<T>(x, x_layout)?;
            let out = geometry.backward(x, values(gradient, gradient_layout)?);
            Ok((storage(out), x_layout.shape().clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::candle::fixtures::{check_layer, inputs};
    use candle_core::{Device, Var};

    #[test]
    fn agrees_with_pytorch() {
        check_layer("max_pool2d", inputs, |x| x[0].apply_op1(MaxPool2d));
    }

    #[test]
    fn the_first_of_equal_maxima_gets_the_gradient() {
        let few = |shapes: &[Vec<usize>]| {
            inputs(shapes).iter().map(|x| (x * 2.0).unwrap().floor().unwrap()).collect()
        };
        check_layer("max_pool2d_ties", few, |x| x[0].apply_op1(MaxPool2d));
    }

    #[test]
    fn nan_spreads_over_its_window_only() {
        let nan = f32::NAN;
        let x = Var::new(&[[[1f32, 2., 9., 9.], [nan, 3., 4., -1.]]], &Device::Cpu).unwrap();
        let out = x.apply_op1(MaxPool2d).unwrap();
        let values = out.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values[0].is_nan());
        assert_eq!(values[1], 9.0);
        let gradients = out.sum_all().unwrap().backward().unwrap();
        let gradient = gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>();
        assert_eq!(gradient.unwrap(), [0., 0., 1., 0., 1., 0., 0., 0.]);
    }
}
