//! What DataFusion's errors mean, in one line: position, cause, suggestion.

use std::error::Error as StdError;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::error::{Error, Kind, nearest};

/// Turns a failure of planning or execution into ours. `tables` are the names
/// to suggest for an unknown table.
pub(super) fn explain(error: DataFusionError, tables: &[String]) -> Error {
    let position = error
        .diagnostic()
        .and_then(|diagnostic| diagnostic.span)
        .map(|span| (span.start.line, span.start.column));
    let root = error.find_root();
    let explained = match root {
        DataFusionError::SQL(parser, _) => syntax(parser),
        DataFusionError::ResourcesExhausted(_) => Error::new(Kind::Unavailable, one_line(root))
            .with_hint("ask for fewer rows or columns at a time"),
        _ => storage(root).unwrap_or_else(|| semantic(root, position, tables)),
    };
    explained.with_source(error)
}

/// What an error of reading the store means: a request that failed, or damage.
/// `None` if the error comes from elsewhere, such as arithmetic.
fn storage(error: &DataFusionError) -> Option<Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        match current.downcast_ref::<object_store::Error>() {
            Some(object_store::Error::NotFound { .. }) => break,
            Some(request) => {
                let message = format!("cannot read the store: {request}").replace('\n', " ");
                return Some(Error::new(Kind::Unavailable, message));
            }
            None => cause = current.source(),
        }
    }
    let from_files = match error {
        DataFusionError::ParquetError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::ExecutionJoin(_) => true,
        DataFusionError::ArrowError(arrow, _) => {
            matches!(arrow.as_ref(), ArrowError::ParquetError(_) | ArrowError::ExternalError(_))
        }
        _ => false,
    };
    from_files.then(|| Error::corrupt(format!("cannot read the store: {}", one_line(error))))
}

/// The parser says where in its text: `… at Line: 1, Column: 8`.
fn syntax(error: &ParserError) -> Error {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => "the query is nested too deeply",
    };
    let (message, position) = match text.split_once(" at Line: ") {
        Some((message, position)) => (message, position.replace(", Column: ", ", column ")),
        None => (text, String::new()),
    };
    let place = if !position.is_empty() {
        format!(" at line {position}")
    } else if text.ends_with("found: EOF") {
        " at the end of the query".to_owned()
    } else {
        String::new()
    };
    Error::invalid(format!("SQL syntax error{place}: {}", message.trim_end_matches('.')))
}

/// What stands before the words of a function that refuses its arguments.
const COERCION: &str = "user-defined coercion failed with: Error during planning: ";

/// What stands before a call that fits no function.
const NO_MATCH: &str = "No function matches the given name and argument types '";

fn semantic(error: &DataFusionError, position: Option<(u64, u64)>, tables: &[String]) -> Error {
    let text = error.strip_backtrace();
    let text = [
        "Error during planning: ",
        "Schema error: ",
        "Execution error: ",
        "Arrow error: ",
        "This feature is not implemented: ",
    ]
    .iter()
    .fold(text.as_str(), |text, prefix| text.strip_prefix(prefix).unwrap_or(text));
    // Our own functions say what is wrong; what is put around that says less.
    let text = match text.split_once(COERCION) {
        Some((_, ours)) => ours.split(" No function matches").next().unwrap_or(ours),
        None => text,
    };
    let place = match position {
        Some((line, column)) if line > 0 => format!(" at line {line}, column {column}"),
        _ => String::new(),
    };
    if let Some((_, call)) = text.split_once(NO_MATCH) {
        let call = call.split("'. ").next().unwrap_or(call);
        return Error::invalid(format!("SQL error{place}: no function matches `{call}`"))
            .with_hint("cast the arguments; `SELECT * FROM functions` lists those on vectors");
    }
    if text.starts_with("Internal error: ") {
        return Error::internal(text.lines().next().unwrap_or_default());
    }
    let mut lines = text.lines();
    let message = lines.next().unwrap_or_default().trim_end_matches('.').to_owned();
    let rest = lines.collect::<Vec<_>>().join(" ");
    let unknown_table = message
        .strip_prefix("table 'datafusion.public.")
        .and_then(|message| message.strip_suffix("' not found"));
    if let Some(name) = unknown_table {
        let names: Vec<&str> = tables.iter().map(String::as_str).collect();
        let error = Error::invalid(format!("SQL error{place}: there is no table `{name}`"));
        return error.with_hint(match nearest(name, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the tables are {}", names.join(", ")),
        });
    }
    if message.contains("not supported: ")
        && (message.contains("DDL") || message.contains("DML") || message.contains("Statement"))
    {
        return Error::invalid(format!("SQL error{place}: {message}"))
            .with_hint("a store is changed by commands, not by SQL; `-o FILE` writes a result");
    }
    let explained = Error::invalid(format!("SQL error{place}: {message}"));
    // A list of all columns adds nothing to the right one.
    if rest.is_empty() || message.contains("Did you mean") {
        explained
    } else {
        explained.with_hint(rest)
    }
}

fn one_line(error: &DataFusionError) -> String {
    error.strip_backtrace().lines().next().unwrap_or_default().to_owned()
}
