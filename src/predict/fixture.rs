//! What other programs say of metrics and predictors: `python/make_predict_fixture.py`.

use serde::Deserialize;

use super::matrix::Matrix;
use super::split::{Part, Split, Splitting};
use super::target::Target;
use super::task::{Features, Task};

/// `tests/fixtures/predict/reference.json`.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    pub(super) features: Vec<Vec<f64>>,
    pub(super) numbers: Vec<f64>,
    pub(super) labels: Vec<usize>,
    pub(super) metrics: Vec<Metrics>,
    pub(super) ridge: Chosen,
    pub(super) ridge_modelzoos_v1: Chosen,
    pub(super) logistic: Vec<Logistic>,
    pub(super) logit_linear: LogitLinear,
    pub(super) boosted_numbers: Vec<f64>,
    pub(super) boosted_classes: Vec<Vec<f64>>,
    /// Rows and columns of features that are missing.
    gaps: Vec<[usize; 2]>,
    pub(super) boosted_numbers_with_gaps: Vec<f64>,
    pub(super) boosted_classes_with_gaps: Vec<Vec<f64>>,
    pub(super) probe: Probe,
    pub(super) perceptron: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Metrics {
    pub(super) truth: Vec<f64>,
    pub(super) predicted: Vec<f64>,
    pub(super) tau: f64,
    pub(super) tau_ceiling: f64,
    pub(super) spearman: f64,
    pub(super) r2: f64,
    pub(super) l1: f64,
    pub(super) mse: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    pub(super) penalty: f64,
    pub(super) test: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Logistic {
    pub(super) penalty: f64,
    pub(super) loss: f64,
    pub(super) weights: Vec<Vec<f64>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct LogitLinear {
    /// Of every state.
    pub(super) target: Vec<f64>,
    pub(super) penalty: f64,
    pub(super) test: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Probe {
    pub(super) weights: Vec<Vec<f32>>,
    pub(super) intercepts: Vec<f32>,
}

impl Reference {
    pub(super) fn read() -> Self {
        let text = include_str!("../../tests/fixtures/predict/reference.json");
        serde_json::from_str(text).unwrap()
    }

    pub(super) fn features(&self) -> Features {
        Self::of(self.features.concat())
    }

    /// Six features of each state, row by row.
    pub(super) fn of(values: Vec<f64>) -> Features {
        let names = (0..6).map(|index| format!("x{index}")).collect();
        Features::new(Matrix::new(names, values.len() / 6, values).unwrap())
    }

    pub(super) fn features_with_gaps(&self) -> Features {
        let mut features = self.features.clone();
        for [row, column] in &self.gaps {
            features[*row][*column] = f64::NAN;
        }
        Self { features, ..Self::read() }.features()
    }

    pub(super) fn numbers(&self) -> Target {
        Target::numbers("y", self.numbers.iter().copied().map(Some).collect()).unwrap()
    }

    pub(super) fn classes(&self) -> Target {
        let class = |label: &usize| Some(["a", "b", "c"][*label].to_owned());
        Target::classes("class", self.labels.iter().map(class).collect()).unwrap()
    }

    /// 160 states to learn from, 40 to choose by, 40 to be judged by.
    pub(super) fn split(&self, target: &Target) -> Split {
        let part = |row: i64| match row {
            0..160 => Part::Train,
            160..200 => Part::Validation,
            _ => Part::Test,
        };
        let ids: Vec<i64> = (0..self.features.len() as i64).collect();
        let named = Splitting::Named(ids.iter().map(|&id| (id, part(id))).collect());
        Split::new(&named, 0, &ids, &vec!["zoo".to_owned(); ids.len()], target).unwrap()
    }
}

/// Calls `with` with a task on the fixture's states.
pub(super) fn task<T>(
    classes: bool,
    unscaled: bool,
    with: impl FnOnce(&Reference, &Task<'_>) -> T,
) -> T {
    let reference = Reference::read();
    let target = if classes { reference.classes() } else { reference.numbers() };
    let (features, split) = (reference.features(), reference.split(&target));
    let task = Task { features: &features, target: &target, split: &split, seed: 1, unscaled };
    with(&reference, &task)
}

/// Fails where a pair differs by more than `tolerance`.
#[track_caller]
pub(super) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "{index}: {found} is not {expected}");
    }
}
