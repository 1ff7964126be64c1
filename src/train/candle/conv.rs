//! Convolution, stride 1, no padding, with bias.
//!
//! Activations are `[C, N, H, W]`, channels outermost, so that a layer's output
//! is one matrix product per image: weight `[out, in*k*k]` times the image's
//! patches `[in*k*k, oh*ow]` (im2col). candle's own convolution is several times
//! slower backwards. Patches are made again for the backward pass rather than
//! kept: those of one image stay in the cache, those of a batch do not.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::element::{Element, storage, values, with_element};
use super::matmul::{Matrix, add_product, add_product_transposed, transposed};

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    inputs: usize,
    images: usize,
    height: usize,
    width: usize,
    outputs: usize,
    kernel: usize,
}

impl Geometry {
    fn new(x: &[usize], weight: &[usize]) -> Result<Self> {
        match (x, weight) {
            (&[inputs, images, height, width], &[outputs, in_channels, kernel, across])
                if in_channels == inputs
                    && across == kernel
                    && (1..=height.min(width)).contains(&kernel) =>
            {
                Ok(Self { inputs, images, height, width, outputs, kernel })
            }
            _ => bail!("cannot convolve {x:?} with {weight:?}"),
        }
    }

    fn out_height(&self) -> usize {
        self.height + 1 - self.kernel
    }

    fn out_width(&self) -> usize {
        self.width + 1 - self.kernel
    }

    /// Positions of one image's output.
    fn positions(&self) -> usize {
        self.out_height() * self.out_width()
    }

    /// Values one position depends on.
    fn patch(&self) -> usize {
        self.inputs * self.kernel * self.kernel
    }

    /// Calls `visit` with where each row of the patch matrix of `image` lies in
    /// `x`: for every (channel, ky, kx, output row), in that order, the index of
    /// the first of `out_width` consecutive values.
    fn for_each_row(&self, image: usize, mut visit: impl FnMut(usize)) {
        for channel in 0..self.inputs {
            let plane = (channel * self.images + image) * self.height * self.width;
            for ky in 0..self.kernel {
                for kx in 0..self.kernel {
                    for y in 0..self.out_height() {
                        visit(plane + (y + ky) * self.width + kx);
                    }
                }
            }
        }
    }

    /// The patches of one image as the columns of `[patch, positions]`.
    fn im2col<T: Element>(&self, x: &[T], image: usize, columns: &mut Vec<T>) {
        columns.clear();
        let width = self.out_width();
        self.for_each_row(image, |start| columns.extend_from_slice(&x[start..start + width]));
    }

    /// The reverse of [`Self::im2col`]: adds each value to where it came from.
    fn col2im<T: Element>(&self, columns: &[T], image: usize, x: &mut [T]) {
        let width = self.out_width();
        let mut rows = columns.chunks_exact(width);
        self.for_each_row(image, |start| {
            let row = rows.next().unwrap_or_default();
            for (sum, value) in x[start..start + width].iter_mut().zip(row) {
                *sum += *value;
            }
        });
    }

    /// What the output positions of one image are in a matrix over the output
    /// channels of all images.
    fn of_image<'a, T: Element>(&self, values: &'a [T], image: usize) -> Matrix<'a, T> {
        let positions = self.positions();
        let stride = self.images * positions;
        Matrix::columns_of(values, self.outputs, stride, image * positions, positions)
    }

    fn forward<T: Element>(&self, x: &[T], weight: &[T], bias: &[T]) -> Vec<T> {
        let (positions, patch) = (self.positions(), self.patch());
        let stride = self.images * positions;
        let mut out = Vec::with_capacity(self.outputs * stride);
        for value in bias {
            out.resize(out.len() + stride, *value);
        }
        let weight = Matrix::new(weight, self.outputs, patch);
        let mut columns = Vec::with_capacity(patch * positions);
        for image in 0..self.images {
            self.im2col(x, image, &mut columns);
            let columns = Matrix::new(&columns, patch, positions);
            add_product(&mut out[image * positions..], stride, weight, columns);
        }
        out
    }

    fn weight_gradient<T: Element>(&self, x: &[T], gradient: &[T]) -> Vec<T> {
        let (positions, patch) = (self.positions(), self.patch());
        let mut out = vec![T::zero(); self.outputs * patch];
        let mut columns = Vec::with_capacity(patch * positions);
        for image in 0..self.images {
            self.im2col(x, image, &mut columns);
            let columns = Matrix::new(&columns, patch, positions);
            add_product_transposed(&mut out, patch, self.of_image(gradient, image), columns);
        }
        out
    }

    fn input_gradient<T: Element>(&self, weight: &[T], gradient: &[T]) -> Vec<T> {
        let (positions, patch) = (self.positions(), self.patch());
        let weight = transposed(weight, self.outputs, patch);
        let weight = Matrix::new(&weight, patch, self.outputs);
        let mut out = vec![T::zero(); self.inputs * self.images * self.height * self.width];
        let mut columns = vec![T::zero(); patch * positions];
        for image in 0..self.images {
            columns.fill(T::zero());
            add_product(&mut columns, positions, weight, self.of_image(gradient, image));
            self.col2im(&columns, image, &mut out);
        }
        out
    }
}

