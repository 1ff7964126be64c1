//! Looks at the store after every effect, and knows by itself what a store must be.

use std::collections::{BTreeMap, BTreeSet};

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use zoolake::store::{DataFile, Entry, Location, Snapshot, Store, Table};

use super::service::{Kind, at_once};

/// A state of the store, as the log tells it.
#[derive(Clone, Default, PartialEq)]
pub(super) struct State {
    files: BTreeMap<String, DataFile>,
    models: BTreeSet<i64>,
}

/// What is known of the store, and panics if it is not as it should be.
pub(super) struct Judge {
    /// The states after 0, 1, … commits.
    states: Vec<State>,
    /// Every model that was ever committed.
    pub(super) committed: BTreeSet<i64>,
}

impl Judge {
    /// Knows `objects` from their beginning.
    pub(super) fn new(objects: &InMemory) -> Self {
        let mut judge = Self { states: vec![State::default()], committed: BTreeSet::new() };
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

    /// Before a request takes effect: objects are never replaced, and those that
    /// belong to the store are never removed.
    pub(super) fn before(&self, kind: Kind, path: &Path, objects: &InMemory) {
        let there = at_once(objects.head(path)).is_ok();
        match kind {
            Kind::Put => assert!(!there, "`{path}` is replaced"),
            Kind::Delete => {
                let state = self.states.last().unwrap();
                assert!(!state.files.contains_key(path.as_ref()), "`{path}` is removed");
                assert!(path.as_ref().starts_with("data/"), "`{path}` is removed");
            }
            Kind::PutCreate | Kind::Get | Kind::List => {}
        }
    }

    /// After a request took effect.
    pub(super) fn after(&mut self, kind: Kind, path: &Path, objects: &InMemory) {
        if kind == Kind::PutCreate && *path == self.next_entry() {
            self.follow(objects);
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
        }
        for file in &entry.add {
            let size = at_once(objects.head(&file.path.as_str().into())).map(|object| object.size);
            assert_eq!(size.ok(), Some(file.bytes), "`{}` is committed", file.path);
            let twice = state.files.insert(file.path.clone(), file.clone());
            assert!(twice.is_none(), "`{}` is committed twice", file.path);
        }
        for model in &entry.dropped {
            assert!(state.models.remove(model), "model {model} is dropped and was not there");
        }
        for model in &entry.models {
            assert!(state.models.insert(*model), "model {model} is committed twice");
        }
        state.check();
        self.committed.extend(&entry.models);
        self.states.push(state);
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
    /// Every model has its row, and every state its metrics and its weights.
    fn check(&self) {
        let rows = |of: fn(&Table) -> bool| -> u64 {
            self.files.values().filter(|file| of(&file.table)).map(|file| file.rows).sum()
        };
        assert_eq!(rows(|table| *table == Table::Models), self.models.len() as u64);
        let states = rows(|table| *table == Table::Epochs);
        assert_eq!(rows(|table| matches!(table, Table::Weights(_))), states);
    }
}
