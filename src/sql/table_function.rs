//! Table functions: names in a query that stand for a longer query.
//!
//! `FROM name('a', 1) AS t` becomes `FROM (SELECT …) AS t` before anything is
//! planned, so that filters and projections reach the tables below as if the
//! longer query had been written. Which functions there are is said by those who
//! register them.

use std::ops::ControlFlow;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableAlias, TableFactor,
    UnaryOperator, Value, Visit, VisitMut, Visitor, VisitorMut,
};

use super::Session;
use crate::error::{Error, Result};

/// A query by name.
#[async_trait]
pub trait TableFunction: Send + Sync {
    /// The name before the parentheses.
    fn name(&self) -> &str;

    /// The query that a call stands for.
    ///
    /// # Errors
    /// `Invalid` if the arguments are wrong.
    async fn query(&self, session: &Session, arguments: &[Argument]) -> Result<String>;
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// `'text'`.
    Text(String),
    /// An integer.
    Integer(i64),
}

/// The call as it is written, to tell it from others.
type Call = (String, Vec<Argument>);

/// Replaces the calls of `functions` in a statement by their queries.
pub(super) async fn expand(
    statement: &mut Statement,
    session: &Session,
    state: &SessionState,
    functions: &[Arc<dyn TableFunction>],
) -> Result<(), Failure> {
    let statement = match statement {
        Statement::Statement(statement) => statement,
        Statement::Explain(explained) => match explained.statement.as_mut() {
            Statement::Statement(statement) => statement,
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    let mut calls = Calls { functions, found: Vec::new() };
    if let ControlFlow::Break(error) = statement.as_ref().visit(&mut calls) {
        return Err(error.into());
    }
    let mut queries = Queries(Vec::new());
    for (name, arguments) in calls.found {
        let Some(function) = functions.iter().find(|function| function.name() == name) else {
            continue;
        };
        let text = function.query(session, &arguments).await?;
        let parsed = state.sql_to_statement(&text, &state.config_options().sql_parser.dialect)?;
        if let Statement::Statement(parsed) = parsed
            && let ast::Statement::Query(query) = *parsed
        {
            queries.0.push(((name, arguments), query));
        }
    }
    // Nothing breaks it off.
    let _ = statement.as_mut().visit(&mut queries);
    Ok(())
}

/// Why a query could not be expanded: what its function says, or DataFusion.
pub(super) enum Failure {
    Ours(Error),
    Engine(DataFusionError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(error)
    }
}

/// Collects the calls of a statement, each once.
struct Calls<'a> {
    functions: &'a [Arc<dyn TableFunction>],
    found: Vec<Call>,
}

impl Visitor for Calls<'_> {
    type Break = Error;

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<Error> {
        let TableFactor::Table { name, args: Some(arguments), .. } = table else {
            return ControlFlow::Continue(());
        };
        let name = plain(name);
        if !self.functions.iter().any(|function| function.name() == name) {
            return ControlFlow::Continue(());
        }
        let Some(arguments) = literals(&arguments.args) else {
            return ControlFlow::Break(Error::invalid(format!(
                "SQL error: `{name}` takes texts in quotes and integers, and no other expressions"
            )));
        };
        if !self.found.contains(&(name.clone(), arguments.clone())) {
            self.found.push((name, arguments));
        }
        ControlFlow::Continue(())
    }
}

/// Puts queries in the place of calls.
struct Queries(Vec<(Call, Box<ast::Query>)>);

impl VisitorMut for Queries {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(arguments), alias, .. } = table {
            let called = plain(name);
            let arguments = literals(&arguments.args).unwrap_or_default();
            let query = self.0.iter().find(|((name, of), _)| *name == called && *of == arguments);
            if let Some((_, query)) = query {
                let alias = alias.take().unwrap_or_else(|| TableAlias {
                    explicit: true,
                    name: Ident::new(called),
                    columns: Vec::new(),
                    at: None,
                });
                let subquery = query.clone();
                *table = TableFactor::Derived {
                    lateral: false,
                    subquery,
                    alias: Some(alias),
                    sample: None,
                };
            }
        }
        ControlFlow::Continue(())
    }
}

/// A name as the planner reads it: in lower case if it has no quotes.
fn plain(name: &ObjectName) -> String {
    match name.0.as_slice() {
        [part] => part.as_ident().map_or_else(String::new, |ident| match ident.quote_style {
            Some(_) => ident.value.clone(),
            None => ident.value.to_lowercase(),
        }),
        _ => String::new(),
    }
}

fn literals(arguments: &[FunctionArg]) -> Option<Vec<Argument>> {
    let literal = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => literal(expression),
        _ => None,
    };
    arguments.iter().map(literal).collect()
}

fn literal(expression: &Expr) -> Option<Argument> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(Argument::Text(text.clone())),
            Value::Number(number, _) => number.parse().ok().map(Argument::Integer),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match literal(expr)? {
            Argument::Integer(number) => number.checked_neg().map(Argument::Integer),
            Argument::Text(_) => None,
        },
        _ => None,
    }
}
