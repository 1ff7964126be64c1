//! Cross-entropy and accuracy, as PyTorch has them.

use super::lanes::{Lanes, WIDEST, get, put};
use super::math::exp;
use super::plan::Grid;
use crate::train::Metrics;

/// Sums over images.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    loss: f64,
    correct: usize,
    images: usize,
}

impl Tally {
    /// Means per image; NaN if there was none.
    pub(super) fn metrics(&self) -> Metrics {
        let images = self.images as f64;
        Metrics { loss: self.loss / images, accuracy: self.correct as f64 / images }
    }
}

/// Adds the images with `labels`, the first of a batch, to `tally`. If `TRAIN`,
/// `gradient` gets the gradient of the sum of their losses times `share`, and zero
/// for images beyond the labels.
///
/// # Safety
/// Labels are below the number of channels of `grid`, whose images are of one pixel.
#[inline(always)]
pub(super) unsafe fn cross_entropy<L: Lanes, const TRAIN: bool>(
    grid: &Grid,
    logits: &[f32],
    labels: &[u32],
    share: f32,
    gradient: &mut [f32],
    tally: &mut Tally,
) {
    let (mut largest, mut total) = ([0.0; WIDEST], [0.0; WIDEST]);
    for first in (0..grid.batch).step_by(L::WIDTH) {
        let mut max = L::load(logits, first);
        for class in 1..grid.channels {
            max = L::max(L::load(logits, grid.row(class, 0) + first), max);
        }
        let mut sum = L::splat(0.0);
        for class in 0..grid.channels {
            let at = grid.row(class, 0) + first;
            let e = exp::<L>(L::sub(L::load(logits, at), max));
            sum = L::add(sum, e);
            if TRAIN {
                L::store(gradient, at, e);
            }
        }
        if TRAIN {
            let live = first_of::<L>(labels.len().saturating_sub(first));
            let scale = L::div(L::splat(share), sum);
            for class in 0..grid.channels {
                let at = grid.row(class, 0) + first;
                let g = L::mul(L::load(gradient, at), scale);
                L::store(gradient, at, L::select(live, g, L::splat(0.0)));
            }
        }
        L::store(&mut largest, 0, max);
        L::store(&mut total, 0, sum);
        for (lane, label) in labels.iter().skip(first).take(L::WIDTH).enumerate() {
            let at = grid.row(*label as usize, 0) + first + lane;
            tally.loss += f64::from(largest[lane] - get(logits, at) + total[lane].ln());
            tally.correct += usize::from(predicted(grid, logits, first + lane) == *label as usize);
            if TRAIN {
                put(gradient, at, get(gradient, at) - share);
            }
        }
    }
    tally.images += labels.len();
}

/// The class with the largest logit: the first of equal ones; NaN is larger than
/// any number.
#[inline(always)]
unsafe fn predicted(grid: &Grid, logits: &[f32], image: usize) -> usize {
    let mut best = (0, get(logits, image));
    for class in 1..grid.channels {
        let logit = get(logits, grid.row(class, 0) + image);
        if logit > best.1 || (logit.is_nan() && !best.1.is_nan()) {
            best = (class, logit);
        }
    }
    best.0
}

/// The first `n` numbers of a vector.
#[inline(always)]
pub(super) unsafe fn first_of<L: Lanes>(n: usize) -> L::Mask {
    const COUNT: [f32; WIDEST] =
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];
    L::greater(L::splat(n.min(WIDEST) as f32), L::load(&COUNT, 0))
}
