//! Peak memory on the way of one large model: in training, into a store, and back
//! through SQL; and of merging, thinning out and copying many files. What reads or changes a
//! store does so in a process of its own, since an allocator keeps what steps before took. One by
//! one, since a peak is the whole process's:
//!
//! ```sh
//! cargo test --release --test tests -- --ignored --nocapture memory --test-threads 1
//! ```

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;
use zoolake::Result;
use zoolake::arch::Arch;
use zoolake::dataset::{Dataset, Split};
use zoolake::sql::Session;
use zoolake::store::{CloudOptions, Location, Store};
use zoolake::train::{
    Draws, Engine, Memory, Metrics, Network, Purpose, Stream, Trained, Workplace, train_model,
};
use zoolake::zoo::{Activation, Hyper, Init, Model, Optimizer, Scheduler};

use crate::fixture::{Blind, synthetic};

const EPOCHS: usize = 60;

/// What training and storing may take, in MB: a few states of a ResNet-18, each of
/// 45 MB, or what one file of two of them is encoded from and into.
const LIMIT: usize = 550;

/// What a query may take: a state that is decoded, one that the caller holds, and the
/// pages that are at hand.
const QUERY_LIMIT: usize = 300;

/// What operations on a store may take: the rows of one file of 96 MiB, as they are
/// read and as they are decoded, what they are encoded into, and what the allocator
/// keeps of what the zoo was made with.
const OPERATION_LIMIT: usize = 600;

/// What verification may take beyond that: four files are read at a time, not one.
const MORE_FILES: usize = 300;

/// Trains nothing; its networks hold noise, which encoders can do least with.
struct Noise;

struct NoiseNetwork {
    stream: Stream,
    weights: Vec<f32>,
}

impl Engine for Noise {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn network<'a>(
        &'a self,
        _arch: &'a Arch,
        hyper: &'a Hyper,
        _dataset: &'a Dataset,
        weights: &[f32],
    ) -> Result<Box<dyn Network + 'a>> {
        let stream = Stream::new(hyper.seed, Purpose::Init);
        Ok(Box::new(NoiseNetwork { stream, weights: weights.to_vec() }))
    }
}

impl Network for NoiseNetwork {
    fn train_epoch(
        &mut self,
        _order: &[u32],
        _draws: &mut Draws,
        before_batch: &dyn Fn() -> Result<()>,
    ) -> Result<Metrics> {
        before_batch()?;
        let Self { stream, weights } = self;
        weights.iter_mut().for_each(|weight| *weight = stream.normal());
        Ok(Metrics { loss: 1.0, accuracy: 0.5 })
    }

    fn evaluate(&self, _split: &Split) -> Result<Metrics> {
        Ok(Metrics { loss: 1.0, accuracy: 0.5 })
    }

    fn weights(&self) -> Result<Vec<f32>> {
        Ok(self.weights.clone())
    }

    fn memory(&self) -> Result<Memory> {
        Ok(Memory { steps: 0, moments: vec![self.weights.clone(), self.weights.clone()] })
    }

    fn remember(&mut self, _memory: &Memory) -> Result<()> {
        Ok(())
    }
}

/// What is measured.
struct Step {
    name: &'static str,
    limit: usize,
    begun: Instant,
}

impl Step {
    fn begin(name: &'static str, limit: usize) -> Self {
        // Resets the peak.
        fs::write("/proc/self/clear_refs", "5").unwrap();
        Self { name, limit, begun: Instant::now() }
    }

    /// How long it took, and the most memory.
    fn end(self) -> String {
        let Self { name, limit, begun } = self;
        let seconds = begun.elapsed().as_secs_f64();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak / 1000 < limit, "{name}: {peak} kB");
        format!("{name:<30} {seconds:>6.1} s {:>6} MB", peak / 1000)
    }
}

fn model(arch: &Arch) -> Model {
    let hyper = Hyper {
        activation: Activation::Relu,
        init: Init::KaimingUniform,
        scheduler: Scheduler::Constant,
        optimizer: Optimizer::Adam,
        lr: 1e-3,
        weight_decay: 0.0,
        dropout: 0.0,
        momentum: 0.9,
        batch_size: 10,
        epochs: EPOCHS,
        seed: 1,
    };
    Model::new("noise", 0, "digits", arch.name(), hyper)
}

fn train(arch: &Arch, model: &Model, folder: &TempDir) -> Trained {
    let digits = zoolake::dataset::load("digits", arch.input(), None).unwrap();
    let split = || Split { images: Vec::new(), labels: Vec::new() };
    let dataset = Dataset { train: split(), val: None, test: split(), ..digits };
    let workplace = Workplace::new(folder.path().join("work"), 0);
    train_model(&Noise, arch, &dataset, model, Some(&workplace), &Blind, &|| false).unwrap()
}

