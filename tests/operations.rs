//! What keeps a store in order: merging, removing, dropping, copying; and what it
//! must not disturb.

use std::sync::Mutex;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::basic::{Compression, Encoding};
use parquet::file::reader::{FileReader, SerializedFileReader};
use tempfile::TempDir;
use zoolake::Kind;
use zoolake::arch::Arch;
use zoolake::sql::Session;
use zoolake::store::{
    CloudOptions, CopyProgress, GarbageKind, Location, Snapshot, Store, Table, WeightEncoding,
};
use zoolake::train::Trained;
use zoolake::zoo::Model;

use crate::fixture::{edit, entry, new_place, synthetic, synthetics};

/// The answer of `sql` over a snapshot, in one batch.
async fn ask_at(store: &Store, snapshot: &Snapshot, sql: &str) -> RecordBatch {
    let session = Session::new(store, snapshot).await.unwrap();
    let rows = session.sql(sql).await.unwrap();
    let schema = rows.schema();
    concat_batches(&schema, &rows.collect().await.unwrap()).unwrap()
}

/// Every row of every stored table.
pub(crate) async fn everything(store: &Store, snapshot: &Snapshot) -> Vec<RecordBatch> {
    let mut tables = Vec::new();
    for (table, order) in [
        ("states", "model_id, epoch"),
        ("models", "model_id"),
        ("epochs", "model_id, epoch"),
        ("tensors", "arch, position"),
        ("weights_cnn_s", "model_id, epoch"),
        ("vectors_cnn_s", "model_id, epoch"),
    ] {
        let sql = format!("SELECT * FROM {table} ORDER BY {order}");
        tables.push(ask_at(store, snapshot, &sql).await);
    }
    tables
}

async fn newest(store: &Store) -> Vec<RecordBatch> {
    everything(store, &store.snapshot().await.unwrap()).await
}

/// An empty store on disk.
pub(crate) async fn on_disk() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("store");
    let location = Location::new(place.to_str().unwrap(), &CloudOptions::default()).unwrap();
    let store = Store::open_or_create(location).await.unwrap();
    (folder, store)
}

/// A store with these models in one commit.
pub(crate) async fn at_once(models: &[Trained]) -> Store {
    let store = Store::open_or_create(new_place()).await.unwrap();
    store.writer().await.unwrap().commit(models, "train").await.unwrap();
    store
}

/// The path of a file of weights.
pub(crate) fn first_weights(snapshot: &Snapshot) -> Path {
    let table = Table::Weights("cnn_s".to_owned());
    Path::from(snapshot.files_of(&table)[0].path.as_str())
}

/// Flips one bit of an object; twice is none.
async fn flip(store: &Store, path: &Path) {
    let mut bytes = store.objects().get(path).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[100] ^= 1;
    store.objects().put(path, bytes.into()).await.unwrap();
}

/// A store with synthetic models `0..models`, each in a commit of its own.
pub(crate) async fn model_by_model(models: u32) -> Store {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    for index in 0..models {
        writer.commit(&[synthetic(index, 3)], "train").await.unwrap();
    }
    store
}

#[tokio::test]
async fn compaction_merges_files_and_changes_no_row() {
    let store = model_by_model(6).await;
    let before = store.snapshot().await.unwrap();
    let rows = everything(&store, &before).await;
    assert_eq!(before.files().count(), 6 * 3 + 1);

    let done = store.compact(&|_| {}).await.unwrap();
    assert_eq!((done.commits, done.files_before, done.files_after), (1, 18, 3));
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.version(), after.files().count(), after.num_models()), (7, 4, 6));
    assert_eq!(everything(&store, &after).await, rows);
    // A reader that began before sees what it saw, and so does who asks for it.
    assert_eq!(everything(&store, &before).await, rows);
    assert_eq!(everything(&store, &store.snapshot_at(6).await.unwrap()).await, rows);
    let report = store.verify().await.unwrap();
    assert_eq!((report.findings, report.superseded, report.unreferenced), (vec![], 18, 0));

    let again = store.compact(&|_| {}).await.unwrap();
    assert_eq!((again.commits, again.version), (0, 7), "what is merged stays as it is");
}

