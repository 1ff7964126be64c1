//! The commit log: one JSON object per commit.

use serde::{Deserialize, Serialize};

use super::paths;
use super::schema::Table;
use crate::error::{Error, Kind, Result};

/// The version of the store format: that of stores and of data files, and of what
/// the log says as long as no model is dropped.
pub(super) const FORMAT: u32 = 1;

/// The version of log entries that drop models, and of logs folded behind them: to
/// a program that knows 1 only, the models would still be there, and it could
/// not train them again. It refuses 2 instead.
pub(super) const FORMAT_OF_DROPS: u32 = 2;

/// One commit: what it added and removed. Versions 1 and 2 of `log/*.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Format version of this object.
    pub format: u32,
    /// Number of the commit, from 1 on without gaps; also the object's name.
    pub version: u64,
    /// Drawn by the writer: tells a lost acknowledgement from a lost race.
    pub id: String,
    /// When, in UTC (RFC 3339).
    pub time: String,
    /// Which program wrote it.
    pub writer: String,
    /// What was done: `train`, …
    pub operation: String,
    /// The same in words, for people.
    pub message: String,
    /// Files that become visible.
    pub add: Vec<DataFile>,
    /// Paths of files that are no longer visible.
    pub remove: Vec<String>,
    /// Ids of the models this commit adds.
    pub models: Vec<i64>,
    /// Ids of the models this commit drops; only in version 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<i64>,
}

/// A Parquet file of a table, and what is known of it without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// The table it belongs to.
    pub table: Table,
    /// Path below the root of the store.
    pub path: String,
    /// Number of rows.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, in hex: `sha256sum` prints the same.
    pub sha256: String,
    /// Smallest and largest `model_id`, if the table has that column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<(i64, i64)>,
    /// Smallest and largest `epoch`, if the table has that column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<(i64, i64)>,
}

impl Entry {
    /// The bytes of the log object: indented, since people read it too.
    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| Error::internal("cannot serialise a log entry").with_source(error))
    }

    /// Reads the log object at `path`, which should be commit `version`.
    pub(super) fn from_json(path: &str, version: u64, bytes: &[u8]) -> Result<Self> {
        let entry: Self = parse(path, "log entry", FORMAT_OF_DROPS, bytes)?;
        if entry.version != version {
            return Err(Error::corrupt(format!(
                "log entry `{path}` says it is commit `{}`",
                entry.version
            )));
        }
        let removed = entry.remove.iter().map(String::as_str);
        let names = entry.add.iter().map(|file| file.path.as_str()).chain(removed);
        check_names(path, "log entry", names)?;
        Ok(entry)
    }
}

/// Refuses the log object at `path` if it names something else than data files: what
/// is named is copied, and removed.
pub(super) fn check_names<'a>(
    path: &str,
    what: &str,
    mut names: impl Iterator<Item = &'a str>,
) -> Result<()> {
    names.find(|name| !paths::is_data(name)).map_or(Ok(()), |name| {
        Err(Error::corrupt(format!("{what} `{path}` names `{name}`, which is no data file")))
    })
}

/// The version of what the log says, in the least a reader must know.
pub(super) fn format(drops_models: bool) -> u32 {
    if drops_models { FORMAT_OF_DROPS } else { FORMAT }
}

/// Parses a versioned JSON object of the store, of version `newest` or older. `what`
/// is its kind, in words.
pub(super) fn parse<T: serde::de::DeserializeOwned>(
    path: &str,
    what: &str,
    newest: u32,
    bytes: &[u8],
) -> Result<T> {
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let damaged = |error: serde_json::Error| {
        Error::corrupt(format!("{what} `{path}` is damaged: {error}")).with_source(error)
    };
    let Versioned { format } = serde_json::from_slice(bytes).map_err(damaged)?;
    if format > newest {
        return Err(Error::new(
            Kind::Unsupported,
            format!(
                "{what} `{path}` has format `{format}`, and this zoolake reads up to `{newest}`"
            ),
        )
        .with_hint("install a newer zoolake"));
    }
    serde_json::from_slice(bytes).map_err(damaged)
}
