//! What experiments found, as rows of the tables `results` and `predictions`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Schema;

use super::experiment::{Experiment, Findings, Judged, Outcome};
use super::metric::Metric;
use crate::error::{Error, Result};
use crate::store::{PREDICTIONS, RESULTS, Stamp};

/// One run of an experiment: what is the same in all its rows.
#[derive(Debug, Clone)]
pub struct Run {
    /// Name and time of the run.
    pub stamp: Stamp,
    /// The commit whose models it was about.
    pub version: u64,
}

/// A row of `results`: `None` where it has no value.
struct ResultRow<'a> {
    outcome: &'a Outcome,
    judged: &'a Judged,
    metric: &'static str,
    value: Option<f64>,
    interval: Option<(f64, f64)>,
    classes: Option<(&'a str, &'a str)>,
}

impl Run {
    /// The rows of `results`.
    ///
    /// # Errors
    /// `Internal` if they do not fit the table.
    pub fn results(&self, experiment: &Experiment, findings: &Findings) -> Result<RecordBatch> {
        let rows: Vec<ResultRow<'_>> = findings.outcomes.iter().flat_map(result_rows).collect();
        let selection = &experiment.selection;
        let zoos = findings.states.zoo_names().join(",");
        let test_zoos = selection.test_zoos.join(",");
        let count = rows.len();
        let same = |value: &str| -> ArrayRef { text((0..count).map(|_| Some(value))) };
        let given = |value: Option<&str>| -> ArrayRef {
            text((0..count).map(|_| value.filter(|value| !value.is_empty())))
        };
        let texts = |of: fn(&ResultRow<'_>) -> Option<String>| -> ArrayRef {
            Arc::new(rows.iter().map(of).collect::<StringArray>())
        };
        let floats = |of: fn(&ResultRow<'_>) -> Option<f64>| -> ArrayRef {
            Arc::new(rows.iter().map(of).collect::<Float64Array>())
        };
        let counts = |of: &dyn Fn(&ResultRow<'_>) -> u64| -> ArrayRef {
            let signed = |row| i64::try_from(of(row)).unwrap_or(i64::MAX);
            Arc::new(Int64Array::from_iter_values(rows.iter().map(signed)))
        };
        let schema = RESULTS.arrow();
        batch(&schema, |column| {
            Some(match column {
                "run" => same(&self.stamp.id),
                "time" => same(&self.stamp.time),
                "version" => counts(&|_| self.version),
                "protocol" => same(experiment.protocol.name()),
                "split" => texts(|row| Some(row.outcome.split.clone())),
                "seed" => counts(&|_| experiment.seed),
                "zoos" => same(&zoos),
                "test_zoos" => given(Some(&test_zoos)),
                "epochs" => same(&selection.epochs.to_string()),
                "filter" => given(selection.filter.as_deref()),
                "target" => texts(|row| Some(row.outcome.target.clone())),
                "features" => texts(|row| Some(row.outcome.features.clone())),
                "num_features" => counts(&|row| row.outcome.num_features as u64),
                "predictor" => texts(|row| Some(row.outcome.predictor.name().to_owned())),
                "chosen" => texts(|row| {
                    Some(row.outcome.chosen.clone()).filter(|chosen| !chosen.is_empty())
                }),
                "train_models" => counts(&|row| row.outcome.train.models as u64),
                "train_states" => counts(&|row| row.outcome.train.states as u64),
                "part" => texts(|row| Some(row.judged.part.name().to_owned())),
                "models" => counts(&|row| row.judged.count.models as u64),
                "states" => counts(&|row| row.judged.count.states as u64),
                "metric" => texts(|row| Some(row.metric.to_owned())),
                "value" => floats(|row| row.value),
                "low" => floats(|row| row.interval.map(|interval| interval.0)),
                "high" => floats(|row| row.interval.map(|interval| interval.1)),
                "truth" => texts(|row| row.classes.map(|classes| classes.0.to_owned())),
                "predicted" => texts(|row| row.classes.map(|classes| classes.1.to_owned())),
                "seconds" => floats(|row| Some(row.outcome.seconds)),
                _ => return None,
            })
        })
    }

