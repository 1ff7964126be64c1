//! `zoolake describe`: what is in a store.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use clap::Args;

use super::output::Output;
use super::place::PlaceAndTime;
use crate::error::{Error, Result};
use crate::sql::Session;

/// Describe a store: its tables, or the columns of one
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

/// One row per table: rows, files and bytes of the stored ones.
fn tables(session: &Session) -> Result<RecordBatch> {
    let empty = ["models", "epochs", "tensors"].map(|table| (table.to_owned(), (0, 0, 0)));
    let mut stored: BTreeMap<String, (i64, i64, i64)> = empty.into();
    for file in session.snapshot().files() {
        let sums = stored.entry(file.table.to_string()).or_default();
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        sums.0 += signed(file.rows);
        sums.1 += 1;
        sums.2 += signed(file.bytes);
    }
    let names = session.tables();
    let column = |value: fn(&(i64, i64, i64)) -> i64| -> ArrayRef {
        Arc::new(names.iter().map(|name| stored.get(name).map(value)).collect::<Int64Array>())
    };
    batch(vec![
        ("table", text(names.iter().cloned())),
        ("rows", column(|sums| sums.0)),
        ("files", column(|sums| sums.1)),
        ("bytes", column(|sums| sums.2)),
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
