//! Rows of a table as the bytes of a Parquet file: its row groups, pages and footer.
//!
//! What the rows are is not its business (`encode`, `rewrite`), nor where the bytes go
//! (`commit`).

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;

use super::log::FORMAT;
use super::schema::{Table, rows_in};
use super::vector_chunk::VectorWriter;
use super::weight_encoding::WeightEncoding;
use crate::error::{Error, Result};

/// Row groups of about this size: large enough for sequential speed, small
/// enough that a reader's memory stays bounded (and below the 286 MiB that some
/// dataset viewers refuse).
const ROW_GROUP_BYTES: usize = 32 << 20;

/// Rows per page of the key columns: their statistics tell one epoch from the next.
const KEY_PAGE_ROWS: usize = 1024;

/// A table of rows and the range of its keys, as Parquet bytes.
#[derive(Default)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) rows: usize,
    pub(super) model_id: Option<(i64, i64)>,
    pub(super) epoch: Option<(i64, i64)>,
}

impl Encoded {
    /// Takes note of rows that were written.
    fn count(&mut self, rows: &RecordBatch) {
        self.rows += rows.num_rows();
        self.model_id = union(self.model_id, range(rows, "model_id"));
        self.epoch = union(self.epoch, range(rows, "epoch"));
    }
}

/// Rows of any `table`, in its order, as a file. Of weights, whose values are stored in
/// `encoding`, each of the `batches` makes a row group: see [`rows_per_group`].
pub(super) fn encode(
    table: &Table,
    schema: &SchemaRef,
    encoding: WeightEncoding,
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
) -> Result<Encoded> {
    match table {
        Table::Weights(_) => weights(table, schema, encoding, batches),
        _ => narrow(table, schema, batches),
    }
}

/// Rows of a `table` without weights, in its order, as a file.
pub(super) fn narrow(
    table: &Table,
    schema: &SchemaRef,
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
) -> Result<Encoded> {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let properties = properties(table, schema).set_compression(zstd).build();
    let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties));
    let mut writer = writer.map_err(failed)?;
    let mut encoded = Encoded::default();
    for batch in batches {
        let batch = batch?;
        writer.write(&batch).map_err(failed)?;
        encoded.count(&batch);
    }
    encoded.bytes = writer.into_inner().map_err(failed)?;
    Ok(encoded)
}

fn weights(
    table: &Table,
    schema: &SchemaRef,
    encoding: WeightEncoding,
    batches: impl IntoIterator<Item = Result<RecordBatch>>,
) -> Result<Encoded> {
    let properties = weight_properties(table, schema, encoding)?.build();
    let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties));
    let writer = writer.and_then(ArrowWriter::into_serialized_writer).map_err(failed)?;
    let (mut file, columns) = writer;
    let mut vectors = VectorWriter::new(encoding)?;
    let mut encoded = Encoded::default();
    for batch in batches {
        let batch = batch?;
        let stock = columns.create_column_writers(file.flushed_row_groups().len());
        stock
            .and_then(|stock| write_group(&mut file, stock, &mut vectors, &batch))
            .map_err(failed)?;
        encoded.count(&batch);
    }
    encoded.bytes = file.into_inner().map_err(failed)?;
    Ok(encoded)
}

/// Appends a row group of `rows`: what is whole vectors by `vectors`, other columns by the
/// `stock` writers.
fn write_group(
    file: &mut SerializedFileWriter<Vec<u8>>,
    stock: Vec<ArrowColumnWriter>,
    vectors: &mut VectorWriter,
    rows: &RecordBatch,
) -> Result<(), ParquetError> {
    let described = file.schema_descr().columns().to_vec();
    let mut group = file.next_row_group()?;
    let columns = rows.schema_ref().fields().iter().zip(rows.columns());
    // Keys and vectors have one column of values each.
    for (((field, column), mut stock), described) in columns.zip(stock).zip(&described) {
        match whole_vectors(column) {
            Some((width, values)) => {
                let (bytes, closed) = vectors.chunk(described, width, values)?;
                group.append_column(&bytes, closed)?;
            }
            None => {
                for leaf in compute_leaves(field, column)? {
                    stock.write(&leaf)?;
                }
                stock.close()?.append_to_row_group(&mut group)?;
            }
        }
    }
    group.close()?;
    Ok(())
}

