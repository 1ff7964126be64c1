//! One row group: the rows wanted of it, batch by batch.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, RecordBatch, RecordBatchOptions,
};
use arrow::buffer::{Buffer as ArrowBuffer, NullBuffer, ScalarBuffer};
use arrow::compute::{CastOptions, cast_with_options, interleave};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::physical_plan::metrics::Count;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
    RowSelectionPolicy,
};
use parquet::errors::ParquetError;
use rayon::prelude::*;

use super::buffers::{Buffer, Buffers};
use super::columns::{Column, Columns, Part};
use super::input::FileBytes;
use super::selected::Selected;
use super::tensor::{Leaf, TensorReader};
use crate::store::values_field;

/// What every row group of a scan is read for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The columns of a batch.
    pub(super) schema: SchemaRef,
    /// What they are made of.
    pub(super) columns: Vec<Column>,
    pub(super) batch_rows: usize,
    /// Whether a row by itself is more than a batch should be. Of such rows there are
    /// few on their way, so the cores share each.
    pub(super) large_rows: bool,
    pub(super) buffers: Buffers<f32>,
    /// For what is read, and decompressed.
    pub(super) bytes: Buffers<u8>,
    /// Row groups that the stock reader had to read.
    pub(super) stock_groups: Count,
}

/// Reads the selected rows of a row group.
pub(super) struct GroupReader {
    wanted: Arc<Wanted>,
    file: ArrowReaderMetadata,
    group: usize,
    bytes: FileBytes,
    /// The key columns of the whole row group, if they are wanted.
    keys: Option<RecordBatch>,
    /// What was not read yet.
    rows: Selected,
    vectors: Vectors,
}

/// How vectors are read.
enum Vectors {
    /// Straight to their places; readers in the order of the parts.
    Direct(Vec<TensorReader>),
    /// By the stock reader, which takes every kind of page.
    Stock(ParquetRecordBatchReader),
}

impl GroupReader {
    /// A reader of `rows` of the row group `group`. `leaves` are the columns of the
    /// parts, if all of them can be read directly.
    pub(super) fn new(
        wanted: Arc<Wanted>,
        file: ArrowReaderMetadata,
        group: usize,
        bytes: FileBytes,
        keys: Option<RecordBatch>,
        rows: Selected,
        leaves: Option<&[Leaf]>,
    ) -> Result<Self> {
        let all = rows.len() == row_count(&file, group)?;
        let leaves = if rows.len() == 0 { Some([].as_slice()) } else { leaves };
        let vectors = match leaves {
            Some(leaves) => {
                let reader = |leaf: &Leaf| {
                    TensorReader::new(&bytes, file.metadata(), group, *leaf, all, &wanted.bytes)
                };
                Vectors::Direct(leaves.iter().map(reader).collect::<Result<_, _>>()?)
            }
            None => Vectors::Stock(stock(&wanted, &file, group, &bytes, &rows)?),
        };
        Ok(Self { wanted, file, group, bytes, keys, rows, vectors })
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        let rows = self.rows.take(self.wanted.batch_rows);
        let vectors = match self.direct(&rows)? {
            Some(vectors) => vectors,
            None => {
                let rest = rows.clone().chain(&self.rows);
                let stock = stock(&self.wanted, &self.file, self.group, &self.bytes, &rest)?;
                self.vectors = Vectors::Stock(stock);
                self.stock(rows.len())?
            }
        };
        let keys = self.keys.as_ref().map(|keys| rows.of_batch(keys)).transpose()?;
        let mut vectors = vectors.into_iter();
        let columns = self.wanted.columns.iter().map(|column| match column {
            Column::Key(index) => keys.as_ref().map(|keys| Arc::clone(keys.column(*index))),
            Column::Vector(_) => vectors.next(),
        });
        let columns: Vec<ArrayRef> = columns.flatten().collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let schema = Arc::clone(&self.wanted.schema);
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    /// The vector columns of `rows`; `None` if they must be read by the stock reader.
    fn direct(&mut self, rows: &Selected) -> Result<Option<Vec<ArrayRef>>> {
        let Vectors::Direct(readers) = &mut self.vectors else {
            return self.stock(rows.len()).map(Some);
        };
        let lend = |parts| self.wanted.buffers.lend(rows.len() * width(parts));
        let mut lent: Vec<Buffer<f32>> = vectors(&self.wanted.columns).map(lend).collect();
        let places = vectors(&self.wanted.columns).zip(&mut lent);
        let read = match self.wanted.large_rows {
            true => read_row(readers, places, rows)?,
            false => read_rows(readers, places, rows)?,
        };
        let array = |(parts, values): (&Arc<[Part]>, Buffer<f32>)| -> Result<ArrayRef> {
            let values = ScalarBuffer::from(ArrowBuffer::from(values.into_bytes()));
            let values = Arc::new(Float32Array::new(values, None));
            Ok(Arc::new(vector(width(parts), values, None)?))
        };
        let arrays = || vectors(&self.wanted.columns).zip(lent).map(array).collect();
        read.then(arrays).transpose()
    }

    /// The vector columns of the next `count` rows, by the stock reader.
    fn stock(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        let Vectors::Stock(reader) = &mut self.vectors else { return Ok(Vec::new()) };
        let batch = reader.next().transpose()?.filter(|batch| batch.num_rows() == count);
        let batch = batch.ok_or_else(|| {
            ArrowError::ParquetError(format!("row group {} ends too early", self.group))
        })?;
        let joined = vectors(&self.wanted.columns).map(|parts| {
            let tensor = |part: &Part| -> Result<_> {
                let column =
                    batch.column_by_name(&part.tensor).ok_or_else(|| absent(&part.tensor))?;
                Ok(as_vectors(column, part.width)?)
            };
            let parts = parts.iter().map(tensor).collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(join(&parts)?) as ArrayRef)
        });
        joined.collect()
    }
}

