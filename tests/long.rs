//! Long models: what an interrupted one leaves on disk, and that it ends as if
//! nothing had been.

use std::cell::Cell;
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;
use zoolake::arch::Arch;
use zoolake::dataset::{Augment, Dataset};
use zoolake::store::{Location, Snapshot, Store, Table};
use zoolake::train::{
    CandleEngine, Engine, Metrics, Network, Observer, Runner, State, Stop, Trained, Weights,
    Workplace, train_model,
};
use zoolake::zoo::{Hyper, Model, Zoo};
use zoolake::{Error, Kind, Result};

use crate::fixture::{Blind, Kept, small_spec};

const EPOCHS: usize = 4;

/// A model whose draws, moments and steps all matter.
fn zoo(optimizer: &str) -> Zoo {
    let spec = small_spec("long", 1).replace("epochs = 1", &format!("epochs = {EPOCHS}"));
    let spec = spec.replace("\"adam\"", &format!("\"{optimizer}\""));
    Zoo::from_toml(&(spec + "dropout = 0.2\nscheduler = \"one_cycle\"\n")).unwrap()
}

/// The digits, fewer of them, augmented.
fn dataset(zoo: &Zoo) -> Dataset {
    let mut dataset = zoolake::dataset::load("digits", zoo.arch().input(), None).unwrap();
    dataset.augment = Some(Augment::CropFlip { pad: 1 });
    let size: usize = dataset.shape.iter().product();
    let Dataset { train, val, test, .. } = &mut dataset;
    for split in [Some(train), val.as_mut(), Some(test)].into_iter().flatten() {
        split.images.truncate(64 * size);
        split.labels.truncate(64);
    }
    dataset
}

/// What is told of a model.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Observer for Told {
    fn epoch_finished(&self, _model: &Model, epoch: usize) {
        self.0.lock().unwrap().push(format!("{epoch}"));
    }

    fn resumed(&self, _model: &Model, epoch: usize) {
        self.0.lock().unwrap().push(format!("after {epoch}"));
    }

    fn distrusted(&self, _model: &Model, problem: &Error) {
        self.0.lock().unwrap().push(format!("{:?}", problem.kind()));
    }
}

/// A model to train, and where.
struct Site {
    zoo: Zoo,
    model: Model,
    dataset: Dataset,
    folder: TempDir,
    workplace: Workplace,
    told: Told,
}

impl Site {
    fn new(optimizer: &str) -> Self {
        let zoo = zoo(optimizer);
        let (model, dataset) = (zoo.models().remove(0), dataset(&zoo));
        let folder = tempfile::tempdir().unwrap();
        let workplace = Workplace::new(folder.path(), 0);
        Self { zoo, model, dataset, folder, workplace, told: Told::default() }
    }

    /// Trains until `stop_after` batches and epochs have begun.
    fn train(&self, workplace: Option<&Workplace>, stop_after: usize) -> Result<Trained> {
        let asked = Cell::new(0);
        let should_stop = || asked.replace(asked.get() + 1) == stop_after;
        let engine = CandleEngine::cpu();
        let (arch, Self { dataset, model, told, .. }) = (self.zoo.arch(), self);
        train_model(&engine, arch, dataset, model, workplace, told, &should_stop)
    }

    fn interrupt(&self, stop_after: usize) {
        let error = self.train(Some(&self.workplace), stop_after).unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
    }

    fn finish(&self) -> Trained {
        self.train(Some(&self.workplace), usize::MAX).unwrap()
    }

    fn whole(&self) -> Trained {
        self.train(None, usize::MAX).unwrap()
    }

    fn desk(&self) -> PathBuf {
        self.folder.path().join(self.model.id.to_string())
    }
}

