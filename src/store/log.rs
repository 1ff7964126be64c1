//! The commit log: one JSON object per commit.

use serde::{Deserialize, Serialize};

use super::schema::Table;
use crate::error::{Error, Kind, Result};

/// The version of the store format this zoolake writes, and the newest it reads.
pub(super) const FORMAT: u32 = 1;

/// One commit: what it added and removed. Version 1 of `log/*.json`.
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
        let entry: Self = parse(path, "log entry", bytes)?;
        if entry.version != version {
            return Err(Error::corrupt(format!(
                "log entry `{path}` says it is commit `{}`",
                entry.version
            )));
        }
        Ok(entry)
    }
}

/// Parses a versioned JSON object of the store. `what` is its kind, in words.
pub(super) fn parse<T: serde::de::DeserializeOwned>(
    path: &str,
    what: &str,
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
    if format > FORMAT {
        return Err(Error::new(
            Kind::Unsupported,
            format!(
                "{what} `{path}` has format `{format}`, and this zoolake reads up to `{FORMAT}`"
            ),
        )
        .with_hint("install a newer zoolake"));
    }
    serde_json::from_slice(bytes).map_err(damaged)
}
