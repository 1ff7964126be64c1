//! What a run takes of the machine, as `--dry-run` says it.

use std::num::NonZero;

use crate::dataset::Info;
use crate::error::Result;
use crate::train::{Calibration, Engine};
use crate::zoo::{Model, Zoo};

/// What the program takes without any model: runtime, buffers, tables of the log.
const PROGRAM_BYTES: u64 = 64 << 20;

/// Weights that wait for their commit at most: more would only take memory, since a
/// file of this size is large enough.
pub(super) const COMMIT_BYTES: usize = 64 << 20;

/// Seconds to train `models` of `zoo` on the images of `info`, `jobs` at a time.
pub(super) fn seconds(
    calibration: &mut Calibration,
    engine: &dyn Engine,
    zoo: &Zoo,
    info: &Info,
    models: &[Model],
    jobs: NonZero<usize>,
) -> Result<f64> {
    let seconds = calibration.seconds(engine, zoo.arch(), models, info.sizes)?;
    // At the end some jobs have nothing to do.
    let rounds = models.len().div_ceil(jobs.get());
    Ok(seconds * rounds as f64 / models.len().max(1) as f64)
}

/// Bytes of memory at the peak of a run, about, if models of `on_disk` bytes in
/// all their states keep these on disk. What passes through the layers is not
/// counted: it is small for the networks that train many at a time.
pub(super) fn memory(zoo: &Zoo, info: &Info, jobs: NonZero<usize>, on_disk: Option<usize>) -> u64 {
    let pixels: usize = zoo.arch().input().iter().product();
    let images = info.sizes.iter().sum::<usize>() * pixels * size_of::<f32>();
    let state = zoo.arch().layout().size() * size_of::<f32>();
    // Weights, gradients, and at most two moments.
    let network = 4 * state;
    let states = (zoo.epochs() + 1) * state;
    // One model in training, and up to two that wait: see `Runner`.
    let models = if on_disk.is_some_and(|least| states >= least) { 0 } else { 3 * states };
    // What waits for its commit, and what it is encoded into.
    PROGRAM_BYTES + (images + jobs.get() * (network + models) + 2 * COMMIT_BYTES) as u64
}
