//! `zoolake train`: what a store lacks of a zoo.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::runtime::Handle;

use super::display::{bytes, thousands};
use super::place::Cloud;
use super::progress::{Progress, note};
use super::{env_vars, signal, stdout::print};
use crate::dataset::{self, Dataset};
use crate::error::{Error, Kind, Result};
use crate::store::{Store, Writer};
use crate::train::{self, Runner, Sink, Status, Stop, Trained};
use crate::zoo::{Model, Zoo, published};

/// Train a zoo into a store
///
/// Models that the store has already are skipped, so running an interrupted
/// command again resumes it, and several processes may train one zoo. Ctrl-C and
/// SIGTERM end training cleanly, with exit code 75: every finished model is kept.
#[derive(Debug, Args)]
pub(super) struct Train {
    /// A zoo specification: a TOML file, or the name of one that ships with zoolake
    spec: String,

    /// The store: a folder, `s3://bucket/path`, `gs://bucket/path` or `az://container/path`;
    /// created if it is not there
    #[arg(short, long, value_name = "URL", env = env_vars::STORE)]
    store: String,

    #[command(flatten)]
    cloud: Cloud,

    /// The folder with the files of the data set
    #[arg(short, long, value_name = "DIR", env = env_vars::DATA)]
    data: Option<PathBuf>,

    #[command(flatten)]
    effort: Effort,

    /// Only the first N models of the grid
    #[arg(short, long, value_name = "N")]
    limit: Option<NonZero<usize>>,

    /// Say what would be trained, how much it is and where it would go; do nothing
    #[arg(long)]
    dry_run: bool,
}

/// How much of the machine to use.
#[derive(Debug, Args)]
pub(super) struct Effort {
    /// Models to train at the same time [default: one per core]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZero<usize>>,

    /// Commit finished models at least this often, so that a killed process loses little
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    commit_after: u64,
}

/// Weights waiting for their commit: more would only take memory, since a file
/// of this size is large enough.
const COMMIT_BYTES: usize = 64 << 20;

impl Train {
    pub(super) async fn run(self) -> Result<()> {
        let zoo = load(&self.spec)?;
        let mut models = zoo.models();
        models.truncate(self.limit.map_or(usize::MAX, NonZero::get));
        if self.dry_run {
            return self.explain(&zoo, &models).await;
        }
        // Before the store: what cannot be trained must not leave an empty one.
        let dataset = dataset::load(zoo.dataset(), zoo.arch().input(), self.data.as_deref())?;
        let store = self.cloud.open_or_create(&self.store).await?;
        train(&zoo, &models, &store, &dataset, &self.effort).await
    }

    /// What a run would do, on stdout.
    async fn explain(&self, zoo: &Zoo, models: &[Model]) -> Result<()> {
        let stored = match self.cloud.open_if_any(&self.store).await? {
            Some(store) => {
                let snapshot = store.snapshot().await?;
                models.iter().filter(|model| snapshot.has_model(model.id)).count()
            }
            None => 0,
        };
        let (all, missing) = (models.len() as u64, (models.len() - stored) as u64);
        let layout = zoo.arch().layout();
        let states = zoo.epochs() as u64 + 1;
        let info = dataset::info(zoo.dataset())?;
        let text = format!(
            "zoo         {}\n\
             data set    {}: {}\n\
             arch        {}: {}\n\
             models      {}, of which {} are stored and {} are missing\n\
             epochs      {}, so {} states per model\n\
             parameters  {} per state\n\
             weights     {} for the missing models, before compression\n\
             store       {}\n",
            zoo.name(),
            info.name,
            info.title,
            zoo.arch().name(),
            zoo.arch().title(),
            thousands(all),
            thousands(all - missing),
            thousands(missing),
            zoo.epochs(),
            states,
            thousands(layout.num_params() as u64),
            bytes(missing * states * layout.size() as u64 * 4),
            self.store,
        );
        print(&text)
    }
}

/// A specification from a file, or by name.
pub(super) fn load(spec: &str) -> Result<Zoo> {
    if let Some(zoo) = published().iter().find(|zoo| zoo.name == spec) {
        return Zoo::from_toml(zoo.toml);
    }
    match std::fs::read_to_string(spec) {
        Ok(text) => Zoo::from_toml(&text).map_err(|error| error.context(spec)),
        Err(error) if !Path::new(spec).exists() => {
            let names: Vec<&str> = published().iter().map(|zoo| zoo.name).collect();
            Err(Error::not_found(format!("`{spec}` is neither a file nor the name of a zoo"))
                .with_hint(format!("the zoos by name are {}", names.join(", ")))
                .with_source(error))
        }
        Err(error) => Err(Error::invalid(format!("cannot read `{spec}`: {error}"))),
    }
}

