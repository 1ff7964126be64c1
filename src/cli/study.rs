//! What `predict` and `benchmark` have in common: an experiment is run, told, drawn and
//! recorded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use clap::Args;

use super::display::count;
use super::output::Output;
use super::place::PlaceAndTime;
use super::progress::note;
use crate::error::{Error, Kind, Result};
use crate::features::Epochs;
use crate::predict::{
    Experiment, Findings, Metric, Outcome, Predictor, Protocol, Run, Selection, Splitting, figure,
};
use crate::store::Stamp;

/// Significant digits of scores for people: more than their intervals warrant.
const DIGITS: i32 = 4;

/// Features, predictors, and what becomes of the results.
#[derive(Debug, Args)]
pub(super) struct Study {
    /// What it is told from: feature sets, separated by commas [default: those of the protocol]
    #[arg(short, long, value_name = "SET", value_delimiter = ',')]
    features: Vec<String>,

    /// By what: `probe` (`ridge` for numbers, `softmax` for classes), `gbt`, `statnn`; separated
    /// by commas [default: those of the protocol]
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    predictor: Vec<String>,

    /// Which epochs: `all`, `last`, a number, or a range such as `21..25` [default: those of the
    /// protocol]
    #[arg(long, value_name = "EPOCHS")]
    epoch: Option<Epochs>,

    /// The part of each model: a CSV file with lines `model_id,part`, where a part is `train`,
    /// `validation` or `test`
    #[arg(long, value_name = "FILE")]
    split_file: Option<PathBuf>,

    /// Deal models to parts within each class of the target
    #[arg(long, conflicts_with = "split_file")]
    stratify: bool,

    /// Seed of the split, of predictors and of confidence intervals
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u64,

    /// Do not add the results to the store
    #[arg(long)]
    no_save: bool,

    /// Draw predicted against true numbers of the test part into an SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// Show how often each class was taken for each other, instead of scores
    #[arg(long)]
    confusion: bool,

    #[command(flatten)]
    pub(super) place: PlaceAndTime,

    #[command(flatten)]
    output: Output,
}

impl Study {
    /// Which states are studied, of `zoos` and, as the test part, of `test_zoos`.
    pub(super) fn selection(
        &self,
        protocol: Protocol,
        zoos: &[String],
        test_zoos: &[String],
        filter: Option<&str>,
    ) -> Selection {
        Selection {
            zoos: zoos.to_vec(),
            test_zoos: test_zoos.to_vec(),
            epochs: self.epoch.unwrap_or_else(|| protocol.epochs()),
            filter: filter.map(str::to_owned),
        }
    }

    /// Runs the experiment on `targets` of `selection`, and tells, draws and records what it
    /// finds.
    pub(super) async fn run(
        &self,
        targets: &[String],
        selection: Selection,
        protocol: Protocol,
    ) -> Result<()> {
        let or = |given: &[String], default: &[&str]| match given {
            [] => default.iter().map(|name| (*name).to_owned()).collect(),
            given => given.to_vec(),
        };
        let predictors = or(&self.predictor, protocol.predictors());
        let experiment = Experiment {
            splitting: self.splitting(protocol, &selection)?,
            selection,
            targets: targets.to_vec(),
            features: or(&self.features, protocol.features()),
            predictors: predictors
                .iter()
                .map(|name| Predictor::by_name(name))
                .collect::<Result<_>>()?,
            protocol,
            seed: self.seed,
        };
        let session = self.place.session().await?;
        let findings = experiment.run(&session, &|set| note(&format!("features `{set}`"))).await?;
        self.output.write(self.told(&findings)?.into()).await?;
        let run = Run { stamp: Stamp::now(), version: session.snapshot().version() };
        measured_on(&experiment, &findings, &run);
        if let Some(path) = &self.plot {
            let asked = findings.outcomes.iter().filter(|outcome| !outcome.is_comparator);
            save(path, &figure(&asked.collect::<Vec<_>>())?)?;
        }
        if self.no_save {
            return Ok(());
        }
        let store = self.place.place.cloud.open(&self.place.place.store).await?;
        let results = run.results(&experiment, &findings)?;
        let message = format!(
            "predict {} of {}: {}",
            targets.join(", "),
            findings.states.zoo_names().join(", "),
            count(findings.outcomes.len(), "result")
        );
        let version = store.record(&message, &results, &run.predictions(&findings)?).await?;
        let id = run.stamp.id;
        note(&format!("commit {version}: SELECT * FROM results WHERE run = '{id}'"));
        Ok(())
    }

    fn splitting(&self, protocol: Protocol, selection: &Selection) -> Result<Splitting> {
        match (&self.split_file, protocol.splitting()) {
            (Some(path), _) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    let path = path.display();
                    Error::invalid(format!("cannot read split file `{path}`: {error}"))
                })?;
                Splitting::from_csv(&text).map_err(|error| error.context(path.display()))
            }
            _ if !selection.test_zoos.is_empty() => {
                Ok(Splitting::AcrossZoos(selection.test_zoos.clone()))
            }
            (None, Splitting::Random(shares)) if self.stratify => Ok(Splitting::Stratified(shares)),
            (None, splitting) => Ok(splitting),
        }
    }

    fn told(&self, findings: &Findings) -> Result<RecordBatch> {
        let digits = if self.output.is_for_people()? { Some(DIGITS) } else { None };
        match self.confusion {
            true => confusion(&findings.outcomes),
            false => scores(&findings.outcomes, digits),
        }
    }
}

