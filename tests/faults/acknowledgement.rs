//! An answer that is lost for so long that others fold the log behind the entry in
//! question, and vacuum.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use object_store::memory::InMemory;
use object_store::path::Path;
use zoolake::store::{Location, Simulation, Store};

use super::operation::Operation;
use super::schedule::turns;
use super::service::{Fate, Kind, Passage, Service, at_once};
use crate::fixture::{entry, synthetic};

/// More than others need.
const LONG: u32 = 100_000;

/// Commits 20 models; the last entry is created, and the answer is that it was not.
async fn commit_unanswered(service: Service, location: Location, others_done: Arc<AtomicBool>) {
    let store = Store::open_or_create(location).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    for model in 0..19 {
        Operation::Commit(model..model + 1).run(&store, &mut writer).await.unwrap();
    }
    let last = [synthetic(19, 0)];
    let committed = writer.commit(&last, "train").await.unwrap();
    assert!(others_done.load(Ordering::Relaxed), "the answer takes that long");
    assert_eq!((committed.version, committed.added, committed.already_there), (20, 1, 0));
    // It knows its own commit and none of the others, and finds its place behind these.
    let again = writer.commit(&last, "train").await.unwrap();
    let newest = service.judge.lock().unwrap().version();
    assert_eq!((again.version, again.added, again.already_there), (newest, 0, 1));
}

/// Commits on top of that entry, folds, merges all files and removes them.
async fn go_on(service: Service, done: Arc<AtomicBool>) {
    while service.judge.lock().unwrap().version() < 20 {
        turns(1).await;
    }
    let store = Store::open(service.direct()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    for model in 21..42 {
        Operation::Commit(model..model + 1).run(&store, &mut writer).await.unwrap();
    }
    Operation::Compact.run(&store, &mut writer).await.unwrap();
    let garbage = store.garbage(Duration::ZERO).await.unwrap();
    store.vacuum(&garbage).await.unwrap();
    done.store(true, Ordering::Relaxed);
}

/// A folded log has no `id`s: it is the entry that tells whose it is, and entries stay.
#[test]
fn an_entry_is_known_by_its_writer_however_far_others_are() {
    let _simulation = Simulation::begin(1);
    let service = Service::new(InMemory::new());
    let network = |kind: Kind, path: &Path| match kind {
        Kind::PutCreate if *path == entry(20) => {
            Passage { there: 0, fate: Fate::Unanswered, back: LONG, shift: None }
        }
        _ => Passage { there: 0, fate: Fate::Answered, back: 0, shift: None },
    };
    let location = service.client("unanswered", Box::new(network));
    let done = Arc::new(AtomicBool::new(false));
    let committing = commit_unanswered(service.clone(), location, Arc::clone(&done));
    service.spawner.spawn(committing);
    service.spawner.spawn(go_on(service.clone(), done));
    service.spawner.run(1);
    let report = at_once(async { Store::open(service.direct()).await?.verify().await }).unwrap();
    assert_eq!((report.findings, report.models, report.version), (vec![], 41, 42));
    assert!(service.judge.lock().unwrap().vacuumed_files > 0);
}
