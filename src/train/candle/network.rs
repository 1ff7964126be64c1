//! One network in training.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};

use super::batch::{Batch, Changes};
use super::failed;
use super::forward::{Forward, Noise};
use super::loss::{CrossEntropy, Tally, correct};
use super::optimizer::AnyOptimizer;
use super::tape::Tape;
use crate::arch::{Arch, Layout};
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::train::engine::check_images;
use crate::train::kernel::FlushToZero;
use crate::train::{Change, Draws, Memory, Metrics, Network, Schedule, Stream};
use crate::zoo::Hyper;

/// Images per batch of an evaluation: enough to spread what an operation costs
/// however small it is, few enough for activations to stay in the cache.
pub(super) const EVALUATION_BATCH: usize = 16;

/// A network with its optimiser, in `f32` or, to be compared with a reference,
/// in `f64`.
pub(super) struct CandleNetwork<'a> {
    arch: &'a Arch,
    hyper: &'a Hyper,
    dataset: &'a Dataset,
    dtype: DType,
    /// One variable per tensor of the layout.
    tensors: Vec<Var>,
    optimizer: AnyOptimizer,
    schedule: Schedule,
    /// Steps taken.
    steps: usize,
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
        check_images(arch, dataset)?;
        let tensors = variables(arch.layout(), weights, dtype)?;
        let parameters: Vec<Var> = parameters(arch.layout(), &tensors).cloned().collect();
        let optimizer =
            AnyOptimizer::new(&parameters, hyper).map_err(failed("preparing the optimiser"))?;
        let schedule = Schedule::new(hyper, dataset.train.len());
        Ok(Self { arch, hyper, dataset, dtype, tensors, optimizer, schedule, steps: 0 })
    }

    /// What is trained, in the order of the layout.
    #[cfg(test)]
    pub(super) fn parameters(&self) -> Vec<&Var> {
        parameters(self.arch.layout(), &self.tensors).collect()
    }

    /// What is followed: the running statistics, in the order of the layout.
    #[cfg(test)]
    pub(super) fn statistics(&self) -> Vec<&Var> {
        let tensors = self.arch.layout().tensors().iter().zip(&self.tensors);
        tensors.filter(|(spec, _)| !spec.kind.is_parameter()).map(|(_, tensor)| tensor).collect()
    }

    fn gather(
        &self,
        split: &Split,
        indices: &[u32],
        changes: Option<&Changes<'_>>,
    ) -> Result<Batch> {
        Batch::gather(split, self.arch.input(), indices, changes, self.dtype)
    }

    /// Training images, changed as the data set says.
    fn training_batch(&self, indices: &[u32], stream: &mut Stream) -> Result<Batch> {
        let Dataset { train, augment, black, .. } = self.dataset;
        let changes = augment.map(|augment| Changes {
            of_images: indices.iter().map(|_| Change::draw(augment, stream)).collect(),
            black,
        });
        self.gather(train, indices, changes.as_ref())
    }

    /// Puts `batch` through the network and adds it to `tally`; returns the loss.
    fn forward(
        &self,
        batch: Batch,
        tape: &mut Tape,
        noise: Option<Noise<'_>>,
        tally: &mut Tally,
    ) -> candle_core::Result<Tensor> {
        let Batch { images, labels } = batch;
        let forward = Forward::new(self.hyper.activation, &self.tensors, noise);
        let logits = forward.logits(self.arch.layers(), &images, tape)?;
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

/// Those of the `tensors` of a `layout` that are trained.
fn parameters<'a>(layout: &Layout, tensors: &'a [Var]) -> impl Iterator<Item = &'a Var> {
    let tensors = layout.tensors().iter().zip(tensors);
    tensors.filter(|(spec, _)| spec.kind.is_parameter()).map(|(_, tensor)| tensor)
}

/// `weights` as one variable per tensor of the `layout`.
pub(super) fn variables(layout: &Layout, weights: &[f32], dtype: DType) -> Result<Vec<Var>> {
    if weights.len() != layout.size() {
        return Err(Error::internal(format!(
            "{} weights for a state of {}",
            weights.len(),
            layout.size()
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
        draws: &mut Draws,
        before_batch: &dyn Fn() -> Result<()>,
    ) -> Result<Metrics> {
        let _tiny_is_zero = FlushToZero::on();
        let mut tally = Tally::default();
        let mut draw = || draws.dropout.uniform();
        for indices in order.chunks(self.hyper.batch_size.max(1)) {
            before_batch()?;
            let batch = self.training_batch(indices, &mut draws.augment)?;
            self.gradients(batch, &mut draw, &mut tally)
                .and_then(|gradients| self.optimizer.step(&gradients, self.schedule.at(self.steps)))
                .map_err(failed("training"))?;
            self.steps += 1;
        }
        Ok(tally.metrics())
    }

    fn evaluate(&self, split: &Split) -> Result<Metrics> {
        let _tiny_is_zero = FlushToZero::on();
        let mut tally = Tally::default();
        let images: Vec<u32> = (0..split.len() as u32).collect();
        for indices in images.chunks(EVALUATION_BATCH) {
            let batch = self.gather(split, indices, None)?;
            self.forward(batch, &mut Tape::off(), None, &mut tally)
                .map_err(failed("evaluating"))?;
        }
        Ok(tally.metrics())
    }

    fn weights(&self) -> Result<Vec<f32>> {
        let mut weights = Vec::with_capacity(self.arch.layout().size());
        for tensor in &self.tensors {
            let values =
                tensor.to_dtype(DType::F32).and_then(|t| t.flatten_all()?.to_vec1::<f32>());
            weights.extend(values.map_err(failed("reading the weights"))?);
        }
        Ok(weights)
    }

    fn memory(&self) -> Result<Memory> {
        let moments = self.optimizer.moments().map_err(failed("reading the optimiser"))?;
        Ok(Memory { steps: self.steps as u64, moments })
    }

    fn remember(&mut self, memory: &Memory) -> Result<()> {
        self.steps = usize::try_from(memory.steps).unwrap_or(usize::MAX);
        self.optimizer.remember(memory).map_err(failed("setting the optimiser"))
    }
}
