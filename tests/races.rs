//! Several writers at once: nothing lost, nothing twice.

use zoolake::store::{CloudOptions, Location, Store};

use crate::fixture::{new_place, synthetics};

/// Eight writers commit overlapping ranges of models, one model at a time.
async fn race(location: Location) {
    let store = Store::open_or_create(location).await.unwrap();
    let writers = (0..8).map(|writer: u32| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut added = 0;
            let mut handle = store.writer().await.unwrap();
            for model in synthetics(writer * 2..writer * 2 + 6) {
                added += handle.commit(&[model], "train").await.unwrap().added;
            }
            added
        })
    });
    let mut added = 0;
    for writer in writers.collect::<Vec<_>>() {
        added += writer.await.unwrap();
    }
    let report = store.verify().await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((added, report.models), (20, 20));
    assert_eq!(report.version, 20, "one commit per model, none empty");
    assert_eq!(report.unreferenced, 0, "files of lost races are removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_memory_or_at_a_service() {
    race(new_place()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    race(Location::new(store.to_str().unwrap(), &CloudOptions::default()).unwrap()).await;
}
