//! Stored rows in new files: those of several files merged, those of one thinned
//! out. What is read was checked against the log first, so that damage is never
//! written anew under a fresh checksum.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{
    SortColumn, concat, filter_record_batch, interleave_record_batch, lexsort_to_indices,
};
use arrow::datatypes::{Field, FieldRef, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;

use super::columns::{read_columns, unreadable};
use super::encoded::{self, Encoded};
use super::log::DataFile;
use super::schema::{Table, rows_in};
use super::snapshot::CONCURRENT_READS;
use super::weight_encoding::WeightEncoding;
use super::{Location, failure, verify};
use crate::error::{Error, Kind, Result};

/// What is decoded at a time: the reader takes several times as much by the way.
const BATCH_BYTES: usize = 1 << 20;

/// Whose a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    /// The model with this id.
    Model(i64),
    /// The architecture of this name: rows of `tensors`.
    Arch(&'a str),
    /// The run of this name: rows of `results`.
    Run(&'a str),
    /// A run and the model that it says something of: rows of `predictions`.
    Prediction(&'a str, i64),
}

/// Whether an owner's rows are wanted. Rows without an owner always are.
pub(super) type Wanted<'a> = &'a (dyn Fn(Owner<'_>) -> bool + Sync);

/// How many of a file's rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    All,
    Some,
    None,
}

/// The wanted rows of `files`, all of `table`, in the order of the table, and with weights
/// in `encoding`; `None` if there are none. All of them are in memory.
pub(super) async fn rewrite(
    location: &Location,
    table: &Table,
    files: &[Arc<DataFile>],
    encoding: WeightEncoding,
    wanted: Wanted<'_>,
) -> Result<Option<Encoded>> {
    let mut reads = futures::stream::iter(files.to_vec())
        .map(|file| async move { read(location, &file).await.map(|bytes| (file, bytes)) })
        .buffered(CONCURRENT_READS);
    let mut batches = Vec::new();
    while let Some((file, bytes)) = reads.try_next().await? {
        let wanted = decode(bytes, wanted).map_err(|error| unreadable(location, &file, error))?;
        batches.extend(wanted);
    }
    if batches.is_empty() {
        return Ok(None);
    }
    let failed = |error: ArrowError| {
        Error::internal(format!("cannot merge files of `{table}`: {error}")).with_source(error)
    };
    let schema = union(batches.iter().map(RecordBatch::schema).collect())?;
    let adapted = batches.iter().map(|batch| adapt(batch, &schema));
    let batches = adapted.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let order = order(table, &batches).map_err(failed)?;
    let pieces = order.chunks(encoded::rows_per_group(&schema));
    let pieces = pieces.map(|rows| interleave_record_batch(&batches, rows).map_err(failed));
    encoded::encode(table, &schema, encoding, pieces).map(Some)
}

/// How many rows of `file` are wanted. Reads no more than their owners.
pub(super) async fn share(
    location: &Location,
    file: &DataFile,
    wanted: Wanted<'_>,
) -> Result<Share> {
    let (mut some, mut all) = (false, true);
    for batch in read_columns(location, file, &["model_id", "arch", "run"]).await? {
        let mask = mask(&batch, wanted);
        let count = mask.map_or(batch.num_rows(), |mask| mask.true_count());
        some |= count > 0;
        all &= count == batch.num_rows();
    }
    Ok(match (some, all) {
        (_, true) => Share::All,
        (true, false) => Share::Some,
        (false, false) => Share::None,
    })
}

/// The bytes of a file, which are those that were committed.
pub(super) async fn read(location: &Location, file: &DataFile) -> Result<Bytes> {
    verify::read(location, file).await?.map_err(|problem| {
        Error::corrupt(format!("`{}` {problem}", file.path)).with_hint(failure::VERIFY)
    })
}

/// The wanted rows of a Parquet file.
fn decode(bytes: Bytes, wanted: Wanted<'_>) -> Result<Vec<RecordBatch>, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let rows = rows_in(BATCH_BYTES, builder.schema());
    let mut kept = Vec::new();
    for batch in builder.with_batch_size(rows).build()? {
        let batch = batch?;
        let batch = match mask(&batch, wanted) {
            Some(mask) if mask.true_count() < batch.num_rows() => {
                filter_record_batch(&batch, &mask)?
            }
            _ => batch,
        };
        if batch.num_rows() > 0 {
            kept.push(batch);
        }
    }
    Ok(kept)
}

/// Which rows are wanted; `None` if they have no owners.
fn mask(batch: &RecordBatch, wanted: Wanted<'_>) -> Option<BooleanArray> {
    let text = |name| batch.column_by_name(name)?.as_string_opt::<i32>();
    if let Some(ids) = batch.column_by_name("model_id") {
        let ids = ids.as_primitive_opt::<Int64Type>()?.values().iter();
        let of_run = |(id, run): (&i64, Option<&str>)| {
            Some(wanted(Owner::Prediction(run.unwrap_or_default(), *id)))
        };
        return Some(match text("run") {
            Some(runs) => ids.zip(runs).map(of_run).collect(),
            None => ids.map(|id| Some(wanted(Owner::Model(*id)))).collect(),
        });
    }
    if let Some(archs) = text("arch") {
        let wanted = |arch: Option<&str>| Some(wanted(Owner::Arch(arch.unwrap_or_default())));
        return Some(archs.iter().map(wanted).collect());
    }
    let wanted = |run: Option<&str>| Some(wanted(Owner::Run(run.unwrap_or_default())));
    Some(text("run")?.iter().map(wanted).collect())
}

/// The columns of all these schemas by name, in the order of the last one. Older
/// files may lack columns, whose values are NULL then.
fn union(mut schemas: Vec<SchemaRef>) -> Result<SchemaRef> {
    schemas.dedup();
    let mut fields: Vec<&FieldRef> = Vec::new();
    for field in schemas.iter().rev().flat_map(|schema| schema.fields()) {
        match fields.iter().find(|known| known.name() == field.name()) {
            None => fields.push(field),
            Some(known) if known.data_type() == field.data_type() => {}
            Some(known) => {
                let (name, a, b) = (field.name(), known.data_type(), field.data_type());
                let message = format!("column `{name}` has the types `{a}` and `{b}`");
                return Err(Error::new(Kind::Unsupported, message)
                    .with_hint("install a newer zoolake, if that wrote one of them"));
            }
        }
    }
    let nullable = |field: &FieldRef| {
        let in_schema = |schema: &SchemaRef| {
            schema.field_with_name(field.name()).map_or(true, Field::is_nullable)
        };
        schemas.iter().any(in_schema)
    };
    let fields = fields.iter().map(|field| field.as_ref().clone().with_nullable(nullable(field)));
    Ok(Arc::new(Schema::new(fields.collect::<Vec<_>>())))
}

/// The same rows with the columns of `schema`.
fn adapt(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| {
        batch.column_by_name(field.name()).map_or_else(
            || arrow::array::new_null_array(field.data_type(), batch.num_rows()),
            Arc::clone,
        )
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect())
}

/// Every row, as batch and row, in the order of `table`.
fn order(table: &Table, batches: &[&RecordBatch]) -> Result<Vec<(usize, usize)>, ArrowError> {
    let rows_of = |(number, batch): (usize, &&RecordBatch)| {
        (0..batch.num_rows()).map(move |row| (number, row))
    };
    let rows: Vec<(usize, usize)> = batches.iter().enumerate().flat_map(rows_of).collect();
    let mut keys = Vec::new();
    for name in table.sorted_by() {
        let columns = batches.iter().filter_map(|batch| batch.column_by_name(name));
        let columns: Vec<&dyn Array> = columns.map(AsRef::as_ref).collect();
        keys.push(SortColumn { values: concat(&columns)?, options: None });
    }
    if keys.is_empty() {
        return Ok(rows);
    }
    let sorted = lexsort_to_indices(&keys, None)?;
    Ok(sorted.values().iter().map(|&row| rows[row as usize]).collect())
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Float64Array, Int64Array};

    use super::super::commit::NewFiles;
    use super::*;

    /// A file of `epochs` with these columns.
    async fn write(files: &mut NewFiles<'_>, columns: Vec<(&str, ArrayRef)>) -> Arc<DataFile> {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let encoded = encoded::narrow(&Table::Epochs, &batch.schema(), [Ok(batch)]).unwrap();
        Arc::new(files.write(&Table::Epochs, encoded).await.unwrap())
    }

    fn ints(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn floats(values: &[f64]) -> ArrayRef {
        Arc::new(Float64Array::from(values.to_vec()))
    }

    async fn rows(encoded: Encoded) -> RecordBatch {
        let batches = decode(encoded.bytes.into(), &|_| true).unwrap();
        arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
    }

    async fn merge(
        location: &Location,
        files: &[Arc<DataFile>],
        wanted: Wanted<'_>,
    ) -> Result<Option<Encoded>> {
        rewrite(location, &Table::Epochs, files, WeightEncoding::Split, wanted).await
    }

    #[tokio::test]
    async fn files_of_different_columns_merge_in_order() {
        let location = Location::memory();
        let mut files = NewFiles::new(&location, WeightEncoding::Split);
        let older = [("model_id", ints(&[7, 9, 7])), ("epoch", ints(&[0, 0, 1]))];
        let older = write(&mut files, older.to_vec()).await;
        let newer = vec![
            ("model_id", ints(&[8, 8])),
            ("epoch", ints(&[0, 1])),
            ("test_acc", floats(&[0.25, 0.5])),
        ];
        let newer = write(&mut files, newer).await;
        let both = [older, newer];
        let merged = merge(&location, &both, &|_| true).await.unwrap().unwrap();
        assert_eq!((merged.rows, merged.model_id, merged.epoch), (5, Some((7, 9)), Some((0, 1))));
        let merged = rows(merged).await;
        assert_eq!(merged.column(0), &ints(&[7, 8, 9, 7, 8]));
        assert_eq!(merged.column(1), &ints(&[0, 0, 0, 1, 1]));
        let expected = Float64Array::from(vec![None, Some(0.25), None, None, Some(0.5)]);
        assert_eq!(merged.column(2).as_ref(), &expected as &dyn Array);

        let of_8 = |owner: Owner<'_>| owner == Owner::Model(8);
        for (file, expected) in both.iter().zip([Share::None, Share::All]) {
            assert_eq!(share(&location, file, &of_8).await.unwrap(), expected);
        }
        let of_7 = |owner: Owner<'_>| owner == Owner::Model(7);
        assert_eq!(share(&location, &both[0], &of_7).await.unwrap(), Share::Some);
        let thinned = merge(&location, &both, &of_7).await.unwrap().unwrap();
        assert_eq!(rows(thinned).await.column(0), &ints(&[7, 7]));
        assert!(merge(&location, &both, &|_| false).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_column_of_two_types_is_refused() {
        let location = Location::memory();
        let mut files = NewFiles::new(&location, WeightEncoding::Split);
        let mut both = Vec::new();
        for seconds in [ints(&[1]), floats(&[1.0])] {
            let columns =
                vec![("model_id", ints(&[7])), ("epoch", ints(&[0])), ("seconds", seconds)];
            both.push(write(&mut files, columns).await);
        }
        let error = merge(&location, &both, &|_| true).await.err().unwrap();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert_eq!(error.to_string(), "column `seconds` has the types `Float64` and `Int64`");
        assert!(error.hint().is_some());
    }
}