impl Iterator for GroupReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.rows.len() > 0).then(|| self.batch())
    }
}

/// Reads vectors of `rows`, a tensor after the other. Says no if a page is not one of
/// whole vectors without NULLs.
fn read_rows<'a>(
    readers: &mut [TensorReader],
    places: impl Iterator<Item = (&'a Arc<[Part]>, &'a mut Buffer<f32>)>,
    rows: &Selected,
) -> Result<bool, ParquetError> {
    let mut readers = readers.iter_mut();
    for (parts, values) in places {
        let width = width(parts);
        for (part, reader) in parts.iter().zip(&mut readers) {
            let into = values.as_mut().get_mut(part.offset..).unwrap_or_default();
            if !reader.read(rows, into, width)? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Reads vectors of one row, whose tensors lie side by side, on all cores.
fn read_row<'a>(
    readers: &mut [TensorReader],
    places: impl Iterator<Item = (&'a Arc<[Part]>, &'a mut Buffer<f32>)>,
    row: &Selected,
) -> Result<bool, ParquetError> {
    let mut readers = readers.iter_mut();
    let mut tensors = Vec::new();
    for (parts, values) in places {
        let mut rest = values.as_mut();
        for (part, reader) in parts.iter().zip(&mut readers) {
            tensors.push((reader, rest.split_off_mut(..part.width).unwrap_or_default()));
        }
    }
    let read = |(reader, into): (&mut TensorReader, &mut [f32])| {
        let width = into.len();
        reader.read(row, into, width)
    };
    tensors.into_par_iter().map(read).try_reduce(|| true, |all, one| Ok(all && one))
}

/// Number of rows of a row group.
pub(super) fn row_count(file: &ArrowReaderMetadata, group: usize) -> Result<usize> {
    let rows = file.metadata().row_group(group).num_rows();
    usize::try_from(rows).map_err(|_| exec_datafusion_err!("row group {group} has {rows} rows"))
}

/// The columns `names` of `rows`, by the stock reader.
pub(super) fn read_stock(
    file: &ArrowReaderMetadata,
    group: usize,
    bytes: &FileBytes,
    names: &[&str],
    rows: &Selected,
    batch_rows: usize,
) -> Result<ParquetRecordBatchReader> {
    let schema = file.parquet_schema();
    let roots: Vec<&str> =
        schema.root_schema().get_fields().iter().map(|root| root.name()).collect();
    if let Some(name) = names.iter().find(|name| !roots.contains(name)) {
        return Err(absent(name).into());
    }
    let roots = (0..roots.len()).filter(|&root| names.contains(&roots[root]));
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), file.clone())
        .with_projection(ProjectionMask::roots(schema, roots))
        .with_row_groups(vec![group])
        .with_row_selection(rows.to_selection(row_count(file, group)?))
        // Rows that are not wanted are not decoded, however scattered they are.
        .with_row_selection_policy(RowSelectionPolicy::Selectors)
        .with_batch_size(batch_rows);
    Ok(reader.build()?)
}

