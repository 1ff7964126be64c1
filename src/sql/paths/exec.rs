//! The operator: reads groups of files as they are, and adds measures of paths.

use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, internal_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, CardinalityEffect, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
    apply_expression_roots, replace_children_if_necessary,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::groups::{Group, groups};
use super::track::{Asked, Tracks};
use crate::scan::VectorScan;

/// Rows of a scan of vectors, with measures of the paths of their models.
#[derive(Debug, Clone)]
pub(super) struct PathExec {
    /// A scan of vectors, and what computes columns of its rows.
    input: Arc<dyn ExecutionPlan>,
    /// The columns `model_id` and `epoch`.
    keys: [usize; 2],
    asked: Arc<[Asked]>,
    /// Those of the files of the scan, found by the first partition that runs.
    groups: Arc<OnceCell<Vec<Group>>>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl PathExec {
    /// The rows of `input`, with `schema` when the measures are added.
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
        keys: [usize; 2],
        asked: Arc<[Asked]>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            // Groups of files are dealt to them.
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            input,
            keys,
            asked,
            groups: Arc::default(),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The groups that `partition` reads.
    async fn dealt(&self, partition: usize, context: &Arc<TaskContext>) -> Result<Vec<Group>> {
        let scan = scan(&self.input)?;
        let groups = self.groups.get_or_try_init(|| groups(&scan, context)).await?;
        let partitions = self.properties.partitioning.partition_count();
        Ok(groups.iter().skip(partition).step_by(partitions).cloned().collect())
    }

    /// The rows of a group.
    fn rows(
        &self,
        group: Group,
        context: &Arc<TaskContext>,
        metrics: &BaselineMetrics,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let mut tracks = Tracks::new(self.schema(), self.keys, Arc::clone(&self.asked));
        let time = metrics.elapsed_compute().clone();
        let mut measure = move |batches: &[RecordBatch]| -> Result<_> {
            let _timer = time.timer();
            let measured = tracks.measure(batches)?;
            Ok(futures::stream::iter(measured.into_iter().map(Ok)))
        };
        let batches = over(&self.input, &group.files)?.execute(0, Arc::clone(context))?;
        Ok(if group.in_order {
            batches.map(move |batch| measure(&[batch?])).try_flatten().boxed()
        } else {
            let all = async move { measure(&batches.try_collect::<Vec<_>>().await?) };
            futures::stream::once(all).try_flatten().boxed()
        })
    }
}

/// The scan below `plan`.
fn scan(plan: &Arc<dyn ExecutionPlan>) -> Result<VectorScan> {
    match (VectorScan::of(plan), &plan.children()[..]) {
        (Some(scan), _) => Ok(scan),
        (None, [below]) => scan(below),
        _ => internal_err!("no scan of vectors below the measures of paths"),
    }
}

/// `plan` over `files` alone, one after the other.
fn over(
    plan: &Arc<dyn ExecutionPlan>,
    files: &[PartitionedFile],
) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(scan) = VectorScan::of(plan) {
        return Ok(scan.over(files.to_vec()));
    }
    let children = plan.children().into_iter().map(|below| over(below, files));
    replace_children_if_necessary(Arc::clone(plan), children.collect::<Result<_>>()?)
}

impl DisplayAs for PathExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        let measures = self.asked.iter().flat_map(|asked| {
            asked.measures.iter().map(|(_, name, _)| format!("{name}({})", asked.vector))
        });
        let measures = measures.collect::<Vec<_>>().join(", ");
        match format {
            DisplayFormatType::TreeRender => writeln!(f, "measures={measures}"),
            _ => write!(f, "PathExec: measures=[{measures}]"),
        }
    }
}

impl ExecutionPlan for PathExec {
    fn name(&self) -> &'static str {
        "PathExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    /// Partitions would keep states of a model apart.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.asked.iter().map(|asked| &asked.vector), f)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else { return internal_err!("PathExec without input") };
        let asked = Arc::clone(&self.asked);
        Ok(Arc::new(Self::new(input, self.schema(), self.keys, asked)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let this = self.clone();
        let of_partition = async move {
            let groups = this.dealt(partition, &context).await?;
            let rows = move |group| {
                this.rows(group, &context, &metrics).map(|rows| {
                    let metrics = metrics.clone();
                    rows.map(move |batch| batch.record_output(&metrics))
                })
            };
            Ok::<_, DataFusionError>(futures::stream::iter(groups).map(rows).try_flatten())
        };
        let rows = futures::stream::once(of_partition).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn child_stats_requests(&self, _partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None)]
    }

    fn statistics_from_inputs(
        &self,
        input: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        if let ([input], None) = (input, args.partition()) {
            statistics.num_rows = input.num_rows;
        }
        Ok(Arc::new(statistics))
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
