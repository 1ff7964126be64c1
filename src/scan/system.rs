//! System tables: what a snapshot knows of itself.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;

use crate::error::{Error, Result};
use crate::store::{CommitInfo, DataFile, Snapshot};

/// `snapshots`: one row per commit.
pub(super) fn snapshots(snapshot: &Snapshot) -> Result<Arc<dyn TableProvider>> {
    let history = snapshot.history();
    let text = |value: fn(&CommitInfo) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(history.iter().map(value)))
    };
    let int = |value: fn(&CommitInfo) -> u64| -> ArrayRef { integers(history.iter().map(value)) };
    let time = |commit: &CommitInfo| {
        let time = chrono::DateTime::parse_from_rfc3339(&commit.time).ok()?;
        Some(time.timestamp_micros())
    };
    let times: TimestampMicrosecondArray = history.iter().map(time).collect();
    table(vec![
        ("version", int(|commit| commit.version)),
        ("time", Arc::new(times.with_timezone("UTC"))),
        ("operation", text(|commit| &commit.operation)),
        ("message", text(|commit| &commit.message)),
        ("models", int(|commit| commit.models)),
        ("models_dropped", int(|commit| commit.models_dropped)),
        ("files_added", int(|commit| commit.files_added)),
        ("files_removed", int(|commit| commit.files_removed)),
        ("bytes_added", int(|commit| commit.bytes_added)),
        ("writer", text(|commit| &commit.writer)),
    ])
}

/// `files`: one row per Parquet file.
pub(super) fn files(snapshot: &Snapshot) -> Result<Arc<dyn TableProvider>> {
    let files: Vec<&DataFile> = snapshot.files().map(AsRef::as_ref).collect();
    let text = |value: fn(&DataFile) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(files.iter().map(|file| value(file))))
    };
    let int = |value: fn(&DataFile) -> Option<i64>| -> ArrayRef {
        Arc::new(files.iter().map(|file| value(file)).collect::<Int64Array>())
    };
    table(vec![
        ("table", text(|file| file.table.to_string())),
        ("path", text(|file| file.path.clone())),
        ("rows", integers(files.iter().map(|file| file.rows))),
        ("bytes", integers(files.iter().map(|file| file.bytes))),
        ("min_model_id", int(|file| file.model_id.map(|(min, _)| min))),
        ("max_model_id", int(|file| file.model_id.map(|(_, max)| max))),
        ("min_epoch", int(|file| file.epoch.map(|(min, _)| min))),
        ("max_epoch", int(|file| file.epoch.map(|(_, max)| max))),
        ("sha256", text(|file| file.sha256.clone())),
    ])
}

fn integers(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(values.map(|value| i64::try_from(value).ok()).collect::<Int64Array>())
}

fn table(columns: Vec<(&str, ArrayRef)>) -> Result<Arc<dyn TableProvider>> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), array.is_nullable()))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let columns = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
        .map_err(|error| Error::internal("cannot build a system table").with_source(error))?;
    let table = MemTable::try_new(schema, vec![vec![batch]])
        .map_err(|error| Error::internal("cannot build a system table").with_source(error))?;
    Ok(Arc::new(table))
}
