//! `zoolake train`: what a store lacks of a zoo.

use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::checkpoint::Checkpoint;
use super::demand;
use super::device::Hardware;
use super::display::{bytes, thousands};
use super::ending::{Ending, TimeLimit, interrupted};
use super::place::{Cloud, DataFolder};
use super::progress::{Progress, ProgressFormat, note};
use super::shard::ShardArgument;
use super::store_sink::StoreSink;
use super::weights::Weights;
use super::{duration, env_vars, stdout::print};
use crate::dataset::{self, Dataset, Info};
use crate::error::{Error, Kind, Result, nearest};
use crate::store::{Snapshot, Store, WeightEncoding};
use crate::train::{Calibration, Engine, Runner, Workplace};
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
    pub(super) time_limit: Option<TimeLimit>,

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
        jobs.min(NonZero::new(models).unwrap_or(NonZero::<usize>::MIN))
    }
}

impl Train {
    pub(super) async fn run(self) -> Result<()> {
        let zoo = load(&self.spec)?;
        let mut models = zoo.first_models(self.limit.map_or(usize::MAX, NonZero::get));
        if let Some(shard) = self.shard {
            models = shard.resolve()?.of(models);
        }
        // Before the store: what cannot be trained must not leave an empty one.
        let info = dataset::info(zoo.dataset(), Some(&self.data.dir))?;
        zoo.arch().check_classes(&info.name, info.classes)?;
        if self.dry_run {
            return self.explain(&zoo, &models, &info).await;
        }
        if models.is_empty() {
            note(&format!("nothing to train: this part of zoo `{}` has no models", zoo.name()));
            return Ok(());
        }
        let ending = Ending::watch(self.effort.time_limit);
        let engine = self.hardware.engine(zoo.arch())?;
        // Reading images is computation, too.
        let dataset = tokio::task::block_in_place(|| {
            dataset::load(zoo.dataset(), zoo.arch().input(), Some(&self.data.dir))
        })?;
        let store = self
            .weights
            .open_or_create(&self.cloud, &self.store, WeightEncoding::default())
            .await?;
        let workplace = self.checkpoint.workplace(&store);
        Training {
            zoo: &zoo,
            models: &models,
            dataset: &dataset,
            engine: engine.as_ref(),
            store: &store,
            workplace: workplace.as_ref(),
            effort: &self.effort,
            ending,
        }
        .run()
        .await
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
            Calibration::default().seconds(engine, zoo.arch(), &to_train, info.sizes, jobs)
        })?;
        let at_least = self.checkpoint.at_least();
        let memory = demand::memory(zoo, info, engine, &to_train, jobs, at_least);
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
            bytes(memory),
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

/// A run: what is trained, on what, how, and where it is kept.
pub(super) struct Training<'a> {
    pub(super) zoo: &'a Zoo,
    pub(super) models: &'a [Model],
    pub(super) dataset: &'a Dataset,
    pub(super) engine: &'a dyn Engine,
    pub(super) store: &'a Store,
    pub(super) workplace: Option<&'a Workplace>,
    pub(super) effort: &'a Effort,
    pub(super) ending: Ending,
}

impl Training<'_> {
    /// Trains what the store lacks of the models, until done or interrupted.
    pub(super) async fn run(self) -> Result<()> {
        let Self { zoo, models, dataset, engine, store, workplace, effort, ending } = self;
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
            ending.conclude();
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
        ending.begin(progress.clone());
        let reports = tokio::spawn(progress.clone().report());
        let (arch, observer, stop) = (zoo.arch(), &progress, &ending.stop);
        let runner = Runner { engine, arch, dataset, jobs, workplace, observer, stop };
        let commit_after = Duration::from_secs(effort.commit_after);
        let mut sink =
            StoreSink::new(writer, commit_after, missing.len(), progress.clone(), ending.clone());
        // Training is computation: it must not hold up the runtime.
        let outcome = tokio::task::block_in_place(|| {
            let trained = runner.run(&missing, &mut sink);
            // What was finished is kept, whatever ended the run; if it cannot be,
            // that is the news.
            let kept = sink.commit();
            sink.conclude();
            kept.and(trained)
        });
        reports.abort();
        ending.conclude();
        outcome.map_err(|error| match error.kind() {
            Kind::Interrupted => interrupted(),
            _ => error,
        })
    }
}

/// Models in training at the same time, if nothing else is said.
pub(super) fn cores() -> NonZero<usize> {
    std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}
