//! A stored table as a DataFusion table: its Parquet files, as of a snapshot.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{
    FileGroup, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::vectors::{Columns, Footer, KeyFilters, VectorSource};
use crate::error::{Error, Result};
use crate::store::{DataFile, row_bytes};

/// What is read of a narrow file first: its footer and page indexes, in one request.
const FOOTER_BYTES: usize = 32 << 10;

/// A stored table as of one snapshot. What it scans never changes; its
/// statistics come from the log, so that counting and pruning read no file.
#[derive(Debug)]
pub struct StoreTable {
    schema: SchemaRef,
    url: ObjectStoreUrl,
    files: Vec<PartitionedFile>,
    statistics: Statistics,
    /// Of a table of vectors.
    vectors: Option<(Columns, KeyFilters)>,
}

impl StoreTable {
    /// The table with `schema` whose rows are in `files`.
    pub(super) fn new(schema: SchemaRef, files: &[Arc<DataFile>]) -> Result<Self> {
        let total = files.iter().map(|file| file.rows).sum();
        let span = |key: fn(&DataFile) -> Option<(i64, i64)>| {
            files.iter().filter_map(|file| key(file)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
        };
        let part = |file: &Arc<DataFile>| {
            let statistics = statistics(&schema, file.rows, file.model_id, file.epoch);
            PartitionedFile::new(&file.path, file.bytes).with_statistics(Arc::new(statistics))
        };
        let parts = files.iter().map(part).collect();
        let statistics =
            statistics(&schema, total, span(|file| file.model_id), span(|file| file.epoch));
        Ok(Self { schema, url: super::store_url()?, files: parts, statistics, vectors: None })
    }

    /// The table of vectors with `columns` whose rows are in `files`, of which others
    /// may know the `footers` too.
    pub(super) fn of_vectors(
        columns: Columns,
        files: &[Arc<DataFile>],
        footers: &[Footer],
    ) -> Result<Self> {
        let mut table = Self::new(Arc::clone(columns.schema()), files)?;
        for (file, footer) in table.files.iter_mut().zip(footers) {
            file.extensions.insert(Footer::clone(footer));
        }
        let keys = KeyFilters::new(&columns);
        let keys = keys.map_err(|error| Error::internal("the keys").with_source(error))?;
        table.vectors = Some((columns, keys));
        Ok(table)
    }

    /// The reader of narrow tables. A session keeps the footers it has read: files
    /// never change.
    fn parquet(&self, state: &dyn Session) -> datafusion::error::Result<ParquetSource> {
        let runtime = state.runtime_env();
        let readers = CachedParquetFileReaderFactory::new(
            runtime.object_store(&self.url)?,
            runtime.cache_manager.get_file_metadata_cache(),
        );
        Ok(ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::new(readers))
            .with_metadata_size_hint(FOOTER_BYTES))
    }
}

#[async_trait]
impl TableProvider for StoreTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics.clone())
    }

    /// A scan of vectors takes filters on its keys. All others the physical optimiser hands to
    /// the source, dynamic ones included, which prunes files by their statistics, row groups
    /// and pages by theirs.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> datafusion::error::Result<Vec<TableProviderFilterPushDown>> {
        let taken = |filter: &&Expr| match &self.vectors {
            Some((_, keys)) if keys.of(filter).is_some() => TableProviderFilterPushDown::Exact,
            _ => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(taken).collect())
    }

    /// `filters` are those that are taken.
    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        if self.files.is_empty() {
            let schema = project_schema(&self.schema, projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let mut partitions = state.config_options().execution.target_partitions;
        let mut statistics = self.statistics.clone();
        let source: Arc<dyn FileSource> = match &self.vectors {
            Some((columns, keys)) => {
                let schema = project_schema(&self.schema, projection)?;
                partitions = VectorSource::partitions(&schema, partitions);
                let source = VectorSource::new(columns.clone())
                    .filtered(filters.iter().filter_map(|filter| keys.of(filter)));
                if let Some(predicate) = source.filter() {
                    statistics = keys.left(&statistics, &predicate);
                }
                Arc::new(source)
            }
            None => Arc::new(self.parquet(state)?),
        };
        let groups = FileGroup::new(self.files.clone()).split_files(partitions);
        let config = FileScanConfigBuilder::new(self.url.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Row count, and the ranges of the key columns, which are never NULL.
pub(super) fn statistics(
    schema: &SchemaRef,
    rows: u64,
    model_id: Option<(i64, i64)>,
    epoch: Option<(i64, i64)>,
) -> Statistics {
    let mut statistics = Statistics::new_unknown(schema);
    if let Ok(rows) = usize::try_from(rows) {
        statistics.num_rows = Precision::Exact(rows);
        // A join holds its smaller side: in bytes, since a row of weights may be 45 MB.
        let bytes = rows.saturating_mul(row_bytes(schema));
        statistics.total_byte_size = Precision::Inexact(bytes);
    }
    for (name, range) in [("model_id", model_id), ("epoch", epoch)] {
        if let (Ok(index), Some((min, max))) = (schema.index_of(name), range) {
            statistics.column_statistics[index] = ColumnStatistics {
                null_count: Precision::Exact(0),
                min_value: Precision::Exact(ScalarValue::Int64(Some(min))),
                max_value: Precision::Exact(ScalarValue::Int64(Some(max))),
                ..ColumnStatistics::new_unknown()
            };
        }
    }
    statistics
}
