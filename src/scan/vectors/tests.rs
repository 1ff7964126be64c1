//! The vector scan against the stock reader: whatever a file looks like, the rows
//! are the same.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Int64Array, RecordBatch,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileOpener;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{Column as ColumnExpr, binary, lit};
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_plan::metrics::Count;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use proptest::prelude::*;

use super::Footer;
use super::buffers::Buffers;
use super::columns::{Column, Part};
use super::group::{Wanted, join};
use super::opener::Opener;
use crate::store::values_field;

/// What a file of vectors may look like.
#[derive(Debug, Clone)]
struct Layout {
    widths: Vec<usize>,
    rows: usize,
    /// Which vectors, and which values in them, are NULL: one of so many.
    null_vectors: Option<usize>,
    null_values: Option<usize>,
    /// Another name than `item`, as other writers have it.
    element: bool,
    version: WriterVersion,
    encoding: Encoding,
    dictionary: bool,
    compression: Compression,
    page_bytes: usize,
    page_rows: usize,
    group_rows: usize,
    offset_index: bool,
}

impl Layout {
    /// As zoolake writes, in small.
    fn own(widths: &[usize], rows: usize) -> Self {
        Self {
            widths: widths.to_vec(),
            rows,
            null_vectors: None,
            null_values: None,
            element: false,
            version: WriterVersion::PARQUET_2_0,
            encoding: Encoding::BYTE_STREAM_SPLIT,
            dictionary: false,
            compression: Compression::ZSTD(Default::default()),
            page_bytes: 512,
            page_rows: 7,
            group_rows: 50,
            offset_index: true,
        }
    }

    fn item(&self) -> FieldRef {
        let name = if self.element { "element" } else { "item" };
        Arc::new(Field::new(name, DataType::Float32, true))
    }

    fn schema(&self) -> SchemaRef {
        let keys = ["model_id", "epoch"].map(|key| Field::new(key, DataType::Int64, false));
        let vectors = self.widths.iter().enumerate().map(|(index, &width)| {
            let vector = DataType::FixedSizeList(self.item(), width.try_into().unwrap());
            Field::new(format!("t{index}.weight"), vector, true)
        });
        Arc::new(Schema::new(keys.into_iter().chain(vectors).collect::<Vec<_>>()))
    }

    /// Rows sorted as zoolake sorts them.
    fn batch(&self) -> RecordBatch {
        let models = 5;
        let id = |row: usize| i64::try_from(row % models).unwrap();
        let epoch = |row: usize| i64::try_from(row / models).unwrap();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values((0..self.rows).map(id))),
            Arc::new(Int64Array::from_iter_values((0..self.rows).map(epoch))),
        ];
        for (index, &width) in self.widths.iter().enumerate() {
            let value = |place: usize| {
                let null = self.null_values.is_some_and(|every| place % every == every - 1);
                (!null).then(|| (place * 7919 % 10_007) as f32 * 0.37 - 1000.0 + index as f32)
            };
            let values: Float32Array = (0..self.rows * width).map(value).collect();
            let nulls = self.null_vectors.map(|every| {
                (0..self.rows).map(|row| row % every != every - 1).collect::<NullBuffer>()
            });
            let width = width.try_into().unwrap();
            let vectors = FixedSizeListArray::new(self.item(), width, Arc::new(values), nulls);
            columns.push(Arc::new(vectors));
        }
        RecordBatch::try_new(self.schema(), columns).unwrap()
    }

    fn write(&self) -> Bytes {
        let mut bytes = Vec::new();
        let properties = WriterProperties::builder()
            .set_writer_version(self.version)
            .set_encoding(self.encoding)
            .set_column_encoding("model_id".into(), Encoding::PLAIN)
            .set_column_encoding("epoch".into(), Encoding::PLAIN)
            .set_dictionary_enabled(self.dictionary)
            .set_compression(self.compression)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_data_page_size_limit(self.page_bytes)
            .set_data_page_row_count_limit(self.page_rows)
            .set_write_batch_size(3)
            .set_max_row_group_row_count(Some(self.group_rows))
            .set_offset_index_disabled(!self.offset_index)
            .build();
        let mut writer = ArrowWriter::try_new(&mut bytes, self.schema(), Some(properties)).unwrap();
        writer.write(&self.batch()).unwrap();
        writer.close().unwrap();
        bytes.into()
    }

    /// The columns of the table: each tensor by itself, or all as one vector.
    fn columns(&self, joined: bool) -> Vec<Column> {
        let mut offset = 0;
        let parts = self.widths.iter().enumerate().map(|(index, &width)| {
            let part = Part { tensor: format!("t{index}.weight"), offset, width };
            offset += width;
            part
        });
        let parts: Vec<Part> = parts.collect();
        let keys = [Column::Key(0), Column::Key(1)];
        if joined {
            return keys.into_iter().chain([Column::Vector(parts.into())]).collect();
        }
        let alone = |part: Part| Column::Vector([Part { offset: 0, ..part }].into());
        keys.into_iter().chain(parts.into_iter().map(alone)).collect()
    }
}

