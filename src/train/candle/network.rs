//! One network in training.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};

use super::batch::Batch;
use super::failed;
use super::forward::{self, Noise};
use super::loss::{CrossEntropy, Tally, correct};
use super::optimizer::AnyOptimizer;
use super::tape::Tape;
use crate::arch::{Arch, Layout};
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::train::{Memory, Metrics, Network, Stream};
use crate::zoo::Hyper;

/// Images per batch of an evaluation: enough to spread what an operation costs
/// however small it is, few enough for activations to stay in the cache.
const EVALUATION_BATCH: usize = 16;

/// A network with its optimiser, in `f32` or, to be compared with a reference,
/// in `f64`.
pub(super) struct CandleNetwork<'a> {
    arch: &'a Arch,
    hyper: &'a Hyper,
    dataset: &'a Dataset,
    dtype: DType,
    parameters: Vec<Var>,
    optimizer: AnyOptimizer,
}

impl<'a> CandleNetwork<'a> {
    /// A network that computes in `dtype` and starts from `weights`.
    pub(super) fn new(
        arch: &'a Arch,
        hyper: &'a Hyper,
        dataset: &'a Dataset,
        weights: &[f32],
        dtype: DType,
    ) -> Result<Self> {
        if dataset.shape != arch.input() {
            return Err(Error::internal(format!(
                "images are {:?}, but `{}` takes {:?}",
                dataset.shape,
                arch.name(),
                arch.input()
            )));
        }
        let parameters = parameters(arch.layout(), weights, dtype)?;
        let optimizer =
            AnyOptimizer::new(&parameters, hyper).map_err(failed("preparing the optimiser"))?;
        Ok(Self { arch, hyper, dataset, dtype, parameters, optimizer })
    }

    /// One variable per tensor of the layout.
    #[cfg(test)]
    pub(super) fn parameters(&self) -> &[Var] {
        &self.parameters
    }

    fn gather(&self, split: &Split, indices: &[u32]) -> Result<Batch> {
        Batch::gather(split, self.arch.input(), indices, self.dtype)
    }

    /// Puts `batch` through the network and adds it to `tally`; returns the loss.
    fn forward(
        &self,
        batch: Batch,
        tape: &mut Tape,
        noise: Option<Noise<'_>>,
        tally: &mut Tally,
    ) -> candle_core::Result<Tensor> {
        let (layers, activation) = (self.arch.layers(), self.hyper.activation);
        let Batch { images, labels } = batch;
        let logits = forward::logits(layers, activation, &self.parameters, &images, tape, noise)?;
        let correct = correct(&logits, &labels)?;
        let images = labels.len();
        let loss = tape.apply(logits, CrossEntropy(labels))?;
        tally.add(&loss, correct, images)?;
        Ok(loss)
    }

    /// Gradients of the mean loss of `batch`, which is added to `tally`.
    pub(super) fn gradients(
        &self,
        batch: Batch,
        draw: &mut dyn FnMut() -> f32,
        tally: &mut Tally,
    ) -> candle_core::Result<GradStore> {
        let mut tape = Tape::recording();
        let noise = Noise { rate: self.hyper.dropout, draw };
        let loss = self.forward(batch, &mut tape, Some(noise), tally)?;
        tape.backward(loss.ones_like()?)
    }
}

/// `weights` as one variable per tensor of the `layout`.
fn parameters(layout: &Layout, weights: &[f32], dtype: DType) -> Result<Vec<Var>> {
    if weights.len() != layout.num_params() {
        return Err(Error::internal(format!(
            "{} weights for {} parameters",
            weights.len(),
            layout.num_params()
        )));
    }
    let variable = |values: &[f32], shape: &[usize]| {
        Var::from_tensor(&Tensor::from_slice(values, shape, &Device::Cpu)?.to_dtype(dtype)?)
    };
    let tensors = layout.tensors().iter();
    tensors
        .map(|tensor| variable(&weights[tensor.range()], &tensor.shape))
        .collect::<candle_core::Result<_>>()
        .map_err(failed("setting the weights"))
}

impl Network for CandleNetwork<'_> {
    fn train_epoch(
        &mut self,
        order: &[u32],
        dropout: &mut Stream,
        before_batch: &dyn Fn() -> Result<()>,
    ) -> Result<Metrics> {
        let mut tally = Tally::default();
        let mut draw = || dropout.uniform();
        for indices in order.chunks(self.hyper.batch_size.max(1)) {
            before_batch()?;
            let batch = self.gather(&self.dataset.train, indices)?;
            self.gradients(batch, &mut draw, &mut tally)
                .and_then(|gradients| self.optimizer.step(&gradients))
                .map_err(failed("training"))?;
        }
        Ok(tally.metrics())
    }

    fn evaluate(&self, split: &Split) -> Result<Metrics> {
        let mut tally = Tally::default();
        let images: Vec<u32> = (0..split.len() as u32).collect();
        for indices in images.chunks(EVALUATION_BATCH) {
            let batch = self.gather(split, indices)?;
            self.forward(batch, &mut Tape::off(), None, &mut tally)
                .map_err(failed("evaluating"))?;
        }
        Ok(tally.metrics())
    }

    fn weights(&self) -> Result<Vec<f32>> {
        let mut weights = Vec::with_capacity(self.arch.layout().num_params());
        for parameter in &self.parameters {
            let values =
                parameter.to_dtype(DType::F32).and_then(|t| t.flatten_all()?.to_vec1::<f32>());
            weights.extend(values.map_err(failed("reading the weights"))?);
        }
        Ok(weights)
    }

    fn memory(&self) -> Result<Memory> {
        self.optimizer.memory().map_err(failed("reading the optimiser"))
    }

    fn remember(&mut self, memory: &Memory) -> Result<()> {
        self.optimizer.remember(memory).map_err(failed("setting the optimiser"))
    }
}
