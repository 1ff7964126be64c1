//! The one error type of the library.
//!
//! Owns what a failure looks like to the caller: a [`Kind`] that says what can
//! be done about it, one line of message with the offending value in backticks,
//! and a hint. Does not print: that is `cli`'s.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;

/// The result of every fallible function of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn StdError + Send + Sync + 'static>;

/// What the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The input (a spec, an argument, a query) is wrong: change it.
    Invalid,
    /// What was named is not there: name another, or create it.
    NotFound,
    /// Stored bytes are damaged or not ours: `zoolake verify` names them.
    Corrupt,
    /// Written by a newer zoolake: upgrade.
    Unsupported,
    /// The store cannot be read or written now (permissions, a full disk, the
    /// network): mend that and run again; what was committed is safe.
    Unavailable,
    /// Another writer got there first: read the store again and retry.
    Conflict,
    /// The caller asked to stop; running again resumes.
    Interrupted,
    /// A bug in zoolake: please report it.
    Internal,
}

/// A failure: what happened, the value in backticks, and what to do.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<Source>,
}

impl Error {
    /// An error of `kind` with a one-line message.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, source: None }))
    }

    /// The input is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// What was named is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// Stored bytes are damaged.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, message)
    }

    /// A bug.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// An input `value` of a `key` that admits only `allowed` values; suggests
    /// the nearest one.
    pub fn not_allowed(key: &str, value: &str, allowed: &[&str]) -> Self {
        let error = Self::invalid(format!(
            "unknown {key} `{value}`: expected one of {}",
            allowed.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ));
        match nearest(value, allowed) {
            Some(name) => error.with_hint(format!("did you mean `{name}`?")),
            None => error,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Puts `context` in front of the message: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// What to do about it, in a sentence.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

/// The message alone, one line.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A bug that showed as a panic, from what `catch_unwind` gives.
pub(crate) fn panicked(doing: &str, panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let line = text.and_then(|text| text.lines().next()).unwrap_or("no message");
    Error::internal(format!("{doing} panicked: {line}"))
}

/// The candidate closest to `value`, if it is close enough to be a slip: at
/// most a third of its characters changed.
pub(crate) fn nearest<'a>(value: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|name| (edit_distance(&value.to_lowercase(), &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance * 3 <= name.chars().count().max(3))
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_different_word_is_not() {
        let allowed = ["tanh", "sigmoid", "kaiming_uniform"];
        assert_eq!(nearest("tahn", &allowed), None, "a transposition of four is half the word");
        assert_eq!(nearest("tan", &allowed), Some("tanh"));
        assert_eq!(nearest("Sigmoyd", &allowed), Some("sigmoid"));
        assert_eq!(nearest("kaiming-uniform", &allowed), Some("kaiming_uniform"));
        assert_eq!(nearest("swish", &allowed), None);
    }

    #[test]
    fn an_error_names_the_value_and_the_way_out() {
        let error = Error::not_allowed("activation", "tan", &["tanh", "relu"]);
        assert_eq!(error.to_string(), "unknown activation `tan`: expected one of `tanh`, `relu`");
        assert_eq!(error.hint(), Some("did you mean `tanh`?"));
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(error.context("a.toml").to_string().split(':').next(), Some("a.toml"));
    }
}
