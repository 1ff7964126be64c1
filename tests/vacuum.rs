//! What a vacuum takes, what it leaves, and what is said to those it overtakes.

use std::time::Duration;

use object_store::ObjectStoreExt;
use zoolake::Kind;
use zoolake::sql::Session;
use zoolake::store::{Garbage, GarbageKind, Snapshot, Store};

use crate::fixture::{entry, new_place, synthetic, synthetics};
use crate::operations::{at_once, everything, first_weights, model_by_model, of_zoo, on_disk};

/// Removes whatever no snapshot needs now, however young it is.
async fn vacuum(store: &Store) -> Vec<Garbage> {
    let garbage = store.garbage(Duration::ZERO).await.unwrap();
    store.vacuum(&garbage).await.unwrap();
    garbage
}

/// Asks for all weights of a snapshot that was loaded before; says what the error is.
async fn refused(store: &Store, snapshot: &Snapshot) -> (Kind, String) {
    let session = Session::new(store, snapshot).await.unwrap();
    let rows = session.sql("SELECT * FROM weights_cnn_s").await;
    let error = match rows {
        Ok(rows) => rows.collect().await.unwrap_err(),
        Err(error) => error,
    };
    (error.kind(), format!("{error}; {}", error.hint().unwrap()))
}

#[tokio::test]
async fn a_query_that_a_vacuum_overtakes_is_told_so() {
    let (_folder, store) = on_disk().await;
    let mut writer = store.writer().await.unwrap();
    for model in synthetics(0..3) {
        writer.commit(&[model], "train").await.unwrap();
    }
    let before = store.snapshot().await.unwrap();
    store.compact(&|_| {}).await.unwrap();
    vacuum(&store).await;
    let place = store.location();
    let overtaken = format!(
        "commit `3` of store `{place}` was vacuumed while it was read: \
         files that commit `4` removed are gone; run the same command again"
    );
    assert_eq!(refused(&store, &before).await, (Kind::NotFound, overtaken.clone()));
    let target = Store::open_or_create(new_place()).await.unwrap();
    let error = store.copy_to(&target, &before, &|_| {}).await.unwrap_err();
    assert_eq!(format!("{error}; {}", error.hint().unwrap()), overtaken);
    assert_eq!(target.verify().await.unwrap().unreferenced, 0);
    everything(&store, &store.snapshot().await.unwrap()).await;
}

/// A vacuum is no excuse for a file that it did not remove.
#[tokio::test]
async fn a_file_that_is_missing_otherwise_is_damage() {
    let (_folder, store) = on_disk().await;
    let mut writer = store.writer().await.unwrap();
    writer.commit(&synthetics(0..2), "train").await.unwrap();
    let before = store.snapshot().await.unwrap();
    writer.commit(&of_zoo("other", 0..2), "train").await.unwrap();
    store.drop_zoo("other").await.unwrap();
    assert!(Garbage::horizon(&vacuum(&store).await).is_some());
    let lost = first_weights(&before);
    store.objects().delete(&lost).await.unwrap();
    let (kind, said) = refused(&store, &before).await;
    assert_eq!(kind, Kind::Corrupt);
    assert!(said.starts_with(&format!("`{lost}` is missing; 8 rows of `weights_cnn_s`")), "{said}");
    let findings = store.verify().await.unwrap().findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
}

/// The numbers of the folded logs among `paths`.
fn folded<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<u64> {
    let number = |path: &str| {
        path.strip_prefix("log/")?.strip_suffix(".snapshot.json").map(|digits| digits.parse())
    };
    paths.into_iter().filter_map(number).collect::<Result<_, _>>().unwrap()
}

fn folded_garbage(garbage: &[Garbage]) -> Vec<u64> {
    let found = garbage.iter().filter(|garbage| garbage.kind == GarbageKind::Folded);
    found.flat_map(|garbage| folded([garbage.path.as_str()])).collect()
}

/// Commits models `indices`, each in a commit of its own.
async fn commit_each(store: &Store, indices: std::ops::Range<u32>) {
    let mut writer = store.writer().await.unwrap();
    for index in indices {
        writer.commit(&[synthetic(index, 0)], "train").await.unwrap();
    }
}

