//! Looks at the store after every effect, and knows by itself what a store must be.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use futures::StreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use zoolake::arch::Arch;
use zoolake::store::{DataFile, Entry, Location, Snapshot, Store, Table};

use super::service::{Kind, at_once};

/// A state of the store, as the log tells it.
#[derive(Clone, Default, PartialEq)]
pub(super) struct State {
    files: BTreeMap<String, DataFile>,
    models: BTreeSet<i64>,
    /// The rows of each file of `results` and of `predictions`.
    told: BTreeMap<String, Vec<Told>>,
}

/// A row of `results` by its run, of which it is the only one; a row of `predictions` by its
/// model too.
type Told = (String, Option<i64>);

/// What is known of the store, and panics if it is not as it should be.
pub(super) struct Judge {
    /// The states after 0, 1, … commits.
    states: Vec<State>,
    /// Every model that was ever committed.
    pub(super) committed: BTreeSet<i64>,
    /// Files that commits removed, with the number of the commit.
    removed: Vec<(u64, String)>,
    /// Those that this commit removed, or one before it, may be gone.
    vacuumed: u64,
    /// How many of them have been seen to go.
    pub(super) vacuumed_files: u64,
    /// How many folded logs.
    pub(super) vacuumed_logs: u64,
}

impl Judge {
    /// Knows `objects` from their beginning.
    pub(super) fn new(objects: &InMemory) -> Self {
        let mut judge = Self {
            states: vec![State::default()],
            committed: BTreeSet::new(),
            removed: Vec::new(),
            vacuumed: 0,
            vacuumed_files: 0,
            vacuumed_logs: 0,
        };
        while at_once(objects.head(&judge.next_entry())).is_ok() {
            judge.follow(objects);
        }
        judge
    }

    /// The newest commit.
    pub(super) fn version(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    fn next_entry(&self) -> Path {
        Path::from(format!("log/{:020}.json", self.states.len()))
    }

    /// Before a request takes effect: what belongs to the store is never removed. The
    /// bytes that a put finds there.
    pub(super) fn before(&mut self, kind: Kind, path: &Path, objects: &InMemory) -> Option<Bytes> {
        match kind {
            Kind::Put => bytes(path, objects),
            Kind::Delete => {
                match folded(path) {
                    Some(version) => self.check_spent(version, objects),
                    None => self.check_dead(path),
                }
                None
            }
            Kind::PutCreate | Kind::Get | Kind::Head | Kind::List => None,
        }
    }

    /// After a request took effect, where `before` was. An object is never replaced by
    /// another: two copies may send the same.
    pub(super) fn after(
        &mut self,
        kind: Kind,
        path: &Path,
        before: Option<Bytes>,
        objects: &InMemory,
    ) {
        if let Some(before) = before {
            assert!(bytes(path, objects) == Some(before), "`{path}` is replaced");
        }
        if kind == Kind::PutCreate && *path == self.next_entry() {
            self.follow(objects);
        }
        if let Some(version) = number(path, ".vacuumed.json") {
            assert!(version <= self.version(), "`{path}` is of a later commit");
            self.vacuumed = self.vacuumed.max(version);
        }
        if matches!(kind, Kind::PutCreate | Kind::Delete) {
            self.open(objects);
        }
    }

    /// Reads the next log entry, which must follow from the state before.
    fn follow(&mut self, objects: &InMemory) {
        let path = self.next_entry();
        let bytes = at_once(at_once(objects.get(&path)).unwrap().bytes()).unwrap();
        let entry: Entry = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(entry.version, self.states.len() as u64, "`{path}`");
        let mut state = self.states.last().unwrap().clone();
        for path in &entry.remove {
            assert!(state.files.remove(path).is_some(), "`{path}` is removed and was not there");
            state.told.remove(path);
            self.removed.push((entry.version, path.clone()));
        }
        for file in &entry.add {
            let size = at_once(objects.head(&file.path.as_str().into())).map(|object| object.size);
            assert_eq!(size.ok(), Some(file.bytes), "`{}` is committed", file.path);
            let twice = state.files.insert(file.path.clone(), file.clone());
            assert!(twice.is_none(), "`{}` is committed twice", file.path);
            if matches!(file.table, Table::Results | Table::Predictions) {
                state.told.insert(file.path.clone(), told(&file.path.as_str().into(), objects));
            }
        }
        for model in &entry.dropped {
            assert!(state.models.remove(model), "model {model} is dropped and was not there");
        }
        for model in &entry.models {
            assert!(state.models.insert(*model), "model {model} is committed twice");
        }
        state.check();
        let before = self.states.last().unwrap();
        let lost = before.runs().find(|run| !state.runs().any(|other| other == *run));
        assert_eq!(lost, None, "is a run whose results are lost");
        self.committed.extend(&entry.models);
        self.states.push(state);
    }

    /// A data file may go if the newest state does not have it, and earlier ones that
    /// have it are marked as vacuumed.
    fn check_dead(&mut self, path: &Path) {
        assert!(path.as_ref().starts_with("data/"), "`{path}` is removed");
        let state = self.states.last().unwrap();
        assert!(!state.files.contains_key(path.as_ref()), "`{path}` is removed");
        let mut removed = self.removed.iter().rev();
        if let Some((by, _)) = removed.find(|(_, removed)| removed == path.as_ref()) {
            assert!(*by <= self.vacuumed, "`{path}` is removed without mark");
            self.vacuumed_files += 1;
        }
    }

    /// A folded log may go if every state that is read from it has lost files.
    fn check_spent(&mut self, version: u64, objects: &InMemory) {
        let log = at_once(objects.list(Some(&"log".into())).collect::<Vec<_>>());
        let others = log.iter().filter_map(|object| folded(&object.as_ref().unwrap().location));
        let next = others.filter(|other| *other > version).min().unwrap();
        let readable = (version..next).find(|version| !self.is_lost(*version));
        assert_eq!(readable, None, "is read from folded log {version}, which is removed");
        self.vacuumed_logs += 1;
    }

    /// Whether the state of this version has files that a vacuum may have removed.
    pub(super) fn is_lost(&self, version: u64) -> bool {
        let state = &self.states[usize::try_from(version).unwrap()];
        let behind = |by: u64| version < by && by <= self.vacuumed;
        self.removed.iter().any(|(by, path)| behind(*by) && state.files.contains_key(path))
    }

    /// A reader that opens the store now sees the newest state.
    fn open(&self, objects: &InMemory) {
        let location = Location::from_objects("judge", std::sync::Arc::new(objects.fork()));
        let snapshot = at_once(async { Store::open(location).await?.snapshot().await }).unwrap();
        assert_eq!(snapshot.version(), self.version());
        self.compare(&snapshot);
    }

    /// What a reader sees must be the state of its version, whole and alone.
    pub(super) fn compare(&self, snapshot: &Snapshot) {
        let version = snapshot.version();
        let state = &self.states[usize::try_from(version).unwrap()];
        assert!(
            snapshot.files().map(|file| &**file).eq(state.files.values()),
            "the files of version {version}"
        );
        assert_eq!(snapshot.num_models(), state.models.len(), "the models of version {version}");
        assert!(state.models.iter().all(|model| snapshot.has_model(*model)));
    }
}

impl State {
    /// The runs whose results it has.
    fn runs(&self) -> impl Iterator<Item = &str> {
        let results = self.told.values().flatten().filter(|(_, model)| model.is_none());
        results.map(|(run, _)| run.as_str())
    }

