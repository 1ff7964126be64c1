//! `zoolake train`: what a store lacks of a zoo.

use std::num::NonZero;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::checkpoint::Checkpoint;
use super::demand::{self, COMMIT_BYTES};
use super::device::Hardware;
use super::display::{bytes, thousands};
use super::ending::{Ending, TimeLimit};
use super::place::{Cloud, DataFolder};
use super::progress::{Progress, ProgressFormat, note};
use super::shard::ShardArgument;
use super::weights::Weights;
use super::{duration, env_vars, report, signal, stdout::print};
use crate::dataset::{self, Dataset, Info};
use crate::error::{Error, Kind, Result, nearest};
use crate::store::{Snapshot, Store, WeightEncoding, Writer};
use crate::train::{Calibration, Engine, Runner, Sink, Status, Trained, Workplace};
use crate::zoo::{Model, Zoo, published};

/// Train a zoo into a store
///
/// Models that the store has already are skipped, so running an interrupted
/// command again resumes it, and several processes may train one zoo. Ctrl-C and
/// SIGTERM end training cleanly, with exit code 75: every finished model is kept, and
/// so is every finished epoch of a model that trains for long.
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

    #[command(flatten)]
    weights: Weights,

    #[command(flatten)]
    data: DataFolder,

    #[command(flatten)]
    effort: Effort,

    #[command(flatten)]
    checkpoint: Checkpoint,

    #[command(flatten)]
    hardware: Hardware,

    /// Only the first N models of the grid
    #[arg(short, long, value_name = "N")]
    limit: Option<NonZero<usize>>,

    /// Only part I of N, from 1 to N; `auto` in a SLURM job array, `auto/N` in a Kubernetes
    /// indexed job of N completions
    ///
    /// The parts are disjoint, together complete, and of one size and one mixture; which models a
    /// part has depends on I, N and the grid alone.
    #[arg(long, value_name = "I/N")]
    shard: Option<ShardArgument>,

    /// Say what would be trained, how much it is and where it would go; do nothing
    #[arg(long)]
    dry_run: bool,
}

/// How much of the machine to use.
#[derive(Debug, Args)]
pub(super) struct Effort {
    /// Models, or on a GPU populations, to train at the same time [default: one per core, and one
    /// population]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZero<usize>>,

    /// Commit finished models at least this often, so that a killed process loses little
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    commit_after: u64,

    /// Stop cleanly before this much time has passed, such as `90m` or `2h30m`: with exit code 75,
    /// as after SIGTERM. Training is asked to stop when a tenth of the time is left, or a minute if
    /// that is less
    #[arg(long, value_name = "DURATION")]
    time_limit: Option<TimeLimit>,

    /// How to show progress, on standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "auto")]
    progress: ProgressFormat,
}

impl Effort {
    /// Models, or populations of them, in training at the same time, of so many
    /// models in all.
    fn jobs(&self, engine: &dyn Engine, models: usize) -> NonZero<usize> {
        // A population computes with all of its device.
        let most = if engine.together().is_some() { NonZero::<usize>::MIN } else { cores() };
        let jobs = self.jobs.unwrap_or(most);
        jobs.min(NonZero::new(models).unwrap_or(jobs))
    }
}

impl Train {
    pub(super) async fn run(self) -> Result<()> {
        let zoo = load(&self.spec)?;
        let mut models = zoo.models();
        models.truncate(self.limit.map_or(usize::MAX, NonZero::get));
        if let Some(shard) = self.shard {
            models = shard.resolve()?.of(models);
        }
        // Before the store: what cannot be trained must not leave an empty one.
        let info = dataset::info(zoo.dataset(), Some(&self.data.dir))?;
        zoo.arch().check_classes(&info.name, info.classes)?;
        if self.dry_run {
            return self.explain(&zoo, &models, &info).await;
        }
        let engine = self.hardware.engine(zoo.arch())?;
        let dataset = dataset::load(zoo.dataset(), zoo.arch().input(), Some(&self.data.dir))?;
        let store = self
            .weights
            .open_or_create(&self.cloud, &self.store, WeightEncoding::default())
            .await?;
        let workplace = self.checkpoint.workplace(&store);
        let (workplace, engine) = (workplace.as_ref(), engine.as_ref());
        train(&zoo, &models, &store, workplace, &dataset, engine, &self.effort).await
    }

    /// What a run would do, on stdout.
    async fn explain(&self, zoo: &Zoo, models: &[Model], info: &Info) -> Result<()> {
        let to_train = match self.cloud.open_if_any(&self.store).await? {
            Some(store) => missing(models, &store.snapshot().await?),
            None => models.to_vec(),
        };
        let engine = self.hardware.engine(zoo.arch())?;
        let engine = engine.as_ref();
        let jobs = self.effort.jobs(engine, to_train.len());
        let (all, missing) = (models.len() as u64, to_train.len() as u64);
        let layout = zoo.arch().layout();
        let states = zoo.epochs() as u64 + 1;
        let seconds = tokio::task::block_in_place(|| {
            demand::seconds(&mut Calibration::default(), engine, zoo, info, &to_train, jobs)
        })?;
        let text = format!(
            "zoo         {}\n\
             data set    {}: {}\n\
             arch        {}: {}\n\
             models      {}, of which {} are stored and {} are missing\n\
             epochs      {}, so {} states per model\n\
             parameters  {} per state\n\
             weights     {} for the missing models, before compression\n\
             time        about {} for the missing models, {jobs} at a time\n\
             memory      about {}\n\
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
            duration::show(seconds),
            bytes(demand::memory(zoo, info, jobs, self.checkpoint.at_least())),
            self.store,
        );
        print(&text)
    }
}