fn opener(
    objects: Arc<dyn ObjectStore>,
    wanted: Wanted,
    layout: &Layout,
    question: &Question,
) -> Opener {
    Opener {
        objects,
        wanted: Arc::new(wanted),
        keys: Layout::own(&[], 0).schema(),
        predicate: question.predicate(&layout.schema()),
        limit: question.limit,
    }
}

/// Reads a file of `size` bytes, part by part.
async fn scan(
    opener: Opener,
    size: usize,
    cuts: &[usize],
) -> datafusion::error::Result<RecordBatch> {
    let schema = Arc::clone(&opener.wanted.schema);
    let file = PartitionedFile::new("file.parquet", size as u64).with_extension(Footer::default());
    let mut ends: Vec<i64> = cuts.iter().map(|cut| i64::try_from(cut % size).unwrap()).collect();
    ends.extend([0, i64::try_from(size).unwrap()]);
    ends.sort_unstable();
    let mut batches: Vec<RecordBatch> = Vec::new();
    for part in ends.windows(2) {
        let part = file.clone().with_range(part[0], part[1]);
        batches.extend(opener.open(part)?.await?.try_collect::<Vec<_>>().await?);
    }
    Ok(concat_batches(&schema, &batches)?)
}

/// The same rows by the stock reader, all of them read.
fn expected(
    bytes: Bytes,
    columns: &[Column],
    wanted: &SchemaRef,
    mask: Option<&BooleanArray>,
) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let schema = Arc::clone(reader.schema());
    let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
    let mut batch = concat_batches(&schema, &batches).unwrap();
    if let Some(mask) = mask {
        batch = filter_record_batch(&batch, mask).unwrap();
    }
    let column = |column: &Column| -> ArrayRef {
        match column {
            Column::Key(key) => Arc::clone(batch.column(*key)),
            Column::Vector(parts) => {
                let vectors = |part: &Part| {
                    let array = batch.column_by_name(&part.tensor).unwrap();
                    let data = array.to_data().into_builder();
                    let width = part.width.try_into().unwrap();
                    let vector = DataType::FixedSizeList(values_field(), width);
                    FixedSizeListArray::from(data.data_type(vector).build().unwrap())
                };
                Arc::new(join(&parts.iter().map(vectors).collect::<Vec<_>>()).unwrap())
            }
        }
    };
    RecordBatch::try_new(Arc::clone(wanted), columns.iter().map(column).collect()).unwrap()
}

