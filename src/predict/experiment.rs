//! An experiment: targets times features times predictors, on one selection of states.

use std::time::Instant;

use super::bootstrap::intervals;
use super::matrix::Matrix;
use super::metric::{Metric, confusion};
use super::predictor::{Features, Fit, Predictor, Task};
use super::protocol::Protocol;
use super::split::{Part, Split, Splitting};
use super::states::{Selection, States};
use super::target::Target;
use crate::error::Result;
use crate::sql::Session;

/// What the predictor without features is said to see.
const NO_FEATURES: &str = "none";

/// The features of the comparator that knows how models were trained.
const HYPER: &str = "hyper";

/// What is predicted from what.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Of which states.
    pub selection: Selection,
    /// Columns of `states`.
    pub targets: Vec<String>,
    /// Names of feature sets.
    pub features: Vec<String>,
    /// What is fitted, each to each set.
    pub predictors: Vec<Predictor>,
    /// How linear models see features.
    pub protocol: Protocol,
    /// How models are dealt to parts.
    pub splitting: Splitting,
    /// Of the split, of what predictors draw, and of resamples.
    pub seed: u64,
}

/// What an experiment found.
#[derive(Debug)]
pub struct Findings {
    /// The states it was about.
    pub states: States,
    /// One for each target, features and predictor; the comparators of a target come first.
    pub outcomes: Vec<Outcome>,
}

/// How well one predictor told one target from one set of features.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was predicted.
    pub target: String,
    /// The names of its classes; none for numbers.
    pub classes: Vec<String>,
    /// From what.
    pub features: String,
    /// How many features these are.
    pub num_features: usize,
    /// By what.
    pub predictor: Predictor,
    /// What it is compared with, not what was asked for.
    pub is_comparator: bool,
    /// The hyperparameters that were chosen on the validation part, as `name=value`.
    pub chosen: String,
    /// Seconds it took to fit and to predict.
    pub seconds: f64,
    /// What was learnt from.
    pub train: Count,
    /// On the validation part, then on the test part.
    pub judged: [Judged; 2],
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Models.
    pub models: usize,
    /// Their states.
    pub states: usize,
}

/// Predictions of a part, and how good they are.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Which part.
    pub part: Part,
    /// Models and states of it.
    pub count: Count,
    /// The rows of its states.
    pub rows: Vec<usize>,
    /// The truth: numbers, or numbers of classes.
    pub truth: Vec<f64>,
    /// What was predicted.
    pub predicted: Vec<f64>,
    /// Every metric; the first one is the score.
    pub scores: Vec<Score>,
}

/// The value of a metric, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Which metric.
    pub metric: Metric,
    /// `None` where it is not defined.
    pub value: Option<f64>,
    /// From resampled models.
    pub interval: Option<(f64, f64)>,
}

impl Outcome {
    /// How the test part was told.
    pub fn test(&self) -> &Judged {
        &self.judged[1]
    }
}

impl Judged {
    /// The score of a metric.
    pub fn score(&self, metric: Metric) -> Option<&Score> {
        self.scores.iter().find(|score| score.metric == metric)
    }

    /// How often each class (row) was taken for each class (column).
    pub fn confusion(&self, classes: usize) -> Vec<Vec<u64>> {
        confusion(classes, &self.truth, &self.predicted)
    }
}

