//! Filters that name nothing but key columns, as a query says them.
//!
//! Owns which of them a scan takes over before there is a plan, and how many rows are
//! thought to be left by them. Those that a plan finds later come to
//! [`source`](super::source).

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, Statistics};
use datafusion::error::Result;
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::intervals::utils::check_support;
use datafusion::physical_expr::{AnalysisContext, PhysicalExpr, analyze, create_physical_expr};

use super::columns::{Columns, KEY_COLUMNS};

/// Part of the rows that is thought to be left by filters of which nothing is known:
/// DataFusion's.
const UNKNOWN_SELECTIVITY: f64 = 0.2;

/// Makes filters on the key columns what a scan applies to them.
#[derive(Debug)]
pub(in crate::scan) struct KeyFilters {
    keys: SchemaRef,
    schema: DFSchema,
}

impl KeyFilters {
    /// Those on the key columns among `columns`.
    pub(in crate::scan) fn new(columns: &Columns) -> Result<Self> {
        let keys = columns.keys()?;
        Ok(Self { schema: DFSchema::try_from(Arc::clone(&keys))?, keys })
    }

    /// `filter` over the key columns, if it names one and nothing else.
    pub(in crate::scan) fn of(&self, filter: &Expr) -> Option<Arc<dyn PhysicalExpr>> {
        let filter = filter.any_column_refs().then(|| unnormalize_col(filter.clone()))?;
        let (props, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        create_physical_expr(&filter, &self.schema, &props, &context).ok()
    }

    /// Statistics of a table, whose first columns are the keys, after `predicate`.
    pub(in crate::scan) fn left(
        &self,
        table: &Statistics,
        predicate: &Arc<dyn PhysicalExpr>,
    ) -> Statistics {
        let selectivity = || -> Result<f64> {
            let columns = &table.column_statistics[..KEY_COLUMNS.len()];
            let context = AnalysisContext::try_from_statistics(&self.keys, columns)?;
            Ok(analyze(predicate, context, &self.keys)?.selectivity.unwrap_or(1.0))
        };
        let selectivity = match check_support(predicate, &self.keys) {
            true => selectivity().unwrap_or(UNKNOWN_SELECTIVITY),
            false => UNKNOWN_SELECTIVITY,
        };
        let mut left = table.clone();
        left.num_rows = left.num_rows.with_estimated_selectivity(selectivity);
        left.total_byte_size = left.total_byte_size.with_estimated_selectivity(selectivity);
        left
    }
}
