//! A population in training.

use std::ops::Range;

use candle_core::{DType, Tensor};

use super::data::{Batch, Images};
use super::dropout::{Dropout, Uniforms};
use super::loss::Tally;
use super::optimizer::Optimizer;
use super::parameters::Places;
use super::steps::{Pass, Steps, Training};
use super::tape::{Gradients, Tape};
use super::{PopulationEngine, failed};
use crate::arch::Arch;
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::train::augment::append_augmented;
use crate::train::engine::check_images;
use crate::train::footprint;
use crate::train::kernel::FlushToZero;
use crate::train::{Draws, Memory, Metrics, Network, Population, Stream};
use crate::zoo::Hyper;

/// Networks of one architecture with their optimisers, in `f32` or, to be
/// compared with a reference, in `f64`.
pub(super) struct Lockstep<'a> {
    engine: &'a PopulationEngine,
    dtype: DType,
    arch: &'a Arch,
    hypers: Vec<&'a Hyper>,
    dataset: &'a Dataset,
    /// The splits of the data set, uploaded.
    splits: Vec<(&'a Split, Images)>,
    steps: Steps,
    dropout: Dropout,
    /// All tensors of all members: see [`Places`].
    state: Tensor,
    optimizer: Optimizer,
}

impl<'a> Lockstep<'a> {
    /// Networks that compute in `dtype` and start from `weights`.
    pub(super) fn new(
        engine: &'a PopulationEngine,
        dtype: DType,
        arch: &'a Arch,
        hypers: Vec<&'a Hyper>,
        dataset: &'a Dataset,
        weights: &[Vec<f32>],
    ) -> Result<Self> {
        check(arch, &hypers, dataset, weights)?;
        let prepare = || {
            let (device, places) = (&engine.device, places(arch, &hypers));
            let upload =
                |split| Images::upload(split, arch, dtype, device).map(|images| (split, images));
            let splits = [Some(&dataset.train), dataset.val.as_ref(), Some(&dataset.test)];
            let rates = hypers.iter().map(|hyper| hyper.dropout).collect();
            let state = Tensor::new(places.pack(weights), device)?.to_dtype(dtype)?;
            Ok(Self {
                engine,
                dtype,
                arch,
                dataset,
                splits: splits
                    .into_iter()
                    .flatten()
                    .map(upload)
                    .collect::<candle_core::Result<_>>()?,
                steps: Steps::new(arch, device)?,
                dropout: Dropout::new(rates, dtype, device)?,
                state,
                optimizer: Optimizer::new(places, &hypers, dataset.train.len(), dtype, device)?,
                hypers,
            })
        };
        prepare().map_err(failed("preparing networks"))
    }

    /// Nothing counted yet.
    pub(super) fn tally(&self) -> Result<Tally> {
        let tally = Tally::new(self.hypers.len(), self.dtype, &self.engine.device);
        tally.map_err(failed("preparing to count"))
    }

    /// Uploads the numbers of images that are used in batches: for each of
    /// `batches`, those of each member's `order`.
    fn upload_ids(&self, orders: &[&[u32]], batches: &[Range<usize>]) -> Result<Tensor> {
        let ids = batches.iter().flat_map(|batch| orders.iter().map(|order| &order[batch.clone()]));
        let ids: Vec<u32> = ids.flatten().copied().collect();
        Tensor::new(ids, &self.engine.device).map_err(failed("uploading the order of images"))
    }

    /// The images of a split, which is uploaded if it is not one of the data set.
    fn images(&self, split: &Split) -> Result<Images> {
        match self.splits.iter().find(|(known, _)| std::ptr::eq(*known, split)) {
            Some((_, images)) => Ok(images.clone()),
            None => Images::upload(split, self.arch, self.dtype, &self.engine.device)
                .map_err(failed("uploading images")),
        }
    }

    /// Those of `images` with the numbers in a range of `ids`, or what became of them,
    /// `changed`.
    fn batch(
        &self,
        images: &Images,
        ids: &Tensor,
        range: Range<usize>,
        changed: Option<Tensor>,
    ) -> Result<Batch> {
        ids.narrow(0, range.start, range.len())
            .and_then(|ids| images.batch(&ids, self.hypers.len(), changed))
            .map_err(failed("gathering a batch"))
    }

