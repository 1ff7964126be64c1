//! Queries of wide rows.
//!
//! DataFusion counts rows: joins, filters, merges and sorts gather 8,192 of them before they
//! hand them on, which of a small CNN's weights are 80 MB and of a ResNet-18's 368 GB. Here an
//! operator gets batches of as many rows as a megabyte holds, by the widest row that it reads
//! or yields.
//!
//! Owns the rule that says where the size of batches changes in a plan ([`BatchesByBytes`]),
//! and the operator there ([`exec`]). How many rows a scan reads at a time is `scan`'s.

mod exec;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{
    CardinalityEffect, EmissionType, replace_children_if_necessary,
};
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
    // The first change of the settings copies them all.
    if widest > BATCH_BYTES {
        state.config_mut().options_mut().optimizer.enable_round_robin_repartition = false;
    }
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
        fitted(&plan, most, false, most)
    }

    fn name(&self) -> &str {
        "batches_by_bytes"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `node`, and what is below it, each with batches of its own size, for what takes `above`
/// rows at a time, and `waits` for full batches or does not.
fn fitted(
    node: &Arc<dyn ExecutionPlan>,
    above: usize,
    waits: bool,
    most: usize,
) -> Result<Arc<dyn ExecutionPlan>> {
    let rows = batch_rows(node, most);
    // One that yields nothing before it has read everything may as well wait, and has those
    // wait that hand it as many rows as they read. A sort takes time by the square of the
    // number of its batches, an expression some for each of them.
    let inputs_wait = match node.pipeline_behavior() {
        EmissionType::Final => true,
        _ => waits && matches!(node.cardinality_effect(), CardinalityEffect::Equal),
    };
    let inputs = node.children().into_iter();
    let inputs = inputs.map(|input| fitted(input, rows, inputs_wait, most));
    let node = replace_children_if_necessary(Arc::clone(node), inputs.collect::<Result<_>>()?)?;
    let node = match node.downcast_ref::<FilterExec>() {
        // It has its number of rows from the planner.
        Some(filter) if filter.batch_size() != rows => Arc::new(filter.with_batch_size(rows)?),
        _ => node,
    };
    let gathered = waits && rows < above;
    // A scan of vectors sees to its batches itself.
    let fits = rows == above || (node.children().is_empty() && rows < above && !gathered);
    Ok(if fits { node } else { Arc::new(BatchRowsExec::new(node, rows, gathered)) })
}

/// How many rows an operator may gather.
fn batch_rows(plan: &Arc<dyn ExecutionPlan>, most: usize) -> usize {
    let rows = |plan: &Arc<dyn ExecutionPlan>| rows_in(BATCH_BYTES, &plan.schema());
    plan.children().into_iter().map(rows).fold(most.min(rows(plan)), usize::min)
}