impl Experiment {
    /// Runs it over a session that knows the feature sets ([`crate::features::register`]).
    /// `watch` is told each feature set that is turned to.
    ///
    /// # Errors
    /// `Invalid` if names are unknown, nothing is selected, a target has gaps or a single value,
    /// the split leaves a part empty, or a predictor does not suit a target.
    pub async fn run(&self, session: &Session, watch: &(dyn Fn(&str) + Sync)) -> Result<Findings> {
        let states = States::load(session, &self.selection, &self.targets).await?;
        let split = |target| {
            Split::new(&self.splitting, self.seed, &states.model_ids, &states.zoos, target)
        };
        let splits = states.targets.iter().map(split).collect::<Result<Vec<_>>>()?;
        let mut outcomes: Vec<Vec<Outcome>> = Vec::new();
        for (target, split) in states.targets.iter().zip(&splits) {
            let none = Features::new(Matrix::new(Vec::new(), states.model_ids.len(), Vec::new())?);
            let task = self.task(&none, target, split);
            let mean = self.judge(&task, &states, Predictor::Mean, NO_FEATURES, true)?;
            outcomes.push(vec![mean]);
        }
        // All queries first: a wrong name should not be told after an hour.
        let mut sets: Vec<(&str, String)> = Vec::new();
        for set in std::iter::once(HYPER).chain(self.features.iter().map(String::as_str)) {
            if sets.iter().all(|(seen, _)| *seen != set) {
                sets.push((set, states.query(session, &self.selection, set).await?));
            }
        }
        for (set, query) in sets {
            watch(set);
            let matrix = states.features(session, set, &query).await?;
            let is_comparator = !self.features.iter().any(|asked| asked == set);
            let common = Features::new(matrix);
            for ((target, split), outcomes) in states.targets.iter().zip(&splits).zip(&mut outcomes)
            {
                let told =
                    common.matrix().names().iter().any(|name| tells(set, name, &target.name));
                let own = told.then(|| {
                    let matrix = common.matrix().clone();
                    Features::new(matrix.without(|name| tells(set, name, &target.name)))
                });
                let task = self.task(own.as_ref().unwrap_or(&common), target, split);
                for &predictor in &self.predictors {
                    outcomes.push(self.judge(&task, &states, predictor, set, is_comparator)?);
                }
            }
        }
        Ok(Findings { states, outcomes: outcomes.concat() })
    }

    fn task<'a>(&self, features: &'a Features, target: &'a Target, split: &'a Split) -> Task<'a> {
        let unscaled = self.protocol.is_unscaled();
        Task { features, target, split, seed: self.seed, unscaled }
    }

    fn judge(
        &self,
        task: &Task<'_>,
        states: &States,
        predictor: Predictor,
        features: &str,
        is_comparator: bool,
    ) -> Result<Outcome> {
        let began = Instant::now();
        let num_features = task.features.matrix().columns();
        // Where nothing is seen, the mean is all there is to say.
        let by = if num_features == 0 { Predictor::Mean } else { predictor };
        let fit = by.fit(task)?;
        let seconds = began.elapsed().as_secs_f64();
        let count =
            |part| Count { models: task.split.models(part), states: task.split.rows(part).len() };
        let judged = |part| self.score(task, states, &fit, part, count(part));
        Ok(Outcome {
            target: task.target.name.clone(),
            classes: task.target.classes.clone(),
            features: features.to_owned(),
            num_features,
            predictor: predictor.resolved(task.target.is_class()),
            is_comparator,
            chosen: fit.chosen.clone(),
            seconds,
            train: count(Part::Train),
            judged: [Part::Validation, Part::Test].map(judged),
        })
    }

    fn score(
        &self,
        task: &Task<'_>,
        states: &States,
        fit: &Fit,
        part: Part,
        count: Count,
    ) -> Judged {
        let rows = task.split.rows(part).to_vec();
        let (truth, predicted) = (task.target.of(&rows), fit.of(part).to_vec());
        let metrics: &[Metric] = match task.target.is_class() {
            true => &Metric::OF_CLASSES,
            false => &Metric::OF_NUMBERS,
        };
        let ids: Vec<i64> = rows.iter().map(|&row| states.model_ids[row]).collect();
        let intervals = intervals(metrics, &ids, &truth, &predicted, self.seed);
        let score = |(&metric, interval): (&Metric, Option<(f64, f64)>)| {
            let value = Some(metric.of(&truth, &predicted)).filter(|value| !value.is_nan());
            Score { metric, value, interval: interval.filter(|_| value.is_some()) }
        };
        let scores = metrics.iter().zip(intervals).map(score).collect();
        Judged { part, count, rows, truth, predicted, scores }
    }
}

/// Whether a hyperparameter is the target itself, as a number or as one of its classes, or says
/// it: only one optimiser has a momentum.
fn tells(set: &str, feature: &str, target: &str) -> bool {
    let is = feature.split('=').next() == Some(target);
    set == HYPER && (is || (feature, target) == ("momentum", "optimizer"))
}