    /// The training images at each member's `order`, a row each, changed on the host
    /// as the data set says with draws from each member's stream; none if the data
    /// set changes nothing.
    fn changed<'o>(
        &self,
        orders: impl Iterator<Item = &'o [u32]>,
        streams: &mut [&mut Stream],
    ) -> Result<Option<Tensor>> {
        if self.dataset.augment.is_none() {
            return Ok(None);
        }
        let size: usize = self.arch.input().iter().product();
        let mut pixels = Vec::new();
        for (order, stream) in orders.zip(streams) {
            append_augmented(self.dataset, order, stream, &mut pixels);
        }
        let rows = pixels.len() / size;
        Tensor::from_vec(pixels, (rows, size), &self.engine.device)
            .and_then(|rows| rows.to_dtype(self.dtype))
            .map(Some)
            .map_err(failed("uploading changed images"))
    }

    /// The training images at `orders`, one for each member.
    #[cfg(test)]
    pub(super) fn first_batch(&self, orders: &[&[u32]]) -> Result<Batch> {
        let batch = 0..orders[0].len();
        let ids = self.upload_ids(orders, std::slice::from_ref(&batch))?;
        let images = self.images(&self.dataset.train)?;
        self.batch(&images, &ids, 0..batch.end * orders.len(), None)
    }

    /// Puts `batch` through the networks and adds it to `tally`; returns the
    /// gradient of the logits.
    fn forward<'s>(
        &'s self,
        batch: Batch,
        training: Option<Training<'_, '_>>,
        tape: &mut Tape<'s>,
        tally: &mut Tally,
    ) -> candle_core::Result<Tensor> {
        let tensors = places(self.arch, &self.hypers).views(&self.state)?;
        let activation = self.hypers[0].activation;
        let pass = Pass { activation, dropout: &self.dropout, tensors: &tensors, training };
        let logits = self.steps.logits(batch.images, pass, tape)?;
        tally.add(&logits, &batch.labels)
    }

    /// Gradients of the members' mean losses of `batch`, which is added to `tally`,
    /// and the running statistics after it; by position in the layout.
    pub(super) fn gradients(
        &self,
        batch: Batch,
        draws: &mut Uniforms<'_>,
        tally: &mut Tally,
    ) -> candle_core::Result<(Gradients, Gradients)> {
        let mut tape = Tape::recording();
        let none = vec![None; self.arch.layout().tensors().len()];
        let (mut gradients, mut followed) = (none.clone(), none);
        let training = Training { draws, followed: &mut followed };
        let gradient = self.forward(batch, Some(training), &mut tape, tally)?;
        tape.backward(gradient, &mut gradients)?;
        Ok((gradients, followed))
    }

    /// Moves the parameters once, and the running statistics to where they are.
    fn update(&mut self, gradients: Gradients, followed: Gradients) -> candle_core::Result<()> {
        let places = places(self.arch, &self.hypers);
        let gradient = places.join(gradients, |tensor| tensor.zeros_like(), &self.state)?;
        self.state = self.optimizer.step(&self.state, &gradient)?;
        if followed.iter().any(Option::is_some) {
            self.state = places.join(followed, |tensor| Ok(tensor.clone()), &self.state)?;
        }
        Ok(())
    }
}