/// The length and the values of vectors, if none of them and nothing in them is NULL.
fn whole_vectors(column: &ArrayRef) -> Option<(usize, &[f32])> {
    let vectors = column.as_fixed_size_list_opt()?;
    let values = vectors.values().as_primitive_opt::<Float32Type>()?;
    let width = usize::try_from(vectors.value_length()).ok().filter(|&width| width > 0)?;
    let whole = vectors.null_count() == 0
        && values.null_count() == 0
        && values.len() == vectors.len() * width;
    whole.then(|| (width, &**values.values()))
}

fn failed(error: ParquetError) -> Error {
    Error::internal("cannot encode Parquet").with_source(error)
}

/// The rows of a row group.
pub(super) fn rows_per_group(schema: &Schema) -> usize {
    rows_in(ROW_GROUP_BYTES, schema)
}

/// The smallest and the largest value of a key column, if the batch has it.
pub(super) fn range(batch: &RecordBatch, key: &str) -> Option<(i64, i64)> {
    let keys = batch.column_by_name(key)?.as_primitive_opt::<Int64Type>()?;
    arrow::compute::min(keys).zip(arrow::compute::max(keys))
}

/// The range that covers both.
pub(super) fn union(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

fn properties(table: &Table, schema: &Schema) -> WriterPropertiesBuilder {
    let column = |key: &&str| i32::try_from(schema.index_of(key).ok()?).ok();
    let sorting = table.sorted_by().iter().filter_map(column).map(|column_idx| SortingColumn {
        column_idx,
        descending: false,
        nulls_first: false,
    });
    let format = KeyValue::new("zoolake.format".to_owned(), FORMAT.to_string());
    WriterProperties::builder()
        .set_created_by(super::format::WRITER.to_owned())
        .set_key_value_metadata(Some(vec![format]))
        .set_sorting_columns(Some(sorting.collect()))
        .set_data_page_row_count_limit(KEY_PAGE_ROWS)
}

/// Of weights, which are near random bits, a dictionary only grows the file, and
/// statistics prune nothing. The key columns, which come first, keep statistics and delta.
fn weight_properties(
    table: &Table,
    schema: &Schema,
    encoding: WeightEncoding,
) -> Result<WriterPropertiesBuilder> {
    let (encoding, compression) = encoding.in_parquet()?;
    let builder = properties(table, schema)
        .set_compression(compression)
        .set_encoding(encoding)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_writer_version(WriterVersion::PARQUET_2_0);
    Ok(["model_id", "epoch"].into_iter().fold(builder, |builder, key| {
        let key = ColumnPath::from(key);
        builder
            .set_column_encoding(key.clone(), Encoding::DELTA_BINARY_PACKED)
            .set_column_statistics_enabled(key, EnabledStatistics::Page)
    }))
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use arrow::array::{FixedSizeListArray, Float32Array, Int64Array};
    use arrow::buffer::NullBuffer;
    use arrow::compute::concat_batches;
    use arrow::datatypes::{DataType, Field};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::{
        ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelectionPolicy,
    };
    use parquet::file::metadata::PageIndexPolicy;
    use proptest::prelude::*;

    use super::super::schema::values_field;
    use super::*;

    /// Rows of a table of weights with one tensor, whose values are these bits.
    fn rows(width: usize, count: usize, bits: impl Iterator<Item = u32>) -> RecordBatch {
        let values: Vec<f32> = bits.take(width * count).map(f32::from_bits).collect();
        let vectors = FixedSizeListArray::new(
            values_field(),
            i32::try_from(width).unwrap(),
            Arc::new(Float32Array::from(values)),
            None,
        );
        with_keys(vectors)
    }

    fn with_keys(vectors: FixedSizeListArray) -> RecordBatch {
        let keys = Int64Array::from_iter_values(0..vectors.len() as i64);
        let vector = Field::new("fc.weight", vectors.data_type().clone(), vectors.is_nullable());
        let fields = [Field::new("model_id", DataType::Int64, false), vector];
        let schema = Arc::new(Schema::new(fields.to_vec()));
        RecordBatch::try_new(schema, vec![Arc::new(keys), Arc::new(vectors)]).unwrap()
    }

    fn file(encoding: WeightEncoding, groups: &[RecordBatch]) -> Bytes {
        let table = Table::Weights("cnn_s".to_owned());
        let groups_of_file = groups.iter().cloned().map(Ok);
        encode(&table, groups[0].schema_ref(), encoding, groups_of_file).unwrap().bytes.into()
    }

    /// Some of `all` rows, by the stock reader.
    fn read(file: &Bytes, rows: Range<usize>, all: usize) -> RecordBatch {
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let builder =
            ParquetRecordBatchReaderBuilder::try_new_with_options(file.clone(), options).unwrap();
        let schema = Arc::clone(builder.schema());
        let selection = RowSelection::from_consecutive_ranges(std::iter::once(rows), all);
        let reader = builder
            .with_row_selection(selection)
            .with_row_selection_policy(RowSelectionPolicy::Selectors)
            .build()
            .unwrap();
        let batches = reader.collect::<Result<Vec<_>, _>>().unwrap();
        concat_batches(&schema, &batches).unwrap()
    }

    fn bits(rows: &RecordBatch) -> Vec<u32> {
        let vectors = rows.column(1).as_fixed_size_list();
        let values = vectors.values().as_primitive::<Float32Type>();
        values.values().iter().map(|value| value.to_bits()).collect()
    }

    fn encodings() -> impl Strategy<Value = WeightEncoding> {
        prop_oneof![Just(WeightEncoding::Split), Just(WeightEncoding::Plain)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn vectors_are_read_as_they_were_written(
            encoding in encodings(),
            width in prop_oneof![1_usize..90, 16_380_usize..16_390],
            kib in prop::collection::vec(1_usize..260, 1..3),
            // Some sets of values compress, some do not.
            mask: u32,
            seed: u32,
            (start, length) in (0.0..1.0, 0.0..1.0),
        ) {
            let mut state = seed;
            let mut values = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.rotate_left(13) & mask
            });
            let counts = kib.iter().map(|kib| (256 * kib / width).max(1));
            let groups: Vec<_> =
                counts.map(|count| rows(width, count, values.by_ref())).collect();
            let whole = concat_batches(groups[0].schema_ref(), &groups).unwrap();
            let file = file(encoding, &groups);

            let all = whole.num_rows();
            prop_assert_eq!(bits(&read(&file, 0..all, all)), bits(&whole));
            let start = (start * all as f64) as usize;
            let length = ((length * (all - start) as f64) as usize).max(1);
            let (read, part) =
                (read(&file, start..start + length, all), whole.slice(start, length));
            prop_assert_eq!(bits(&read), bits(&part));
            prop_assert_eq!(read.column(0), part.column(0));
        }
    }

    #[test]
    fn vectors_may_be_null_in_some_row_groups() {
        let all = rows(5, 300, 0..);
        let vectors = all.column(1).as_fixed_size_list();
        let nulls = NullBuffer::from_iter((0..300).map(|row| row % 7 != 0));
        let values = Arc::clone(vectors.values());
        let some = with_keys(FixedSizeListArray::new(values_field(), 5, values, Some(nulls)));
        let whole = RecordBatch::try_new(some.schema(), all.columns().to_vec()).unwrap();
        for encoding in [WeightEncoding::Split, WeightEncoding::Plain] {
            let groups = [some.clone(), whole.clone(), some.clone()];
            let read = read(&file(encoding, &groups), 0..900, 900);
            let expected = concat_batches(&some.schema(), &groups).unwrap();
            assert!(read.columns() == expected.columns());
        }
    }

    /// As they do if a page is large; of a small one they did not, as bytes of mantissas
    /// shared their block.
    #[test]
    fn exponents_compress_by_themselves() {
        let mut stream = crate::train::Stream::new(1, crate::train::Purpose::Init);
        let noise = rows(1200, 300, std::iter::repeat_with(|| stream.normal().to_bits()));
        let [split, plain] = [WeightEncoding::Split, WeightEncoding::Plain]
            .map(|encoding| file(encoding, std::slice::from_ref(&noise)).len());
        assert!(split * 100 < plain * 85, "{split} of {plain} bytes");
    }
}
