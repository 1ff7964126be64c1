//! Convolution.
//!
//! Activations are `[C, N, H, W]`, channels outermost, so that a layer's output
//! is one matrix product: weight `[out, in*k*k]` times the patches of all
//! positions. Patches are made again for the backward pass rather than kept:
//! those of a few channels stay in the cache, those of a batch do not. The
//! gradient of the input is a convolution too, of the output's gradient. Where
//! [`Winograd`] knows a way with less arithmetic, that is taken.
//!
//! Not candle's own: it is several times slower backwards.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::element::{Element, storage, values, with_element};
use super::matmul::Matrix;
use super::patches::{Patches, blocks};
use super::tile::{DEPTH, WIDTH, add_panel_product};
use super::winograd::Winograd;

/// Values of the output that are worked on at a time: they stay in the second-level
/// cache while the terms of all channels are added.
const OUT_VALUES: usize = 96 << 10;

/// Values of patches that are kept for the gradient of the weight at a time.
const PATCH_VALUES: usize = 64 << 10;

/// Positions in a group of images for the gradient of the weight: enough to
/// spread what a tile costs beside its sums.
const POSITIONS: usize = 1024;

/// The convolution of `x` `[C, N, H, W]` with a weight `[O, C, k, k]`, plus a bias
/// `[O]` if there is one: `[O, N, OH, OW]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv2d {
    /// Pixels from one position to the next.
    pub(super) stride: usize,
    /// Rows and columns of zeros on each side.
    pub(super) padding: usize,
    /// Whether the gradient of `x` is wanted: not if `x` are the images.
    pub(super) input_gradient: bool,
    /// Whether the gradient of the weight is wanted: not if nothing is trained.
    pub(super) weight_gradient: bool,
}

