//! What `predict` and `benchmark` have in common: an experiment is run, told, drawn and
//! recorded.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use clap::Args;

use super::display::count;
use super::output::Output;
use super::place::{DataFolder, PlaceAndTime};
use super::progress::note;
use crate::error::{Error, Kind, Result};
use crate::features::Epochs;
use crate::predict::{
    Experiment, Findings, Metric, Outcome, Predictor, Protocol, Run, Selection, Splitting, States,
    Target, figure,
};
use crate::sql::Session;
use crate::store::{Stamp, Store};

/// Significant digits of scores for people: more than their intervals warrant.
const DIGITS: i32 = 4;

/// With fewer models than these to judge, resamples of them say less than they seem to.
const FEW: usize = 30;

/// Features, predictors, and what becomes of the results.
#[derive(Debug, Args)]
pub(super) struct Study {
    /// What it is told from: feature sets, separated by commas [default: those of the protocol]
    #[arg(short, long, value_name = "SET", value_delimiter = ',')]
    features: Vec<String>,

    /// By what: `probe` (`ridge` for numbers, `softmax` for classes), `gbt`, `logit_linear`,
    /// `statnn`; separated by commas [default: those of the protocol that suit the target]
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    predictor: Vec<String>,

    /// Only states for which this SQL condition on columns of `states` holds
    #[arg(long = "where", value_name = "SQL")]
    filter: Option<String>,

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
    #[arg(
        long,
        value_name = "N",
        default_value_t = 42,
        value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64)
    )]
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
    place: PlaceAndTime,

    #[command(flatten)]
    data: DataFolder,

    #[command(flatten)]
    output: Output,
}

impl Study {
    /// Which states are studied, of `zoos` and, as the test part, of `test_zoos`; `also` is a
    /// condition on them.
    pub(super) fn selection(
        &self,
        protocol: Protocol,
        zoos: &[String],
        test_zoos: &[String],
        also: Option<&str>,
    ) -> Selection {
        let filter = match (also, self.filter.as_deref()) {
            (Some(also), Some(filter)) => Some(format!("{also} AND ({filter})")),
            (also, filter) => also.or(filter).map(str::to_owned),
        };
        let epochs = self.epoch.unwrap_or_else(|| protocol.epochs());
        Selection { zoos: zoos.to_vec(), test_zoos: test_zoos.to_vec(), epochs, filter }
    }

    /// A session over the store that knows every feature set.
    pub(super) async fn session(&self) -> Result<Session> {
        self.place.session_with(&self.data).await
    }

    /// Runs the experiment on `targets` of `selection`, and records, tells and draws what it
    /// finds. What cannot be told, drawn or recorded is found out before.
    pub(super) async fn run(
        &self,
        session: &Session,
        targets: &[String],
        selection: Selection,
        splitting: Splitting,
        protocol: Protocol,
    ) -> Result<()> {
        let features = match self.features.as_slice() {
            [] => protocol.features().iter().map(|name| (*name).to_owned()).collect(),
            features => features.to_vec(),
        };
        let predictors = self.predictor.iter().map(|name| Predictor::by_name(name));
        let experiment = Experiment {
            selection,
            targets: targets.to_vec(),
            features,
            predictors: predictors.collect::<Result<_>>()?,
            protocol,
            splitting,
            seed: self.seed,
        };
        let states = experiment.states(session).await?;
        self.expect_tellable(&states.targets)?;
        self.expect_recordable(session, &states).await?;
        let findings = experiment.run(session, states, &note).await?;
        let run = Run { stamp: Stamp::now(), version: session.snapshot().version() };
        // First, since what is told may fail to be written; and if this fails, it is told yet.
        let recorded = self.record(&experiment, &findings, &run).await;
        self.output.write(self.told(&findings)?.into()).await?;
        measured_on(&experiment, &findings, &run);
        if let Some(path) = &self.plot {
            let asked = findings.outcomes.iter().filter(|outcome| !outcome.is_comparator);
            save(path, &figure(&asked.collect::<Vec<_>>())?)?;
        }
        if let Some(version) = recorded? {
            let id = run.stamp.id;
            note(&format!("commit {version}: SELECT * FROM results WHERE run = '{id}'"));
        }
        Ok(())
    }