/// Merged files are sorted, and encoded as those of a single commit are: to the byte.
#[tokio::test]
async fn merged_files_are_those_of_a_single_commit() {
    let store = model_by_model(6).await;
    store.compact(&|_| {}).await.unwrap();
    let at_once = at_once(&synthetics(0..6)).await;
    let digests = |snapshot: &Snapshot| {
        let files = snapshot.files().map(|file| (file.table.clone(), file.sha256.clone()));
        files.collect::<Vec<_>>()
    };
    let merged = digests(&store.snapshot().await.unwrap());
    assert_eq!(merged, digests(&at_once.snapshot().await.unwrap()));
}

#[tokio::test]
async fn damage_is_not_merged() {
    let store = model_by_model(2).await;
    let snapshot = store.snapshot().await.unwrap();
    let path = first_weights(&snapshot);
    flip(&store, &path).await;
    let error = store.compact(&|_| {}).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().starts_with(&format!("`{path}` has been altered")), "{error}");
    let report = store.verify().await.unwrap();
    assert_eq!((report.version, report.unreferenced), (2, 0), "nothing committed, nothing left");
}

/// Writers commit model by model while others compact: no model is lost, none is
/// twice, nobody fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_and_compactions_race() {
    let (_folder, store) = on_disk().await;
    let writers = (0..4_u32).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut handle = store.writer().await.unwrap();
            for model in synthetics(writer * 3..writer * 3 + 5) {
                handle.commit(&[model], "train").await.unwrap();
            }
        })
    });
    let compactions = (0..2).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            while store.snapshot().await.unwrap().num_models() < 14 {
                store.compact(&|_| {}).await.unwrap();
            }
        })
    });
    let tasks: Vec<_> = writers.chain(compactions.collect::<Vec<_>>()).collect();
    for task in tasks {
        task.await.unwrap();
    }
    store.compact(&|_| {}).await.unwrap();
    let report = store.verify().await.unwrap();
    assert_eq!((report.findings, report.models, report.unreferenced), (vec![], 14, 0));
    assert_eq!(newest(&store).await, newest(&at_once(&synthetics(0..14)).await).await);
}

#[tokio::test]
async fn vacuum_removes_what_no_kept_snapshot_needs() {
    let store = model_by_model(4).await;
    let before = store.snapshot().await.unwrap();
    let rows = newest(&store).await;
    store.compact(&|_| {}).await.unwrap();
    // A writer was killed, or is at work.
    let stray = Path::from("data/models/stray.parquet");
    store.objects().put(&stray, "rows".into()).await.unwrap();
    let hour = Duration::from_secs(3600);
    assert_eq!(store.garbage(hour).await.unwrap(), [], "what is young is kept");
    assert_eq!(store.garbage(Duration::MAX).await.unwrap(), []);

    let garbage = store.garbage(Duration::ZERO).await.unwrap();
    let of_kind = |kind| garbage.iter().filter(|file| file.kind == kind).collect::<Vec<_>>();
    assert_eq!(of_kind(GarbageKind::Removed(5)).len(), 12);
    let unreferenced = of_kind(GarbageKind::Unreferenced);
    assert_eq!((unreferenced.len(), unreferenced[0].path.as_str()), (1, stray.as_ref()));
    assert_eq!(everything(&store, &before).await, rows, "looking removes nothing");

    store.vacuum(&garbage).await.unwrap();
    assert_eq!(newest(&store).await, rows);
    let report = store.verify().await.unwrap();
    assert_eq!((report.findings, report.superseded, report.unreferenced), (vec![], 0, 0));
    for gone in 1..5 {
        let error = store.snapshot_at(gone).await.unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        let said = format!(
            "commit `{gone}` of store `{}` was vacuumed: files that commit `5` removed are gone",
            store.location()
        );
        assert_eq!(error.to_string(), said);
        assert_eq!(error.hint(), Some("`--at 5` and later can be read"));
    }
    assert_eq!(everything(&store, &store.snapshot_at(5).await.unwrap()).await, rows);
    assert_eq!(store.garbage(Duration::ZERO).await.unwrap(), []);
}

