//! Batch normalisation of each channel, as `torch.nn.BatchNorm2d` has it.

use candle_core::{Result, Tensor, bail};

use super::tape::Tape;

/// Keeps the scale finite where a channel is constant.
const EPSILON: f64 = 1e-5;

/// What a batch weighs in the running statistics.
const MOMENTUM: f64 = 0.1;

/// A batch normalisation whose factors are the tensor at this position of the
/// layout; its terms, running means and running variances follow.
pub(super) struct BatchNorm(pub(super) usize);

impl BatchNorm {
    /// `x` `[M, C, S, N]` by the statistics of the batch, with the `tensors` of the
    /// layout, `[M, C]` each; notes the running statistics that follow in `followed`.
    pub(super) fn train<'a>(
        &'a self,
        x: &Tensor,
        tensors: &[Tensor],
        followed: &mut [Option<Tensor>],
        tape: &mut Tape<'a>,
    ) -> Result<Tensor> {
        let (flat, shape) = (x.flatten_from(2)?, x.shape().clone());
        let count = flat.dim(2)? as f64;
        if count < 2.0 {
            bail!("cannot normalise {shape:?}: one value per channel has no variance");
        }
        let mean = flat.mean_keepdim(2)?;
        let centred = flat.broadcast_sub(&mean)?;
        let variance = centred.sqr()?.mean_keepdim(2)?;
        let unbiased = variance.affine(count / (count - 1.0), 0.0)?;
        for (position, batch) in [(self.0 + 2, &mean), (self.0 + 3, &unbiased)] {
            let kept = tensors[position].affine(1.0 - MOMENTUM, 0.0)?;
            followed[position] = Some((kept + batch.squeeze(2)?.affine(MOMENTUM, 0.0)?)?);
        }
        let rate = variance.affine(1.0, EPSILON)?.sqrt()?.recip()?;
        let normal = centred.broadcast_mul(&rate)?;
        let (scale, shift) = (tensors[self.0].unsqueeze(2)?, tensors[self.0 + 1].unsqueeze(2)?);
        let out = normal.broadcast_mul(&scale)?.broadcast_add(&shift)?.reshape(&shape)?;
        tape.push(move |gradient, gradients| {
            let gradient = gradient.flatten_from(2)?;
            let of_shift = gradient.sum_keepdim(2)?;
            let of_scale = (&gradient * &normal)?.sum_keepdim(2)?;
            gradients[self.0] = Some(of_scale.squeeze(2)?);
            gradients[self.0 + 1] = Some(of_shift.squeeze(2)?);
            // What moving the mean and the variance takes away again.
            let mean = of_shift.affine(1.0 / count, 0.0)?;
            let slope = normal.broadcast_mul(&of_scale.affine(1.0 / count, 0.0)?)?;
            let rest = (gradient.broadcast_sub(&mean)? - slope)?;
            Ok(Some(rest.broadcast_mul(&(scale * rate)?)?.reshape(&shape)?))
        });
        Ok(out)
    }

    /// `x` `[M, C, S, N]` by the running statistics.
    pub(super) fn evaluate(&self, x: &Tensor, tensors: &[Tensor]) -> Result<Tensor> {
        let column = |position: usize| tensors[position].unsqueeze(2)?.unsqueeze(3);
        let rate = column(self.0 + 3)?.affine(1.0, EPSILON)?.sqrt()?.recip()?;
        let slope = (column(self.0)? * rate)?;
        let centred = x.broadcast_sub(&column(self.0 + 2)?)?;
        centred.broadcast_mul(&slope)?.broadcast_add(&column(self.0 + 1)?)
    }
}