#[tokio::test]
#[ignore = "takes minutes and 6 GB of disk"]
async fn a_large_model_takes_a_few_states_of_memory() {
    let arch = Arch::all().iter().max_by_key(|arch| arch.layout().num_params()).unwrap();
    let (model, folder) = (model(arch), tempfile::tempdir().unwrap());
    let bytes = arch.layout().num_params() * 4 * (EPOCHS + 1);
    println!("`{}`, {} states, {} MB of weights", arch.name(), EPOCHS + 1, bytes / 1_000_000);

    let step = Step::begin("train, every state on disk", LIMIT);
    let trained = train(arch, &model, &folder);
    println!("{}", step.end());
    let step = Step::begin("resume a finished one", LIMIT);
    drop(trained);
    let trained = train(arch, &model, &folder);
    println!("{}", step.end());
    let place = folder.path().join("store");
    let location = Location::new(place.to_str().unwrap(), &CloudOptions::default()).unwrap();
    let store = Store::open_or_create(location).await.unwrap();
    let step = Step::begin("commit", LIMIT);
    store.writer().await.unwrap().commit(&[trained], "train").await.unwrap();
    println!("{}", step.end());
    println!("{}", alone(&place, "verify", LIMIT, "verify", 0));
    let first = &arch.layout().tensors()[0].name;
    let largest = arch.layout().tensors().iter().max_by_key(|tensor| tensor.size).unwrap();
    for (name, sql, rows) in [
        (
            "mean of the first tensor",
            format!("SELECT epoch, vector_mean(\"{first}\") FROM weights"),
            EPOCHS + 1,
        ),
        (
            "mean of the largest tensor",
            format!("SELECT epoch, vector_mean(\"{}\") FROM weights", largest.name),
            EPOCHS + 1,
        ),
        ("one state", "SELECT * FROM weights LIMIT 1".to_owned(), 1),
        ("the last state", format!("SELECT * FROM weights WHERE epoch = {EPOCHS}"), 1),
        ("all states", "SELECT * FROM weights".to_owned(), EPOCHS + 1),
        ("all states as vectors", "SELECT * FROM vectors".to_owned(), EPOCHS + 1),
        (
            "norms of all states",
            "SELECT epoch, vector_l2_norm(weights) FROM vectors".to_owned(),
            EPOCHS + 1,
        ),
    ] {
        let sql = sql.replace("FROM weights", &format!("FROM weights_{}", arch.name()));
        let sql = sql.replace("FROM vectors", &format!("FROM vectors_{}", arch.name()));
        println!("{}", alone(&place, name, QUERY_LIMIT, &sql, rows));
    }
    let beside = format!("SELECT * FROM vectors_{} JOIN models USING (model_id)", arch.name());
    println!("{}", alone(&place, "all states beside their model", LIMIT, &beside, EPOCHS + 1));
}

/// Does what is `asked` of the store in `place` in a process of its own, which must not take
/// more memory than the limit: `verify`, `compact`, `drop` (of the zoo `odd`), or a query that
/// yields so many rows. Says how long it took, and the most memory.
fn alone(place: &Path, name: &str, limit: usize, asked: &str, rows: usize) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "memory::what_another_process_asks", "--ignored", "--nocapture"])
        .envs([("STEP_NAME", name), ("STEP_ASKED", asked), ("STEP_LIMIT", &limit.to_string())])
        .env("STEP_PLACE", place)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find(|line| line.contains(" MB, ")).unwrap();
    assert!(line.ends_with(&format!(", {rows} rows")), "{line}");
    line.to_owned()
}

#[tokio::test]
#[ignore = "started by the others"]
async fn what_another_process_asks() {
    let Ok(place) = std::env::var("STEP_PLACE") else { return };
    let [name, asked, limit] =
        ["NAME", "ASKED", "LIMIT"].map(|what| std::env::var(format!("STEP_{what}")).unwrap());
    let location = Location::new(&place, &CloudOptions::default()).unwrap();
    let store = Store::open(location).await.unwrap();
    let step = Step::begin(name.leak(), limit.parse().unwrap());
    let mut count = 0;
    match asked.as_str() {
        "verify" => assert_eq!(store.verify().await.unwrap().findings, []),
        "compact" => assert!(store.compact(&|_| {}).await.unwrap().files_before > 0),
        "drop" => assert!(store.drop_zoo("odd").await.unwrap().models > 0),
        sql => {
            let session = Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap();
            let mut rows = session.sql(sql).await.unwrap();
            while let Some(batch) = rows.next().await.unwrap() {
                count += batch.num_rows();
            }
        }
    }
    println!("{}, {count} rows", step.end());
}

/// 1.2 GB of weights in 60 commits of two zoos.
#[tokio::test]
#[ignore = "takes a minute and 5 GB of disk"]
async fn operations_take_the_memory_of_a_few_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = async |name: &str| {
        let place = folder.path().join(name);
        let location = Location::new(place.to_str().unwrap(), &CloudOptions::default()).unwrap();
        Store::open_or_create(location).await.unwrap()
    };
    let source = store("source").await;
    let mut writer = source.writer().await.unwrap();
    let mut stream = Stream::new(1, Purpose::Init);
    for commit in 0..60_u32 {
        let noisy = (5 * commit..5 * commit + 5).map(|index| {
            let mut trained = synthetic(index, 400);
            let zoo = ["even", "odd"][index as usize % 2];
            let hyper = trained.model.hyper.clone();
            trained.model = Model::new(zoo, index as usize, "digits", "cnn_s", hyper);
            for state in &mut trained.states {
                let size = state.weights.read().unwrap().len();
                state.weights = (0..size).map(|_| stream.normal()).collect::<Vec<_>>().into();
            }
            trained
        });
        writer.commit(&noisy.collect::<Vec<_>>(), "train").await.unwrap();
    }
    drop(writer);
    let place = folder.path().join("source");
    println!("{}", alone(&place, "compact", OPERATION_LIMIT, "compact", 0));
    let target = store("target").await;
    let step = Step::begin("copy", 5 * OPERATION_LIMIT);
    source.copy_to(&target, &source.snapshot().await.unwrap(), &|_| {}).await.unwrap();
    println!("{}", step.end());
    println!("{}", alone(&place, "drop half of every file", OPERATION_LIMIT, "drop", 0));
    println!("{}", alone(&place, "verify", OPERATION_LIMIT + MORE_FILES, "verify", 0));
}
