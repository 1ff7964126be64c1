//! The predictor that looks at no feature.

use super::split::Part;
use super::task::{Fit, Task};

/// The mean of the training part, or its most frequent class.
pub(super) fn fit(task: &Task<'_>) -> Fit {
    let train = task.target.of(task.split.rows(Part::Train));
    let guess = match task.target.classes.len() {
        0 => train.iter().sum::<f64>() / train.len() as f64,
        classes => most_frequent(classes, &train),
    };
    let predict = |part| vec![guess; task.split.rows(part).len()];
    Fit { validation: predict(Part::Validation), test: predict(Part::Test), chosen: String::new() }
}

/// The class that is there most often; of several the first one.
fn most_frequent(classes: usize, labels: &[f64]) -> f64 {
    let count = |class: &usize| labels.iter().filter(|label| **label == *class as f64).count();
    let best = (0..classes).max_by_key(|class| (count(class), std::cmp::Reverse(*class)));
    best.unwrap_or(0) as f64
}