fn wanted(columns: Vec<Column>, batch_rows: usize) -> Wanted {
    let field = |(index, column): (usize, &Column)| match column {
        Column::Key(key) => Field::new(["model_id", "epoch"][*key], DataType::Int64, false),
        Column::Vector(parts) => {
            let width: usize = parts.iter().map(|part| part.width).sum();
            let vector = DataType::FixedSizeList(values_field(), width.try_into().unwrap());
            Field::new(format!("v{index}"), vector, true)
        }
    };
    let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
    Wanted {
        schema: Arc::new(schema),
        columns,
        batch_rows,
        large_rows: batch_rows == 1,
        buffers: Buffers::default(),
        bytes: Buffers::default(),
        stock_groups: Count::new(),
    }
}

/// What is asked of a file.
#[derive(Debug, Clone, Default)]
struct Question {
    /// Epochs from the first on and before the second, and models below the third.
    keys: Option<[i64; 3]>,
    limit: Option<usize>,
    /// Where the file is cut into parts.
    cuts: Vec<usize>,
}

impl Question {
    fn mask(&self, batch: &RecordBatch) -> Option<BooleanArray> {
        let [from, to, below] = self.keys?;
        let key = |index: usize| batch.column(index).as_any().downcast_ref::<Int64Array>().unwrap();
        let rows = key(0).values().iter().zip(key(1).values());
        let wanted = rows.map(|(model, epoch)| (from..to).contains(epoch) && *model < below);
        Some(wanted.map(Some).collect())
    }

    fn predicate(&self, schema: &Schema) -> Option<Arc<dyn PhysicalExpr>> {
        let [from, to, below] = self.keys?;
        let bound = |name: &str, operator, value: i64| {
            let column = Arc::new(ColumnExpr::new_with_schema(name, schema).unwrap());
            binary(column, operator, lit(ScalarValue::from(value)), schema).unwrap()
        };
        let bounds = [
            bound("epoch", Operator::GtEq, from),
            bound("epoch", Operator::Lt, to),
            bound("model_id", Operator::Lt, below),
        ];
        Some(conjunction(bounds))
    }
}

/// Reads by both readers, from a disk and from an object store; says how many row
/// groups the vector scan left to the stock reader.
fn compare(layout: &Layout, columns: &[Column], batch_rows: usize, question: &Question) -> usize {
    let bytes = layout.write();
    let mask = question.mask(&layout.batch());
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn ObjectStore> =
        Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let memory: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut stock = 0;
    for objects in [disk, memory] {
        let wanted = wanted(columns.to_vec(), batch_rows);
        let mut expected = expected(bytes.clone(), columns, &wanted.schema, mask.as_ref());
        let counter = wanted.stock_groups.clone();
        let mut found = runtime.block_on(async {
            objects.put(&Path::from("file.parquet"), bytes.clone().into()).await.unwrap();
            let opener = opener(objects, wanted, layout, question);
            scan(opener, bytes.len(), &question.cuts).await.unwrap()
        });
        if let Some(limit) = question.limit {
            // At least so many, and first of all these.
            let rows = limit.min(expected.num_rows());
            (expected, found) = (expected.slice(0, rows), found.slice(0, rows));
        }
        assert_eq!(found, expected);
        stock = counter.value();
    }
    stock
}

#[test]
fn files_of_zoolake_are_read_directly() {
    let layout = Layout::own(&[1, 8, 25, 200], 330);
    let all = Question::default();
    let some = Question { keys: Some([20, 37, 3]), ..Question::default() };
    for joined in [false, true] {
        assert_eq!(compare(&layout, &layout.columns(joined), 13, &all), 0);
        assert_eq!(compare(&layout, &layout.columns(joined), 1, &all), 0);
        assert_eq!(compare(&layout, &layout.columns(joined), 13, &some), 0);
    }
    let plain =
        Layout { encoding: Encoding::PLAIN, compression: Compression::UNCOMPRESSED, ..layout };
    assert_eq!(compare(&plain, &plain.columns(true), 13, &all), 0);
}