/// The convolution of `x` `[C, N, H, W]` with a weight `[O, C, k, k]` plus a bias
/// `[O]`: `[O, N, H-k+1, W-k+1]`.
pub(super) struct Conv2d {
    /// Whether the gradient of `x` is wanted: not if `x` are the images.
    pub(super) input_gradient: bool,
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(x_layout.dims(), weight_layout.dims())?;
        let shape =
            (geometry.outputs, geometry.images, geometry.out_height(), geometry.out_width());
        with_element!(x.dtype(), T => {
            let x = values::<T>(x, x_layout)?;
            let weight = values(weight, weight_layout)?;
            let out = geometry.forward(x, weight, values(bias, bias_layout)?);
            Ok((storage(out), shape.into()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let geometry = Geometry::new(x.dims(), weight.dims())?;
        let gradient = gradient.contiguous()?;
        let input = match self.input_gradient {
            true => Some(weight.apply_op2_no_bwd(&gradient, &InputGradient(geometry))?),
            false => None,
        };
        let weight = x.apply_op2_no_bwd(&gradient, &WeightGradient(geometry))?;
        let bias = gradient.sum((1, 2, 3))?;
        Ok((input, Some(weight), Some(bias)))
    }
}

/// The gradient of the weight, from the input and the output's gradient.
struct WeightGradient(Geometry);

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "conv2d_weight_gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Geometry { outputs, inputs, kernel, .. } = self.0;
        with_element!(x.dtype(), T => {
            let x = values::<T>(x, x_layout)?;
            let out = self.0.weight_gradient(x, values(gradient, gradient_layout)?);
            Ok((storage(out), (outputs, inputs, kernel, kernel).into()))
        })
    }
}

/// The gradient of the input, from the weight and the output's gradient.
struct InputGradient(Geometry);

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "conv2d_input_gradient"
    }

    fn cpu_fwd(
        &self,
        weight: &CpuStorage,
        weight_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Geometry { inputs, images, height, width, .. } = self.0;
        with_element!(weight.dtype(), T => {
            let weight = values::<T>(weight, weight_layout)?;
            let out = self.0.input_gradient(weight, values(gradient, gradient_layout)?);
            Ok((storage(out), (inputs, images, height, width).into()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::candle::fixtures::{check_layer, inputs};

    #[test]
    fn agrees_with_pytorch() {
        check_layer("conv2d", inputs, |tensors| {
            let channels_first = tensors[0].transpose(0, 1)?.contiguous()?;
            let conv2d = Conv2d { input_gradient: true };
            channels_first.apply_op3(&tensors[1], &tensors[2], conv2d)?.transpose(0, 1)
        });
    }

    #[test]
    fn shapes_that_do_not_fit_are_an_error() {
        let x = Tensor::zeros((2, 1, 4, 4), candle_core::DType::F32, &candle_core::Device::Cpu);
        let x = x.unwrap();
        let bias = x.flatten_all().unwrap().narrow(0, 0, 3).unwrap();
        for weight in [(3, 2, 5, 5), (3, 1, 2, 2), (3, 2, 2, 3), (3, 2, 0, 0)] {
            let weight = Tensor::zeros(weight, x.dtype(), x.device()).unwrap();
            let conv2d = Conv2d { input_gradient: false };
            assert!(x.apply_op3(&weight, &bias, conv2d).is_err(), "{:?}", weight.dims());
        }
    }
}