/// Trains what `store` lacks of `models`, until done or interrupted.
pub(super) async fn train(
    zoo: &Zoo,
    models: &[Model],
    store: &Store,
    dataset: &Dataset,
    effort: &Effort,
) -> Result<()> {
    let writer = store.writer().await?;
    let missing: Vec<Model> =
        models.iter().filter(|model| !writer.snapshot().has_model(model.id)).cloned().collect();
    if missing.is_empty() {
        note(&format!(
            "nothing to train: `{}` has all {} models of zoo `{}` that were asked for",
            store.location(),
            thousands(models.len() as u64),
            zoo.name()
        ));
        return Ok(());
    }
    let cores = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    let jobs = effort.jobs.unwrap_or(cores).min(NonZero::new(missing.len()).unwrap_or(cores));
    note(&format!(
        "training {} of {} models of zoo `{}` into `{}`, {jobs} at a time",
        thousands(missing.len() as u64),
        thousands(models.len() as u64),
        zoo.name(),
        store.location()
    ));
    let stop = Stop::default();
    let progress = Progress::new(missing.len(), zoo.epochs());
    let signals = tokio::spawn(stop_on_signals(stop.clone(), progress.clone()));
    let engine = train::fastest(zoo.arch(), dataset);
    let runner = Runner {
        engine: engine.as_ref(),
        arch: zoo.arch(),
        dataset,
        jobs,
        observer: &progress,
        stop: &stop,
    };
    // Training is computation: it must not hold up the runtime.
    let (outcome, counts) = tokio::task::block_in_place(|| {
        let mut sink = StoreSink::new(writer, Duration::from_secs(effort.commit_after));
        let trained = runner.run(&missing, &mut sink);
        // What was finished is kept, whatever ended the run; if it cannot be,
        // that is the news.
        let kept = sink.commit();
        (kept.and(trained), sink.counts)
    });
    signals.abort();
    // The handlers stay; what follows training has nothing to finish.
    tokio::spawn(async {
        signal::stopped().await;
        signal::quit();
    });
    let took = progress.finish();
    note(&counts.summary(missing.len(), took));
    outcome.map_err(|error| match error.kind() {
        Kind::Interrupted => {
            Error::new(Kind::Interrupted, "interrupted before all models were trained")
                .with_hint("run the same command again to go on")
        }
        _ => error,
    })
}

/// Turns the first Ctrl-C or SIGTERM into a request to stop; the second one ends
/// the process at once.
async fn stop_on_signals(stop: Stop, progress: Progress) {
    signal::stopped().await;
    stop.request();
    progress.note("stopping: finished models are being kept; once more stops at once");
    signal::stopped().await;
    signal::quit();
}

/// Collects finished models and commits them in batches.
struct StoreSink {
    writer: Writer,
    waiting: Vec<Trained>,
    waiting_bytes: usize,
    since: Instant,
    commit_after: Duration,
    counts: Counts,
}

/// What became of the models of a run.
#[derive(Default)]
struct Counts {
    added: usize,
    already_there: usize,
    diverged: usize,
}

impl StoreSink {
    fn new(writer: Writer, commit_after: Duration) -> Self {
        Self {
            writer,
            waiting: Vec::new(),
            waiting_bytes: 0,
            since: Instant::now(),
            commit_after,
            counts: Counts::default(),
        }
    }

    fn commit(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let commit = Handle::current().block_on(self.writer.commit(&self.waiting, "train"))?;
        self.counts.added += commit.added;
        self.counts.already_there += commit.already_there;
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }
}

impl Sink for StoreSink {
    fn accept(&mut self, trained: Trained) {
        if self.waiting.is_empty() {
            self.since = Instant::now();
        }
        self.counts.diverged += usize::from(trained.status() == Status::Diverged);
        self.waiting_bytes += trained.weight_bytes();
        self.waiting.push(trained);
    }

    fn tick(&mut self) -> Result<()> {
        if self.waiting_bytes >= COMMIT_BYTES || self.since.elapsed() >= self.commit_after {
            self.commit()?;
        }
        Ok(())
    }
}

impl Counts {
    fn summary(&self, missing: usize, took: Duration) -> String {
        let mut text = format!(
            "trained and stored {} of {} models in {:.1} s",
            thousands(self.added as u64),
            thousands(missing as u64),
            took.as_secs_f64()
        );
        if self.diverged > 0 {
            text += &format!("; {} diverged", thousands(self.diverged as u64));
        }
        if self.already_there > 0 {
            text += &format!("; {} stored by another writer", thousands(self.already_there as u64));
        }
        text
    }
}