#[test]
fn what_is_unusual_is_left_to_the_stock_reader() {
    let all = Question::default();
    let own = Layout::own(&[3, 30], 130);
    let groups = 3;
    for layout in [
        Layout { version: WriterVersion::PARQUET_1_0, ..own.clone() },
        Layout { null_values: Some(11), ..own.clone() },
        Layout { null_vectors: Some(5), ..own.clone() },
        Layout { dictionary: true, ..own.clone() },
    ] {
        for joined in [false, true] {
            assert_eq!(compare(&layout, &layout.columns(joined), 13, &all), groups, "{layout:?}");
        }
    }
    // NULLs that come late: what was read directly before stays.
    let late = Layout { null_vectors: Some(40), ..own };
    assert_eq!(compare(&late, &late.columns(false), 13, &all), groups);
}

fn layouts() -> impl Strategy<Value = Layout> {
    let widths =
        prop::collection::vec(prop::sample::select(vec![1, 2, 3, 7, 8, 9, 25, 64, 100]), 1..4);
    let seldom = || prop::option::weighted(0.2, 1_usize..60);
    let pages = (1_usize..3000, 1_usize..40, 1_usize..120, any::<bool>());
    let encoding = prop::sample::select(vec![Encoding::PLAIN, Encoding::BYTE_STREAM_SPLIT]);
    let compression = prop::sample::select(vec![
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::BROTLI(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(Default::default()),
    ]);
    let form = (
        any::<bool>(),
        prop::bool::weighted(0.8),
        encoding,
        prop::bool::weighted(0.1),
        compression,
    );
    (widths, 1_usize..250, seldom(), seldom(), form, pages).prop_map(
        |(widths, rows, null_vectors, null_values, form, pages)| Layout {
            widths,
            rows,
            null_vectors,
            null_values,
            element: form.0,
            version: if form.1 { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 },
            encoding: form.2,
            dictionary: form.3,
            compression: form.4,
            page_bytes: pages.0,
            page_rows: pages.1,
            group_rows: pages.2,
            offset_index: pages.3,
        },
    )
}

fn questions() -> impl Strategy<Value = Question> {
    let keys = (0_i64..50, 0_i64..50, 0_i64..6).prop_map(|(from, to, below)| [from, to, below]);
    let limit = prop::option::weighted(0.3, 0_usize..80);
    let cuts = prop::collection::vec(any::<usize>(), 0..3);
    (prop::option::of(keys), limit, cuts).prop_map(|(keys, limit, cuts)| Question {
        keys,
        limit,
        cuts,
    })
}

proptest! {
    #[test]
    fn every_file_yields_the_rows_of_the_stock_reader(
        layout in layouts(),
        joined: bool,
        batch_rows in prop_oneof![Just(1_usize), 2_usize..60],
        question in questions(),
        picked in prop::collection::vec(any::<bool>(), 6),
    ) {
        let mut picked = picked.into_iter();
        let mut columns = layout.columns(joined);
        columns.retain(|_| picked.next().unwrap_or(true));
        prop_assume!(!columns.is_empty());
        compare(&layout, &columns, batch_rows, &question);
    }

    /// A file may hold anything: what comes of it is rows, or an error. Where the
    /// `parquet` crate panics that is an error too; what pages of ours may hold is
    /// tested in `page`.
    #[test]
    fn no_damage_is_a_panic(
        layout in layouts(),
        joined: bool,
        question in questions(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = layout.write().to_vec();
        let end = bytes.len() - 8;
        for (place, byte) in damage {
            bytes[place.index(end)] = byte;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let file = PartitionedFile::new("file.parquet", bytes.len() as u64);
            objects.put(&Path::from("file.parquet"), bytes.into()).await.unwrap();
            let opener = opener(objects, wanted(layout.columns(joined), 9), &layout, &question);
            if let Ok(batches) = opener.open(file).unwrap().await {
                drop(batches.try_collect::<Vec<_>>().await);
            }
        });
    }
}
