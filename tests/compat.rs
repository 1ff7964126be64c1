//! Golden stores: made by earlier versions of the program, opened by this one. What
//! is in them was read by another program: see `tests/compat/README.md`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zoolake::sql::Session;
use zoolake::store::{CloudOptions, Location, Store, Table};
use zoolake::{Kind, Result};

use crate::fixture::synthetics;

fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat").join(version)
}

async fn open(version: &str) -> Store {
    let place = folder(version).join("store");
    let location = Location::existing(place.to_str().unwrap(), &CloudOptions::default()).unwrap();
    Store::open(location).await.unwrap()
}

/// Compares every row of every table with the golden files beside the store.
async fn compare(version: &str, tables: usize) -> Result<()> {
    let store = open(version).await;
    let report = store.verify().await?;
    assert_eq!(report.findings, [], "{version}");
    let session = Session::new(&store, &store.snapshot().await?).await?;
    let mut golden: Vec<PathBuf> =
        std::fs::read_dir(folder(version)).unwrap().map(|entry| entry.unwrap().path()).collect();
    golden.retain(|path| path.extension().is_some_and(|extension| extension == "tsv"));
    assert_eq!(golden.len(), tables, "{version}");
    for path in golden {
        let table = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        let columns: Vec<&str> = lines.next().unwrap().split('\t').collect();
        let quoted =
            columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let order = match table {
            "models" => "model_id",
            "tensors" => "arch, position",
            "snapshots" => "version",
            "results" => "run, target, features, predictor, part, metric, truth, predicted",
            "predictions" => "run, target, features, predictor, part, model_id, epoch",
            _ => "model_id, epoch",
        };
        let sql = format!("SELECT {quoted} FROM {table} ORDER BY {order}");
        let rows = session.sql(&sql).await?;
        let schema = rows.schema();
        let rows = concat_batches(&schema, &rows.collect().await?).unwrap();
        let lines: Vec<&str> = lines.collect();
        assert_eq!(rows.num_rows(), lines.len(), "{version}: {table}");
        for (row, line) in lines.iter().enumerate() {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), columns.len(), "{version}: {table} row {row}");
            for (column, cell) in cells.into_iter().enumerate() {
                let place = format!("{version}: {table} row {row}, {}", columns[column]);
                assert_cell(&rows, column, row, cell, &place);
            }
        }
    }
    Ok(())
}

/// Numbers are compared as numbers, to the last bit.
fn assert_cell(rows: &RecordBatch, column: usize, row: usize, cell: &str, place: &str) {
    let array = rows.column(column);
    if cell == "NULL" {
        assert!(array.is_null(row), "{place}");
        return;
    }
    assert!(array.is_valid(row), "{place}");
    match array.data_type() {
        DataType::Int64 => {
            let value = array.as_primitive::<Int64Type>().value(row);
            assert_eq!(value, cell.parse::<i64>().unwrap(), "{place}");
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            assert_eq!(value.to_bits(), cell.parse::<f64>().unwrap().to_bits(), "{place}");
        }
        DataType::Utf8 => assert_eq!(array.as_string::<i32>().value(row), cell, "{place}"),
        _ => {
            let vector = array.as_fixed_size_list().value(row);
            let floats = vector.as_primitive::<Float32Type>().values();
            let bytes: Vec<u8> = floats.iter().flat_map(|value| value.to_le_bytes()).collect();
            let digest: String =
                Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digest, cell, "{place}");
        }
    }
}

/// A golden store in a folder of its own.
async fn copy_of(version: &str) -> (TempDir, Store) {
    let place = tempfile::tempdir().unwrap();
    let mut folders = vec![PathBuf::new()];
    let (from, to) = (folder(version).join("store"), place.path().join("store"));
    while let Some(below) = folders.pop() {
        std::fs::create_dir_all(to.join(&below)).unwrap();
        for entry in std::fs::read_dir(from.join(&below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                std::fs::copy(entry.path(), to.join(&path)).unwrap();
            }
        }
    }
    let location = Location::existing(to.to_str().unwrap(), &CloudOptions::default()).unwrap();
    (place, Store::open(location).await.unwrap())
}

/// What earlier versions wrote is trained into, merged, copied, thinned out and cleared.
#[tokio::test]
async fn earlier_stores_can_be_kept_in_order() {
    for version in ["v1", "v2", "v3"] {
        let (_folder, store) = copy_of(version).await;
        let before = store.snapshot().await.unwrap();
        let mut writer = store.writer().await.unwrap();
        assert_eq!(writer.commit(&synthetics(0..2), "train").await.unwrap().added, 2);
        assert!(store.compact(&|_| {}).await.unwrap().commits > 0, "{version}");
        let target = Store::open_or_create(Location::memory()).await.unwrap();
        let snapshot = store.snapshot().await.unwrap();
        let copied = store.copy_to(&target, &snapshot, &|_| {}).await.unwrap();
        assert_eq!(copied.models, before.num_models() + 2, "{version}");
        store.drop_zoo("synthetic").await.unwrap();
        store.vacuum(&store.garbage(Duration::ZERO).await.unwrap()).await.unwrap();
        let newest = store.snapshot().await.unwrap();
        assert!(newest.models().all(|id| before.has_model(id)), "{version}");
        for (store, models) in [(&store, before.num_models()), (&target, copied.models)] {
            let report = store.verify().await.unwrap();
            assert_eq!((report.findings, report.models), (vec![], models), "{version}");
        }
    }
}

#[tokio::test]
async fn version_1() {
    compare("v1", 5).await.unwrap();
    let store = open("v1").await;
    for (version, models) in [(0, 0), (1, 1), (2, 2), (3, 3)] {
        assert_eq!(store.snapshot_at(version).await.unwrap().num_models(), models);
    }
}

/// Merged, vacuumed, and with a zoo that was dropped and trained again.
#[tokio::test]
async fn version_2() {
    compare("v2", 5).await.unwrap();
    let store = open("v2").await;
    for (version, models) in [(17, 2), (18, 3), (19, 2), (20, 3)] {
        assert_eq!(store.snapshot_at(version).await.unwrap().num_models(), models, "{version}");
    }
    let error = store.snapshot_at(16).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("was vacuumed: files that commit `17` removed are gone"));
}

/// With results of predictions: numbers and classes, of two runs merged and vacuumed, and of one.
#[tokio::test]
async fn version_3() {
    compare("v3", 7).await.unwrap();
    let store = open("v3").await;
    for (version, results) in [(5, 1), (6, 2)] {
        let snapshot = store.snapshot_at(version).await.unwrap();
        assert_eq!(snapshot.files_of(&Table::Results).len(), results, "{version}");
        assert_eq!(snapshot.files_of(&Table::Predictions).len(), results, "{version}");
    }
    assert_eq!(store.snapshot_at(4).await.unwrap_err().kind(), Kind::NotFound);
}