impl Population for Lockstep<'_> {
    fn train_epoch(
        &mut self,
        orders: &[&[u32]],
        draws: &mut [Draws],
        before_batch: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<Metrics>> {
        let _tiny_is_zero = FlushToZero::on();
        let (members, images) = (self.hypers.len(), self.dataset.train.len());
        let length = orders.first().map_or(0, |order| order.len());
        if orders.len() != members || draws.len() != members {
            return Err(Error::internal(format!("{} orders for {members} models", orders.len())));
        }
        if orders.iter().any(|order| order.len() != length) {
            return Err(Error::internal("orders of different length"));
        }
        if let Some(index) = orders.iter().copied().flatten().find(|i| **i as usize >= images) {
            return Err(self.dataset.train.no_image(*index));
        }
        let batches = cut(length, self.hypers[0].batch_size);
        let ids = self.upload_ids(orders, &batches)?;
        let mut uniforms: Uniforms<'_> = Vec::with_capacity(members);
        let mut augments = Vec::with_capacity(members);
        for Draws { dropout, augment } in draws {
            uniforms.push(Box::new(|| dropout.uniform()));
            augments.push(augment);
        }
        let mut tally = self.tally()?;
        let images = self.images(&self.dataset.train)?;
        for batch in batches {
            before_batch()?;
            let of_batch = orders.iter().map(|order| &order[batch.clone()]);
            let changed = self.changed(of_batch, &mut augments)?;
            let range = batch.start * members..batch.end * members;
            let batch = self.batch(&images, &ids, range, changed)?;
            self.gradients(batch, &mut uniforms, &mut tally)
                .and_then(|(gradients, followed)| self.update(gradients, followed))
                .map_err(failed("training"))?;
        }
        tally.metrics().map_err(failed("training"))
    }

    fn evaluate(&self, split: &Split) -> Result<Vec<Metrics>> {
        let _tiny_is_zero = FlushToZero::on();
        let members = self.hypers.len();
        let fitting = self.engine.budget / (members * footprint::evaluating(self.arch)).max(1);
        let images: Vec<u32> = (0..split.len() as u32).collect();
        let batches = cut(images.len(), fitting);
        let ids = self.upload_ids(&vec![images.as_slice(); members], &batches)?;
        let mut tally = self.tally()?;
        let uploaded = self.images(split)?;
        for batch in batches {
            let range = batch.start * members..batch.end * members;
            let batch = self.batch(&uploaded, &ids, range, None)?;
            self.forward(batch, None, &mut Tape::off(), &mut tally)
                .map_err(failed("evaluating"))?;
        }
        tally.metrics().map_err(failed("evaluating"))
    }

    fn weights(&self) -> Result<Vec<Vec<f32>>> {
        let values = self.state.to_dtype(DType::F32).and_then(|all| all.to_vec1::<f32>());
        let values = values.map_err(failed("reading the weights"))?;
        Ok(places(self.arch, &self.hypers).unpack(&values))
    }
}

/// A population of one.
pub(super) struct Alone<'a>(pub(super) Lockstep<'a>);

impl Network for Alone<'_> {
    fn train_epoch(
        &mut self,
        order: &[u32],
        draws: &mut Draws,
        before_batch: &dyn Fn() -> Result<()>,
    ) -> Result<Metrics> {
        only(self.0.train_epoch(&[order], std::slice::from_mut(draws), before_batch)?)
    }

    fn evaluate(&self, split: &Split) -> Result<Metrics> {
        only(self.0.evaluate(split)?)
    }

    fn weights(&self) -> Result<Vec<f32>> {
        only(self.0.weights()?)
    }

    fn memory(&self) -> Result<Memory> {
        self.0.optimizer.memory().map_err(failed("reading the optimiser"))
    }

    fn remember(&mut self, memory: &Memory) -> Result<()> {
        self.0.optimizer.remember(memory).map_err(failed("setting the optimiser"))
    }
}

/// What there is one of.
fn only<T>(values: Vec<T>) -> Result<T> {
    values.into_iter().next().ok_or_else(|| Error::internal("a population of none"))
}

fn places<'a>(arch: &'a Arch, hypers: &[&Hyper]) -> Places<'a> {
    Places { layout: arch.layout(), members: hypers.len() }
}

/// `0..length` in pieces of `size`, the last one possibly smaller.
fn cut(length: usize, size: usize) -> Vec<Range<usize>> {
    let size = size.max(1);
    (0..length).step_by(size).map(|start| start..length.min(start + size)).collect()
}

/// Whether these belong together.
fn check(arch: &Arch, hypers: &[&Hyper], dataset: &Dataset, weights: &[Vec<f32>]) -> Result<()> {
    let wrong = |what: String| Err(Error::internal(what));
    let Some(first) = hypers.first() else { return wrong("a population of none".to_owned()) };
    if hypers.len() != weights.len() {
        return wrong(format!("{} weights for {} models", weights.len(), hypers.len()));
    }
    if !hypers.iter().all(|hyper| hyper.trains_with(first)) {
        return wrong("models that cannot train in lockstep".to_owned());
    }
    check_images(arch, dataset)?;
    let params = arch.layout().size();
    if let Some(weights) = weights.iter().find(|weights| weights.len() != params) {
        return wrong(format!("{} weights for a state of {params}", weights.len()));
    }
    let splits = [Some(&dataset.train), dataset.val.as_ref(), Some(&dataset.test)];
    let mut labels = splits.into_iter().flatten().flat_map(|split| &split.labels);
    match labels.find(|label| **label as usize >= arch.classes()) {
        Some(label) => wrong(format!("label {label} of {} classes", arch.classes())),
        None => Ok(()),
    }
}