#[tokio::test]
async fn a_vacuum_leaves_snapshots_that_lost_nothing() {
    let store = at_once(&synthetics(0..2)).await;
    let mut writer = store.writer().await.unwrap();
    writer.commit(&of_zoo("other", 0..2), "train").await.unwrap();
    store.drop_zoo("other").await.unwrap();
    store.vacuum(&store.garbage(Duration::ZERO).await.unwrap()).await.unwrap();
    assert_eq!(store.snapshot_at(1).await.unwrap().num_models(), 2);
    assert_eq!(store.snapshot_at(2).await.unwrap_err().kind(), Kind::NotFound);
    assert_eq!(store.snapshot_at(3).await.unwrap().num_models(), 2);
    // Nor does a damaged entry behind them stand in the way: it is `--at 1` that is advised.
    store.objects().put(&entry(2), "{".into()).await.unwrap();
    let error = store.snapshot().await.unwrap_err();
    assert!(error.hint().unwrap().starts_with("`--at 1` reads the store"), "{error:?}");
    assert_eq!(store.snapshot_at(1).await.unwrap().num_models(), 2);
}

#[tokio::test]
async fn vacuum_removes_what_a_killed_writer_was_writing() {
    let (folder, store) = on_disk().await;
    store.writer().await.unwrap().commit(&synthetics(0..1), "train").await.unwrap();
    let half = folder.path().join("store/data/models/0-0.parquet#1234");
    std::fs::write(&half, "half").unwrap();
    assert_eq!(store.garbage(Duration::from_secs(3600)).await.unwrap(), []);
    let garbage = store.garbage(Duration::ZERO).await.unwrap();
    assert_eq!((garbage.len(), garbage[0].kind), (1, GarbageKind::Unfinished));
    store.vacuum(&garbage).await.unwrap();
    assert!(!half.exists());
    assert_eq!(store.verify().await.unwrap().findings, []);
}

/// Models in training are not of the store's making: their files come and go.
#[tokio::test]
async fn a_vacuum_does_not_look_into_the_work_folder() {
    let (folder, store) = on_disk().await;
    let desk = folder.path().join("store/work/7");
    std::fs::create_dir_all(&desk).unwrap();
    std::fs::write(desk.join("00001.state#1234"), "half").unwrap();
    std::fs::write(folder.path().join("store/zoolake.json#1234"), "half").unwrap();
    let garbage = store.garbage(Duration::ZERO).await.unwrap();
    let paths: Vec<&str> = garbage.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["zoolake.json#1234"], "a store without data");
}

/// The synthetic models `indices` as those of another zoo.
pub(crate) fn of_zoo(zoo: &str, indices: std::ops::Range<u32>) -> Vec<Trained> {
    let renamed = |index| {
        let Trained { states, model } = synthetic(index, 3);
        let model = Model::new(zoo, index as usize, "digits", "cnn_s", model.hyper);
        Trained { states, model }
    };
    indices.map(renamed).collect()
}

/// A model of another architecture.
fn of_cnn_m() -> Trained {
    let arch = Arch::by_name("cnn_m").unwrap();
    let Trained { mut states, model } = synthetic(0, 1);
    for state in &mut states {
        state.weights = vec![0.5; arch.layout().size()].into();
    }
    let model = Model::new("large", 0, "digits", "cnn_m", model.hyper);
    Trained { states, model }
}

