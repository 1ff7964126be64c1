//! An open file: what a row group needs is found, fetched and handed to its reader.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::page_index::offset_index::PageLocation;
use tokio::sync::OnceCell;

use super::columns::{Column, Columns};
use super::group::{GroupReader, read_stock, row_count};
use super::input::{FileBytes, Opened, TAIL};
use super::opener::Opener;
use super::selected::Selected;
use super::tensor::Leaf;

/// The footer of a file, and whether the file is on a local disk: looked up once, since
/// files never change.
pub(in crate::scan) type Footer = Arc<OnceCell<(ArrowReaderMetadata, bool)>>;

/// Reads the footer of a file of `size` bytes, and where its pages are.
pub(super) async fn read_footer(opened: &Opened, size: u64) -> Result<ArrowReaderMetadata> {
    let reader = ParquetMetaDataReader::new()
        .with_prefetch_hint(Some(TAIL.min(size) as usize))
        // Not which values pages have: row groups are small enough to look.
        .with_offset_index_policy(PageIndexPolicy::Optional);
    let metadata = reader.load_and_finish(opened, size).await?;
    // Parquet's own types say enough, and a damaged Arrow schema beside them would panic.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    Ok(ArrowReaderMetadata::try_new(Arc::new(metadata), options)?)
}

/// An open file.
pub(super) struct OpenFile {
    opener: Opener,
    opened: Opened,
    footer: ArrowReaderMetadata,
    /// The columns of the tensors, if all of them can be read directly.
    leaves: Option<Vec<Leaf>>,
    /// Whether any column of the result is a key.
    keys_wanted: bool,
}

impl OpenFile {
    pub(super) fn new(opener: Opener, opened: Opened, footer: ArrowReaderMetadata) -> Self {
        let columns = &opener.wanted.columns;
        let leaf =
            |(tensor, width): (&str, usize)| Leaf::find(footer.parquet_schema(), tensor, width);
        let parts = Columns::parts(columns).map(|part| (part.tensor.as_str(), part.width));
        let leaves = parts.map(leaf).collect();
        let keys_wanted = columns.iter().any(|column| matches!(column, Column::Key(_)));
        Self { opener, opened, footer, leaves, keys_wanted }
    }

    /// Whether the next row group is fetched while one is decoded. With a limit,
    /// the first may be enough.
    pub(super) fn reads_ahead(&self) -> bool {
        matches!(self.opened, Opened::Object { .. }) && self.opener.limit.is_none()
    }

    /// A reader of what is wanted of a row group.
    pub(super) fn group(self: Arc<Self>, group: usize) -> BoxFuture<'static, Result<GroupReader>> {
        if self.reads_ahead() {
            let task = SpawnedTask::spawn(async move { self.prepare(group).await });
            task.join_unwind()
                .map(|done| done.map_err(|error| DataFusionError::ExecutionJoin(error.into()))?)
                .boxed()
        } else {
            async move { self.prepare(group).await }.boxed()
        }
    }

    async fn prepare(&self, group: usize) -> Result<GroupReader> {
        let Opener { wanted, predicate, limit, .. } = &self.opener;
        let mut rows = Selected::first(row_count(&self.footer, group)?);
        let mut keys = None;
        if let Some(predicate) = predicate {
            let bytes = self.opened.fetch(|| self.key_ranges(group)).await?;
            let batch = self.keys(group, &bytes)?;
            let mask = predicate.evaluate(&batch)?.into_array(batch.num_rows())?;
            rows = Selected::by(mask.as_boolean());
            keys = Some(batch);
        }
        if let Some(limit) = limit {
            rows = rows.take(*limit);
        }
        let any = rows.len() > 0;
        let keys_missing = any && self.keys_wanted && keys.is_none();
        let ranges = || {
            let mut ranges = if any { self.tensor_ranges(group, &rows) } else { Vec::new() };
            if keys_missing {
                ranges.extend(self.key_ranges(group));
            }
            ranges
        };
        let bytes = self.opened.fetch(ranges).await?;
        if keys_missing {
            keys = Some(self.keys(group, &bytes)?);
        }
        let (wanted, leaves) = (Arc::clone(wanted), self.leaves.as_deref());
        GroupReader::new(wanted, self.footer.clone(), group, bytes, keys, rows, leaves)
    }

    /// Where the pages of the keys are: all of them, since they are small.
    fn key_ranges(&self, group: usize) -> Vec<Range<u64>> {
        let names = self.opener.keys.fields().iter().map(|field| field.name().as_str());
        names.flat_map(|name| self.ranges(group, name, None)).collect()
    }

    /// Where the pages with `rows` of the tensors are.
    fn tensor_ranges(&self, group: usize, rows: &Selected) -> Vec<Range<u64>> {
        let columns = &self.opener.wanted.columns;
        Columns::parts(columns)
            .flat_map(|part| self.ranges(group, &part.tensor, Some(rows)))
            .collect()
    }

    /// Where the pages of a column are, or those with `rows` of it if the file says
    /// which they are.
    fn ranges(&self, group: usize, name: &str, rows: Option<&Selected>) -> Vec<Range<u64>> {
        let metadata = self.footer.metadata();
        let schema = self.footer.parquet_schema();
        let is_of_column = |leaf: &usize| schema.get_column_root(*leaf).name() == name;
        let of_leaf = |leaf: usize| {
            let (start, length) = metadata.row_group(group).column(leaf).byte_range();
            let index = metadata.offset_index().and_then(|index| index.get(group)?.get(leaf));
            index
                .zip(rows)
                .and_then(|(index, rows)| pages_with(rows, index.page_locations(), start))
                .unwrap_or_else(|| iter::once(start..start + length).collect())
        };
        let ranges = (0..schema.num_columns()).filter(is_of_column).flat_map(of_leaf);
        ranges.filter(|range| !range.is_empty()).collect()
    }

    /// The key columns of a row group.
    fn keys(&self, group: usize, bytes: &FileBytes) -> Result<RecordBatch> {
        let schema = &self.opener.keys;
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let count = row_count(&self.footer, group)?;
        let all = Selected::first(count);
        let reader = read_stock(&self.footer, group, bytes, &names, &all, count)?;
        let mut batches = Vec::new();
        for batch in reader {
            let batch = batch?;
            let columns = schema.fields().iter().filter_map(|field| {
                batch.column_by_name(field.name()).map(|column| cast(column, field.data_type()))
            });
            batches.push(RecordBatch::try_new(
                Arc::clone(schema),
                columns.collect::<Result<_, _>>()?,
            )?);
        }
        Ok(concat_batches(schema, &batches)?)
    }
}

/// Where the pages with any of `rows` are in a column that begins at `start`, and
/// its dictionary if it has one; `None` if the index makes no sense.
fn pages_with(rows: &Selected, pages: &[PageLocation], start: u64) -> Option<Vec<Range<u64>>> {
    let first = u64::try_from(pages.first()?.offset).ok()?;
    let mut ranges: Vec<Range<u64>> = iter::once(start..first).collect();
    for (index, page) in pages.iter().enumerate() {
        let first_row = usize::try_from(page.first_row_index).ok()?;
        let next = pages.get(index + 1).map(|next| usize::try_from(next.first_row_index));
        if rows.any_of(&(first_row..next.unwrap_or(Ok(usize::MAX)).ok()?)) {
            let offset = u64::try_from(page.offset).ok()?;
            ranges.push(offset..offset + u64::try_from(page.compressed_page_size).ok()?);
        }
    }
    Some(ranges)
}
