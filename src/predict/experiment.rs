//! An experiment: targets times features times predictors, on one selection of states.

use std::time::Instant;

use super::bootstrap::intervals;
use super::collector::width;
use super::leakage::{HYPER, expect_later_states, tells};
use super::matrix::Matrix;
use super::memory;
use super::metric::{Metric, confusion};
use super::predictor::Predictor;
use super::protocol::Protocol;
use super::split::{Part, Split, Splitting};
use super::states::{Selection, States};
use super::target::Target;
use super::task::{Features, Fit, Task};
use crate::error::Result;
use crate::sql::Session;

/// What the predictor without features is said to see.
const NO_FEATURES: &str = "none";

/// What is predicted from what.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// Of which states.
    pub selection: Selection,
    /// Columns of `states`.
    pub targets: Vec<String>,
    /// Names of feature sets.
    pub features: Vec<String>,
    /// What is fitted, each to each set; none: those of the protocol, as far as they suit.
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
    /// How models were dealt to parts, in words.
    pub split: String,
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

/// How one target is predicted.
struct Plan<'a> {
    target: &'a Target,
    /// Each once.
    predictors: Vec<Predictor>,
    split: Split,
    /// How it was made, in words.
    splitting: String,
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
    /// The states it is about, and the targets.
    ///
    /// # Errors
    /// `Invalid` if names are unknown, nothing is selected, or a target has gaps or a single
    /// value.
    pub async fn states(&self, session: &Session) -> Result<States> {
        States::load(session, &self.selection, &self.targets, &self.splitting).await
    }

    /// Runs it on its `states`, over a session that knows the feature sets
    /// ([`crate::features::register`]). `watch` is told, in words, what is turned to and what is
    /// missing.
    ///
    /// # Errors
    /// `Invalid` if a feature set is unknown, lacks states or tells the target, the split leaves
    /// a part empty, a predictor does not suit a target, or memory would not do.
    pub async fn run(
        &self,
        session: &Session,
        states: States,
        watch: &(dyn Fn(&str) + Sync),
    ) -> Result<Findings> {
        let plans = states.targets.iter().map(|target| self.plan(target, &states));
        let plans = plans.collect::<Result<Vec<_>>>()?;
        self.splitting.unselected(&states.model_ids).iter().for_each(|line| watch(line));
        if let [first, .., last] = states.archs.as_slice() {
            let count = states.archs.len();
            watch(&format!(
                "the states are of {count} architectures, `{first}` to `{last}`: features of tensors \
                 go by their places, and what a model lacks is 0"
            ));
        }
        // All queries first: a wrong name should not be told after an hour.
        let mut sets: Vec<(&str, String)> = Vec::new();
        for set in std::iter::once(HYPER).chain(self.features.iter().map(String::as_str)) {
            if sets.iter().all(|(seen, _)| *seen != set) {
                for target in &states.targets {
                    expect_later_states(set, &states, target)?;
                }
                sets.push((set, states.query(session, &self.selection, set).await?));
            }
        }
        let mut outcomes: Vec<Vec<Outcome>> = Vec::new();
        for plan in &plans {
            let none = Features::new(Matrix::new(Vec::new(), states.model_ids.len(), Vec::new())?);
            let mean = self.judge(&none, (NO_FEATURES, true), plan, &states, Predictor::Mean)?;
            outcomes.push(vec![mean]);
        }
        for (set, query) in sets {
            watch(&format!("features `{set}`"));
            let rows = session.sql(&query).await?;
            self.expect_memory(set, &states, &plans, width(&rows.schema()))?;
            let (matrix, gaps) = states.features(set, rows).await?;
            if !gaps.is_empty() {
                watch(&gaps.to_string());
            }
            let is_comparator = !self.features.iter().any(|asked| asked == set);
            let common = Features::new(matrix);
            for (plan, outcomes) in plans.iter().zip(&mut outcomes) {
                let is_told = |name: &str| tells(set, name, &plan.target.name);
                let told = common.matrix().names().iter().any(|name| is_told(name));
                let own = told.then(|| Features::new(common.matrix().clone().without(is_told)));
                let features = own.as_ref().unwrap_or(&common);
                for &predictor in &plan.predictors {
                    let name = (set, is_comparator);
                    outcomes.push(self.judge(features, name, plan, &states, predictor)?);
                }
            }
        }
        Ok(Findings { states, outcomes: outcomes.concat() })
    }

    /// How a target is predicted.
    fn plan<'a>(&self, target: &'a Target, states: &States) -> Result<Plan<'a>> {
        let asked = match self.predictors.as_slice() {
            [] => self.protocol.predictors(),
            asked => asked,
        };
        let mut predictors: Vec<Predictor> = Vec::new();
        let mut refused = Ok(());
        for predictor in asked {
            let predictor = predictor.resolved(target.is_class());
            match predictor.expect_suits(target) {
                // The mean is there in any case, and two names may mean the same.
                Ok(()) if predictor == Predictor::Mean || predictors.contains(&predictor) => {}
                Ok(()) => predictors.push(predictor),
                Err(error) if !self.predictors.is_empty() => return Err(error),
                Err(error) => refused = Err(error),
            }
        }
        if predictors.is_empty() {
            refused?;
        }
        let splitting = self.splitting.of(target);
        let split = Split::new(&splitting, self.seed, &states.model_ids, &states.zoos, target)?;
        Ok(Plan { target, predictors, split, splitting: splitting.to_string() })
    }

    /// Fails if features of this width are more than memory holds.
    fn expect_memory(
        &self,
        set: &str,
        states: &States,
        plans: &[Plan<'_>],
        (columns, is_single): (usize, bool),
    ) -> Result<()> {
        let count = states.model_ids.len();
        let values = (count * columns) as f64 * if is_single { 4.0 } else { 8.0 };
        // One predictor is fitted after the other, but products of features stay for all.
        let of_plan = |plan: &Plan<'_>| {
            let bytes = |by: &Predictor| by.bytes(count, columns, plan.target.classes.len());
            plan.predictors.iter().map(bytes).fold(0.0, f64::max)
        };
        let kept = plans.iter().flat_map(|plan| &plan.predictors);
        let kept = kept.map(|by| by.kept_bytes(columns)).fold(0.0, f64::max);
        let bytes = values + kept + plans.iter().map(of_plan).fold(0.0, f64::max);
        memory::expect(set, (count, columns), bytes as u64, crate::memory::free())
    }

    fn task<'a>(&self, features: &'a Features, plan: &'a Plan<'a>) -> Task<'a> {
        let (unscaled, seed) = (self.protocol.is_unscaled(), self.seed);
        Task { features, target: plan.target, split: &plan.split, seed, unscaled }
    }

    fn judge(
        &self,
        features: &Features,
        (name, is_comparator): (&str, bool),
        plan: &Plan<'_>,
        states: &States,
        predictor: Predictor,
    ) -> Result<Outcome> {
        let task = self.task(features, plan);
        let began = Instant::now();
        let num_features = features.matrix().columns();
        // Where nothing is seen, the mean is all there is to say.
        let by = if num_features == 0 { Predictor::Mean } else { predictor };
        let fit = by.fit(&task)?;
        let seconds = began.elapsed().as_secs_f64();
        let count =
            |part| Count { models: plan.split.models(part), states: plan.split.rows(part).len() };
        let judged = |part| self.score(&task, states, &fit, part, count(part));
        Ok(Outcome {
            target: plan.target.name.clone(),
            classes: plan.target.classes.clone(),
            split: plan.splitting.clone(),
            features: name.to_owned(),
            num_features,
            predictor,
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
        let mut metrics: Vec<Metric> = match task.target.is_class() {
            true => Metric::OF_CLASSES.to_vec(),
            false => Metric::OF_NUMBERS.to_vec(),
        };
        let score = self.protocol.score();
        metrics.sort_by_key(|metric| *metric != score);
        let ids: Vec<i64> = rows.iter().map(|&row| states.model_ids[row]).collect();
        let intervals = intervals(&metrics, &ids, &truth, &predicted, self.seed);
        let score = |(&metric, interval): (&Metric, Option<(f64, f64)>)| {
            let value = Some(metric.of(&truth, &predicted)).filter(|value| !value.is_nan());
            Score { metric, value, interval: interval.filter(|_| value.is_some()) }
        };
        let scores = metrics.iter().zip(intervals).map(score).collect();
        Judged { part, count, rows, truth, predicted, scores }
    }
}