async fn count(store: &Store, table: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let rows = ask_at(store, &store.snapshot().await.unwrap(), &sql).await;
    rows.column(0).as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn a_dropped_zoo_is_gone_and_can_be_trained_again() {
    let (kept, other) = (synthetics(0..3), of_zoo("other", 0..4));
    // One commit of both zoos, whose files are written anew, and one of each.
    let store = at_once(&[&kept[..2], &other[..2]].concat()).await;
    let mut writer = store.writer().await.unwrap();
    writer.commit(&kept[2..], "train").await.unwrap();
    writer.commit(&other[2..], "train").await.unwrap();
    let before = newest(&store).await;

    let dropped = store.drop_zoo("other").await.unwrap();
    assert_eq!((dropped.version, dropped.models, dropped.files), (4, 4, 6));
    assert_eq!(newest(&store).await, newest(&at_once(&kept).await).await);
    assert_eq!(store.verify().await.unwrap().findings, []);
    assert_eq!(everything(&store, &store.snapshot_at(3).await.unwrap()).await, before);

    // The writer that trained them does not know yet: it finds out as others would.
    let again = writer.commit(&other, "train").await.unwrap();
    assert_eq!((again.version, again.added, again.already_there), (5, 4, 0));
    assert_eq!(newest(&store).await, before);
    assert_eq!(store.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn an_architecture_without_models_leaves_no_layout() {
    let store = at_once(&synthetics(0..2)).await;
    let mut writer = store.writer().await.unwrap();
    writer.commit(&[of_cnn_m()], "train").await.unwrap();
    // One file of both layouts.
    store.compact(&|_| {}).await.unwrap();
    assert_eq!(count(&store, "tensors").await, 20);
    store.drop_zoo("large").await.unwrap();
    assert_eq!(count(&store, "tensors").await, 10);
    assert_eq!(newest(&store).await, newest(&at_once(&synthetics(0..2)).await).await);
    store.writer().await.unwrap().commit(&[of_cnn_m()], "train").await.unwrap();
    assert_eq!(count(&store, "tensors").await, 20);
    assert_eq!(store.verify().await.unwrap().findings, []);
    // To the last model.
    store.drop_zoo("large").await.unwrap();
    store.drop_zoo("synthetic").await.unwrap();
    let empty = store.snapshot().await.unwrap();
    assert_eq!((empty.files().count(), empty.num_models()), (0, 0));
    assert_eq!(store.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_zoo_that_is_not_there_is_named_with_those_that_are() {
    let store = at_once(&[synthetics(0..1), of_zoo("other", 0..1)].concat()).await;
    let error = store.drop_zoo("othr").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(error.to_string(), "unknown zoo `othr`: expected one of `other`, `synthetic`");
    assert_eq!(error.hint(), Some("did you mean `other`?"));
    assert_eq!(store.snapshot().await.unwrap().version(), 1);
    let empty = Store::open_or_create(new_place()).await.unwrap();
    let error = empty.drop_zoo("other").await.unwrap_err();
    let said = format!("unknown zoo `other`: `{}` has no models", empty.location());
    assert_eq!(error.to_string(), said);
    let asked = empty.models_of_zoo("other").await.unwrap_err();
    assert_eq!(asked.to_string(), error.to_string(), "as it is asked before it is dropped");
    assert_eq!(store.models_of_zoo("other").await.unwrap(), 1);
}

#[tokio::test]
async fn a_drop_refuses_a_log_that_lacks_a_model() {
    let store = model_by_model(2).await;
    edit(&store, &entry(2), |entry| entry["models"] = serde_json::json!([])).await;
    let error = store.drop_zoo("synthetic").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    let id = synthetic(1, 3).model.id;
    assert_eq!(error.to_string(), format!("model `{id}` of `models` is in no log entry"));
    assert_eq!(store.snapshot().await.unwrap().version(), 2);
}

#[tokio::test]
async fn a_zoo_that_lost_a_file_can_be_dropped_and_trained_again() {
    let store = at_once(&synthetics(0..1)).await;
    let mut writer = store.writer().await.unwrap();
    let other = of_zoo("other", 0..1);
    writer.commit(&other, "train").await.unwrap();
    let table = Table::Weights("cnn_s".to_owned());
    let lost = store.snapshot().await.unwrap().files_of(&table)[1].path.as_str().into();
    store.objects().delete(&lost).await.unwrap();
    assert_eq!(store.verify().await.unwrap().findings.len(), 1);
    store.drop_zoo("other").await.unwrap();
    assert_eq!(store.verify().await.unwrap().findings, []);
    writer.commit(&other, "train").await.unwrap();
    assert_eq!(store.verify().await.unwrap().findings, []);
}

/// A program that does not know of dropped models must not take them for stored:
/// what it cannot read has a format it does not know.
#[tokio::test]
async fn a_log_that_drops_models_says_so_in_its_format() {
    let store = at_once(&synthetics(0..1)).await;
    let mut writer = store.writer().await.unwrap();
    writer.commit(&of_zoo("other", 0..1), "train").await.unwrap();
    store.drop_zoo("other").await.unwrap();
    let mut writer = store.writer().await.unwrap();
    for index in 4..21 {
        writer.commit(&[synthetic(index, 0)], "train").await.unwrap();
    }
    let format = async |name: &str| {
        let object = store.objects().get(&Path::from(format!("log/{name}"))).await.unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&object.bytes().await.unwrap()).unwrap();
        json["format"].as_u64().unwrap()
    };
    assert_eq!(format("00000000000000000002.json").await, 1);
    assert_eq!(format("00000000000000000003.json").await, 2);
    assert_eq!(format("00000000000000000004.json").await, 1);
    assert_eq!(format("00000000000000000020.snapshot.json").await, 2);
    assert_eq!(store.snapshot().await.unwrap(), *writer.snapshot());
    assert_eq!(store.verify().await.unwrap().findings, []);
}

/// Whoever is first: a zoo that is committed while the last other one of its
/// architecture is dropped has its layout, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drop_and_a_commit_race() {
    for round in 0..20 {
        let store = at_once(&of_zoo("other", 0..2)).await;
        let mut writer = store.writer().await.unwrap();
        let commit = tokio::spawn(async move {
            writer.commit(&synthetics(0..2), "train").await.unwrap();
        });
        store.drop_zoo("other").await.unwrap();
        commit.await.unwrap();
        let report = store.verify().await.unwrap();
        assert_eq!((report.findings, report.models), (vec![], 2), "round {round}");
        assert_eq!(count(&store, "tensors").await, 10, "round {round}");
    }
}

/// Each of them leaves the layout to the other, unless it looks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_drops_race() {
    for round in 0..20 {
        let store = at_once(&synthetics(0..2)).await;
        store.writer().await.unwrap().commit(&of_zoo("other", 0..2), "train").await.unwrap();
        let other = store.clone();
        let drops = tokio::spawn(async move { other.drop_zoo("other").await.unwrap() });
        store.drop_zoo("synthetic").await.unwrap();
        drops.await.unwrap();
        assert_eq!(store.snapshot().await.unwrap().files().count(), 0, "round {round}");
    }
}

#[tokio::test]
async fn a_copy_has_the_same_rows_in_one_commit() {
    let store = model_by_model(3).await;
    let (_folder, target) = on_disk().await;
    let snapshot = store.snapshot().await.unwrap();
    let copied = store.copy_to(&target, &snapshot, &|_| {}).await.unwrap();
    assert_eq!((copied.version, copied.models, copied.files), (1, 3, 10));
    assert_eq!(newest(&target).await, newest(&store).await);
    assert!(target.snapshot().await.unwrap().files().eq(snapshot.files()), "the same files");
    assert_eq!(target.verify().await.unwrap().findings, []);
    let again = store.copy_to(&target, &snapshot, &|_| {}).await.unwrap();
    assert_eq!((again.version, again.models, again.files), (1, 0, 0));
    // Training goes on in the copy where it stood.
    let mut writer = target.writer().await.unwrap();
    assert_eq!(writer.commit(&synthetics(0..4), "train").await.unwrap().added, 1);
}

#[tokio::test]
async fn a_store_gets_what_it_lacks_of_another() {
    let all = [synthetics(0..6), of_zoo("other", 0..2)].concat();
    let store = at_once(&all[..4]).await;
    store.writer().await.unwrap().commit(&all[4..], "train").await.unwrap();
    let target = at_once(&synthetics(2..4)).await;
    let at_first = store.snapshot_at(1).await.unwrap();
    let copied = store.copy_to(&target, &at_first, &|_| {}).await.unwrap();
    assert_eq!((copied.version, copied.models), (2, 2));
    assert_eq!(newest(&target).await, everything(&store, &at_first).await);
    let snapshot = store.snapshot().await.unwrap();
    let copied = store.copy_to(&target, &snapshot, &|_| {}).await.unwrap();
    assert_eq!((copied.version, copied.models, copied.files), (3, 4, 3), "no layout twice");
    assert_eq!(newest(&target).await, newest(&store).await);
    assert_eq!(target.verify().await.unwrap().findings, []);
}

#[tokio::test]
async fn a_store_keeps_weights_as_it_was_created_to() {
    let split = at_once(&synthetics(0..4)).await;
    let location = new_place();
    Store::open_or_create_with(location.clone(), WeightEncoding::Plain).await.unwrap();
    let plain = Store::open_or_create(location).await.unwrap();
    split.copy_to(&plain, &split.snapshot().await.unwrap(), &|_| {}).await.unwrap();
    assert_eq!(newest(&plain).await, newest(&split).await);

    let mut writer = plain.writer().await.unwrap();
    writer.commit(&synthetics(4..6), "train").await.unwrap();
    let both = plain.snapshot().await.unwrap();
    plain.compact(&|_| {}).await.unwrap();
    let merged = plain.snapshot().await.unwrap();
    let plain_pages = (false, Compression::UNCOMPRESSED);
    assert_eq!(weight_pages(&plain, &both).await, [plain_pages; 2]);
    assert_eq!(weight_pages(&plain, &merged).await, [plain_pages]);

    let back = Store::open_or_create(new_place()).await.unwrap();
    plain.copy_to(&back, &merged, &|_| {}).await.unwrap();
    let of_one_commit = at_once(&synthetics(0..6)).await.snapshot().await.unwrap();
    let digest = |snapshot: &Snapshot| {
        snapshot.files_of(&Table::Weights("cnn_s".to_owned()))[0].sha256.clone()
    };
    assert_eq!(digest(&back.snapshot().await.unwrap()), digest(&of_one_commit));
}

/// How the last tensor lies in every file of weights: whether it is split by bytes, and
/// compressed by what.
async fn weight_pages(store: &Store, snapshot: &Snapshot) -> Vec<(bool, Compression)> {
    let mut found = Vec::new();
    for file in snapshot.files_of(&Table::Weights("cnn_s".to_owned())) {
        let object = store.objects().get(&Path::from(file.path.as_str())).await.unwrap();
        let reader = SerializedFileReader::new(object.bytes().await.unwrap()).unwrap();
        let column = reader.metadata().row_group(0).columns().last().unwrap().clone();
        let is_split = column.encodings_mask().is_set(Encoding::BYTE_STREAM_SPLIT);
        found.push((is_split, column.compression()));
    }
    found
}

#[tokio::test]
async fn an_interrupted_copy_goes_on_where_it_stopped() {
    let store = model_by_model(3).await;
    let snapshot = store.snapshot().await.unwrap();
    let target = Store::open_or_create(new_place()).await.unwrap();
    let last = snapshot.files().last().unwrap();
    let damaged = Path::from(last.path.as_str());
    flip(&store, &damaged).await;
    let error = store.copy_to(&target, &snapshot, &|_| {}).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().starts_with(&format!("`{damaged}` has been altered")), "{error}");
    assert_eq!(target.snapshot().await.unwrap().version(), 0, "nothing is visible");

    flip(&store, &damaged).await;
    // A file that is there, but is not what was sent, is sent again.
    flip(&target, &first_weights(&snapshot)).await;
    let progress = Mutex::new(CopyProgress::default());
    let watch = |now| *progress.lock().unwrap() = now;
    store.copy_to(&target, &snapshot, &watch).await.unwrap();
    let CopyProgress { files, total_files, bytes, total_bytes, already_there } =
        *progress.lock().unwrap();
    assert_eq!((files, bytes), (total_files, total_bytes));
    assert_eq!((files, already_there), (10, 8));
    assert_eq!(newest(&target).await, newest(&store).await);
    assert_eq!(target.verify().await.unwrap().findings, []);
}

/// A vacuum may be about to remove what has been there for long.
#[tokio::test]
async fn a_copy_takes_over_no_file_that_a_vacuum_may_remove() {
    let store = model_by_model(2).await;
    let snapshot = store.snapshot().await.unwrap();
    let (folder, target) = on_disk().await;
    let day = Duration::from_secs(25 * 3600);
    // As a copy left them that was killed.
    for file in snapshot.files() {
        let path = Path::from(file.path.as_str());
        let bytes = store.objects().get(&path).await.unwrap().bytes().await.unwrap();
        target.objects().put(&path, bytes.into()).await.unwrap();
        let path = folder.path().join("store").join(&file.path);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(file.metadata().unwrap().modified().unwrap() - day).unwrap();
    }
    let garbage = target.garbage(Duration::ZERO).await.unwrap();
    assert_eq!(garbage.len(), snapshot.files().count());

    let copied = store.copy_to(&target, &snapshot, &|_| {}).await.unwrap();
    assert_eq!((copied.version, copied.models, copied.files), (1, 2, 7));
    target.vacuum(&garbage).await.unwrap();
    let report = target.verify().await.unwrap();
    assert_eq!((report.findings, report.unreferenced), (vec![], 0));
    assert_eq!(newest(&target).await, newest(&store).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_copies_to_one_place_race() {
    let store = model_by_model(3).await;
    let (_folder, target) = on_disk().await;
    let copies = (0..2).map(|_| {
        let (store, target) = (store.clone(), target.clone());
        tokio::spawn(async move {
            let snapshot = store.snapshot().await.unwrap();
            store.copy_to(&target, &snapshot, &|_| {}).await.unwrap().models
        })
    });
    let mut models = 0;
    for copy in copies.collect::<Vec<_>>() {
        models += copy.await.unwrap();
    }
    let report = target.verify().await.unwrap();
    assert_eq!((report.findings, report.models, report.version), (vec![], 3, 1));
    assert_eq!(models, 3);
    assert_eq!(newest(&target).await, newest(&store).await);
}

#[tokio::test]
async fn verification_goes_on_behind_a_damaged_log_entry() {
    let store = Store::open_or_create(new_place()).await.unwrap();
    let mut writer = store.writer().await.unwrap();
    for index in 0..21 {
        writer.commit(&[synthetic(index, 0)], "train").await.unwrap();
    }
    let entry = Path::from("log/00000000000000000003.json");
    store.objects().put(&entry, "{".into()).await.unwrap();
    let path = first_weights(writer.snapshot());
    flip(&store, &path).await;
    let report = store.verify().await.unwrap();
    assert_eq!((report.version, report.models), (21, 21));
    let places: Vec<&str> = report.findings.iter().map(|finding| finding.place.as_str()).collect();
    assert_eq!(places, ["commit 3", path.as_ref()]);
    assert!(report.findings[0].problem.ends_with("with `--at 2`"), "{:?}", report.findings[0]);
    assert!(report.findings[1].problem.ends_with("1 row of `weights_cnn_s` is affected"));
}

/// What the log says of a file decides which files a query opens.
#[tokio::test]
async fn what_the_log_says_of_a_file_is_verified() {
    let store = at_once(&synthetics(0..2)).await;
    let entry = Path::from("log/00000000000000000001.json");
    let bytes = store.objects().get(&entry).await.unwrap().bytes().await.unwrap();
    let whole: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for (change, problem) in [
        (("/add/1/epoch/1", 2), "has another range of `epoch` than the log says"),
        (("/add/1/rows", 7), "has `8` rows instead of `7`"),
        (("/models/0", 1), "is in no log entry"),
        (("/add/3/rows", 9), "has `10` rows instead of `9`"),
    ] {
        let mut json = whole.clone();
        *json.pointer_mut(change.0).unwrap() = change.1.into();
        store.objects().put(&entry, json.to_string().into()).await.unwrap();
        let findings = store.verify().await.unwrap().findings;
        assert!(findings[0].problem.contains(problem), "{change:?}: {findings:?}");
    }
}

#[tokio::test]
async fn a_layout_that_is_missing_is_named() {
    let store = at_once(&synthetics(0..1)).await;
    let entry = Path::from("log/00000000000000000001.json");
    let bytes = store.objects().get(&entry).await.unwrap().bytes().await.unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let files = json["add"].as_array_mut().unwrap();
    assert_eq!(files.pop().unwrap()["table"], "tensors");
    store.objects().put(&entry, json.to_string().into()).await.unwrap();
    let findings = store.verify().await.unwrap().findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].problem, "has `0` tensors of `cnn_s` instead of `10`");
}
