//! `zoolake describe`: what is in a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use clap::Args;

use super::output::Output;
use super::place::PlaceAndTime;
use crate::error::{Error, Result};
use crate::sql::Session;
use crate::store::{Table, row_bytes};

/// Describe a store: its tables, or the columns of one
///
/// Of the tables that are stored: `bytes` is their size in the store, `raw_bytes` that of their values
/// in memory, eight bytes a number and four a weight, `ratio` the second by the first. Tables with text
/// have no `raw_bytes`.
#[derive(Debug, Args)]
pub(super) struct Describe {
    /// The table
    table: Option<String>,

    #[command(flatten)]
    place: PlaceAndTime,

    #[command(flatten)]
    output: Output,
}

impl Describe {
    pub(super) async fn run(self) -> Result<()> {
        let session = self.place.session().await?;
        let batch = match &self.table {
            Some(table) => columns(&session, table).await?,
            None => tables(&session)?,
        };
        self.output.write(batch.into()).await
    }
}

/// What a stored table takes.
#[derive(Default)]
struct Size {
    rows: u64,
    files: u64,
    /// On disk.
    bytes: u64,
    /// Bytes of a row in memory, where all rows take the same.
    row_bytes: Option<u64>,
}

impl Size {
    fn of(table: &Table) -> Self {
        let schema = table.schema().filter(|schema| {
            schema.fields().iter().all(|field| *field.data_type() != DataType::Utf8)
        });
        Self { row_bytes: schema.map(|schema| row_bytes(&schema) as u64), ..Self::default() }
    }

    fn raw_bytes(&self) -> Option<u64> {
        self.row_bytes.map(|row_bytes| row_bytes * self.rows)
    }

    fn ratio(&self) -> Option<f64> {
        let raw = self.raw_bytes().filter(|_| self.bytes > 0)?;
        Some((100.0 * raw as f64 / self.bytes as f64).round() / 100.0)
    }
}

/// One row per table: rows, files and sizes of the stored ones.
fn tables(session: &Session) -> Result<RecordBatch> {
    let empty = [Table::Models, Table::Epochs, Table::Tensors, Table::Results, Table::Predictions];
    let empty = empty.map(|table| (table.to_string(), Size::of(&table)));
    let mut stored: BTreeMap<String, Size> = empty.into();
    for file in session.snapshot().files() {
        let size = stored.entry(file.table.to_string()).or_insert_with(|| Size::of(&file.table));
        size.rows += file.rows;
        size.files += 1;
        size.bytes += file.bytes;
    }
    let names = session.tables();
    let sizes = || names.iter().map(|name| stored.get(name));
    let count = |value: fn(&Size) -> Option<u64>| -> ArrayRef {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        Arc::new(sizes().map(|size| size.and_then(value).map(signed)).collect::<Int64Array>())
    };
    let ratios: Float64Array = sizes().map(|size| size.and_then(Size::ratio)).collect();
    batch(vec![
        ("table", text(names.iter().cloned())),
        ("rows", count(|size| Some(size.rows))),
        ("files", count(|size| Some(size.files))),
        ("bytes", count(|size| Some(size.bytes))),
        ("raw_bytes", count(Size::raw_bytes)),
        ("ratio", Arc::new(ratios)),
        ("contents", text(names.iter().map(|name| contents(name)))),
    ])
}

fn contents(table: &str) -> String {
    let text = match table {
        "models" => "one row per model: hyperparameters and status",
        "epochs" => "one row per state: metrics",
        "states" => "models and epochs joined, with the generalisation gap",
        "tensors" => "parameter layouts: tensors of each architecture",
        "weights" => "one row per state and tensor, all architectures",
        "results" => "one row per metric of a predictor",
        "predictions" => "one row per predicted state, beside the truth",
        "functions" => "one row per SQL function on vectors",
        "snapshots" => "one row per commit",
        "files" => "one row per Parquet file",
        _ if table.starts_with("weights_") => "one row per state, one vector per tensor",
        _ if table.starts_with("vectors_") => "one row per state, the whole state as one vector",
        _ => "",
    };
    text.to_owned()
}

/// One row per column of `table`.
async fn columns(session: &Session, table: &str) -> Result<RecordBatch> {
    let schema = session.schema(table).await?;
    let fields = schema.fields();
    let meaning = |field: &Arc<arrow::datatypes::Field>| {
        let metadata = field.metadata();
        let shape = || metadata.get("shape").map(|shape| format!("shape {shape}"));
        metadata.get("description").cloned().or_else(shape).unwrap_or_default()
    };
    let null = |nullable: bool| if nullable { "yes" } else { "no" }.to_owned();
    batch(vec![
        ("column", text(fields.iter().map(|field| field.name().clone()))),
        ("type", text(fields.iter().map(|field| type_name(field.data_type())))),
        ("null", text(fields.iter().map(|field| null(field.is_nullable())))),
        ("meaning", text(fields.iter().map(meaning))),
    ])
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::FixedSizeList(item, length) => format!("{}[{length}]", item.data_type()),
        DataType::List(item) => format!("{}[]", item.data_type()),
        scalar => scalar.to_string(),
    }
}

fn text(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    RecordBatch::try_from_iter(columns)
        .map_err(|error| Error::internal("cannot build the description").with_source(error))
}