/// Sizes of a convolution.
#[derive(Debug, Clone, Copy)]
struct Geometry {
    inputs: usize,
    images: usize,
    height: usize,
    width: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Geometry {
    fn new(x: &[usize], weight: &[usize], conv: Conv2d) -> Result<Self> {
        let Conv2d { stride, padding, .. } = conv;
        match (x, weight) {
            (&[inputs, images, height, width], &[outputs, in_channels, kernel, across])
                if in_channels == inputs
                    && across == kernel
                    && stride > 0
                    && (1..=height.min(width) + 2 * padding).contains(&kernel) =>
            {
                Ok(Self { inputs, images, height, width, outputs, kernel, stride, padding })
            }
            _ => bail!("cannot convolve {x:?} with {weight:?}"),
        }
    }

    /// Height and width of the output.
    fn grid(&self) -> [usize; 2] {
        [self.height, self.width]
            .map(|side| (side + 2 * self.padding - self.kernel) / self.stride + 1)
    }

    fn shape(&self) -> [usize; 4] {
        let [height, width] = self.grid();
        [self.outputs, self.images, height, width]
    }

    /// Positions of all images.
    fn positions(&self) -> usize {
        self.shape()[1..].iter().product()
    }

    /// What the output's positions see of the input, in the order of a weight.
    fn patches(&self) -> Patches {
        let Self { inputs: channels, images, height, width, stride: step, .. } = *self;
        let from = |at: usize| at as isize - self.padding as isize;
        let row = |ky| (0..self.kernel).map(move |kx| [from(ky), from(kx)]);
        let taps = (0..self.kernel).flat_map(row).collect();
        Patches { channels, images, height, width, grid: self.grid(), step, taps }
    }

    fn forward<T: Element>(&self, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
        let positions = self.positions();
        let mut out = Vec::with_capacity(self.outputs * positions);
        match bias {
            Some(bias) => bias.iter().for_each(|value| out.resize(out.len() + positions, *value)),
            None => out.resize(self.outputs * positions, T::zero()),
        }
        add_convolution(&mut out, &self.patches(), x, weight, self.outputs);
        out
    }

    /// The gradient of the input. Pixels whose row and column leave the same rest
    /// when divided by the stride see the output's gradient through the same
    /// entries of the kernel: a convolution for each pair of rests.
    fn input_gradient<T: Element>(&self, weight: &[T], gradient: &[T]) -> Vec<T> {
        let Self { inputs, images, height, width, stride, .. } = *self;
        if stride == 1 {
            return self.input_gradient_at([0, 0], weight, gradient).1;
        }
        let mut out = vec![T::zero(); inputs * images * height * width];
        for rest in (0..stride * stride).map(|i| [i / stride, i % stride]) {
            let ([rows, columns], values) = self.input_gradient_at(rest, weight, gradient);
            let values = values.chunks_exact((rows * columns).max(1));
            for (plane, values) in out.chunks_exact_mut(height * width).zip(values) {
                let lines = plane.chunks_exact_mut(width).skip(rest[0]).step_by(stride);
                for (line, values) in lines.zip(values.chunks_exact(columns)) {
                    let pixels = line.iter_mut().skip(rest[1]).step_by(stride);
                    pixels.zip(values).for_each(|(pixel, value)| *pixel = *value);
                }
            }
        }
        out
    }

    /// The gradient of the pixels with one pair of rests, and how many rows and
    /// columns of them there are.
    fn input_gradient_at<T: Element>(
        &self,
        rest: [usize; 2],
        weight: &[T],
        gradient: &[T],
    ) -> ([usize; 2], Vec<T>) {
        let Self { inputs, images, outputs, kernel, stride, padding, .. } = *self;
        let sides = [self.height, self.width];
        let grid: [usize; 2] =
            std::array::from_fn(|axis| sides[axis].saturating_sub(rest[axis]).div_ceil(stride));
        // Position y sees pixel s*y + k - p through entry k: pixel s*q + r is
        // seen by position q + (r + p - k) / s, if that is whole.
        let seen = |axis: usize, k: usize| {
            let distance = (rest[axis] + padding) as isize - k as isize;
            (distance % stride as isize == 0).then_some(distance / stride as isize)
        };
        let entries = (0..kernel * kernel).map(|entry| (entry, entry / kernel, entry % kernel));
        let (entries, taps): (Vec<usize>, Vec<[isize; 2]>) = entries
            .filter_map(|(entry, ky, kx)| Some((entry, [seen(0, ky)?, seen(1, kx)?])))
            .unzip();
        // In blocks, so that neither side jumps through all of its memory.
        let mut turned = vec![T::zero(); inputs * outputs * entries.len()];
        for block in blocks(inputs, WIDTH) {
            for output in 0..outputs {
                for input in block.clone() {
                    let kernel = &weight[(output * inputs + input) * kernel * kernel..];
                    let turned = &mut turned[(input * outputs + output) * entries.len()..];
                    turned.iter_mut().zip(&entries).for_each(|(to, entry)| *to = kernel[*entry]);
                }
            }
        }
        let [height, width] = self.grid();
        let patches = Patches { channels: outputs, images, height, width, grid, step: 1, taps };
        let mut out = vec![T::zero(); inputs * images * patches.positions()];
        add_convolution(&mut out, &patches, gradient, &turned, inputs);
        (grid, out)
    }

    /// The gradient of the weight: the output's gradient times the transposed
    /// patches. Computed transposed, 16 outputs side by side.
    fn weight_gradient<T: Element>(&self, x: &[T], gradient: &[T]) -> Vec<T> {
        let patches = self.patches();
        if let Some(winograd) = Winograd::of(&patches, self.outputs) {
            return winograd.weight_gradient(x, gradient);
        }
        let (taps, positions) = (patches.taps.len(), patches.positions());
        let depth = self.inputs * taps;
        let group = (POSITIONS / positions.max(1)).clamp(1, self.images.max(1));
        let block = (PATCH_VALUES / (taps * group * positions)).clamp(1, self.inputs);
        let mut frames = patches.frames(block, group);
        let mut seen = vec![T::zero(); block * taps * group * positions];
        let panels = self.outputs.div_ceil(WIDTH);
        let mut sums = vec![[T::zero(); WIDTH]; panels * depth];
        let mut upstream = vec![[T::zero(); WIDTH]; panels * group * positions];
        for images in blocks(self.images, group) {
            let places = images.len() * positions;
            self.transpose(gradient, images.start * positions, places, &mut upstream);
            for channels in blocks(self.inputs, block) {
                frames.fill(x, channels.clone(), images.clone());
                frames.copy(0..channels.len(), 0..places, &mut seen, places);
                let rows = channels.len() * taps;
                // A part of a panel at a time stays in the first-level cache.
                for part in blocks(places, DEPTH) {
                    let (first, length) = (part.start, part.len());
                    let seen = Matrix::columns_of(&seen, rows, places, first, length);
                    for panel in 0..panels {
                        let out = &mut sums[panel * depth + channels.start * taps..][..rows];
                        let upstream = &upstream[panel * places..][part.clone()];
                        add_panel_product(out.as_flattened_mut(), WIDTH, WIDTH, seen, upstream);
                    }
                }
            }
        }
        let row = |output: usize| {
            let sums = &sums[output / WIDTH * depth..][..depth];
            sums.iter().map(move |sums| sums[output % WIDTH])
        };
        (0..self.outputs).flat_map(row).collect()
    }

    /// `count` positions from `first` on of the output's gradient as panels: one
    /// after the other, 16 outputs side by side.
    fn transpose<T: Element>(
        &self,
        gradient: &[T],
        first: usize,
        count: usize,
        panels: &mut [[T; WIDTH]],
    ) {
        let planes = gradient.chunks_exact(self.positions());
        for (output, plane) in planes.enumerate() {
            let panel = panels[output / WIDTH * count..][..count].iter_mut();
            for (place, value) in panel.zip(&plane[first..first + count]) {
                place[output % WIDTH] = *value;
            }
        }
    }
}

/// Adds to `out` `[outputs, N, grid]` the `weight` `[outputs, C * taps]` times the
/// patches of `x`.
fn add_convolution<T: Element>(
    out: &mut [T],
    patches: &Patches,
    x: &[T],
    weight: &[T],
    outputs: usize,
) {
    if let Some(winograd) = Winograd::of(patches, outputs) {
        return winograd.add_convolution(out, x, weight);
    }
    let (taps, positions) = (patches.taps.len(), patches.positions());
    if taps == 0 {
        return;
    }
    let (stride, depth) = (patches.images * positions, patches.channels * taps);
    let block = (DEPTH / taps).clamp(1, patches.channels);
    let group = (OUT_VALUES / (outputs * positions).max(1)).clamp(1, patches.images.max(1));
    let mut frames = patches.frames(block, group);
    let mut panel = vec![[T::zero(); WIDTH]; block * taps];
    for images in blocks(patches.images, group) {
        for channels in blocks(patches.channels, block) {
            let rows = channels.len() * taps;
            let weight = Matrix::columns_of(weight, outputs, depth, channels.start * taps, rows);
            frames.fill(x, channels.clone(), images.clone());
            for places in blocks(images.len() * positions, WIDTH) {
                let (first, columns) = (places.start, places.len());
                let panel = &mut panel[..rows];
                frames.copy(0..channels.len(), places, panel.as_flattened_mut(), WIDTH);
                let out = &mut out[images.start * positions + first..];
                add_panel_product(out, stride, columns, weight, panel);
            }
        }
    }
}

impl Conv2d {
    fn run(
        &self,
        x: (&CpuStorage, &Layout),
        weight: (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(x.1.dims(), weight.1.dims(), *self)?;
        with_element!(x.0.dtype(), T => {
            let bias = bias.map(|(bias, layout)| values::<T>(bias, layout)).transpose()?;
            let out = geometry.forward(values(x.0, x.1)?, values(weight.0, weight.1)?, bias);
            Ok((storage(out), Shape::from(&geometry.shape())))
        })
    }

    /// Gradients of input and weight, those that are wanted.
    fn gradients(
        &self,
        x: &Tensor,
        weight: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let geometry = Geometry::new(x.dims(), weight.dims(), *self)?;
        let input = self
            .input_gradient
            .then(|| weight.apply_op2_no_bwd(gradient, &InputGradient(geometry)));
        let weight =
            self.weight_gradient.then(|| x.apply_op2_no_bwd(gradient, &WeightGradient(geometry)));
        Ok((input.transpose()?, weight.transpose()?))
    }
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run((x, x_layout), (weight, weight_layout), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(x, weight, &gradient.contiguous()?)
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d_with_bias"
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
        self.run((x, x_layout), (weight, weight_layout), Some((bias, bias_layout)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (input, weight) = self.gradients(x, weight, &gradient)?;
        Ok((input, weight, Some(gradient.sum((1, 2, 3))?)))
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
    use candle_core::Var;

    /// `run` on tensors whose images come first, as PyTorch has them.
    fn channels_outermost(x: &Var, run: impl FnOnce(Tensor) -> Result<Tensor>) -> Result<Tensor> {
        run(x.transpose(0, 1)?.contiguous()?)?.transpose(0, 1)
    }

    #[test]
    fn agrees_with_pytorch() {
        let conv2d = Conv2d { stride: 1, padding: 0, input_gradient: true, weight_gradient: true };
        check_layer("conv2d", inputs, |tensors| {
            let run = |x: Tensor| x.apply_op3(&tensors[1], &tensors[2], conv2d);
            channels_outermost(&tensors[0], run)
        });
    }

    #[test]
    fn agrees_with_pytorch_at_every_stride_and_padding() {
        for (stride, padding) in [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)] {
            let conv2d = Conv2d { stride, padding, input_gradient: true, weight_gradient: true };
            check_layer(&format!("conv2d_{stride}_{padding}"), inputs, |tensors| {
                channels_outermost(&tensors[0], |x| x.apply_op2(&tensors[1], conv2d))
            });
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_an_error() {
        let x = Tensor::zeros((2, 1, 4, 4), candle_core::DType::F32, &candle_core::Device::Cpu);
        let x = x.unwrap();
        let conv2d =
            Conv2d { stride: 1, padding: 0, input_gradient: false, weight_gradient: false };
        for weight in [(3, 2, 5, 5), (3, 1, 2, 2), (3, 2, 2, 3), (3, 2, 0, 0)] {
            let weight = Tensor::zeros(weight, x.dtype(), x.device()).unwrap();
            assert!(x.apply_op2(&weight, conv2d).is_err(), "{:?}", weight.dims());
        }
    }
}
