//! Gradient-boosted trees, as LightGBM grows them: features in bins, gradients in histograms,
//! the leaf with the largest gain first (Ke et al. 2017), missing values in a bin of their own that
//! goes where it gains more.
//!
//! Of our own, since the crates there are either bind C++, or are no longer kept, or choose by
//! themselves how long to train, depending on free memory. Nothing is drawn but the features
//! of a tree, and no result depends on the number of threads.

mod bins;
mod tree;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use self::bins::Bins;
use self::tree::{Grower, Growth, HISTOGRAM, Slopes};
use super::metric::Metric;
use super::split::Part;
use super::task::{Fit, Task};
use crate::random::shuffle;

/// How long it goes on.
#[derive(Debug, Clone, Copy)]
struct Course {
    /// Rounds at most.
    rounds: usize,
    /// Rounds without a better loss on the validation part after which it ends.
    patience: usize,
}

const COURSE: Course = Course { rounds: 2000, patience: 100 };

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
    // A few models must not be one leaf.
    let leaf_rows = (task.split.rows(Part::Train).len() / 40).clamp(1, GROWTH.leaf_rows);
    let (rounds, scores) = boost(task, COURSE, Growth { leaf_rows, ..GROWTH });
    let outputs = task.target.classes.len().max(1);
    let [validation, test] =
        scores.map(|scores| scores.chunks(outputs).map(answer).collect::<Vec<f64>>());
    Fit { validation, test, chosen: format!("rounds={rounds}") }
}

/// The most bytes that this needs beside features of so many states, about: bins, and a
/// histogram for each leaf of a tree.
pub(super) fn bytes(states: usize, features: usize) -> f64 {
    let histograms = (looked_at(features) * HISTOGRAM * GROWTH.leaves) as f64;
    states as f64 * features as f64 + histograms
}

