//! Gradient-boosted trees, as LightGBM grows them: features in bins, gradients in histograms,
//! the leaf with the largest gain first (Ke et al. 2017).
//!
//! Of our own, since the crates there are either bind C++, or are no longer kept, or choose by
//! themselves how long to train, depending on free memory. Nothing is drawn but the features
//! of a tree, and no result depends on the number of threads.

mod bins;
mod tree;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::bins::Bins;
use self::tree::{Growth, Tree};
use super::metric::Metric;
use super::predictor::{Fit, Task};
use super::split::Part;
use crate::random::shuffle;

/// Rounds at most.
const ROUNDS: usize = 2000;

/// Rounds without a better loss on the validation part after which it ends.
const PATIENCE: usize = 100;

/// How much of a tree is taken.
const LEARNING_RATE: f64 = 0.05;

/// Features of a tree: all, but of wide features a third, and at least so many.
const FEATURES: usize = 256;

/// Leaves of a tree, states of a leaf, quadratic penalty.
const GROWTH: Growth = Growth { leaves: 63, leaf_rows: 20, penalty: 1.0 };

/// Boosts trees on the training part, squared error of numbers or cross-entropy of classes, as
/// long as the loss on the validation part falls, and takes the number of rounds where it was
/// least.
pub(super) fn fit(task: &Task<'_>) -> Fit {
    let (features, target) = (task.features.matrix(), task.target);
    let rows = Part::ALL.map(|part| task.split.rows(part));
    let bins = Bins::new(features, rows[0]);
    let binned = rows.map(|rows| bins.of(features, rows));
    let truth = rows.map(|rows| target.of(rows));
    // One score for numbers, one for each class.
    let base = base(&truth[0], target.classes.len());
    let mut scores = truth.each_ref().map(|truth| vec![base.clone(); truth.len()]);
    let growth = match truth[0].len() {
        // A few models must not be one leaf.
        few if few < 40 * GROWTH.leaf_rows => Growth { leaf_rows: (few / 40).max(1), ..GROWTH },
        _ => GROWTH,
    };
    let mut best = (loss(&truth[1], &scores[1]), 0, scores.clone());
    for round in 1..=ROUNDS {
        let drawn = draw(bins.features(), task.seed, round);
        let slopes = slopes(&truth[0], &scores[0]);
        for output in 0..base.len() {
            let slopes: Vec<[f64; 2]> = slopes.iter().map(|slopes| slopes[output]).collect();
            let tree = Tree::grow(&binned[0], &drawn, &slopes, growth);
            for (binned, scores) in binned.iter().zip(&mut scores) {
                for (row, scores) in scores.iter_mut().enumerate() {
                    scores[output] += LEARNING_RATE * tree.value(binned, row);
                }
            }
        }
        let loss = loss(&truth[1], &scores[1]);
        if loss < best.0 {
            best = (loss, round, scores.clone());
        } else if round - best.1 >= PATIENCE {
            break;
        }
    }
    let (_, rounds, [_, validation, test]) = best;
    let told = |scores: Vec<Vec<f64>>| scores.into_iter().map(|scores| answer(&scores)).collect();
    Fit { validation: told(validation), test: told(test), chosen: format!("rounds={rounds}") }
}

/// The score before the first tree: the mean, or the logarithm of each class's share.
fn base(truth: &[f64], classes: usize) -> Vec<f64> {
    let count = truth.len() as f64;
    if classes == 0 {
        return vec![truth.iter().sum::<f64>() / count];
    }
    let of = |class: usize| truth.iter().filter(|truth| **truth == class as f64).count() as f64;
    // A class that is not there has half a state, so that its logarithm is finite.
    (0..classes).map(|class| (of(class).max(0.5) / count).ln()).collect()
}

/// The number, or the class with the largest score; of several the first one.
fn answer(scores: &[f64]) -> f64 {
    match scores {
        [number] => *number,
        _ => {
            let best =
                (0..scores.len()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a)));
            best.unwrap_or(0) as f64
        }
    }
}

/// Mean squared error, or mean cross-entropy.
fn loss(truth: &[f64], scores: &[Vec<f64>]) -> f64 {
    if scores.first().is_some_and(|scores| scores.len() == 1) {
        return Metric::Mse.of(truth, &scores.concat());
    }
    let of_state = |(truth, scores): (&f64, &Vec<f64>)| -shares(scores)[*truth as usize].ln();
    truth.iter().zip(scores).map(of_state).sum::<f64>() / truth.len() as f64
}

/// First and second derivative of each state's loss by each of its scores.
fn slopes(truth: &[f64], scores: &[Vec<f64>]) -> Vec<Vec<[f64; 2]>> {
    let of_state = |(truth, scores): (&f64, &Vec<f64>)| match scores.as_slice() {
        [number] => vec![[number - truth, 1.0]],
        _ => {
            // As LightGBM has it for several classes: k / (k - 1) times the second derivative.
            let factor = scores.len() as f64 / (scores.len() as f64 - 1.0);
            let slope = |(class, share): (usize, f64)| {
                let hit = f64::from(u8::from(class == *truth as usize));
                [share - hit, factor * share * (1.0 - share)]
            };
            shares(scores).into_iter().enumerate().map(slope).collect()
        }
    };
    truth.iter().zip(scores).map(of_state).collect()
}

fn shares(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
    scores.iter().map(|score| (score - largest).exp() / sum).collect()
}

/// The features that a round looks at, ascending.
fn draw(features: usize, seed: u64, round: usize) -> Vec<usize> {
    let wanted = (features * 3 / 10).max(FEATURES).min(features);
    let mut order: Vec<u32> = (0..features as u32).collect();
    if wanted < features {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(round as u64);
        shuffle(&mut rng, &mut order);
        order.truncate(wanted);
        order.sort_unstable();
    }
    order.into_iter().map(|feature| feature as usize).collect()
}
