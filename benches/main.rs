//! What users wait for: training, committing, scanning, grouping.
//!
//! `cargo bench` runs all of it; `docs/performance.md` holds the numbers and
//! what they are compared with. With `--steps …` it measures training once, for
//! `python/bench_training.py`, with `--sql …` a query over a store, for
//! `python/bench_scan.py` and others, with `--statistics …` one over vectors in
//! memory, for `python/bench_statistics.py`; `--noise DIR MODELS` makes a store of models
//! with random weights, 51 states each, for `python/bench_predict.py`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark that fails shall panic")]
#![expect(clippy::print_stdout, reason = "what is measured once is for a script")]

mod scan;
mod stats;
mod train;

use criterion::{Criterion, Throughput, criterion_group};
use tokio::runtime::Runtime;
use zoolake::arch::Arch;
use zoolake::sql::Session;
use zoolake::store::{CloudOptions, Location, Store};
use zoolake::train::{Metrics, Purpose, State, Stream, Trained};
use zoolake::zoo::{Activation, Hyper, Init, Model, Optimizer, Scheduler};

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn hyper(activation: Activation, dropout: f64, seed: u64) -> Hyper {
    Hyper {
        activation,
        init: Init::KaimingUniform,
        optimizer: Optimizer::Adam,
        scheduler: Scheduler::Constant,
        lr: 1e-3,
        weight_decay: 1e-3,
        dropout,
        momentum: 0.9,
        batch_size: 10,
        epochs: 50,
        seed,
    }
}

/// A model whose weights are random: what encoders make of noise is their floor.
fn noise(index: u64, epochs: usize) -> Trained {
    let arch = Arch::by_name("cnn_s").unwrap();
    let activation = Activation::ALL[index as usize % Activation::ALL.len()];
    let model =
        Model::new("noise", index as usize, "digits", arch.name(), hyper(activation, 0.0, index));
    let mut stream = Stream::new(index, Purpose::Init);
    let states = (0..=epochs).map(|epoch| State {
        epoch,
        train: Metrics { loss: 1.0, accuracy: f64::from(stream.uniform()) },
        val: None,
        test: Metrics { loss: 1.0, accuracy: f64::from(stream.uniform()) },
        weights: (0..arch.layout().size()).map(|_| stream.normal()).collect::<Vec<_>>().into(),
        seconds: 1.0,
    });
    Trained { states: states.collect(), model }
}

const MODELS: u64 = 200;
const EPOCHS: usize = 50;
const WEIGHT_BYTES: u64 = MODELS * (EPOCHS as u64 + 1) * 2464 * 4;

/// One commit of 50 MB of weights, durable on the local disk.
fn commit(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let trained: Vec<Trained> = (0..100).map(|index| noise(index, EPOCHS)).collect();
    let bytes: usize = trained.iter().map(Trained::weight_bytes).sum();
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(10).throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("local disk, 100 models", |bencher| {
        bencher.iter_with_large_drop(|| {
            let folder = tempfile::tempdir().unwrap();
            let place = Location::new(folder.path().to_str().unwrap(), &CloudOptions::default());
            runtime.block_on(async {
                let store = Store::open_or_create(place.unwrap()).await.unwrap();
                store.writer().await.unwrap().commit(&trained, "train").await.unwrap();
            });
            folder
        });
    });
    group.finish();
}

/// A store in the folder that is named, of so many models whose weights are random.
fn store_noise(arguments: &[String]) {
    let [folder, models] = arguments else { panic!("--noise DIR MODELS, not {arguments:?}") };
    let indices: Vec<u64> = (0..models.parse().unwrap()).collect();
    Runtime::new().unwrap().block_on(async {
        let place = Location::new(folder, &CloudOptions::default()).unwrap();
        let store = Store::open_or_create(place).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        for indices in indices.chunks(100) {
            let trained: Vec<Trained> = indices.iter().map(|index| noise(*index, EPOCHS)).collect();
            writer.commit(&trained, "train").await.unwrap();
        }
    });
}

/// Queries over 200 models of 51 states, in memory.
fn queries(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let session = runtime.block_on(async {
        let store = Store::open_or_create(Location::memory()).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        for batch in 0..4 {
            let models = batch * MODELS / 4..(batch + 1) * MODELS / 4;
            let trained: Vec<Trained> = models.map(|index| noise(index, EPOCHS)).collect();
            writer.commit(&trained, "train").await.unwrap();
        }
        Session::new(&store, &store.snapshot().await.unwrap()).await.unwrap()
    });
    let run = |sql: &str| {
        runtime.block_on(async { session.sql(sql).await.unwrap().collect().await.unwrap() })
    };
    let mut group = criterion.benchmark_group("scan");
    group.sample_size(10).throughput(Throughput::Bytes(WEIGHT_BYTES));
    group.bench_function("all weights", |bencher| {
        bencher.iter(|| run("SELECT * FROM weights_cnn_s"));
    });
    group.bench_function("all vectors, norm", |bencher| {
        bencher.iter(|| run("SELECT sum(vector_l2_norm(weights)) FROM vectors_cnn_s"));
    });
    group.finish();
    let mut group = criterion.benchmark_group("query");
    group.sample_size(20);
    for (name, sql) in [
        ("one tensor of all states", "SELECT \"conv1.weight\" FROM weights_cnn_s"),
        ("last epoch of all models", "SELECT * FROM weights_cnn_s WHERE epoch = 50"),
        (
            "accuracy by activation",
            "SELECT activation, avg(test_acc), stddev(test_acc) FROM states WHERE epoch = epochs GROUP BY activation",
        ),
        ("count", "SELECT count(*) FROM weights_cnn_s"),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| run(sql)));
    }
    group.finish();
}

criterion_group!(benches, train::training, commit, queries, stats::statistics);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let behind = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(&arguments[at + 1..])
    };
    if let Some(arguments) = behind("--steps") {
        train::measure(arguments);
    } else if let Some(arguments) = behind("--sql") {
        scan::measure(arguments);
    } else if let Some(arguments) = behind("--statistics") {
        stats::measure(arguments);
    } else if let Some(arguments) = behind("--noise") {
        store_noise(arguments);
    } else {
        benches();
        Criterion::default().configure_from_args().final_summary();
    }
}