/// Every snapshot from `first` on, as `--at` reads it.
async fn snapshots(store: &Store, first: u64) -> Vec<Snapshot> {
    let newest = store.snapshot().await.unwrap().version();
    let mut snapshots = Vec::new();
    for version in first..=newest {
        snapshots.push(store.snapshot_at(version).await.unwrap());
    }
    snapshots
}

#[tokio::test]
async fn folded_logs_go_with_the_last_snapshot_that_starts_from_them() {
    let store = Store::open_or_create(new_place()).await.unwrap();
    commit_each(&store, 0..50).await;
    assert_eq!(store.garbage(Duration::ZERO).await.unwrap(), [], "every snapshot can be read");
    store.compact(&|_| {}).await.unwrap();
    commit_each(&store, 50..61).await;
    let before = snapshots(&store, 51).await;
    assert_eq!(folded_garbage(&store.garbage(Duration::from_secs(3600)).await.unwrap()), [0; 0]);

    // Commit 51 took the files of all before; snapshots 51 to 59 start from 40.
    let garbage = vacuum(&store).await;
    assert_eq!(folded_garbage(&garbage), [20]);
    assert_eq!(snapshots(&store, 51).await, before);
    assert_eq!(store.snapshot().await.unwrap().history().len(), 62);
    assert_eq!(store.verify().await.unwrap().findings, []);
    assert_eq!(store.garbage(Duration::ZERO).await.unwrap(), []);

    // One that a later vacuum finds, whose snapshots an earlier one took in part.
    store.compact(&|_| {}).await.unwrap();
    let before = snapshots(&store, 63).await;
    assert_eq!(folded_garbage(&vacuum(&store).await), [40]);
    assert_eq!(snapshots(&store, 63).await, before);
    assert_eq!(store.verify().await.unwrap().findings, []);
}

/// Snapshots that keep all their files keep their folded log: if a log entry is damaged,
/// they cannot be read without.
#[tokio::test]
async fn a_folded_log_that_a_readable_snapshot_starts_from_stays() {
    let store = Store::open_or_create(new_place()).await.unwrap();
    commit_each(&store, 0..25).await;
    let mut writer = store.writer().await.unwrap();
    writer.commit(&of_zoo("other", 0..1), "train").await.unwrap();
    commit_each(&store, 25..39).await;
    store.drop_zoo("other").await.unwrap();
    let read = store.snapshot_at(25).await.unwrap();
    let garbage = vacuum(&store).await;
    assert_eq!((Garbage::horizon(&garbage), folded_garbage(&garbage)), (Some(41), vec![]));
    store.objects().put(&entry(3), "{".into()).await.unwrap();
    assert_eq!(store.snapshot_at(25).await.unwrap(), read);
    assert_eq!(store.snapshot_at(26).await.unwrap_err().kind(), Kind::NotFound);
}

/// Entries that are lost may be put back: until then their files are in no snapshot.
#[tokio::test]
async fn a_vacuum_refuses_a_store_that_lost_entries() {
    let store = model_by_model(20).await;
    let lost = store.objects().get(&entry(20)).await.unwrap().bytes().await.unwrap();
    store.objects().delete(&entry(20)).await.unwrap();
    let error = store.garbage(Duration::ZERO).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains("is of a later commit than `19`"), "{error}");
    store.objects().put(&entry(20), lost.into()).await.unwrap();
    assert_eq!(store.garbage(Duration::ZERO).await.unwrap(), []);
}

/// Of two vacuums at once one may be far behind: what it has on its list is not what a copy
/// has brought since.
#[tokio::test]
async fn a_copy_does_not_use_the_names_of_dropped_files_again() {
    let source = at_once(&synthetics(0..2)).await;
    let store = Store::open_or_create(new_place()).await.unwrap();
    let snapshot = source.snapshot().await.unwrap();
    for _ in 0..2 {
        source.copy_to(&store, &snapshot, &|_| {}).await.unwrap();
        store.drop_zoo("synthetic").await.unwrap();
        let slow = store.garbage(Duration::ZERO).await.unwrap();
        vacuum(&store).await;
        source.copy_to(&store, &snapshot, &|_| {}).await.unwrap();
        store.vacuum(&slow).await.unwrap();
        let report = store.verify().await.unwrap();
        assert_eq!((report.findings, report.models), (vec![], 2));
        store.drop_zoo("synthetic").await.unwrap();
    }
}