/// Everything but the time it took, as bits.
fn bits(trained: &Trained) -> Vec<(usize, Vec<u64>, Vec<u32>)> {
    let of_state = |state: &State| {
        let metrics = [Some(state.train), state.val, Some(state.test)].into_iter().flatten();
        let metrics = metrics.flat_map(|Metrics { loss, accuracy }| [loss, accuracy]);
        let weights = state.weights.read().unwrap();
        let weights = weights.iter().map(|weight| weight.to_bits()).collect();
        (state.epoch, metrics.map(f64::to_bits).collect(), weights)
    };
    trained.states.iter().map(of_state).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// 64 images are seven batches of ten, with one question before each, and one
/// before each epoch.
#[test]
fn a_model_that_is_interrupted_anywhere_ends_as_if_it_had_not_been() {
    // Every file is synced, which takes its time: one of the two in fewer places.
    for (optimizer, every) in [("adam", 2), ("sgd", 7)] {
        let site = Site::new(optimizer);
        let whole = bits(&site.whole());
        for stop_after in (0..1 + EPOCHS * 8).step_by(every) {
            site.interrupt(stop_after);
            let trained = site.finish();
            assert_eq!(bits(&trained), whole, "{optimizer}, stopped after {stop_after}");
            trained.discard();
        }
    }
}

#[test]
fn a_model_may_be_interrupted_again_and_again() {
    let site = Site::new("adam");
    let whole = bits(&site.whole());
    site.told.take();
    // An epoch takes eight questions: each run finishes one and loses one.
    for epoch in 0..EPOCHS - 1 {
        site.interrupt(if epoch == 0 { 10 } else { 12 });
    }
    assert_eq!(bits(&site.finish()), whole);
    let told = site.told.take();
    assert_eq!(told, ["0", "1", "after 1", "2", "after 2", "3", "after 3", "4"]);
    // Killed before the commit, it is not trained again.
    assert_eq!(bits(&site.finish()), whole);
    assert_eq!(site.told.take(), ["after 4"]);
}

#[test]
fn states_are_on_disk_until_they_are_discarded() {
    let site = Site::new("adam");
    let trained = site.finish();
    assert!(trained.states.iter().all(|state| matches!(state.weights, Weights::Kept(_))));
    assert_eq!(trained.weight_bytes(), (EPOCHS + 1) * 2464 * 4);
    let states = (0..=EPOCHS).map(|epoch| format!("{epoch:05}.state"));
    let memories = [EPOCHS - 1, EPOCHS].map(|epoch| format!("{epoch:05}.memory"));
    let mut expected: Vec<String> = states.chain(memories).chain(["lock".to_owned()]).collect();
    expected.sort_unstable();
    assert_eq!(names(&site.desk()), expected);
    trained.discard();
    assert!(!site.desk().exists());
}

#[test]
fn a_short_model_leaves_nothing_on_disk() {
    let site = Site::new("adam");
    let workplace = Workplace::new(site.folder.path(), Workplace::LONG);
    let trained = site.train(Some(&workplace), usize::MAX).unwrap();
    assert!(trained.states.iter().all(|state| matches!(state.weights, Weights::Held(_))));
    assert_eq!(names(site.folder.path()), [""; 0]);
}

/// Something happens to a file of a desk.
type Damage = fn(&Path);

const DAMAGE: [(&str, Damage); 4] = [
    ("is lost", |path| fs::remove_file(path).unwrap()),
    ("is empty", |path| fs::write(path, "").unwrap()),
    ("is cut", |path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("is altered", |path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    }),
];

#[test]
fn what_is_damaged_is_not_trusted() {
    let site = Site::new("sgd");
    let whole = bits(&site.whole());
    let files: Vec<String> = {
        site.interrupt(1 + 3 * 8);
        names(&site.desk()).into_iter().filter(|name| name != "lock").collect()
    };
    assert_eq!(files.len(), 6, "states 0 to 3 and two memories: {files:?}");
    for (what, damage) in DAMAGE {
        for name in &files {
            fs::remove_dir_all(site.desk()).unwrap();
            site.interrupt(1 + 3 * 8);
            site.told.take();
            damage(&site.desk().join(name));
            assert_eq!(bits(&site.finish()), whole, "{name} {what}");
            let told = site.told.take();
            let distrusted =
                told.first().is_some_and(|told| told == "Corrupt" || told == "NotFound");
            // The spare memory is not looked at, and without its last one a desk
            // looks like that of a process killed before it wrote it.
            let unnoticed = name == "00002.memory" || (name == "00003.memory" && what == "is lost");
            assert_eq!(distrusted, !unnoticed, "{name} {what}: {told:?}");
            let resumed = match name.as_str() {
                "00002.memory" => "after 3",
                "00003.memory" | "00003.state" => "after 2",
                _ => "0",
            };
            assert!(told.iter().any(|told| told == resumed), "{name} {what}: {told:?}");
        }
    }
}

/// A file that cannot be opened or read just now, as a link to itself and a folder
/// cannot, may be whole: nothing is trained again for it.
#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_not_given_up() {
    let site = Site::new("sgd");
    let whole = bits(&site.whole());
    site.interrupt(1 + 3 * 8);
    let aside = site.folder.path().join("aside");
    let unreadable: [Damage; 2] = [
        |path| std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap(),
        |path| fs::create_dir(path).unwrap(),
    ];
    for name in ["00001.state", "00003.memory"] {
        let path = site.desk().join(name);
        fs::rename(&path, &aside).unwrap();
        for obstruct in unreadable {
            obstruct(&path);
            let error = site.train(Some(&site.workplace), usize::MAX).unwrap_err();
            assert_eq!(error.kind(), Kind::Unavailable);
            assert!(error.to_string().contains(name), "{error}");
            fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
        }
        fs::rename(&aside, &path).unwrap();
    }
    site.told.take();
    assert_eq!(bits(&site.finish()), whole);
    assert_eq!(site.told.take(), ["after 3", "4"]);
}

