//! Views: other shapes of the stored tables, computed when asked.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::datasource::ViewTable;
use datafusion::prelude::SessionContext;

use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::scan;
use crate::store::Snapshot;

/// `states`: one row per state with everything but weights.
const STATES: &str = "\
    SELECT m.*, e.epoch, e.train_loss, e.train_acc, e.val_loss, e.val_acc, e.test_loss, \
           e.test_acc, e.train_acc - e.test_acc AS ggap, e.sparsity, e.seconds \
    FROM models m JOIN epochs e ON m.model_id = e.model_id";

/// `weights` of a store without any.
const NO_WEIGHTS: &str = "\
    SELECT model_id, epoch, '' AS arch, '' AS tensor, \
           vector_list([0.0]) AS weights \
    FROM epochs WHERE false";

/// Registers `states` and `weights`.
pub(super) async fn register(context: &SessionContext, snapshot: &Snapshot) -> Result<()> {
    let mut tensors: Vec<String> = Vec::new();
    for arch in scan::archs(snapshot) {
        tensors.push(long_form(&arch));
    }
    let weights =
        if tensors.is_empty() { NO_WEIGHTS.to_owned() } else { tensors.join(" UNION ALL ") };
    view(context, "weights", &weights).await?;
    view(context, "states", STATES).await
}

/// `weights`: one row per state and tensor. Each branch reads one column, and a
/// filter on `tensor` leaves only the branches it wants.
fn long_form(arch: &Arch) -> String {
    let mut sql = String::new();
    for tensor in arch.layout().tensors() {
        let union = if sql.is_empty() { "" } else { " UNION ALL " };
        let (arch, tensor) = (arch.name(), &tensor.name);
        let _ = write!(
            sql,
            "{union}SELECT model_id, epoch, '{arch}' AS arch, '{tensor}' AS tensor, \
             vector_list(\"{tensor}\") AS weights FROM weights_{arch}"
        );
    }
    sql
}

async fn view(context: &SessionContext, name: &str, sql: &str) -> Result<()> {
    let register = async {
        let plan = context.state().create_logical_plan(sql).await?;
        context.register_table(name, Arc::new(ViewTable::new(plan, Some(sql.to_owned()))))
    };
    register
        .await
        .map(drop)
        .map_err(|error| Error::internal(format!("view `{name}`: {error}")).with_source(error))
}
