//! Zoos for tests: synthetic ones, whose numbers can be told by hand, and a
//! small one that is really trained.

use std::num::NonZero;
use std::sync::atomic::{AtomicU32, Ordering};

use object_store::ObjectStoreExt;
use object_store::path::Path;
use zoolake::arch::Arch;
use zoolake::store::{CloudOptions, Location, Store};
use zoolake::train::{CandleEngine, Metrics, Observer, Runner, Sink, State, Stop, Trained};
use zoolake::zoo::{Activation, Hyper, Init, Model, Optimizer, Scheduler, Zoo};

/// Model `index` of a synthetic zoo, with states 0 to `epochs`. Weight `i` of
/// model `m` at epoch `e` is `(m + 1) (e + 1) i / 1024`: exact in `f32`.
pub(crate) fn synthetic(index: u32, epochs: usize) -> Trained {
    synthetic_of("synthetic", "cnn_s", index, epochs)
}

/// The same model in another zoo, of another architecture.
pub(crate) fn synthetic_of(zoo: &str, arch: &'static str, index: u32, epochs: usize) -> Trained {
    let activations = [Activation::Tanh, Activation::Relu];
    let hyper = Hyper {
        activation: activations[index as usize % 2],
        init: Init::Uniform,
        optimizer: if index % 4 < 2 { Optimizer::Adam } else { Optimizer::Sgd },
        scheduler: Scheduler::Constant,
        lr: 1e-3,
        weight_decay: 0.0,
        dropout: 0.0,
        momentum: 0.9,
        batch_size: 10,
        epochs,
        seed: u64::from(index),
    };
    let model = Model::new(zoo, index as usize, "digits", arch, hyper);
    let size = Arch::by_name(arch).unwrap().layout().size();
    let states = (0..=epochs).map(|epoch| {
        let factor = f64::from(index + 1) * (epoch + 1) as f64;
        State {
            epoch,
            train: Metrics { loss: 2.0 / factor, accuracy: (0.25 * factor).min(1.0) },
            val: None,
            test: Metrics { loss: 4.0 / factor, accuracy: (0.125 * factor).min(1.0) },
            weights: (0..size)
                .map(|i| (factor * i as f64 / 1024.0) as f32)
                .collect::<Vec<_>>()
                .into(),
            seconds: 1.0,
        }
    });
    Trained { states: states.collect(), model }
}

/// Models `indices` of the synthetic zoo with three epochs.
pub(crate) fn synthetics(indices: std::ops::Range<u32>) -> Vec<Trained> {
    indices.map(|index| synthetic(index, 3)).collect()
}

/// A new, empty place for a store: in memory, or below the URL that
/// `ZOOLAKE_TEST_STORE` names.
pub(crate) fn new_place() -> Location {
    static PLACES: AtomicU32 = AtomicU32::new(0);
    let Ok(url) = std::env::var("ZOOLAKE_TEST_STORE") else { return Location::memory() };
    let place = PLACES.fetch_add(1, Ordering::Relaxed);
    let url = format!("{url}/{}-{place}", std::process::id());
    Location::new(&url, &CloudOptions::default()).unwrap()
}

/// A store with synthetic models `0..4`, in two commits.
pub(crate) async fn synthetic_store() -> Store {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    writer.commit(&synthetics(0..3), "train").await.unwrap();
    writer.commit(&synthetics(3..4), "train").await.unwrap();
    store
}

/// A specification that trains in a second: `models` models of one epoch.
pub(crate) fn small_spec(name: &str, models: usize) -> String {
    format!(
        "name = \"{name}\"\ndataset = \"digits\"\narch = \"cnn_s\"\nepochs = 1\n\
         seeds = {{ from = 1, to = {models} }}\n[hyper]\nactivation = \"tanh\"\n\
         init = \"kaiming_uniform\"\noptimizer = \"adam\"\nlr = 1e-3\n"
    )
}

/// Keeps finished models.
#[derive(Default)]
pub(crate) struct Kept(pub(crate) Vec<Trained>);

impl Sink for Kept {
    fn accept(&mut self, trained: Trained) {
        self.0.push(trained);
    }

    fn tick(&mut self) -> zoolake::Result<()> {
        Ok(())
    }
}

/// Does not look.
pub(crate) struct Blind;

impl Observer for Blind {
    fn epoch_finished(&self, _model: &Model, _epoch: usize) {}
}

/// Trains every model of `zoo`, `jobs` at a time; sorted by id.
pub(crate) fn train(zoo: &Zoo, jobs: usize) -> Vec<Trained> {
    let dataset = zoolake::dataset::load(zoo.dataset(), zoo.arch().input(), None).unwrap();
    let mut kept = Kept::default();
    let runner = Runner {
        engine: &CandleEngine::cpu(),
        arch: zoo.arch(),
        dataset: &dataset,
        jobs: NonZero::new(jobs).unwrap(),
        workplace: None,
        observer: &Blind,
        stop: &Stop::default(),
    };
    runner.run(&zoo.models(), &mut kept).unwrap();
    kept.0.sort_by_key(|trained| trained.model.id);
    kept.0
}

/// The log entry of commit `version`.
pub(crate) fn entry(version: u64) -> Path {
    Path::from(format!("log/{version:020}.json"))
}

/// Changes an object in JSON.
pub(crate) async fn edit(store: &Store, path: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    damage(store, path, |bytes| {
        let mut json = serde_json::from_slice(bytes).unwrap();
        change(&mut json);
        *bytes = json.to_string().into_bytes();
    })
    .await;
}

/// Replaces an object by what `change` makes of it.
pub(crate) async fn damage(store: &Store, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = store.objects().get(path).await.unwrap().bytes().await.unwrap().to_vec();
    change(&mut bytes);
    store.objects().put(path, bytes.into()).await.unwrap();
}