/// A specification from a file, or by name.
pub(super) fn load(spec: &str) -> Result<Zoo> {
    if let Some(zoo) = published().iter().find(|zoo| zoo.name == spec) {
        return zoo.zoo();
    }
    match std::fs::read_to_string(spec) {
        Ok(text) => Zoo::from_toml(&text).map_err(|error| error.context(spec)),
        Err(error) if !Path::new(spec).exists() => {
            let names: Vec<&str> = published().iter().map(|zoo| zoo.name).collect();
            let hint = match nearest(spec, &names) {
                Some(name) => format!("did you mean `{name}`? `zoolake zoos` lists all names"),
                None => "`zoolake zoos` lists the names".to_owned(),
            };
            Err(Error::not_found(format!("`{spec}` is neither a file nor the name of a zoo"))
                .with_hint(hint)
                .with_source(error))
        }
        Err(error) => Err(Error::invalid(format!("cannot read `{spec}`: {error}"))),
    }
}

/// Those of `models` that a store lacks.
fn missing(models: &[Model], snapshot: &Snapshot) -> Vec<Model> {
    models.iter().filter(|model| !snapshot.has_model(model.id)).cloned().collect()
}

/// Trains what `store` lacks of `models`, until done or interrupted.
pub(super) async fn train(
    zoo: &Zoo,
    models: &[Model],
    store: &Store,
    workplace: Option<&Workplace>,
    dataset: &Dataset,
    engine: &dyn Engine,
    effort: &Effort,
) -> Result<()> {
    let writer = store.writer().await?;
    if let Some(workplace) = workplace {
        workplace.tidy(|id| writer.snapshot().has_model(id));
    }
    let missing = missing(models, writer.snapshot());
    if missing.is_empty() {
        note(&format!(
            "nothing to train: `{}` has all {} models of zoo `{}` that were asked for",
            store.location(),
            thousands(models.len() as u64),
            zoo.name()
        ));
        return Ok(());
    }
    let populations = if engine.together().is_some() { " in populations" } else { "" };
    let jobs = effort.jobs(engine, missing.len());
    note(&format!(
        "training {} of {} models of zoo `{}` into `{}`{populations}, {jobs} at a time",
        thousands(missing.len() as u64),
        thousands(models.len() as u64),
        zoo.name(),
        store.location()
    ));
    let progress = Progress::new(effort.progress, zoo, missing.len(), dataset.train.len());
    let ending = Ending::default();
    let watches = [
        tokio::spawn(ending.clone().watch(effort.time_limit, progress.clone())),
        tokio::spawn(progress.clone().report()),
    ];
    let (arch, observer, stop) = (zoo.arch(), &progress, &ending.stop);
    let runner = Runner { engine, arch, dataset, jobs, workplace, observer, stop };
    // Training is computation: it must not hold up the runtime.
    let outcome = tokio::task::block_in_place(|| {
        let commit_after = Duration::from_secs(effort.commit_after);
        let mut sink =
            StoreSink::new(writer, commit_after, missing.len(), progress.clone(), ending.clone());
        let trained = runner.run(&missing, &mut sink);
        // What was finished is kept, whatever ended the run; if it cannot be,
        // that is the news.
        let kept = sink.commit();
        sink.conclude();
        kept.and(trained)
    });
    watches.iter().for_each(JoinHandle::abort);
    // The handlers stay; what follows training has nothing to finish.
    tokio::spawn(async {
        signal::stopped().await;
        signal::quit();
    });
    outcome.map_err(|error| match error.kind() {
        Kind::Interrupted => interrupted(),
        _ => error,
    })
}

/// Models in training at the same time, if nothing else is said.
pub(super) fn cores() -> NonZero<usize> {
    std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}

fn interrupted() -> Error {
    Error::new(Kind::Interrupted, "interrupted before all models were trained")
        .with_hint("run the same command again to go on")
}

/// Collects finished models and commits them in batches.
struct StoreSink {
    writer: Writer,
    waiting: Vec<Trained>,
    waiting_bytes: usize,
    since: Instant,
    commit_after: Duration,
    counts: Counts,
    /// Models to train in this run.
    wanted: usize,
    progress: Progress,
    ending: Ending,
}

/// What became of the models of a run.
#[derive(Default)]
struct Counts {
    added: usize,
    already_there: usize,
    diverged: usize,
}

impl StoreSink {
    fn new(
        writer: Writer,
        commit_after: Duration,
        wanted: usize,
        progress: Progress,
        ending: Ending,
    ) -> Self {
        Self {
            writer,
            waiting: Vec::new(),
            waiting_bytes: 0,
            since: Instant::now(),
            commit_after,
            counts: Counts::default(),
            wanted,
            progress,
            ending,
        }
    }

    /// Says what became of the run.
    fn conclude(&self) {
        let took = self.progress.finish();
        note(&self.counts.summary(self.wanted, took));
    }

    fn commit(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let commit = Handle::current().block_on(self.writer.commit(&self.waiting, "train"))?;
        self.counts.added += commit.added;
        self.counts.already_there += commit.already_there;
        self.waiting.drain(..).for_each(Trained::discard);
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
        if self.ending.is_overdue() {
            // Threads in the middle of a long epoch end with the process only.
            self.commit()?;
            self.conclude();
            report(&interrupted());
            signal::quit();
        }
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