    /// Every model has its row, and every state its metrics and its weights; nothing is told
    /// twice, nor of a model that is not there.
    fn check(&self) {
        let rows = |of: fn(&Table) -> bool| -> u64 {
            self.files.values().filter(|file| of(&file.table)).map(|file| file.rows).sum()
        };
        assert_eq!(rows(|table| *table == Table::Models), self.models.len() as u64);
        let states = rows(|table| *table == Table::Epochs);
        assert_eq!(rows(|table| matches!(table, Table::Weights(_))), states);
        let archs = self.files.values().filter_map(|file| match &file.table {
            Table::Weights(arch) => Some(arch.as_str()),
            _ => None,
        });
        let tensors = |arch| Arch::by_name(arch).unwrap().layout().tensors().len() as u64;
        let tensors = archs.collect::<BTreeSet<_>>().into_iter().map(tensors).sum::<u64>();
        assert_eq!(rows(|table| *table == Table::Tensors), tensors, "layouts");
        let mut told = BTreeSet::new();
        for row in self.told.values().flatten() {
            assert!(told.insert(row), "{row:?} is there twice");
            assert!(row.1.is_none_or(|model| self.models.contains(&model)), "{row:?} is left");
        }
    }
}

/// The rows of a file of `results` or `predictions`.
fn told(path: &Path, objects: &InMemory) -> Vec<Told> {
    let bytes = bytes(path, objects).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
    let mut told = Vec::new();
    for batch in batches {
        let batch = batch.unwrap();
        let runs = batch.column_by_name("run").unwrap().as_string::<i32>().iter();
        let models = batch.column_by_name("model_id").map(|ids| ids.as_primitive::<Int64Type>());
        let model = |row: usize| models.map(|models| models.value(row));
        told.extend(runs.enumerate().map(|(row, run)| (run.unwrap().to_owned(), model(row))));
    }
    told
}

/// The number in the name of an object of the log.
fn number(path: &Path, suffix: &str) -> Option<u64> {
    path.as_ref().strip_prefix("log/")?.strip_suffix(suffix)?.parse().ok()
}

fn folded(path: &Path) -> Option<u64> {
    number(path, ".snapshot.json")
}

fn bytes(path: &Path, objects: &InMemory) -> Option<Bytes> {
    Some(at_once(at_once(objects.get(path)).ok()?.bytes()).unwrap())
}