#[test]
fn half_a_file_of_a_killed_process_does_no_harm() {
    let site = Site::new("adam");
    let whole = bits(&site.whole());
    site.interrupt(1 + 8);
    fs::write(site.desk().join("00002.state.new"), "half").unwrap();
    assert_eq!(bits(&site.finish()), whole);
    assert!(!names(&site.desk()).contains(&"00002.state.new".to_owned()));
}

/// Candle under another name.
struct Other(CandleEngine);

impl Engine for Other {
    fn name(&self) -> &'static str {
        "other"
    }

    fn network<'a>(
        &'a self,
        arch: &'a Arch,
        hyper: &'a Hyper,
        dataset: &'a Dataset,
        weights: &[f32],
    ) -> Result<Box<dyn Network + 'a>> {
        self.0.network(arch, hyper, dataset, weights)
    }
}

#[test]
fn another_engine_does_not_go_on_with_a_model() {
    let site = Site::new("adam");
    let whole = bits(&site.whole());
    site.interrupt(1 + 2 * 8);
    site.told.take();
    let (engine, workplace) = (Other(CandleEngine::cpu()), Some(&site.workplace));
    let Site { dataset, model, told, zoo, .. } = &site;
    let trained =
        train_model(&engine, zoo.arch(), dataset, model, workplace, told, &|| false).unwrap();
    assert_eq!(bits(&trained), whole);
    assert_eq!(told.take(), ["Corrupt", "0", "1", "2", "3", "4"]);
}

#[test]
fn a_model_is_trained_by_one_process_at_a_time() {
    let spec = small_spec("shared", 3);
    let zoo = Zoo::from_toml(&spec).unwrap();
    let dataset = dataset(&zoo);
    let folder = tempfile::tempdir().unwrap();
    let workplace = Workplace::new(folder.path(), 0);
    let run = |models: &[Model]| {
        let runner = Runner {
            engine: &CandleEngine::cpu(),
            arch: zoo.arch(),
            dataset: &dataset,
            jobs: NonZero::<usize>::MIN,
            workplace: Some(&workplace),
            observer: &Blind,
            stop: &Stop::default(),
        };
        let mut kept = Kept::default();
        let outcome = runner.run(models, &mut kept);
        (outcome, kept.0)
    };
    let models = zoo.models();
    let (outcome, elsewhere) = run(&models[1..2]);
    outcome.unwrap();
    let (outcome, ours) = run(&models);
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(error.to_string(), "model `shared/00001`: another process is training it");
    let names: Vec<&str> = ours.iter().map(|trained| trained.model.name.as_str()).collect();
    assert_eq!(names, ["shared/00000", "shared/00002"]);
    // Given up without a commit, it is free, and what is finished serves.
    drop(elsewhere);
    let (outcome, ours) = run(&models[1..2]);
    outcome.unwrap();
    assert_eq!(ours.len(), 1);
}

#[tokio::test]
async fn what_was_kept_on_disk_is_committed_from_there() {
    let site = Site::new("adam");
    let whole = Store::open_or_create(Location::memory()).await.unwrap();
    whole.writer().await.unwrap().commit(&[site.whole()], "train").await.unwrap();
    let store = Store::open_or_create(Location::memory()).await.unwrap();
    let mut writer = store.writer().await.unwrap();

    // Damage that happens in between is found, and nothing half is visible.
    let trained = site.finish();
    DAMAGE[3].1(&site.desk().join("00002.state"));
    let error = writer.commit(&[trained], "train").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains("00002.state"), "{error}");
    assert_eq!(store.snapshot().await.unwrap().num_models(), 0);
    assert_eq!(store.verify().await.unwrap().unreferenced, 0);

    let trained = site.finish();
    writer.commit(std::slice::from_ref(&trained), "train").await.unwrap();
    let sha256 = |snapshot: &Snapshot| {
        let file = snapshot.files().find(|file| matches!(file.table, Table::Weights(_)));
        file.unwrap().sha256.clone()
    };
    let snapshot = store.snapshot().await.unwrap();
    let expected = sha256(&whole.snapshot().await.unwrap());
    assert_eq!(sha256(&snapshot), expected, "the same bytes as from memory");

    // The process is killed before it clears the desk: the next one does.
    drop(trained);
    assert!(site.desk().exists());
    site.workplace.tidy(|_| false);
    assert!(site.desk().exists());
    site.workplace.tidy(|id| snapshot.has_model(id));
    assert!(!site.desk().exists());
}
