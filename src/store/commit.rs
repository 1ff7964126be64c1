//! Commits: data files first, then the log entry that makes them visible.
//!
//! Owns the way from a [`Proposal`] to its log entry, through lost races and lost
//! acknowledgements. What is proposed is its own file: models in `addition`,
//! merged files in `compaction`, and so on.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{ObjectStoreExt, PutMode};

use super::encoded::Encoded;
use super::format::WRITER;
use super::log::{self, DataFile, Entry};
use super::schema::Table;
use super::snapshot::{LogListing, Snapshot, read_entry};
use super::weight_encoding::WeightEncoding;
use super::{Location, Store, clock, failure, paths};
use crate::error::{Error, Kind, Result};

/// Every so many commits the log is folded, so that opening stays quick.
const FOLD_EVERY: u64 = 20;

/// Lost races in a row before giving up: minutes of back-off.
const MAX_LOST_RACES: u32 = 200;

/// How often an entry that is said to exist, and cannot be read, is created again: while
/// another request for that name is under way S3 may answer that there is a conflict, which
/// its client takes for an entry.
const MAX_CONFLICTS: u32 = 10;

/// Writes to a store. Several writers, in several processes, may be at work.
#[derive(Debug)]
pub struct Writer {
    location: Location,
    encoding: WeightEncoding,
    snapshot: Snapshot,
}

/// A commit that somebody wants, whatever others commit in the meantime: it is
/// drafted against one snapshot, and drafted anew against a later one that it no
/// longer fits.
#[async_trait]
pub(super) trait Proposal: Sync {
    /// Writes the data files that the commit on top of `snapshot` needs, and says
    /// what it adds and removes; `None` if there is nothing to do.
    async fn draft(&self, snapshot: &Snapshot, files: &mut NewFiles<'_>) -> Result<Option<Draft>>;

    /// Whether `draft` is still the commit to make, now on top of `snapshot`.
    fn holds(&self, draft: &Draft, snapshot: &Snapshot) -> bool;
}

/// A commit that lacks only its number.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// In a word.
    pub(super) operation: String,
    /// For people.
    pub(super) message: String,
    /// Files that become visible.
    pub(super) add: Vec<DataFile>,
    /// Paths of files that are no longer visible.
    pub(super) remove: Vec<String>,
    /// Paths of files that were looked into and stay.
    pub(super) keep: Vec<String>,
    /// Ids of the models it adds.
    pub(super) models: Vec<i64>,
    /// Ids of the models it drops.
    pub(super) dropped: Vec<i64>,
    /// Architectures whose layout it adds to `tensors`, or drops from there.
    pub(super) layouts: Vec<String>,
}

/// A commit that was made.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) entry: Entry,
    /// The files it removed.
    pub(super) removed: Vec<Arc<DataFile>>,
}

/// The files that a draft writes, to undo them if nothing comes of it.
pub(super) struct NewFiles<'a> {
    location: &'a Location,
    encoding: WeightEncoding,
    written: Vec<String>,
}

/// How creating a log entry went.
enum Created {
    Yes,
    /// Another writer has this number.
    Lost,
}

impl Store {
    /// A writer that knows what the store holds now.
    pub async fn writer(&self) -> Result<Writer> {
        let location = self.location.clone();
        let log = LogListing::read(&location).await?;
        log.check_complete(&location)?;
        let snapshot = Snapshot::from_log(&location, &log, None).await?;
        Ok(Writer { location, encoding: self.encoding, snapshot })
    }
}

impl Writer {
    /// The store as this writer last saw it: with its own commits, and with
    /// those of others up to its last lost race.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Commits what `proposal` wants, all or nothing; `None` if there was nothing to
    /// do.
    ///
    /// # Errors
    /// `Unavailable` if the store cannot be written: nothing of this call is
    /// visible then, or all of it, and calling again does the rest. `Conflict` if
    /// others were faster too often.
    pub(super) async fn propose(&mut self, proposal: &dyn Proposal) -> Result<Option<Committed>> {
        let mut lost = 0;
        loop {
            let location = self.location.clone();
            let mut files = NewFiles::new(&location, self.encoding);
            let draft = match proposal.draft(&self.snapshot, &mut files).await {
                Ok(Some(draft)) => draft,
                Ok(None) if self.is_current().await? => return Ok(None),
                Ok(None) => continue,
                Err(error) => {
                    files.discard().await;
                    return Err(error);
                }
            };
            if !proposal.holds(&draft, &self.snapshot) {
                files.discard().await;
                let message =
                    format!("a draft to {} does not hold where it was drafted", draft.operation);
                return Err(Error::internal(message));
            }
            while proposal.holds(&draft, &self.snapshot) {
                let entry = draft.entry(self.snapshot.version() + 1);
                match self.create(&entry).await? {
                    Created::Yes => {
                        let removed = self.snapshot.files_at(&entry.remove);
                        self.snapshot.apply(&entry);
                        self.fold().await;
                        return Ok(Some(Committed { entry, removed }));
                    }
                    Created::Lost => {
                        if let Err(error) = self.catch_up(lost).await {
                            files.discard().await;
                            return Err(error);
                        }
                        lost += 1;
                    }
                }
            }
            files.discard().await;
        }
    }