    /// How models are dealt to parts.
    pub(super) fn splitting(&self, protocol: Protocol, test_zoos: &[String]) -> Result<Splitting> {
        match (&self.split_file, protocol.splitting()) {
            (Some(path), _) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    let path = path.display();
                    Error::invalid(format!("cannot read split file `{path}`: {error}"))
                })?;
                Splitting::from_csv(&text).map_err(|error| error.context(path.display()))
            }
            _ if !test_zoos.is_empty() => Ok(Splitting::AcrossZoos(test_zoos.to_vec())),
            (None, Splitting::Random(shares)) if self.stratify => Ok(Splitting::Stratified(shares)),
            (None, splitting) => Ok(splitting),
        }
    }

    /// Fails if what is asked for beside scores does not suit any target, or has no place to go.
    fn expect_tellable(&self, targets: &[Target]) -> Result<()> {
        self.output.is_for_people()?;
        let needs_classes = match (self.confusion, self.stratify) {
            (true, _) => Some("`--confusion` shows"),
            (false, true) => Some("`--stratify` deals"),
            (false, false) => None,
        };
        if let Some(does) = needs_classes.filter(|_| !targets.iter().any(Target::is_class)) {
            let message = format!("{does} classes, and these targets are numbers");
            let hint = "leave it out, or choose a target of classes, such as `activation`";
            return Err(Error::invalid(message).with_hint(hint));
        }
        let Some(path) = &self.plot else { return Ok(()) };
        if targets.iter().all(Target::is_class) {
            let message = "`--plot` draws numbers, and these targets are classes";
            let hint = "leave it out, or choose a target of numbers, such as `test_acc`";
            return Err(Error::invalid(message).with_hint(hint));
        }
        expect_writable(path)
    }

    /// Fails if models were dropped after the commit that is asked: the store does not take
    /// predictions about them.
    async fn expect_recordable(&self, session: &Session, states: &States) -> Result<()> {
        if self.no_save || self.place.at.is_none() {
            return Ok(());
        }
        let newest = self.store().await?.snapshot().await?;
        let mut ids = states.model_ids.clone();
        ids.dedup();
        let dropped = ids.iter().filter(|id| !newest.has_model(**id)).count();
        if dropped == 0 {
            return Ok(());
        }
        let (models, version) = (ids.len(), session.snapshot().version());
        let message = format!(
            "`{dropped}` of `{models}` models were dropped after commit {version}, and results \
             about them cannot be recorded"
        );
        Err(Error::invalid(message).with_hint("add `--no-save`"))
    }

    async fn store(&self) -> Result<Store> {
        self.place.place.cloud.open(&self.place.place.store).await
    }

    /// Adds what was found to the store; the commit, if it is to be kept.
    async fn record(
        &self,
        experiment: &Experiment,
        findings: &Findings,
        run: &Run,
    ) -> Result<Option<u64>> {
        if self.no_save {
            return Ok(None);
        }
        let message = format!(
            "predict {} of {}: {}",
            experiment.targets.join(", "),
            findings.states.zoo_names().join(", "),
            count(findings.outcomes.len(), "result")
        );
        let results = run.results(experiment, findings)?;
        let predictions = run.predictions(findings)?;
        self.store().await?.record(&message, &results, &predictions).await.map(Some)
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
    if test.count.models < FEW {
        note(&format!("fewer than {FEW} models judge: intervals are rough, and rather too narrow"));
    }
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
        // The score of numbers is there already.
        let numbers = outcomes.iter().filter(|outcome| outcome.classes.is_empty());
        let scores: Vec<Metric> = numbers.filter_map(|of| Some(first(of)?.metric)).collect();
        let others = Metric::OF_NUMBERS.into_iter().filter(|metric| !scores.contains(metric));
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

/// Fails if there is no writing to `path`; leaves nothing there that was not.
fn expect_writable(path: &Path) -> Result<()> {
    let is_new = !path.exists();
    let opened = File::options().append(true).create(true).open(path);
    opened.map_err(|error| cannot_write(path, error))?;
    if is_new {
        // Best effort: an empty file is no harm.
        let _ = fs::remove_file(path);
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| cannot_write(path, error))
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    let message = format!("cannot write `{}`: {error}", path.display());
    Error::new(Kind::Unavailable, message).with_source(error)
}
