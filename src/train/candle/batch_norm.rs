//! Batch normalisation of each channel, as `torch.nn.BatchNorm2d` has it, with a
//! `relu` behind it if one follows: these passes cost memory traffic, and one less
//! is felt.
//!
//! Channels are outermost, so that the values of one lie side by side.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp3, DType, Layout, Result, Shape, Tensor, Var, WithDType, bail,
};

use super::element::{Element, storage, values, vectorized, with_element, zip_into};

/// Keeps the scale finite where a channel is constant.
const EPSILON: f64 = 1e-5;

/// What a batch weighs in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Mean and (biased) variance of each channel.
#[derive(Debug, Clone)]
pub(super) struct Statistics {
    mean: Vec<f64>,
    variance: Vec<f64>,
    /// Whether they are those of the batch, and change with it.
    of_batch: bool,
}

impl Statistics {
    /// Those of a batch `x` `[C, N, H, W]`.
    pub(super) fn of(x: &Tensor) -> Result<Self> {
        let (_, images, height, width) = x.dims4()?;
        if images * height * width < 2 {
            bail!("cannot normalise {:?}: one value per channel has no variance", x.dims());
        }
        let [mean, variance] = per_channel(&x.apply_op1_no_bwd(&Moments)?)?;
        Ok(Self { mean, variance, of_batch: true })
    }

    /// The running ones, `[C]` each.
    pub(super) fn running(mean: &Tensor, variance: &Tensor) -> Result<Self> {
        let values = |x: &Tensor| x.to_dtype(DType::F64)?.to_vec1::<f64>();
        Ok(Self { mean: values(mean)?, variance: values(variance)?, of_batch: false })
    }

    /// Moves the running statistics towards those of a batch with `count` values
    /// per channel, whose variance is taken without bias.
    pub(super) fn follow(&self, count: usize, mean: &Var, variance: &Var) -> Result<()> {
        let unbiased = count as f64 / (count as f64 - 1.0);
        for (running, batch, factor) in
            [(mean, &self.mean, 1.0), (variance, &self.variance, unbiased)]
        {
            let batch = batch.iter().map(|value| MOMENTUM * factor * value);
            let batch = Tensor::from_iter(batch, running.device())?.to_dtype(running.dtype())?;
            running.set(&running.affine(1.0 - MOMENTUM, 0.0)?.add(&batch)?)?;
        }
        Ok(())
    }
}

/// A tensor `[2, C]` as its two rows.
fn per_channel(x: &Tensor) -> Result<[Vec<f64>; 2]> {
    let rows = x.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    rows.try_into().map_err(|_| candle_core::Error::msg("expected two values per channel"))
}

/// The values of each channel of a tensor `[C, N, H, W]`.
fn channels<'a, T: Element>(
    x: &'a CpuStorage,
    layout: &Layout,
) -> Result<impl Iterator<Item = &'a [T]>> {
    let (_, images, height, width) = layout.shape().dims4()?;
    Ok(values::<T>(x, layout)?.chunks_exact((images * height * width).max(1)))
}

/// Sums side by side: enough for vector code.
const LANES: usize = 16;

/// The sums of what `terms` makes of each pair, in `f32` (or `f64`) over short
/// stretches, which are then added in `f64`.
fn sums<T: Element, const N: usize>(x: &[T], y: &[T], terms: impl Fn(T, T) -> [T; N]) -> [f64; N] {
    let mut totals = [0.0; N];
    for (x, y) in x.chunks(64 * LANES).zip(y.chunks(64 * LANES)) {
        let sums = vectorized(
            #[inline(always)]
            || stretch_sums(x, y, &terms),
        );
        for (total, sums) in totals.iter_mut().zip(sums) {
            *total += sums.into_iter().map(T::to_f64).sum::<f64>();
        }
    }
    totals
}