/// The best number of rounds, and the scores of the states of the validation and test parts
/// then: one for numbers, one for each class; state by state.
fn boost(task: &Task<'_>, course: Course, growth: Growth) -> (usize, [Vec<f64>; 2]) {
    let (features, target) = (task.features.matrix(), task.target);
    let rows = Part::ALL.map(|part| task.split.rows(part));
    let bins = Bins::new(features, rows[0]);
    let binned = rows.map(|rows| bins.of(features, rows));
    let truth = rows.map(|rows| target.of(rows));
    let base = base(&truth[0], target.classes.len());
    let outputs = base.len();
    let mut scores = truth.each_ref().map(|truth| base.repeat(truth.len()));
    let judged = |scores: &[Vec<f64>; 3]| [scores[1].clone(), scores[2].clone()];
    let mut best = (loss(&truth[1], &scores[1], outputs), 0, judged(&scores));
    let mut grower = Grower::new(&bins, &binned[0], growth);
    for round in 1..=course.rounds {
        let drawn = draw(bins.features(), task.seed, round);
        for (output, slopes) in slopes(&truth[0], &scores[0], outputs).iter().enumerate() {
            let (tree, changes) = grower.grow(&drawn, slopes);
            for (scores, change) in scores[0].chunks_mut(outputs).zip(changes) {
                scores[output] += LEARNING_RATE * change;
            }
            for (binned, scores) in binned.iter().zip(&mut scores).skip(1) {
                scores.par_chunks_mut(outputs).enumerate().for_each(|(row, scores)| {
                    scores[output] += LEARNING_RATE * tree.value(binned, row);
                });
            }
        }
        let loss = loss(&truth[1], &scores[1], outputs);
        if loss < best.0 {
            best = (loss, round, judged(&scores));
        } else if round - best.1 >= course.patience {
            break;
        }
    }
    (best.1, best.2)
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
fn loss(truth: &[f64], scores: &[f64], outputs: usize) -> f64 {
    if outputs == 1 {
        return Metric::Mse.of(truth, scores);
    }
    let mut shares = vec![0.0; outputs];
    let of_state = |(truth, scores): (&f64, &[f64])| {
        shares.copy_from_slice(scores);
        share(&mut shares);
        -shares[*truth as usize].ln()
    };
    truth.iter().zip(scores.chunks(outputs)).map(of_state).sum::<f64>() / truth.len() as f64
}

/// First and second derivative of each state's loss, by each of its scores.
fn slopes(truth: &[f64], scores: &[f64], outputs: usize) -> Vec<Vec<Slopes>> {
    let states = || truth.iter().zip(scores.chunks(outputs));
    if outputs == 1 {
        return vec![states().map(|(truth, score)| [(score[0] - truth) as f32, 1.0]).collect()];
    }
    // As LightGBM has it for several classes: k / (k - 1) times the second derivative.
    let factor = outputs as f64 / (outputs as f64 - 1.0);
    let mut slopes = vec![Vec::with_capacity(truth.len()); outputs];
    let mut shares = vec![0.0; outputs];
    for (truth, scores) in states() {
        shares.copy_from_slice(scores);
        share(&mut shares);
        for (class, (slopes, share)) in slopes.iter_mut().zip(&shares).enumerate() {
            let hit = f64::from(u8::from(class == *truth as usize));
            slopes.push([(share - hit) as f32, (factor * share * (1.0 - share)) as f32]);
        }
    }
    slopes
}

/// Turns the scores of classes into their shares.
fn share(scores: &mut [f64]) {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    scores.iter_mut().for_each(|score| *score = (*score - largest).exp());
    let sum: f64 = scores.iter().sum();
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// How many of so many features a round looks at.
fn looked_at(features: usize) -> usize {
    (features * 3 / 10).max(FEATURES).min(features)
}

/// The features that a round looks at, ascending.
fn draw(features: usize, seed: u64, round: usize) -> Vec<usize> {
    let wanted = looked_at(features);
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

#[cfg(test)]
mod tests {
    use super::super::fixture::{assert_close, task};
    use super::*;

    /// As in `python/make_predict_fixture.py`.
    const GROWN: Growth = Growth { leaves: 7, leaf_rows: 4, penalty: 1.0 };
    const THIRTY: Course = Course { rounds: 30, patience: 30 };

    #[test]
    fn numbers_are_those_of_lightgbm() {
        task(false, false, |reference, task| {
            let (rounds, [_, test]) = boost(task, THIRTY, GROWN);
            assert_eq!(rounds, 30, "the loss falls all the way");
            assert_close(&test, &reference.boosted_numbers, 1e-5);
        });
    }

    #[test]
    fn scores_of_classes_are_those_of_lightgbm() {
        task(true, false, |reference, task| {
            let (rounds, [_, test]) = boost(task, THIRTY, GROWN);
            assert_eq!(rounds, 30, "the loss falls all the way");
            assert_close(&test, &reference.boosted_classes.concat(), 1e-5);
        });
    }

    /// A fifth of the values of four features is missing, in all parts, and one feature lacks none
    /// where it is learnt from.
    #[test]
    fn missing_values_go_where_those_of_lightgbm_go() {
        for classes in [false, true] {
            task(classes, false, |reference, task| {
                let features = reference.features_with_gaps();
                let task = Task { features: &features, ..*task };
                let (rounds, [_, test]) = boost(&task, THIRTY, GROWN);
                assert_eq!(rounds, 30, "the loss falls all the way");
                let expected = match classes {
                    false => reference.boosted_numbers_with_gaps.clone(),
                    true => reference.boosted_classes_with_gaps.concat(),
                };
                assert_close(&test, &expected, 1e-5);
            });
        }
    }

    #[test]
    fn the_number_of_threads_decides_nothing() {
        task(true, false, |_, task| {
            let grown = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| boost(task, THIRTY, GROWN))
            };
            assert_eq!(grown(1), grown(3));
        });
    }

    #[test]
    fn it_ends_where_the_validation_part_says() {
        task(false, false, |_, task| {
            let course = Course { rounds: 2000, patience: 10 };
            let (rounds, _) = boost(task, course, GROWN);
            assert!((30..1000).contains(&rounds), "{rounds}");
            let again = boost(task, Course { rounds, patience: 10 }, GROWN);
            assert_eq!(boost(task, course, GROWN), again, "later rounds leave no trace");
        });
    }

    #[test]
    fn of_wide_features_each_round_sees_others() {
        assert_eq!(draw(5, 1, 1), [0, 1, 2, 3, 4]);
        let (first, second) = (draw(2464, 1, 1), draw(2464, 1, 2));
        assert_eq!((first.len(), second.len()), (739, 739));
        assert!(first != second && first.is_sorted() && first == draw(2464, 1, 1));
    }
}
