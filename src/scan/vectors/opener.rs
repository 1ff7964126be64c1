//! Opens files and makes batches of their row groups.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::pruning::PrunableStatistics;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener};
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::errors::ParquetError;
use parquet::file::statistics::Statistics as ColumnStatistics;

use super::file::{Footer, OpenFile, read_footer};
use super::group::{Wanted, row_count};
use super::input::Opened;
use crate::error::panicked;
use crate::scan::table::statistics;

/// Row groups of an object that are on their way while one is decoded.
const AHEAD: usize = 1;

/// Opens files for one scan.
#[derive(Debug, Clone)]
pub(super) struct Opener {
    pub(super) objects: Arc<dyn ObjectStore>,
    pub(super) wanted: Arc<Wanted>,
    /// The key columns.
    pub(super) keys: SchemaRef,
    /// Over the key columns.
    pub(super) predicate: Option<Arc<dyn PhysicalExpr>>,
    /// No more rows than so many are asked for.
    pub(super) limit: Option<usize>,
}

impl FileOpener for Opener {
    /// The metadata of a damaged file make the `parquet` crate panic here and there:
    /// that is caught, and an error like any other. Errors name the file.
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let path = file.object_meta.location.to_string();
        let of_file = move |error: DataFusionError| error.context(path.as_str());
        let batches = AssertUnwindSafe(self.clone().batches(file)).catch_unwind();
        Ok(batches
            .map(|batches| {
                let batches = batches.unwrap_or_else(damaged).map_err(&of_file)?;
                let batches = AssertUnwindSafe(batches).catch_unwind();
                let batches = batches.map(|batch| batch.unwrap_or_else(damaged));
                Ok(batches.map_err(of_file).boxed())
            })
            .boxed())
    }
}

fn damaged<T>(panic: Box<dyn Any + Send>) -> Result<T> {
    Err(ParquetError::General(panicked("the Parquet reader", panic.as_ref()).to_string()).into())
}

impl Opener {
    /// What is wanted of a file.
    async fn batches(
        self,
        file: PartitionedFile,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let pruning = self.pruning();
        if let (Some(pruning), Some(known)) = (&pruning, &file.statistics)
            && self.may_match(pruning, vec![Arc::clone(known)])? == [false]
        {
            return Ok(futures::stream::empty().boxed());
        }
        let path = &file.object_meta.location;
        let size = file.object_meta.size;
        let footer = file.extension::<Footer>().cloned().unwrap_or_default();
        let opened = match footer.get() {
            Some((_, false)) => Opened::known(&self.objects, path, size),
            _ => Opened::new(&self.objects, path, size, &self.wanted.bytes).await?,
        };
        let read = async || {
            let on_disk = matches!(opened, Opened::Disk(_));
            Ok::<_, DataFusionError>((read_footer(&opened, size).await?, on_disk))
        };
        let (footer, _) = footer.get_or_try_init(read).await?.clone();
        let rows: i64 = footer.metadata().row_groups().iter().map(|group| group.num_rows()).sum();
        let known = file
            .statistics
            .as_ref()
            .and_then(|statistics| statistics.num_rows.get_value().copied());
        if let Some(known) = known
            && usize::try_from(rows) != Ok(known)
        {
            let message = format!("`{path}` has {rows} rows, and the log says {known}");
            return Err(ParquetError::General(message).into());
        }
        let groups = self.groups(pruning.as_deref(), &footer, &file)?;
        let file = Arc::new(OpenFile::new(self, opened, footer));
        let ahead = if file.reads_ahead() { AHEAD } else { 0 };
        let groups = futures::stream::iter(groups)
            .map(move |group| Arc::clone(&file).group(group))
            .buffered(1 + ahead);
        Ok(groups.map_ok(futures::stream::iter).try_flatten().boxed())
    }

    /// What the predicate, as it is now, says of statistics; nothing of some.
    fn pruning(&self) -> Option<Arc<PruningPredicate>> {
        let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(&self.keys));
        builder.build(Arc::clone(self.predicate.as_ref()?))
    }

    /// The row groups that begin in the part of the file that is asked for and may
    /// have rows that match.
    fn groups(
        &self,
        pruning: Option<&PruningPredicate>,
        footer: &ArrowReaderMetadata,
        file: &PartitionedFile,
    ) -> Result<Vec<usize>> {
        let metadata = footer.metadata();
        let begins_here = |group: &usize| {
            let column = metadata.row_group(*group).column(0);
            let offset = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
            file.range.as_ref().is_none_or(|range| range.contains(offset))
        };
        let here: Vec<usize> = (0..metadata.num_row_groups()).filter(begins_here).collect();
        let Some(pruning) = pruning.filter(|_| !here.is_empty()) else { return Ok(here) };
        let of_group = |group: &usize| Ok(Arc::new(self.statistics(footer, *group)?));
        let matching =
            self.may_match(pruning, here.iter().map(of_group).collect::<Result<_>>()?)?;
        Ok(here.into_iter().zip(matching).filter_map(|(group, may)| may.then_some(group)).collect())
    }

    /// For each of several sets of rows, whether any may match.
    fn may_match(
        &self,
        pruning: &PruningPredicate,
        of_sets: Vec<Arc<Statistics>>,
    ) -> Result<Vec<bool>> {
        pruning.prune(&PrunableStatistics::new(of_sets, Arc::clone(&self.keys)))
    }

    /// The ranges of the keys in a row group.
    fn statistics(&self, file: &ArrowReaderMetadata, group: usize) -> Result<Statistics> {
        let rows = row_count(file, group)? as u64;
        let group = file.metadata().row_group(group);
        let range = |index: usize| {
            let name = self.keys.field(index).name();
            let column =
                group.columns().iter().find(|column| column.column_path().string() == *name);
            match column.and_then(|column| column.statistics()) {
                Some(ColumnStatistics::Int64(range)) => {
                    range.min_opt().copied().zip(range.max_opt().copied())
                }
                _ => None,
            }
        };
        Ok(statistics(&self.keys, rows, range(0), range(1)))
    }
}
