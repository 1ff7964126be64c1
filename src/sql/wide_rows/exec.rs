//! The operator where the size of batches changes.

use std::collections::HashMap;
use std::fmt::{self, Formatter};
use std::sync::Arc;

use arrow::compute::BatchCoalescer;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, ChildrenPropertiesMode, ReplaceChildrenOptions,
};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use futures::stream::try_unfold;

/// The rows of an input whose operators gather fewer of them than those above.
#[derive(Debug)]
pub(super) struct BatchRowsExec {
    input: Arc<dyn ExecutionPlan>,
    /// Rows of a batch below.
    rows: usize,
    /// Whether batches are put together for what is above.
    gathered: bool,
}

impl BatchRowsExec {
    /// The rows of `input`, which gathers so many at a time.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, rows: usize, gathered: bool) -> Self {
        Self { input, rows, gathered }
    }
}

/// `context` with batches of so many `rows`. What is running knows its functions; no
/// operator looks them up.
fn with_batch_rows(context: &TaskContext, rows: usize) -> TaskContext {
    TaskContext::new(
        context.task_id(),
        context.session_id(),
        context.session_config().clone().with_batch_size(rows),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        HashMap::new(),
        context.runtime_env(),
    )
}

/// The same rows, so many in a batch.
fn gather(
    schema: SchemaRef,
    batches: SendableRecordBatchStream,
    rows: usize,
) -> SendableRecordBatchStream {
    let start = (batches, BatchCoalescer::new(Arc::clone(&schema), rows));
    let gathered = try_unfold(start, |(mut batches, mut coalescer)| async move {
        while !coalescer.has_completed_batch() {
            let Some(batch) = batches.next().await else {
                coalescer.finish_buffered_batch()?;
                break;
            };
            coalescer.push_batch(batch?)?;
        }
        let next = coalescer.next_completed_batch();
        Ok::<_, DataFusionError>(next.map(|batch| (batch, (batches, coalescer))))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, gathered))
}

impl DisplayAs for BatchRowsExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { rows, gathered, .. } = self;
        match format {
            DisplayFormatType::TreeRender => writeln!(f, "rows={rows}\ngathered={gathered}"),
            _ => write!(f, "BatchRowsExec: rows={rows}, gathered={gathered}"),
        }
    }
}

impl ExecutionPlan for BatchRowsExec {
    fn name(&self) -> &'static str {
        "BatchRowsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(input) = children.pop() else {
            return internal_err!("BatchRowsExec without input");
        };
        Ok(Arc::new(Self::new(input, self.rows, self.gathered)))
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
        let below = Arc::new(with_batch_rows(&context, self.rows));
        let batches = self.input.execute(partition, below)?;
        Ok(if self.gathered {
            gather(self.schema(), batches, context.session_config().batch_size())
        } else {
            batches
        })
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(
        &self,
        input: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        match input {
            [input] => Ok(Arc::clone(input)),
            _ => internal_err!("BatchRowsExec without input"),
        }
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}
