//! Several statistics of one vector are computed together.
//!
//! `vector_mean(w), vector_quantile(w, 0.5)` in one step of a plan become fields of
//! one `vector_statistics(w, 'mean', 'q0.5')`, which DataFusion's elimination of
//! common subexpressions then evaluates once. The numbers are the same bit for bit.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::functions::core::expr_ext::FieldAccessor;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};
use datafusion::optimizer::common_subexpr_eliminate::CommonSubexprEliminate;
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::functions;
use crate::statistics::Statistic;

/// The rules of DataFusion's optimizer and this one, before that which eliminates
/// common subexpressions: it would take the calls apart.
pub(super) fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    let elimination = CommonSubexprEliminate::new();
    let before = rules.iter().position(|rule| rule.name() == elimination.name());
    rules.insert(before.unwrap_or(rules.len()), Arc::new(SharedStatistics));
    rules
}

#[derive(Debug)]
struct SharedStatistics;

/// A vector of which a step of a plan takes statistics, each once.
#[derive(Debug)]
struct Shared {
    vector: Expr,
    statistics: Vec<Statistic>,
}

impl OptimizerRule for SharedStatistics {
    fn name(&self) -> &'static str {
        "shared_statistics"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        // Elsewhere nothing makes one of what is common.
        let shared = match plan {
            LogicalPlan::Projection(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_) => shared(&plan)?,
            _ => Vec::new(),
        };
        if shared.is_empty() {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        let rewrite = |expression: Expr| {
            let name = names.save(&expression);
            let rewritten = expression.transform_down(|expression| {
                Ok(match field(&expression, &shared) {
                    Some(field) => Transformed::yes(field),
                    None => Transformed::no(expression),
                })
            })?;
            Ok(rewritten.update_data(|expression| name.restore(expression)))
        };
        plan.map_expressions(|expression| match expression {
            // It has no name itself: its members have.
            Expr::GroupingSet(_) => expression.map_children(rewrite),
            _ => rewrite(expression),
        })
    }
}

/// The vectors of which a step of a plan takes several statistics for every row.
/// What is not evaluated for every row, as in a `CASE`, does not count.
fn shared(plan: &LogicalPlan) -> Result<Vec<Shared>> {
    let mut all: Vec<Shared> = Vec::new();
    plan.apply_expressions(|expression| {
        expression.apply(|expression| {
            if expression.short_circuits() {
                return Ok(TreeNodeRecursion::Jump);
            }
            if let Some((statistic, vector)) = functions::statistic(expression) {
                match all.iter_mut().find(|shared| shared.vector == *vector) {
                    Some(shared) if shared.statistics.contains(&statistic) => {}
                    Some(shared) => shared.statistics.push(statistic),
                    None => {
                        all.push(Shared { vector: vector.clone(), statistics: vec![statistic] });
                    }
                }
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    all.retain(|shared| shared.statistics.len() > 1);
    Ok(all)
}

/// The call of a statistic as a field of those that are computed together.
fn field(expression: &Expr, shared: &[Shared]) -> Option<Expr> {
    let (statistic, vector) = functions::statistic(expression)?;
    let Shared { statistics, .. } = shared
        .iter()
        .find(|shared| shared.vector == *vector && shared.statistics.contains(&statistic))?;
    let names = statistics.iter().map(|statistic| lit(statistic.to_string()));
    let arguments = std::iter::once(vector.clone()).chain(names).collect();
    Some(functions::statistics().call(arguments).field(statistic.to_string()))
}

#[cfg(test)]
mod tests {
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    use super::super::session::config;
    use super::*;

    /// A table `t` with vectors, of which some have a NaN, are empty or NULL.
    async fn context(with_rule: bool) -> SessionContext {
        let mut state =
            SessionStateBuilder::new_with_default_features().with_config(config(usize::MAX));
        if with_rule {
            state = state.with_optimizer_rules(rules());
        }
        let context = SessionContext::new_with_state(state.build());
        functions::all().into_iter().for_each(|function| context.register_udf(function));
        let rows = "CREATE TABLE t AS SELECT a, CASE a WHEN 3 THEN NULL ELSE w END AS w FROM (VALUES \
             (1, [0.1, 0.7, 0.3]), (2, ['NaN', 1.0]), (3, [1.0]), (4, []), (5, [2.5, -1e30, 7.0]) \
             ) AS v (a, w)";
        context.sql(rows).await.unwrap().collect().await.unwrap();
        context
    }

    /// How often the optimised plan computes statistics together.
    async fn computed_together(sql: &str) -> usize {
        let frame = context(true).await.sql(sql).await.unwrap();
        let plan = frame.into_optimized_plan().unwrap().display_indent().to_string();
        plan.matches("vector_statistics(").count()
    }

    #[tokio::test]
    async fn several_statistics_are_computed_once() {
        for sql in [
            "SELECT vector_mean(w), vector_quantile(w, 0.5), vector_mean(w) + vector_max(w) FROM t",
            "SELECT a, avg(vector_mean(w)), max(vector_max(w)) FROM t GROUP BY a",
            "SELECT a FROM t ORDER BY vector_mean(w), vector_max(w)",
            "SELECT a FROM t WHERE vector_mean(w) < vector_max(w)",
            "SELECT vector_mean(w), CASE WHEN a > 1 THEN vector_max(w) ELSE vector_min(w) END, \
             vector_min(w) FROM t",
        ] {
            assert_eq!(computed_together(sql).await, 1, "{sql}");
        }
    }

    #[tokio::test]
    async fn one_statistic_stays_what_it_is() {
        for sql in [
            "SELECT vector_mean(w), vector_mean(w) + 1 FROM t",
            "SELECT CASE WHEN a > 1 THEN vector_mean(w) ELSE vector_max(w) END FROM t",
            "SELECT vector_mean(w) FROM t WHERE vector_max(w) > 0",
        ] {
            assert_eq!(computed_together(sql).await, 0, "{sql}");
        }
    }

    #[tokio::test]
    async fn numbers_are_the_same_bit_for_bit() {
        let sql = "SELECT a, vector_mean(w), vector_stddev(w), vector_quantile(w, 0.3), vector_min(w), \
             vector_l2_norm(w), vector_kurtosis(w) FROM t ORDER BY a";
        let mut answers = Vec::new();
        for with_rule in [false, true] {
            let frame = context(with_rule).await.sql(sql).await.unwrap();
            answers.push(frame.collect().await.unwrap());
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].iter().map(|batch| batch.num_rows()).sum::<usize>(), 5);
    }
}
