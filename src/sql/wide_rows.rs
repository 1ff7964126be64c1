//! Queries of wide rows.
//!
//! DataFusion counts rows: joins, filters and merges gather 8,192 of them before they hand
//! them on, which of a small CNN's weights are 80 MB and of a ResNet-18's 368 GB. Here a
//! query gets batches of as many rows as a few megabytes hold, by the widest row on its way: all
//! of its operators do, those of narrow rows too.

use datafusion::common::config::ConfigNonZeroUsize;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;

use crate::scan::BATCH_BYTES;
use crate::store::row_bytes;

/// Fits the settings of `state` to the optimised `plan`, where columns that nobody asks for
/// are gone.
pub(super) fn fit(state: &mut SessionState, plan: &LogicalPlan) -> Result<()> {
    let mut widest = 1;
    plan.apply_with_subqueries(|node| {
        widest = widest.max(row_bytes(node.schema().as_arrow()));
        Ok(TreeNodeRecursion::Continue)
    })?;
    let options = state.config_mut().options_mut();
    let rows = (BATCH_BYTES / widest).clamp(1, options.execution.batch_size.get());
    options.execution.batch_size = ConfigNonZeroUsize::try_new(rows)?;
    // To deal out rows that are larger than a batch, each partition would hold some.
    options.optimizer.enable_round_robin_repartition &= widest <= BATCH_BYTES;
    Ok(())
}