    /// Whether this writer knows the newest commit; if not, reads what it missed.
    async fn is_current(&mut self) -> Result<bool> {
        let known = self.snapshot.version();
        let log = LogListing::read(&self.location).await?;
        log.check_complete(&self.location)?;
        self.snapshot.advance(&self.location, log.newest).await?;
        Ok(known >= log.newest)
    }

    /// After the `lost`-th lost race, counted from 0: waits, and reads what others
    /// committed.
    async fn catch_up(&mut self, lost: u32) -> Result<()> {
        if lost == MAX_LOST_RACES {
            let message = format!("lost `{lost}` races to other writers of `{}`", self.location);
            return Err(Error::new(Kind::Conflict, message)
                .with_hint("run the same command again, with fewer writers at a time"));
        }
        clock::back_off(lost).await;
        self.is_current().await.map(drop)
    }

    /// Creates the log entry: the moment of the commit.
    async fn create(&self, entry: &Entry) -> Result<Created> {
        let path = paths::entry(entry.version);
        let bytes = Bytes::from(entry.to_json()?);
        let objects = self.location.objects();
        let mut conflicts = 0;
        loop {
            let put = objects.put_opts(&path, bytes.clone().into(), PutMode::Create.into());
            let Err(error) = put.await else { return Ok(Created::Yes) };
            let exists = matches!(error, object_store::Error::AlreadyExists { .. });
            // An error does not say that nothing was stored: the acknowledgement may
            // have been lost, and a retry inside the client then finds our own entry.
            match read_entry(&self.location, entry.version).await {
                Ok(stored) if stored.id == entry.id => {
                    // On a local disk its name may be all that failed to be synced.
                    let synced = self.location.sync(&paths::log());
                    return synced
                        .map(|()| Created::Yes)
                        .map_err(|_| failure::write(&self.location, &path, error));
                }
                Ok(_) => return Ok(Created::Lost),
                Err(_) if exists && conflicts < MAX_CONFLICTS => {
                    clock::back_off(conflicts).await;
                    conflicts += 1;
                }
                Err(unread) if exists => return Err(unread),
                Err(_) => return Err(failure::write(&self.location, &path, error)),
            }
        }
    }

    /// Folds the log now and then. Only a matter of speed, so no failure counts.
    async fn fold(&self) {
        if self.snapshot.version().is_multiple_of(FOLD_EVERY)
            && let Ok(bytes) = self.snapshot.to_json()
        {
            let path = paths::folded(self.snapshot.version());
            let put = self.location.objects().put_opts(&path, bytes.into(), PutMode::Create.into());
            drop(put.await);
        }
    }
}

impl Draft {
    /// The log entry of commit `version`.
    fn entry(&self, version: u64) -> Entry {
        Entry {
            format: log::format(!self.dropped.is_empty()),
            version,
            id: clock::unique(),
            time: clock::now(),
            writer: WRITER.to_owned(),
            operation: self.operation.clone(),
            message: self.message.clone(),
            add: self.add.clone(),
            remove: self.remove.clone(),
            models: self.models.clone(),
            dropped: self.dropped.clone(),
        }
    }
}

impl<'a> NewFiles<'a> {
    /// None so far, in the store at `location`, which has weights in `encoding`.
    pub(super) fn new(location: &'a Location, encoding: WeightEncoding) -> Self {
        Self { location, encoding, written: Vec::new() }
    }

    /// The store that is written to.
    pub(super) fn location(&self) -> &'a Location {
        self.location
    }

    /// How weights are to be encoded.
    pub(super) fn encoding(&self) -> WeightEncoding {
        self.encoding
    }

    /// Writes a data file of `table` under a name nobody else chooses.
    pub(super) async fn write(&mut self, table: &Table, encoded: Encoded) -> Result<DataFile> {
        let path = paths::data(table, &clock::unique());
        let file = DataFile {
            table: table.clone(),
            path: path.to_string(),
            rows: encoded.rows as u64,
            bytes: encoded.bytes.len() as u64,
            sha256: super::digest::sha256(&encoded.bytes),
            model_id: encoded.model_id,
            epoch: encoded.epoch,
        };
        // Before the put: its acknowledgement may be lost.
        self.written.push(file.path.clone());
        let put = self.location.objects().put(&path, encoded.bytes.into()).await;
        put.map_err(|error| failure::write(self.location, &path, error))?;
        Ok(file)
    }

    /// Removes files that no entry will name. Best effort: what stays does no harm.
    async fn discard(self) {
        for path in self.written {
            drop(self.location.objects().delete(&path.into()).await);
        }
    }
}

/// `1 model`, `2 models`: for messages.
pub(super) fn models(count: usize) -> String {
    if count == 1 { "1 model".to_owned() } else { format!("{count} models") }
}