/// On what it was measured, for people.
fn measured_on(experiment: &Experiment, findings: &Findings, run: &Run) {
    let (states, selection) = (&findings.states, &experiment.selection);
    let filter = selection.filter.as_ref().map(|filter| format!(", where {filter}"));
    note(&format!(
        "measured on {}: {}, {} (epochs {}{}), commit {}",
        findings.states.zoo_names().join(", "),
        count(states.num_models(), "model"),
        count(states.model_ids.len(), "state"),
        selection.epochs,
        filter.unwrap_or_default(),
        run.version
    ));
    let Some(outcome) = findings.outcomes.first() else { return };
    let [validation, test] = &outcome.judged;
    note(&format!(
        "split {} by model, seed {}: {} to learn from, {} to choose by, {} judged; 95 % intervals \
         from 1,000 resamples of these",
        experiment.splitting,
        experiment.seed,
        count(outcome.train.models, "model"),
        validation.count.models,
        test.count.models,
    ));
}

/// One row per outcome: how the test part was told, to so many significant digits.
fn scores(outcomes: &[Outcome], digits: Option<i32>) -> Result<RecordBatch> {
    let text = |of: &dyn Fn(&Outcome) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(outcomes.iter().map(of)))
    };
    let first = |outcome: &Outcome| outcome.test().scores.first().copied();
    let float = |of: &dyn Fn(&Outcome) -> Option<f64>| -> ArrayRef {
        let value = |outcome| Some(rounded(of(outcome)?, digits));
        Arc::new(outcomes.iter().map(value).collect::<Float64Array>())
    };
    let metric = |metric| float(&|outcome| outcome.test().score(metric)?.value);
    let chosen = outcomes.iter().map(|outcome| Some(&outcome.chosen).filter(|c| !c.is_empty()));
    let mut columns = vec![
        ("target", text(&|outcome| outcome.target.clone())),
        ("features", text(&|outcome| outcome.features.clone())),
        ("predictor", text(&|outcome| outcome.predictor.name().to_owned())),
        ("metric", text(&|outcome| first(outcome).map_or("", |s| s.metric.name()).to_owned())),
        ("value", float(&|outcome| first(outcome)?.value)),
        ("low", float(&|outcome| Some(first(outcome)?.interval?.0))),
        ("high", float(&|outcome| Some(first(outcome)?.interval?.1))),
    ];
    if outcomes.iter().any(|outcome| outcome.classes.is_empty()) {
        let others = Metric::OF_NUMBERS.into_iter().skip(1);
        columns.extend(others.map(|other| (other.name(), metric(other))));
    }
    columns.push(("chosen", Arc::new(chosen.collect::<StringArray>())));
    batch(columns)
}

fn rounded(value: f64, digits: Option<i32>) -> f64 {
    let Some(digits) = digits.filter(|_| value != 0.0) else { return value };
    let unit = 10_f64.powi(digits - 1 - value.abs().log10().floor() as i32);
    (value * unit).round() / unit
}

/// One row per outcome and pair of classes.
fn confusion(outcomes: &[Outcome]) -> Result<RecordBatch> {
    let mut rows: Vec<[String; 5]> = Vec::new();
    let mut counts = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.classes.is_empty()) {
        let confusion = outcome.test().confusion(outcome.classes.len());
        for (truth, taken) in outcome.classes.iter().zip(&confusion) {
            for (predicted, states) in outcome.classes.iter().zip(taken) {
                let (target, features) = (outcome.target.clone(), outcome.features.clone());
                let predictor = outcome.predictor.name().to_owned();
                rows.push([target, features, predictor, truth.clone(), predicted.clone()]);
                counts.push(i64::try_from(*states).unwrap_or(i64::MAX));
            }
        }
    }
    if rows.is_empty() {
        return Err(Error::invalid("`--confusion` shows classes, and these targets are numbers"));
    }
    let names = ["target", "features", "predictor", "truth", "predicted"].into_iter().enumerate();
    let column = |(index, name): (usize, &'static str)| {
        let texts = StringArray::from_iter_values(rows.iter().map(|row| row[index].as_str()));
        (name, Arc::new(texts) as ArrayRef)
    };
    let mut columns: Vec<(&str, ArrayRef)> = names.map(column).collect();
    columns.push(("states", Arc::new(Int64Array::from(counts))));
    batch(columns)
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    RecordBatch::try_from_iter(columns)
        .map_err(|error| Error::internal("cannot build the results").with_source(error))
}

fn save(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| {
        let message = format!("cannot write `{}`: {error}", path.display());
        Error::new(Kind::Unavailable, message).with_source(error)
    })
}
