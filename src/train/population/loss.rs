//! Cross-entropy and accuracy of every member, summed up on the device: reading
//! them after each step would keep it waiting.

use candle_core::{DType, Device, Result, Tensor};

use super::activation::zeros_like;
use super::data::Labels;
use crate::train::Metrics;

/// Loss and accuracy summed over batches.
pub(super) struct Tally {
    /// `f64` `[M]`.
    loss: Tensor,
    /// `f64` `[M]`.
    correct: Tensor,
    images: usize,
    infinity: Tensor,
    largest: Tensor,
}

impl Tally {
    /// Of no images.
    pub(super) fn new(members: usize, dtype: DType, device: &Device) -> Result<Self> {
        let zeros = Tensor::zeros(members, DType::F64, device)?;
        let constant = |value: f32| Tensor::new(value, device)?.to_dtype(dtype);
        Ok(Self {
            loss: zeros.clone(),
            correct: zeros,
            images: 0,
            infinity: constant(f32::INFINITY)?,
            largest: constant(f32::MAX)?,
        })
    }

    /// Adds a batch with these `logits`, `[M, classes, N]`; returns the gradient
    /// of each member's mean loss.
    pub(super) fn add(&mut self, logits: &Tensor, labels: &Labels) -> Result<Tensor> {
        let logs = log_softmax(logits)?;
        let losses = labels.hot.where_cond(&logs, &zeros_like(&logs)?)?.sum((1, 2))?.neg()?;
        self.loss = (&self.loss + losses.to_dtype(DType::F64)?)?;
        self.correct = (&self.correct + self.correct(logits, labels)?)?;
        let images = logits.dim(2)?;
        self.images += images;
        let hot = labels.hot.to_dtype(logits.dtype())?;
        (logs.exp()? - hot)?.affine(1.0 / images as f64, 0.0)
    }

    /// For each member, how many of its images' largest logit is their label's:
    /// the first of equals, with NaN the largest of all, as in PyTorch.
    fn correct(&self, logits: &Tensor, labels: &Labels) -> Result<Tensor> {
        let constant = |value: &Tensor| value.broadcast_as(logits.shape());
        let finite = logits.broadcast_minimum(&self.largest)?;
        let key = logits.ne(logits)?.where_cond(&constant(&self.infinity)?, &finite)?;
        let own = labels.hot.where_cond(&key, &zeros_like(&key)?)?.sum_keepdim(1)?;
        let own = own.broadcast_as(key.shape())?;
        let holds = labels.before.where_cond(&own.gt(&key)?, &own.ge(&key)?)?;
        holds.min(1)?.to_dtype(DType::F64)?.sum(1)
    }

    /// The means over all images so far, for each member; NaN if there were none.
    pub(super) fn metrics(&self) -> Result<Vec<Metrics>> {
        let images = self.images as f64;
        let (loss, correct) = (self.loss.to_vec1::<f64>()?, self.correct.to_vec1::<f64>()?);
        let mean = |(loss, correct)| Metrics { loss: loss / images, accuracy: correct / images };
        Ok(loss.into_iter().zip(correct).map(mean).collect())
    }
}

/// Over the classes of `logits` `[M, classes, N]`.
fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?)?;
    shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)
}