/// Those of one stretch, side by side.
#[inline(always)]
fn stretch_sums<T: Element, const N: usize>(
    x: &[T],
    y: &[T],
    terms: &impl Fn(T, T) -> [T; N],
) -> [[T; LANES]; N] {
    let mut sums = [[T::zero(); LANES]; N];
    let (x, x_rest) = x.as_chunks::<LANES>();
    let (y, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x.iter().zip(y) {
        for lane in 0..LANES {
            let terms = terms(x[lane], y[lane]);
            for (sums, term) in sums.iter_mut().zip(terms) {
                sums[lane] += term;
            }
        }
    }
    for (x, y) in x_rest.iter().zip(y_rest) {
        let terms = terms(*x, *y);
        for (sums, term) in sums.iter_mut().zip(terms) {
            sums[0] += term;
        }
    }
    sums
}

/// Mean and variance of each channel: `[2, C]`.
struct Moments;

impl CustomOp1 for Moments {
    fn name(&self) -> &'static str {
        "channel_moments"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T => {
            let moments = channels::<T>(x, layout)?.map(|x| {
                let count = x.len() as f64;
                let [sum] = sums(x, x, |x, _| [x]);
                let mean = T::from_f64(sum / count);
                // About the rounded mean, and corrected for what it lacks.
                let [rest, squares] = sums(x, x, |x, _| {
                    let d = x - mean;
                    [d, d * d]
                });
                let rest = rest / count;
                [mean.to_f64() + rest, squares / count - rest * rest]
            });
            let (mean, variance): (Vec<T>, Vec<T>) =
                moments.map(|[mean, variance]| (T::from_f64(mean), T::from_f64(variance))).unzip();
            let count = mean.len();
            Ok((storage([mean, variance].concat()), (2, count).into()))
        })
    }
}

/// `(x - mean) / √(variance + ε) * scale + shift`, and zero where that is negative
/// if `relu`.
pub(super) struct BatchNorm {
    pub(super) statistics: Statistics,
    pub(super) relu: bool,
}

/// What happens to the values of one channel.
#[derive(Clone, Copy)]
struct Channel<T> {
    mean: T,
    /// `1 / √(variance + ε)`.
    rate: T,
    /// The scale times [`Self::rate`].
    slope: T,
    shift: T,
    /// What smaller values are raised to: zero behind `relu`, else nothing is.
    floor: T,
}

impl<T: Element> Channel<T> {
    #[inline(always)]
    fn normal(self, x: T) -> T {
        (x - self.mean) * self.slope + self.shift
    }

    #[inline(always)]
    fn forward(self, x: T) -> T {
        let y = self.normal(x);
        // The comparison is turned so that NaN goes through.
        if y <= self.floor { self.floor } else { y }
    }

    /// The gradient before `relu`, given the one behind it.
    #[inline(always)]
    fn before_relu(self, x: T, gradient: T) -> T {
        if self.normal(x) <= self.floor { T::zero() } else { gradient }
    }
}

impl BatchNorm {
    fn channels<T: Element>(&self, scale: &[T], shift: &[T]) -> impl Iterator<Item = Channel<T>> {
        let Statistics { mean, variance, .. } = &self.statistics;
        let statistics = mean.iter().zip(variance);
        let floor = if self.relu { T::zero() } else { T::from_f64(f64::NEG_INFINITY) };
        statistics.zip(scale.iter().zip(shift)).map(move |((mean, variance), (scale, shift))| {
            let rate = T::from_f64(1.0 / (variance + EPSILON).sqrt());
            let (mean, slope) = (T::from_f64(*mean), *scale * rate);
            Channel { mean, rate, slope, shift: *shift, floor }
        })
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        scale: &CpuStorage,
        scale_layout: &Layout,
        shift: &CpuStorage,
        shift_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T => {
            let (scale, shift) = (values::<T>(scale, scale_layout)?, values(shift, shift_layout)?);
            let mut out = vec![T::default(); x_layout.shape().elem_count()];
            let mut rest = out.as_mut_slice();
            for (x, channel) in channels::<T>(x, x_layout)?.zip(self.channels(scale, shift)) {
                let out = rest.split_off_mut(..x.len()).unwrap_or_default();
                zip_into(out, x, x, |x, _| channel.forward(x));
            }
            Ok((storage(out), x_layout.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let parameters = Tensor::stack(&[scale, shift], 0)?;
        let sums = x.apply_op3_no_bwd(&gradient, &parameters, &ParameterGradients(self))?;
        let mut through_statistics = per_channel(&sums)?;
        if !self.statistics.of_batch {
            through_statistics.iter_mut().for_each(|sums| sums.fill(0.0));
        }
        let input = InputGradient { forward: self, sums: through_statistics };
        let input = x.apply_op3_no_bwd(&gradient, &parameters, &input)?;
        Ok((Some(input), Some(sums.get(0)?), Some(sums.get(1)?)))
    }
}

/// The gradients of scale and shift, `[2, C]`, from the input, the output's
/// gradient, and scale and shift.
struct ParameterGradients<'a>(&'a BatchNorm);

impl CustomOp3 for ParameterGradients<'_> {
    fn name(&self) -> &'static str {
        "batch_norm_parameter_gradients"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T => {
            let (scale, shift) = halves(values::<T>(parameters, parameters_layout)?);
            let values = channels::<T>(x, x_layout)?.zip(channels(gradient, gradient_layout)?);
            let sums = values.zip(self.0.channels(scale, shift)).map(|((x, gradient), channel)| {
                let [product, sum] = sums(x, gradient, |x, gradient| {
                    let gradient = channel.before_relu(x, gradient);
                    [gradient * (x - channel.mean), gradient]
                });
                (T::from_f64(product) * channel.rate, T::from_f64(sum))
            });
            let (scale, shift): (Vec<T>, Vec<T>) = sums.unzip();
            let count = scale.len();
            Ok((storage([scale, shift].concat()), (2, count).into()))
        })
    }
}

