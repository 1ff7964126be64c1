//! What DataFusion's errors mean, in one line: position, cause, suggestion.

use std::error::Error as StdError;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::error::{Error, Kind, nearest};
use crate::store::{VERIFY, is_beyond_end, reason};

/// Turns a failure of planning or execution into ours. `tables` are the names, and calls such
/// as `norms_v1()`, to suggest for an unknown table.
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
        DataFusionError::External(source) => match source.downcast_ref::<Error>() {
            Some(ours) => repeated(ours),
            None => storage(root).unwrap_or_else(|| semantic(root, position, tables)),
        },
        _ => storage(root).unwrap_or_else(|| semantic(root, position, tables)),
    };
    explained.with_source(error)
}

/// What a function of ours says.
fn repeated(error: &Error) -> Error {
    let repeated = Error::new(error.kind(), error.to_string());
    match error.hint() {
        Some(hint) => repeated.with_hint(hint),
        None => repeated,
    }
}

/// What an error of reading the store means: a request that failed, or damage, as where a
/// file is shorter than its footer, or the log, says.
/// `None` if the error comes from elsewhere, such as arithmetic.
fn storage(error: &DataFusionError) -> Option<Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        match current.downcast_ref::<object_store::Error>() {
            Some(object_store::Error::NotFound { .. }) => break,
            Some(request) if is_beyond_end(request) => return Some(damaged(&reason(request))),
            Some(request) => {
                let message = format!("cannot read the store: {}", reason(request));
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
    from_files.then(|| damaged(&one_line(error)))
}

fn damaged(reason: &str) -> Error {
    Error::corrupt(format!("cannot read the store: {reason}")).with_hint(VERIFY)
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

/// A query that parses and yet cannot be answered.
fn semantic(error: &DataFusionError, position: Option<(u64, u64)>, tables: &[String]) -> Error {
    let place = match position {
        Some((line, column)) if line > 0 => format!(" at line {line}, column {column}"),
        _ => String::new(),
    };
    let wrong = |what: &str| Error::invalid(format!("SQL error{place}: {what}"));
    let text = error.strip_backtrace();
    let text = without_prefix(&text);
    if let Some((_, call)) = text.split_once(NO_MATCH) {
        let call = call.split("'. ").next().unwrap_or(call);
        return wrong(&format!("no function matches `{call}`"))
            .with_hint("cast the arguments; `SELECT * FROM functions` lists those on vectors");
    }
    let (message, rest) = text.split_once('\n').unwrap_or((text, ""));
    let message = message.trim_end_matches('.');
    if message.starts_with("Internal error: ") {
        return Error::internal(message);
    }
    if let Some(name) = unknown_table(message) {
        return wrong(&format!("there is no table `{name}`")).with_hint(other_table(name, tables));
    }
    if ["DDL", "DML", "Statement"].iter().any(|kind| {
        message.strip_prefix(kind).is_some_and(|rest| rest.starts_with(" not supported: "))
    }) {
        return wrong(message)
            .with_hint("a store is changed by commands, not by SQL; `-o FILE` writes a result");
    }
    // A list of all columns adds nothing to the right one.
    if rest.is_empty() || message.contains("Did you mean") {
        return wrong(message);
    }
    wrong(message).with_hint(rest.replace('\n', " "))
}

/// The text without the kinds of error that DataFusion puts in front, and without
/// what it puts around the words of our own functions.
fn without_prefix(text: &str) -> &str {
    if let Some((_, ours)) = text.split_once(COERCION) {
        return ours.split(" No function matches").next().unwrap_or(ours);
    }
    let kinds = [
        "Error during planning: ",
        "Schema error: ",
        "Execution error: ",
        "Arrow error: ",
        "This feature is not implemented: ",
    ];
    kinds.iter().fold(text, |text, kind| text.strip_prefix(kind).unwrap_or(text))
}

fn unknown_table(message: &str) -> Option<&str> {
    message.strip_prefix("table 'datafusion.public.")?.strip_suffix("' not found")
}

fn other_table(name: &str, tables: &[String]) -> String {
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    match nearest(name, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let tables: Vec<&str> = names.into_iter().filter(|name| !name.ends_with(')')).collect();
            format!("the tables are {}", tables.join(", "))
        }
    }
}

fn one_line(error: &DataFusionError) -> String {
    error.strip_backtrace().lines().next().unwrap_or_default().to_owned()
}