/// The tensors of `rows`, by the stock reader.
fn stock(
    wanted: &Wanted,
    file: &ArrowReaderMetadata,
    group: usize,
    bytes: &FileBytes,
    rows: &Selected,
) -> Result<ParquetRecordBatchReader> {
    wanted.stock_groups.add(1);
    let names = Columns::parts(&wanted.columns).map(|part| part.tensor.as_str());
    read_stock(file, group, bytes, &names.collect::<Vec<_>>(), rows, wanted.batch_rows)
}

fn absent(column: &str) -> ArrowError {
    ArrowError::ParquetError(format!("a file has no column `{column}`"))
}

fn vectors(columns: &[Column]) -> impl Iterator<Item = &Arc<[Part]>> {
    columns.iter().filter_map(|column| match column {
        Column::Key(_) => None,
        Column::Vector(parts) => Some(parts),
    })
}

/// Values of a vector.
fn width(parts: &Arc<[Part]>) -> usize {
    parts.iter().map(|part| part.width).sum()
}

fn vector(
    width: usize,
    values: ArrayRef,
    nulls: Option<NullBuffer>,
) -> Result<FixedSizeListArray, ArrowError> {
    let width = i32::try_from(width).map_err(|_| {
        ArrowError::InvalidArgumentError(format!("a vector of {width} values is too long"))
    })?;
    FixedSizeListArray::try_new(values_field(), width, values, nulls)
}

/// Lists of numbers of any kind as vectors of `width` floats.
fn as_vectors(lists: &ArrayRef, width: usize) -> Result<FixedSizeListArray, ArrowError> {
    let length = i32::try_from(width).unwrap_or(i32::MAX);
    let vectors = DataType::FixedSizeList(values_field(), length);
    // A list of another length is an error rather than NULL.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    Ok(cast_with_options(lists, &vectors, &strict)?.as_fixed_size_list().clone())
}

/// Vectors side by side; one that lacks a part is NULL.
pub(super) fn join(parts: &[FixedSizeListArray]) -> Result<FixedSizeListArray, ArrowError> {
    if let [whole] = parts {
        return Ok(whole.clone());
    }
    let width = |part: &FixedSizeListArray| usize::try_from(part.value_length()).unwrap_or(0);
    let rows = parts.first().map_or(0, FixedSizeListArray::len);
    let places = (0..rows).flat_map(|row| {
        parts.iter().enumerate().flat_map(move |(index, part)| {
            (row * width(part)..(row + 1) * width(part)).map(move |value| (index, value))
        })
    });
    let values: Vec<&dyn Array> = parts.iter().map(|part| part.values().as_ref()).collect();
    let values = interleave(&values, &places.collect::<Vec<_>>())?;
    let nulls =
        parts.iter().fold(None, |nulls, part| NullBuffer::union(nulls.as_ref(), part.nulls()));
    vector(parts.iter().map(width).sum(), values, nulls)
}
