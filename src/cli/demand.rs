//! What a run takes of the machine, as `--dry-run` says it.

use std::num::NonZero;

use crate::dataset::Info;
use crate::train::{self, Engine};
use crate::zoo::{Model, Zoo};

/// What the program takes without any model: runtime, buffers, tables of the log.
const PROGRAM_BYTES: u64 = 64 << 20;

/// Weights that wait for their commit at most: more would only take memory, since a
/// file of this size is large enough.
pub(super) const COMMIT_BYTES: usize = 64 << 20;

/// Bytes of memory at the peak of a run of `models`, about, `jobs` at a time, if models of
/// `on_disk` bytes in all their states keep these on disk.
pub(super) fn memory(
    zoo: &Zoo,
    info: &Info,
    engine: &dyn Engine,
    models: &[Model],
    jobs: NonZero<usize>,
    on_disk: Option<usize>,
) -> u64 {
    let pixels: usize = zoo.arch().input().iter().product();
    let images = info.sizes.iter().sum::<usize>() * pixels * size_of::<f32>();
    let state = zoo.arch().layout().size() * size_of::<f32>();
    let batch = models.iter().map(|model| model.hyper.batch_size).max().unwrap_or(0);
    // Weights, gradients, and at most two moments; and what passes through the layers.
    let network = 4 * state + train::activation_bytes(zoo.arch(), batch);
    let together = train::members(engine, zoo.arch(), models);
    let states = (zoo.epochs() + 1) * state;
    // Those in training, and as many that wait twice: see `Runner`.
    // Populations leave nothing on disk.
    let kept = match together == 1 && on_disk.is_some_and(|least| states >= least) {
        true => 0,
        false => 3 * together * states,
    };
    // What waits for its commit, and what it is encoded into.
    PROGRAM_BYTES + (images + jobs.get() * (together * network + kept) + 2 * COMMIT_BYTES) as u64
}
