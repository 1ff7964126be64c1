//! What others do while a log entry is on its way, each of which makes it another one.

use std::sync::Arc;

use object_store::path::Path;
use zoolake::store::{Location, Simulation, Snapshot, Store, Table};

use super::operation::{Operation, after};
use super::service::{Fate, Kind, Passage, Service, at_once};

/// The store on which `before` and then `operation` was done, but `other` when the entry of
/// this was under way.
fn meanwhile<const N: usize>(
    before: [Operation; N],
    operation: &Operation,
    other: Operation,
) -> Snapshot {
    let service = Service::new(after(before));
    let _simulation = Simulation::begin(1);
    let (direct, mut other) = (service.direct(), Some(other));
    let network = move |kind: Kind, _: &Path| {
        if kind == Kind::PutCreate
            && let Some(other) = other.take()
        {
            at_once(run(&direct, &other));
        }
        Passage { there: 0, fate: Fate::Answered, back: 0, shift: None }
    };
    // Back-off takes turns.
    futures::executor::block_on(run(&service.client("slow", Box::new(network)), operation));
    let store = at_once(Store::open(service.direct())).unwrap();
    assert_eq!(at_once(store.verify()).unwrap().findings, []);
    at_once(store.snapshot()).unwrap()
}

async fn run(location: &Location, operation: &Operation) {
    let store = Store::open(location.clone()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    operation.run(&store, &mut writer).await.unwrap();
}

fn rows(snapshot: &Snapshot, table: &Table) -> u64 {
    snapshot.files_of(table).iter().map(|file| file.rows).sum()
}

#[test]
fn predictions_are_recorded_while_their_models_are_dropped() {
    let models = [Operation::Commit(0..6)];
    let snapshot = meanwhile(models, &Operation::Drop("colour"), Operation::Record(0..4));
    // Every third model has gone, and its prediction.
    assert_eq!((snapshot.version(), snapshot.num_models()), (3, 4));
    assert_eq!((rows(&snapshot, &Table::Results), rows(&snapshot, &Table::Predictions)), (1, 3));
}

/// Each of them would leave the layout to the other.
#[test]
fn the_last_zoos_of_an_architecture_are_dropped_at_once() {
    let models = [0, 1, 2].map(|model| Operation::Commit(model..model + 1));
    let snapshot = meanwhile(models, &Operation::Drop("grey"), Operation::Drop("other"));
    assert_eq!((snapshot.version(), snapshot.archs()), (5, vec!["cnn_s_rgb".to_owned()]));
}

#[test]
fn models_are_dropped_while_predictions_are_recorded_of_others() {
    let models = [Operation::Commit(0..6), Operation::Record(0..1)];
    let snapshot = meanwhile(models, &Operation::Record(2..4), Operation::Drop("colour"));
    assert_eq!((snapshot.version(), snapshot.num_models()), (4, 4));
    assert_eq!((rows(&snapshot, &Table::Results), rows(&snapshot, &Table::Predictions)), (2, 3));
}

#[test]
fn a_run_is_recorded_twice_at_once() {
    let models = [Operation::Commit(0..6)];
    let snapshot = meanwhile(models, &Operation::Record(0..4), Operation::Record(0..4));
    assert_eq!(snapshot.version(), 2);
    assert_eq!((rows(&snapshot, &Table::Results), rows(&snapshot, &Table::Predictions)), (1, 4));
}

/// What is left of a store whose models were dropped.
#[test]
fn nothing_but_results_is_copied_twice_at_once() {
    let source = after([Operation::Commit(0..1), Operation::Record(0..1), Operation::Drop("grey")]);
    let copy = Operation::Copy(Location::from_objects("source", Arc::new(source)));
    let before = [Operation::Commit(3..4), Operation::Drop("grey")];
    let snapshot = meanwhile(before, &copy, copy.clone());
    assert_eq!((snapshot.version(), rows(&snapshot, &Table::Results)), (3, 1));
}