/// The gradient of the input, from the same and the gradients of scale and shift, zeros
/// if the statistics do not depend on the input.
struct InputGradient<'a> {
    forward: &'a BatchNorm,
    sums: [Vec<f64>; 2],
}

impl CustomOp3 for InputGradient<'_> {
    fn name(&self) -> &'static str {
        "batch_norm_input_gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T => {
            let (scale, shift) = halves(values::<T>(parameters, parameters_layout)?);
            let values = channels::<T>(x, x_layout)?.zip(channels(gradient, gradient_layout)?);
            let settings = self.forward.channels(scale, shift).zip(self.sums[0].iter().zip(&self.sums[1]));
            let mut out = vec![T::default(); x_layout.shape().elem_count()];
            let mut rest = out.as_mut_slice();
            for ((x, gradient), (channel, (product, sum))) in values.zip(settings) {
                // slope * (g - mean(g) - x̂ mean(g x̂))
                let count = x.len() as f64;
                let along = channel.slope * channel.rate * T::from_f64(product / count);
                let all = channel.slope * T::from_f64(sum / count);
                let out = rest.split_off_mut(..x.len()).unwrap_or_default();
                zip_into(out, x, gradient, |x, gradient| {
                    let gradient = channel.before_relu(x, gradient);
                    channel.slope * gradient - along * (x - channel.mean) - all
                });
            }
            Ok((storage(out), x_layout.shape().clone()))
        })
    }
}

/// Scale and shift.
fn halves<T>(parameters: &[T]) -> (&[T], &[T]) {
    parameters.split_at(parameters.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::candle::fixtures::{check_layer, inputs};

    fn normalise(tensors: &[Var], relu: bool) -> Result<Tensor> {
        let x = tensors[0].transpose(0, 1)?.contiguous()?;
        let statistics = Statistics::of(&x)?;
        x.apply_op3(&tensors[1], &tensors[2], BatchNorm { statistics, relu })?.transpose(0, 1)
    }

    #[test]
    fn agrees_with_pytorch() {
        check_layer("batch_norm2d", inputs, |tensors| normalise(tensors, false));
        check_layer("batch_norm2d_relu", inputs, |tensors| normalise(tensors, true));
    }

    /// What PyTorch remembers of two batches.
    #[test]
    fn running_statistics_agree_with_pytorch() {
        check_layer("batch_norm2d_running", inputs, |tensors| {
            let x = tensors[0].transpose(0, 1)?.contiguous()?;
            let channels = x.dim(0)?;
            let mean = Var::zeros(channels, x.dtype(), x.device())?;
            let variance = Var::ones(channels, x.dtype(), x.device())?;
            for batch in [&x, &x.affine(2.0, 1.0)?] {
                let count = batch.elem_count() / channels;
                Statistics::of(batch)?.follow(count, &mean, &variance)?;
            }
            Tensor::cat(&[mean.as_tensor(), variance.as_tensor()], 0)
        });
    }

    #[test]
    fn a_channel_of_one_value_cannot_be_normalised() {
        let x = Tensor::zeros((2, 1, 1, 1), DType::F32, &candle_core::Device::Cpu).unwrap();
        assert!(Statistics::of(&x).is_err());
    }
}
