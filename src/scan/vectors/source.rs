//! Tables of vectors as DataFusion plans with them: which columns, which rows.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::physical_plan::{
    FileGroupPartitioner, FileOpener, FileScanConfig, FileSource,
};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column as ColumnExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, conjunction_opt};
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricBuilder};
use object_store::ObjectStore;

use super::buffers::Buffers;
use super::columns::{Columns, KEY_COLUMNS};
use super::group::Wanted;
use super::opener::Opener;
use crate::store::{row_bytes, rows_in};

/// Bytes of one record batch. DataFusion counts batches in rows, and 8,192 rows
/// of weights would be 80 MB. A megabyte stays in a core's cache until the query is done
/// with it.
pub(crate) const BATCH_BYTES: usize = 1 << 20;

/// Bytes of batches that are on their way at a time, for each core.
const BYTES_PER_CORE: usize = 64 << 20;

/// A scan of vectors.
#[derive(Debug, Clone)]
pub(in crate::scan) struct VectorSource {
    columns: Columns,
    table: TableSchema,
    projection: ProjectionExprs,
    /// Over the key columns alone: they are read first, and of the vectors only
    /// those of rows for which it holds.
    predicate: Option<Arc<dyn PhysicalExpr>>,
    /// Rows of a batch at most.
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl VectorSource {
    /// A scan of all `columns`.
    pub(in crate::scan) fn new(columns: Columns) -> Self {
        let schema = &columns.schema;
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        Self {
            projection: ProjectionExprs::from_indices(&all, schema),
            table: Arc::clone(schema).into(),
            columns,
            predicate: None,
            batch_rows: usize::MAX,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The same scan, of rows for which all `filters` over the key columns hold.
    pub(in crate::scan) fn filtered(
        self,
        filters: impl IntoIterator<Item = Arc<dyn PhysicalExpr>>,
    ) -> Self {
        let predicate = conjunction_opt(self.predicate.iter().cloned().chain(filters));
        Self { predicate, ..self }
    }

    /// The same scan, of the key columns alone.
    pub(super) fn of_keys(&self) -> Self {
        let projection = ProjectionExprs::from_indices(&KEY_COLUMNS, &self.columns.schema);
        Self { projection, ..self.clone() }
    }

    /// Which column of the table the column `index` of the result is.
    pub(super) fn column(&self, index: usize) -> Option<usize> {
        self.projection.iter().nth(index).and_then(|column| column_index(&column.expr))
    }

    /// How many partitions a scan of `schema` is read in on so many `cores`: one on each,
    /// but as many as memory has room for if rows are large. Each has a batch in its
    /// hands and one in the channel to the operator that merges them, which has one too.
    pub(in crate::scan) fn partitions(schema: &Schema, cores: usize) -> usize {
        let batches = cores.saturating_mul(BYTES_PER_CORE) / row_bytes(schema).max(BATCH_BYTES);
        (batches.saturating_sub(1) / 2).clamp(1, cores.max(1))
    }

    /// The columns of the result, and what they are made of.
    fn wanted(&self, partition: usize) -> Result<Wanted> {
        let indices = self.projection.iter().filter_map(|column| column_index(&column.expr));
        let columns = indices.map(|index| self.columns.columns[index].clone());
        let schema = self.projection.project_schema(&self.columns.schema)?;
        Ok(Wanted {
            columns: columns.collect(),
            batch_rows: rows_in(BATCH_BYTES, &schema).min(self.batch_rows),
            large_rows: row_bytes(&schema) > BATCH_BYTES,
            schema: Arc::new(schema),
            buffers: Buffers::default(),
            bytes: Buffers::default(),
            stock_groups: MetricBuilder::new(&self.metrics)
                .counter("row_groups_by_stock_reader", partition),
        })
    }
}

/// Which column an expression is, if it is nothing else.
fn column_index(expression: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    expression.downcast_ref::<ColumnExpr>().map(ColumnExpr::index)
}

impl FileSource for VectorSource {
    fn create_file_opener(
        &self,
        objects: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        Ok(Arc::new(Opener {
            objects,
            wanted: Arc::new(self.wanted(partition)?),
            keys: self.columns.keys()?,
            predicate: self.predicate.clone(),
            limit: config.limit,
        }))
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table
    }

    /// Row groups are dealt anew to as many partitions as there is memory for.
    fn repartitioned(
        &self,
        partitions: usize,
        min_bytes: usize,
        ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        let partitions = Self::partitions(config.projected_schema()?.as_ref(), partitions);
        let groups = FileGroupPartitioner::new()
            .with_target_partitions(partitions)
            .with_repartition_file_min_size(min_bytes)
            .with_preserve_order_within_groups(ordering.is_some())
            .repartition_file_groups(&config.file_groups);
        Ok(groups.map(|groups| {
            let mut config = config.clone();
            config.file_groups = groups;
            config
        }))
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self { batch_rows: batch_size, ..self.clone() })
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.predicate.clone()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "vectors"
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        match (format, &self.predicate) {
            (DisplayFormatType::TreeRender, Some(predicate)) => {
                writeln!(f, "predicate={predicate}")
            }
            (_, Some(predicate)) => write!(f, ", predicate={predicate}"),
            (_, None) => Ok(()),
        }
    }

    /// Filters on key columns are applied here, to the row; dynamic ones too.
    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _options: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let on_keys = |filter: &Arc<dyn PhysicalExpr>| {
            let columns = collect_columns(filter);
            !columns.is_empty()
                && columns.iter().all(|column| KEY_COLUMNS.contains(&column.index()))
        };
        let answers = filters.iter().map(|filter| match on_keys(filter) {
            true => PushedDown::Yes,
            false => PushedDown::No,
        });
        let answer = FilterPushdownPropagation::with_parent_pushdown_result(answers.collect());
        let taken: Vec<_> = filters.into_iter().filter(on_keys).collect();
        if taken.is_empty() {
            return Ok(answer);
        }
        Ok(answer.with_updated_node(Arc::new(self.clone().filtered(taken))))
    }

    /// Columns can be left out and put in another order; what is computed of them
    /// is computed elsewhere.
    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        if projection.iter().any(|column| column_index(&column.expr).is_none()) {
            return Ok(None);
        }
        let projection = self.projection.try_merge(projection)?;
        Ok(Some(Arc::new(Self { projection, ..self.clone() })))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let expressions = self.projection.iter().map(|column| &column.expr);
        for expression in self.predicate.iter().chain(expressions) {
            if f(expression)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;
    use crate::store::values_field;

    #[test]
    fn large_rows_are_read_in_fewer_partitions() {
        let partitions = |values: i32, cores| {
            let vector = DataType::FixedSizeList(values_field(), values);
            VectorSource::partitions(&Schema::new(vec![Field::new("v", vector, false)]), cores)
        };
        // Batches of a megabyte, of which there is room for 64 on each core.
        assert_eq!([1, 2, 64].map(|cores| partitions(2464, cores)), [1, 2, 64]);
        // Rows of 43 MiB: 64, 128 and 1,024 MiB have room for 1, 2 and 23 of them.
        assert_eq!([1, 2, 16].map(|cores| partitions(11_276_432, cores)), [1, 1, 11]);
    }
}