    /// The rows of `predictions`: those of the validation and test parts.
    ///
    /// # Errors
    /// `Internal` if they do not fit the table.
    pub fn predictions(&self, findings: &Findings) -> Result<RecordBatch> {
        let states = &findings.states;
        let rows: Vec<(&Outcome, &Judged, usize)> = findings
            .outcomes
            .iter()
            .flat_map(|outcome| outcome.judged.iter().map(move |judged| (outcome, judged)))
            .flat_map(|(outcome, judged)| {
                (0..judged.rows.len()).map(move |index| (outcome, judged, index))
            })
            .collect();
        let key = |of: &dyn Fn(usize) -> i64| -> ArrayRef {
            let keys = rows.iter().map(|(_, judged, index)| of(judged.rows[*index]));
            Arc::new(Int64Array::from_iter_values(keys))
        };
        let number = |of: fn(&Judged) -> &[f64]| -> ArrayRef {
            let value = |(outcome, judged, index): &(&Outcome, &Judged, usize)| {
                outcome.classes.is_empty().then(|| of(judged)[*index])
            };
            Arc::new(rows.iter().map(value).collect::<Float64Array>())
        };
        let class = |of: fn(&Judged) -> &[f64]| -> ArrayRef {
            text(rows.iter().map(|(outcome, judged, index)| {
                outcome.classes.get(of(judged)[*index] as usize).map(String::as_str)
            }))
        };
        let schema = PREDICTIONS.arrow();
        batch(&schema, |column| {
            Some(match column {
                "run" => text(rows.iter().map(|_| Some(self.stamp.id.as_str()))),
                "target" => text(rows.iter().map(|row| Some(row.0.target.as_str()))),
                "features" => text(rows.iter().map(|row| Some(row.0.features.as_str()))),
                "predictor" => text(rows.iter().map(|row| Some(row.0.predictor.name()))),
                "part" => text(rows.iter().map(|row| Some(row.1.part.name()))),
                "model_id" => key(&|row| states.model_ids[row]),
                "epoch" => key(&|row| states.epochs[row]),
                "truth" => number(|judged| &judged.truth),
                "predicted" => number(|judged| &judged.predicted),
                "truth_class" => class(|judged| &judged.truth),
                "predicted_class" => class(|judged| &judged.predicted),
                _ => return None,
            })
        })
    }
}

fn result_rows(outcome: &Outcome) -> Vec<ResultRow<'_>> {
    let mut rows = Vec::new();
    for judged in &outcome.judged {
        rows.extend(judged.scores.iter().map(|score| ResultRow {
            outcome,
            judged,
            metric: score.metric.name(),
            value: score.value,
            interval: score.interval,
            classes: None,
        }));
        let classes = &outcome.classes;
        if classes.is_empty() {
            continue;
        }
        let confusion = judged.confusion(classes.len());
        for (truth, counts) in classes.iter().zip(&confusion) {
            rows.extend(classes.iter().zip(counts).map(|(predicted, count)| ResultRow {
                outcome,
                judged,
                metric: Metric::CONFUSION,
                value: Some(*count as f64),
                interval: None,
                classes: Some((truth, predicted)),
            }));
        }
    }
    rows
}

fn text<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn batch(schema: &Arc<Schema>, column: impl Fn(&str) -> Option<ArrayRef>) -> Result<RecordBatch> {
    let columns = schema.fields().iter().map(|field| {
        let name = field.name();
        column(name).ok_or_else(|| Error::internal(format!("column `{name}` has no values")))
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_>>()?)
        .map_err(|error| Error::internal("rows do not fit their table").with_source(error))
}
