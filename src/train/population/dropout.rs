//! Dropout with each member's own draws, made on the host: no generator of a
//! device gives the numbers of [`Stream`](crate::train::Stream).

use candle_core::{DType, Device, Result, Tensor};

use super::tape::Tape;

/// How much is dropped, for each member.
pub(super) struct Dropout {
    /// Probabilities that an element is dropped: all zero, or none is.
    rates: Vec<f64>,
    /// What a kept element is multiplied by, `[M, 1, 1, 1]`.
    scales: Tensor,
}

/// For each member, its next draw, uniform in [0, 1).
pub(super) type Uniforms<'a> = Vec<Box<dyn FnMut() -> f32 + 'a>>;

impl Dropout {
    /// Dropout at a rate for each member.
    pub(super) fn new(rates: Vec<f64>, dtype: DType, device: &Device) -> Result<Self> {
        let scales: Vec<f64> = rates.iter().map(|rate| 1.0 / (1.0 - rate)).collect();
        let scales = Tensor::new(scales, device)?.to_dtype(dtype)?;
        Ok(Self { scales: scales.reshape((rates.len(), 1, 1, 1))?, rates })
    }

    /// Drops elements of `x` `[M, C, S, N]`, drawing image by image; draws nothing
    /// if the rates are zero.
    pub(super) fn forward(
        &self,
        x: Tensor,
        draws: &mut Uniforms<'_>,
        tape: &mut Tape<'_>,
    ) -> Result<Tensor> {
        if self.rates.iter().all(|rate| *rate == 0.0) {
            return Ok(x);
        }
        let (_, channels, positions, images) = x.dims4()?;
        let mut kept = vec![0u8; x.elem_count()];
        let members = kept.chunks_exact_mut(channels * positions * images);
        for ((member, rate), draw) in members.zip(&self.rates).zip(draws) {
            for image in 0..images {
                for entry in member.iter_mut().skip(image).step_by(images) {
                    *entry = u8::from(f64::from(draw()) >= *rate);
                }
            }
        }
        let kept = Tensor::from_vec(kept, x.shape(), x.device())?.to_dtype(x.dtype())?;
        let mask = kept.broadcast_mul(&self.scales)?;
        let out = (x * &mask)?;
        tape.push_plain(move |gradient| gradient * mask);
        Ok(out)
    }
}
