//! The seam between *what* is trained and *how fast*.
//!
//! Everything that decides a model's fate but arithmetic (initial weights,
//! shuffling, draws for dropout and augmentation, the epoch loop) lives on this
//! side, so that two engines given the same model see the same numbers.

use std::num::NonZero;

use super::memory::Memory;
use super::state::Metrics;
use super::stream::Draws;
use crate::arch::Arch;
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::zoo::Hyper;

/// A way to train networks. One engine serves all worker threads.
pub trait Engine: Send + Sync {
    /// What a model half trained is kept under: only the engine that began it
    /// goes on with it, since two engines do not round alike, nor does one with two
    /// kinds of vector instructions.
    fn name(&self) -> &'static str;

    /// Prepares one network with the given initial `weights` (layout order).
    fn network<'a>(
        &'a self,
        arch: &'a Arch,
        hyper: &'a Hyper,
        dataset: &'a Dataset,
        weights: &[f32],
    ) -> Result<Box<dyn Network + 'a>>;

    /// The way to train several networks at once, for an engine that gains by it.
    fn together(&self) -> Option<&dyn Together> {
        None
    }
}

/// A way to train networks of one architecture in lockstep.
pub trait Together {
    /// How many networks with hyperparameters like these may train together.
    fn room(&self, arch: &Arch, hyper: &Hyper) -> NonZero<usize>;

    /// Prepares networks with the given initial `weights`, one for each of
    /// `hypers`, which all [train with](Hyper::trains_with) each other.
    fn population<'a>(
        &'a self,
        arch: &'a Arch,
        hypers: Vec<&'a Hyper>,
        dataset: &'a Dataset,
        weights: &[Vec<f32>],
    ) -> Result<Box<dyn Population + 'a>>;
}

/// One network in training, with its optimiser's state. Used by one thread.
pub trait Network {
    /// Trains on the images at `order` (indices into the training split), in
    /// batches of the model's size, the last one possibly smaller. `draws.dropout`
    /// is drawn from once per element that may be dropped, layer by layer in
    /// forward order, in `[N, C, H, W]` order, and not at all if the rate is
    /// zero; an element is kept if its draw (uniform in [0, 1)) is at least
    /// the rate, and is then scaled by `1 / (1 - rate)`. Where the data set is
    /// augmented, [`Change::draw`] takes from `draws.augment` for each image in its turn.
    /// `before_batch` is called before each batch, and its error ends the epoch and
    /// the network's use.
    ///
    /// Returns the running mean over the epoch, in train mode. A network that
    /// diverges returns what arithmetic gives it, NaN included: no error.
    ///
    /// [`Change::draw`]: super::Change::draw
    fn train_epoch(
        &mut self,
        order: &[u32],
        draws: &mut Draws,
        before_batch: &dyn Fn() -> Result<()>,
    ) -> Result<Metrics>;

    /// Loss and accuracy over `split`, dropout off.
    fn evaluate(&self, split: &Split) -> Result<Metrics>;

    /// All parameters and running statistics, flattened in layout order.
    fn weights(&self) -> Result<Vec<f32>>;

    /// What the optimiser remembers.
    fn memory(&self) -> Result<Memory>;

    /// Goes on as the network that had this memory, whose weights this one was
    /// made with: every later bit is the same.
    fn remember(&mut self, memory: &Memory) -> Result<()>;
}

/// Whether networks of `arch` can be shown the images of `dataset`, and its augmentation
/// knows black in each of their channels. Every engine asks before it makes one.
///
/// # Errors
/// `Internal`: data sets are loaded for the architecture.
pub(super) fn check_images(arch: &Arch, dataset: &Dataset) -> Result<()> {
    let (name, shape, black) = (arch.name(), dataset.shape, dataset.black.len());
    if shape != arch.input() {
        let input = arch.input();
        return Err(Error::internal(format!("images are {shape:?}, but `{name}` takes {input:?}")));
    }
    if dataset.augment.is_some() && black != shape[0] {
        let channels = shape[0];
        return Err(Error::internal(format!("{black} values of black for {channels} channels")));
    }
    Ok(())
}

/// Networks in training side by side, each as a [`Network`] would train alone: one
/// that diverges does not touch the others. Results are in the order they were
/// made in.
pub trait Population {
    /// [`Network::train_epoch`] of each network, with orders of one length.
    fn train_epoch(
        &mut self,
        orders: &[&[u32]],
        draws: &mut [Draws],
        before_batch: &dyn Fn() -> Result<()>,
    ) -> Result<Vec<Metrics>>;

    /// [`Network::evaluate`] of each network.
    fn evaluate(&self, split: &Split) -> Result<Vec<Metrics>>;

    /// [`Network::weights`] of each network.
    fn weights(&self) -> Result<Vec<Vec<f32>>>;
}
