//! The paths of models through weight space, without sorting any weights.
//!
//! A window sorts what it gets, and so holds all vectors in memory. But the files of a
//! store are sorted by epoch, and nearly always have all states of their models. So
//! where a query asks for measures of paths over `PARTITION BY model_id ORDER BY epoch`
//! of a scan of vectors, file after file is read as it is, and of each model only the
//! vectors are kept that later ones are compared with.
//!
//! Owns the rule that sees such windows ([`rules`]), and the operator in their place
//! ([`exec`]): which files have states of the same models ([`groups`]), and what is
//! kept of a model ([`track`]). What a measure is, is said in `functions`.

mod exec;
mod groups;
mod track;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowUDFExpr};

use self::exec::PathExec;
use self::track::Asked;
use super::functions;
use crate::scan::VectorScan;

/// The rules of DataFusion's physical optimizer and this one, before that which sorts
/// what windows get.
pub(super) fn rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let sorting = EnsureRequirements::new();
    let before = rules.iter().position(|rule| rule.name() == sorting.name());
    rules.insert(before.unwrap_or(rules.len()), Arc::new(PathsInFileOrder));
    rules
}

#[derive(Debug)]
struct PathsInFileOrder;

impl PhysicalOptimizerRule for PathsInFileOrder {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match in_file_order(&node) {
                Some(paths) => Transformed::yes(Arc::new(paths) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "paths_in_file_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What answers a window that asks for nothing but paths of models; `None` for any
/// other plan.
fn in_file_order(plan: &Arc<dyn ExecutionPlan>) -> Option<PathExec> {
    let window = plan.downcast_ref::<BoundedWindowAggExec>()?;
    let keys = keys(window.window_expr().first()?)?;
    let mut asked: Vec<Asked> = Vec::new();
    for (column, expression) in window.window_expr().iter().enumerate() {
        let function = expression.as_any().downcast_ref::<StandardWindowExpr>()?;
        let function =
            function.get_standard_func_expr().as_any().downcast_ref::<WindowUDFExpr>()?;
        let (name, measure) = functions::measure(function.fun())?;
        let [vector] = function.args() else { return None };
        let measure = (column, name, measure);
        match asked.iter_mut().find(|asked| asked.vector.eq(vector)) {
            Some(asked) => asked.measures.push(measure),
            None => asked.push(Asked { vector: Arc::clone(vector), measures: vec![measure] }),
        }
    }
    let input = window.input();
    are_keys(input, keys)
        .then(|| PathExec::new(Arc::clone(input), window.schema(), keys, asked.into()))
}

/// The columns of a window `PARTITION BY column ORDER BY column`.
fn keys(window: &Arc<dyn WindowExpr>) -> Option<[usize; 2]> {
    let ([model_id], [epoch]) = (window.partition_by(), window.order_by()) else { return None };
    let index = |column: &Column| column.index();
    let keys = [model_id.downcast_ref().map(index)?, epoch.expr.downcast_ref().map(index)?];
    (!epoch.options.descending).then_some(keys)
}

/// Whether `columns` are `model_id` and `epoch` of a scan of vectors, behind nothing but
/// operators that leave out rows, or compute columns.
fn are_keys(plan: &Arc<dyn ExecutionPlan>, columns: [usize; 2]) -> bool {
    if let Some(scan) = VectorScan::of(plan) {
        return scan.keys_are(columns);
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        let plain = filter.projection().is_none() && filter.fetch().is_none();
        return plain && are_keys(filter.input(), columns);
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let below = columns
            .map(|index| projection.expr().get(index)?.expr.downcast_ref().map(Column::index));
        let [Some(model_id), Some(epoch)] = below else { return false };
        return are_keys(projection.input(), [model_id, epoch]);
    }
    false
}
