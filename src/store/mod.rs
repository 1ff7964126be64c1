//! The store: immutable Parquet files and a commit log, on a local disk or an
//! object store.
//!
//! Owns locations, object names, table schemas, the log, snapshots, writing,
//! verification and housekeeping (compaction, vacuum, dropping zoos, copies). It is the
//! only module that knows object names. It does not query: that is `scan` and `sql`.
//!
//! # What is stored where
//!
//! ```text
//! <root>/zoolake.json                                format version; created once
//! <root>/data/<table>/<unique>.parquet               immutable
//! <root>/log/00000000000000000042.json               one per commit
//! <root>/log/00000000000000000040.snapshot.json      the log folded up to there
//! <root>/log/00000000000000000041.vacuumed.json      files removed up to there are gone
//! <root>/work/<model id>/                            a long model in training (`train`)
//! ```
//!
//! # What a commit is
//!
//! Data files are written first, under unique names; then the next log entry is
//! created, and *creating* it (put-if-absent, which every supported store has)
//! is the commit. Nothing is visible before, everything after. Two writers
//! cannot create the same entry: the loser reads what the winner did, makes of
//! its own commit what is still to do, and tries the next number. A killed writer
//! leaves at most files that no entry names.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use zoolake::store::{Location, Store};
//! let store = Store::open_or_create(Location::memory()).await?;
//! assert_eq!(store.snapshot().await?.version(), 0);
//! # Ok::<(), zoolake::Error>(()) }).unwrap();
//! ```

mod addition;
mod clock;
mod columns;
mod commit;
mod compaction;
mod copy;
mod digest;
mod durable;
mod encode;
mod encoded;
mod failure;
mod format;
mod location;
mod log;
mod paths;
mod recording;
mod removal;
mod requests;
mod rewrite;
mod schema;
mod snapshot;
mod tally;
mod vacuum;
mod vector_chunk;
mod verify;
mod weight_encoding;

pub use addition::Commit;
pub use clock::Simulation;
pub use commit::Writer;
pub use compaction::Compacted;
pub use copy::{Copied, CopyProgress};
pub(crate) use failure::{VERIFY, is_beyond_end, reason};
pub use location::{CloudOptions, Location};
pub use log::{DataFile, Entry};
pub use recording::Stamp;
pub use removal::Dropped;
pub use requests::{RequestCounter, Requests};
pub use schema::{
    Column, ColumnType, EPOCHS, MODELS, PREDICTIONS, RESULTS, TENSORS, Table, TableSchema,
};
pub(crate) use schema::{row_bytes, rows_in, values_field, weights_schema};
pub use snapshot::{CommitInfo, Snapshot};
pub use vacuum::{Garbage, GarbageKind};
#[cfg(test)]
pub(crate) use vector_chunk::compress;
pub use verify::{Finding, Report};
pub use weight_encoding::WeightEncoding;

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;

use crate::error::{Kind, Result};

/// A store of model zoos at a [`Location`].
#[derive(Debug, Clone)]
pub struct Store {
    location: Location,
    encoding: WeightEncoding,
}

impl Store {
    /// Opens the store at `location`. Reads one small object and writes none.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Unsupported` if a newer zoolake wrote it.
    pub async fn open(location: Location) -> Result<Self> {
        let encoding = format::check(&location).await?;
        Ok(Self { location, encoding })
    }

    /// Opens the store at `location`; `None` if nothing is there at all.
    ///
    /// # Errors
    /// `Invalid` if the place holds files that are not a store's.
    pub async fn open_if_any(location: Location) -> Result<Option<Self>> {
        match Self::open(location.clone()).await {
            Err(error) if error.kind() == Kind::NotFound => {
                format::refuse_foreign(&location).await.map(|()| None)
            }
            opened => opened.map(Some),
        }
    }

    /// Opens the store at `location`, or creates an empty one there.
    ///
    /// # Errors
    /// `Invalid` if the place holds files that are not a store's.
    pub async fn open_or_create(location: Location) -> Result<Self> {
        Self::open_or_create_with(location, WeightEncoding::default()).await
    }

    /// The same, but if it is created it keeps weights in `encoding`.
    ///
    /// # Errors
    /// As of [`open_or_create`](Self::open_or_create).
    pub async fn open_or_create_with(location: Location, encoding: WeightEncoding) -> Result<Self> {
        let encoding = format::create_if_absent(&location, encoding).await?;
        Ok(Self { location, encoding })
    }

    /// How the store keeps weights.
    pub fn encoding(&self) -> WeightEncoding {
        self.encoding
    }

    /// Where the store is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Where models in training may leave finished epochs, if the store is on a
    /// local disk.
    pub fn work_folder(&self) -> Option<PathBuf> {
        self.location.folder().map(|folder| folder.join(paths::WORK))
    }

    /// The objects, with paths relative to the root of the store.
    pub fn objects(&self) -> &Arc<dyn ObjectStore> {
        self.location.objects()
    }

    /// The newest state of the store.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::load(&self.location, None).await
    }

    /// The state of the store as of commit `version`; 0 is the empty store.
    ///
    /// # Errors
    /// `NotFound` if there is no such commit yet.
    pub async fn snapshot_at(&self, version: u64) -> Result<Snapshot> {
        Snapshot::load(&self.location, Some(version)).await
    }
}
