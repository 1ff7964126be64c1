//! Queries of wide rows.
//!
//! DataFusion counts rows: joins, filters, merges and sorts gather 8,192 of them before they
//! hand them on, which of a small CNN's weights are 80 MB and of a ResNet-18's 368 GB. Here an
//! operator gets batches of as many rows as a few megabytes hold, by the widest row that it reads
//! or yields.
//!
//! Owns the rule that says where the size of batches changes in a plan ([`BatchesByBytes`]),
//! and the operator there ([`exec`]). How many rows a scan reads at a time is `scan`'s.

mod exec;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{EmissionType, replace_children_if_necessary};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use self::exec::BatchRowsExec;
use crate::scan::BATCH_BYTES;
use crate::store::{row_bytes, rows_in};

/// Has no rows dealt out that are larger than a batch, of which each partition would hold
/// some: those of the optimised `plan`, where columns that nobody asks for are gone.
pub(super) fn deal_out_no_large_rows(state: &mut SessionState, plan: &LogicalPlan) -> Result<()> {
    let mut widest = 1;
    plan.apply_with_subqueries(|node| {
        widest = widest.max(row_bytes(node.schema().as_arrow()));
        Ok(TreeNodeRecursion::Continue)
    })?;
    let options = state.config_mut().options_mut();
    options.optimizer.enable_round_robin_repartition &= widest <= BATCH_BYTES;
    Ok(())
}

/// Fits the batches of each operator to its rows. The last rule: others need not know
/// [`BatchRowsExec`].
#[derive(Debug)]
pub(super) struct BatchesByBytes;

impl PhysicalOptimizerRule for BatchesByBytes {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let most = config.execution.batch_size.get();
        let plan = plan.transform_up(|node| fitted(node, most).map(Transformed::yes)).data()?;
        Ok(below(&plan, most, most, false))
    }

    fn name(&self) -> &str {
        "batches_by_bytes"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `node`, over inputs with batches of their own size.
fn fitted(node: Arc<dyn ExecutionPlan>, most: usize) -> Result<Arc<dyn ExecutionPlan>> {
    if node.children().is_empty() {
        return Ok(node);
    }
    let rows = batch_rows(&node, most);
    // One that yields nothing before it has read everything may as well wait for full
    // batches. A sort takes time by the square of their number.
    let waits = node.pipeline_behavior() == EmissionType::Final;
    let inputs = node.children().into_iter().map(|input| below(input, rows, most, waits)).collect();
    let node = replace_children_if_necessary(node, inputs)?;
    Ok(match node.downcast_ref::<FilterExec>() {
        // It has its number of rows from the planner.
        Some(filter) if filter.batch_size() != rows => Arc::new(filter.with_batch_size(rows)?),
        _ => node,
    })
}

/// `plan` below what takes batches of `rows` rows, and `waits` for them or does not.
fn below(
    plan: &Arc<dyn ExecutionPlan>,
    rows: usize,
    most: usize,
    waits: bool,
) -> Arc<dyn ExecutionPlan> {
    let own = batch_rows(plan, most);
    if own < rows {
        Arc::new(BatchRowsExec::new(Arc::clone(plan), own, waits))
    } else {
        Arc::clone(plan)
    }
}

/// How many rows an operator may gather.
fn batch_rows(plan: &Arc<dyn ExecutionPlan>, most: usize) -> usize {
    let rows = |plan: &Arc<dyn ExecutionPlan>| rows_in(BATCH_BYTES, &plan.schema());
    plan.children().into_iter().map(rows).fold(most.min(rows(plan)), usize::min)
}
