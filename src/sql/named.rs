//! Named queries: the SQL files of `queries/`.
//!
//! A file is a header of comments and one query:
//!
//! ```sql
//! -- What the query is for, in one or more lines.
//! --
//! -- param k int = 10: how many models
//! -- param zoo text = NULL: only this zoo
//! -- column name: what the column means
//! SELECT … LIMIT $k
//! ```

use datafusion::common::ScalarValue;

use crate::error::{Error, Result};

/// A query that ships with zoolake.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedQuery {
    /// What `zoolake query NAME` takes.
    pub name: &'static str,
    /// What it is for.
    pub purpose: String,
    /// Its `$name` parameters.
    pub parameters: Vec<Parameter>,
    /// Names and meanings of its columns, in order.
    pub columns: Vec<(String, String)>,
    /// The SQL text, header included.
    pub sql: &'static str,
}

/// A parameter of a named query.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name, without `$`.
    pub name: String,
    /// Type of its value.
    pub kind: ParameterType,
    /// Value if none is given; `NULL` mostly means "all".
    pub default: String,
    /// Meaning.
    pub doc: String,
}

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterType {
    /// `text`.
    Text,
    /// `int`.
    Int,
    /// `float`.
    Float,
}

macro_rules! queries {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../queries/", $name, ".sql")))),+]
    };
}

const FILES: [(&str, &str); 9] = queries![
    "accuracy_by_activation",
    "accuracy_by_activation_and_init",
    "accuracy_by_init",
    "best_models",
    "distance_travelled",
    "generalisation_gap",
    "learning_curves",
    "weight_statistics",
    "zoos",
];

/// Every named query, by name.
///
/// # Errors
/// `Internal` if a header is malformed, which a test rules out.
pub fn named_queries() -> Result<Vec<NamedQuery>> {
    FILES.iter().map(|(name, sql)| NamedQuery::parse(name, sql)).collect()
}

impl NamedQuery {
    /// The query called `name`; an error lists those there are.
    pub fn by_name(name: &str) -> Result<Self> {
        match FILES.iter().find(|(known, _)| *known == name) {
            Some((name, sql)) => Self::parse(name, sql),
            None => Err(Error::not_allowed("query", name, &FILES.map(|(name, _)| name))),
        }
    }

    fn parse(name: &'static str, sql: &'static str) -> Result<Self> {
        let malformed = |line: &str| {
            Error::internal(format!("queries/{name}.sql has a malformed line `{line}`"))
        };
        let mut query =
            Self { name, purpose: String::new(), parameters: vec![], columns: vec![], sql };
        for line in sql.lines().map_while(|line| line.strip_prefix("--")).map(str::trim) {
            if let Some(parameter) = line.strip_prefix("param ") {
                query.parameters.push(Parameter::parse(parameter).ok_or_else(|| malformed(line))?);
            } else if let Some(column) = line.strip_prefix("column ") {
                let (column, doc) = column.split_once(": ").ok_or_else(|| malformed(line))?;
                query.columns.push((column.to_owned(), doc.to_owned()));
            } else if !line.is_empty() {
                let space = if query.purpose.is_empty() { "" } else { " " };
                query.purpose = format!("{}{space}{line}", query.purpose);
            }
        }
        Ok(query)
    }

    /// Values for all parameters: those of `given`, and defaults for the rest.
    pub fn bind(&self, given: &[(String, String)]) -> Result<Vec<(String, ScalarValue)>> {
        for (name, _) in given {
            if !self.parameters.iter().any(|parameter| parameter.name == *name) {
                let names: Vec<&str> =
                    self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
                if names.is_empty() {
                    return Err(Error::invalid(format!(
                        "query `{}` has no parameters, and was given `{name}`",
                        self.name
                    )));
                }
                return Err(Error::not_allowed("parameter", name, &names));
            }
        }
        let value = |parameter: &Parameter| {
            let given = given.iter().rev().find(|(name, _)| *name == parameter.name);
            let text = given.map_or(parameter.default.as_str(), |(_, text)| text.as_str());
            Ok((parameter.name.clone(), parameter.value(text)?))
        };
        self.parameters.iter().map(value).collect()
    }
}

impl Parameter {
    /// Parses `name type = default: meaning`.
    fn parse(text: &str) -> Option<Self> {
        let (declaration, doc) = text.split_once(": ")?;
        let (typed_name, default) = declaration.split_once(" = ")?;
        let (name, kind) = typed_name.split_once(' ')?;
        let kind = match kind {
            "text" => ParameterType::Text,
            "int" => ParameterType::Int,
            "float" => ParameterType::Float,
            _ => return None,
        };
        Some(Self { name: name.to_owned(), kind, default: default.to_owned(), doc: doc.to_owned() })
    }

    fn value(&self, text: &str) -> Result<ScalarValue> {
        let null = text.eq_ignore_ascii_case("null");
        let wrong = |expected: &str| {
            Error::invalid(format!("parameter `{}` is `{text}`: expected {expected}", self.name))
        };
        Ok(match self.kind {
            ParameterType::Text => ScalarValue::Utf8((!null).then(|| text.to_owned())),
            ParameterType::Int if null => ScalarValue::Int64(None),
            ParameterType::Int => {
                ScalarValue::Int64(Some(text.parse().map_err(|_| wrong("an integer"))?))
            }
            ParameterType::Float if null => ScalarValue::Float64(None),
            ParameterType::Float => {
                ScalarValue::Float64(Some(text.parse().map_err(|_| wrong("a number"))?))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_in_queries_is_listed_with_a_full_header() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/queries");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(files, FILES.map(|(name, _)| format!("{name}.sql")));
        for query in named_queries().unwrap() {
            assert!(!query.purpose.is_empty() && !query.columns.is_empty(), "{}", query.name);
        }
    }

    #[test]
    fn parameters_are_checked() {
        let best = NamedQuery::by_name("best_models").unwrap();
        let bind = |name: &str, value: &str| best.bind(&[(name.to_owned(), value.to_owned())]);
        assert!(bind("k", "3").unwrap().contains(&("k".to_owned(), ScalarValue::Int64(Some(3)))));
        assert_eq!(
            bind("k", "many").unwrap_err().to_string(),
            "parameter `k` is `many`: expected an integer"
        );
        assert!(bind("kk", "3").unwrap_err().to_string().starts_with("unknown parameter `kk`"));
        assert!(NamedQuery::by_name("best").unwrap_err().to_string().starts_with("unknown query"));
    }
}
