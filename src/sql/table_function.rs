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

/// A call as it is written: the name, and the arguments if they are such.
type Call = (String, Option<Vec<Argument>>);

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
    let mut calls = Calls::default();
    // Nothing breaks it off.
    let _ = statement.as_ref().visit(&mut calls);
    let mut queries = Queries(Vec::new());
    for (name, arguments) in calls.0 {
        let Some(function) = functions.iter().find(|function| function.name() == name) else {
            if state.table_functions().contains_key(&name) {
                continue;
            }
            return Err(unknown(&name, functions, state).into());
        };
        let Some(arguments) = arguments else {
            return Err(Error::invalid(format!(
                "SQL error: `{name}` takes texts in quotes and integers, and no other expressions"
            ))
            .into());
        };
        let text = function.query(session, &arguments).await?;
        let parsed = state.sql_to_statement(&text, &state.config_options().sql_parser.dialect)?;
        if let Statement::Statement(parsed) = parsed
            && let ast::Statement::Query(query) = *parsed
        {
            queries.0.push(((name, Some(arguments)), query));
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

fn unknown(name: &str, functions: &[Arc<dyn TableFunction>], state: &SessionState) -> Error {
    let mut known: Vec<&str> = functions.iter().map(|function| function.name()).collect();
    known.extend(state.table_functions().keys().map(String::as_str));
    known.sort_unstable();
    Error::not_allowed("table function", name, &known).context("SQL error")
}

/// Collects the calls of a statement, each once.
#[derive(Default)]
struct Calls(Vec<Call>);

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &TableFactor) -> ControlFlow<()> {
        if let Some(call) = call(table)
            && !self.0.contains(&call)
        {
            self.0.push(call);
        }
        ControlFlow::Continue(())
    }
}

/// Puts queries in the place of calls.
struct Queries(Vec<(Call, Box<ast::Query>)>);

impl VisitorMut for Queries {
    type Break = ();

    fn pre_visit_table_factor(&mut self, table: &mut TableFactor) -> ControlFlow<()> {
        let called = call(table);
        let query = self.0.iter().find(|(of, _)| Some(of) == called.as_ref());
        if let (Some(((name, _), query)), TableFactor::Table { alias, .. }) = (query, &mut *table) {
            let alias = alias.take().unwrap_or_else(|| TableAlias {
                explicit: true,
                name: Ident::new(name),
                columns: Vec::new(),
                at: None,
            });
            let subquery = query.clone();
            *table =
                TableFactor::Derived { lateral: false, subquery, alias: Some(alias), sample: None };
        }
        ControlFlow::Continue(())
    }
}

/// The call that a table is.
fn call(table: &TableFactor) -> Option<Call> {
    match table {
        TableFactor::Table { name, args: Some(arguments), .. } => {
            Some((plain(name)?, literals(&arguments.args)))
        }
        _ => None,
    }
}

/// A name as the planner reads it: in lower case if it has no quotes.
fn plain(name: &ObjectName) -> Option<String> {
    let [part] = name.0.as_slice() else { return None };
    let ident = part.as_ident()?;
    Some(match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    })
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
