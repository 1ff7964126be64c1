//! A snapshot: the log folded up to one commit.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use futures::{Stream, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::digest::sha256;
use super::log::{self, DataFile, Entry, FORMAT_OF_DROPS, parse};
use super::paths::{self, LogObject};
use super::schema::Table;
use super::{Location, failure};
use crate::error::{Error, Kind, Result};

/// How many log entries, or small files, are read at the same time.
pub(super) const CONCURRENT_READS: usize = 16;

/// How many files of any size are in memory at the same time.
pub(super) const CONCURRENT_FILES: usize = 4;

/// The state of a store as of one commit: which files are in it, which models
/// it has, and how it came about. It never changes, whatever is committed after.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    version: u64,
    files: BTreeMap<String, Arc<DataFile>>,
    models: HashSet<i64>,
    history: Vec<CommitInfo>,
}

/// What the `snapshots` table says of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInfo {
    /// Number of the commit.
    pub version: u64,
    /// When, in UTC (RFC 3339).
    pub time: String,
    /// What was done, in a word.
    pub operation: String,
    /// The same in words, for people.
    pub message: String,
    /// Which program wrote it.
    pub writer: String,
    /// Models added.
    pub models: u64,
    /// Models dropped.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub models_dropped: u64,
    /// Files added.
    pub files_added: u64,
    /// Files removed.
    pub files_removed: u64,
    /// Bytes of the files added.
    pub bytes_added: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Versions 1 and 2 of `log/*.snapshot.json`. It lacks the `id`s of entries: a writer that
/// was not answered reads its entry itself, which stays. Ends with the SHA-256 of all that
/// is before it, but that earlier programs did not write one.
#[derive(Serialize, Deserialize)]
struct Folded {
    format: u32,
    version: u64,
    files: Vec<DataFile>,
    models: Vec<i64>,
    history: Vec<CommitInfo>,
    #[serde(default, skip_serializing)]
    sha256: Option<String>,
}

/// The end of a folded log whose bytes before it have this SHA-256.
fn seal(sha256: &str) -> String {
    format!(",\"sha256\":\"{sha256}\"}}")
}

impl Snapshot {
    /// Loads the state as of `version`, or the newest one.
    pub(super) async fn load(location: &Location, version: Option<u64>) -> Result<Self> {
        if version == Some(0) {
            return Ok(Self::default());
        }
        Self::from_log(location, &LogListing::read(location).await?, version).await
    }

    /// The same from a listing of the log.
    pub(super) async fn from_log(
        location: &Location,
        log: &LogListing,
        version: Option<u64>,
    ) -> Result<Self> {
        let target = match version {
            Some(version) if version > log.newest => {
                return Err(Error::not_found(format!(
                    "store `{location}` has no commit `{version}`: the newest is `{}`",
                    log.newest
                )));
            }
            Some(version) => version,
            None => log.newest,
        };
        let mut snapshot = Self::default();
        // A damaged folded log costs time, not data: the entries are all there.
        for (&folded, _) in log.folded.range(..=target).rev() {
            if let Ok(start) = Self::read_folded(location, folded).await {
                snapshot = start;
                break;
            }
        }
        snapshot.advance(location, target).await?;
        if let Some(by) = snapshot.vacuumed_by(location, log.vacuumed).await? {
            return Err(snapshot
                .is_vacuumed(location, "was vacuumed", by)
                .with_hint(format!("`--at {}` and later can be read", log.vacuumed)));
        }
        Ok(snapshot)
    }

    /// Whose files a vacuum removed, `how` it is said: commit `by` no longer needed them.
    pub(super) fn is_vacuumed(&self, location: &Location, how: &str, by: u64) -> Error {
        Error::not_found(format!(
            "commit `{}` of store `{location}` {how}: files that commit `{by}` removed are gone",
            self.version
        ))
    }

    /// The first commit up to `vacuumed` that removed a file of this state, which then a
    /// vacuum removed from the store.
    pub(super) async fn vacuumed_by(
        &self,
        location: &Location,
        vacuumed: u64,
    ) -> Result<Option<u64>> {
        let mut entries = entries(location, self.version + 1, vacuumed);
        while let Some(entry) = entries.next().await {
            let entry = match entry {
                // Older states do not need it. If it removed a file of theirs, that is missing.
                Err(error) if error.kind() == Kind::Corrupt => continue,
                entry => entry?,
            };
            if entry.remove.iter().any(|path| self.has_file(path)) {
                return Ok(Some(entry.version));
            }
        }
        Ok(None)
    }

    /// Reads the entries after this snapshot up to `target` and folds them in.
    pub(super) async fn advance(&mut self, location: &Location, target: u64) -> Result<()> {
        let mut entries = entries(location, self.version + 1, target);
        while let Some(entry) = entries.try_next().await? {
            self.apply(&entry);
        }
        Ok(())
    }

    /// Folds in the entry that follows this snapshot.
    pub(super) fn apply(&mut self, entry: &Entry) {
        for path in &entry.remove {
            self.files.remove(path);
        }
        for file in &entry.add {
            self.files.insert(file.path.clone(), Arc::new(file.clone()));
        }
        for model in &entry.dropped {
            self.models.remove(model);
        }
        self.models.extend(&entry.models);
        self.history.push(CommitInfo {
            version: entry.version,
            time: entry.time.clone(),
            operation: entry.operation.clone(),
            message: entry.message.clone(),
            writer: entry.writer.clone(),
            models: entry.models.len() as u64,
            models_dropped: entry.dropped.len() as u64,
            files_added: entry.add.len() as u64,
            files_removed: entry.remove.len() as u64,
            bytes_added: entry.add.iter().map(|file| file.bytes).sum(),
        });
        self.version = entry.version;
    }

    /// The bytes of this snapshot as a folded log.
    pub(super) fn to_json(&self) -> Result<Vec<u8>> {
        let mut models: Vec<i64> = self.models.iter().copied().collect();
        models.sort_unstable();
        let files = self.files.values().map(|file| DataFile::clone(file)).collect();
        let folded = Folded {
            format: log::format(self.history.iter().any(|commit| commit.models_dropped > 0)),
            version: self.version,
            files,
            models,
            history: self.history.clone(),
            sha256: None,
        };
        let mut bytes = serde_json::to_vec(&folded)
            .map_err(|error| Error::internal("cannot serialise a snapshot").with_source(error))?;
        // The brace that the seal brings.
        bytes.pop();
        let seal = seal(&sha256(&bytes));
        bytes.extend(seal.into_bytes());
        Ok(bytes)
    }

    /// Reads the log folded up to `version`.
    pub(super) async fn read_folded(location: &Location, version: u64) -> Result<Self> {
        let path = paths::folded(version);
        let bytes = get(location, &path).await?;
        Self::from_json(&location.path_of(&path), version, &bytes).map_err(|error| {
            match error.kind() {
                Kind::Corrupt => error.with_hint("remove it: the log entries say the same"),
                _ => error,
            }
        })
    }

    /// Reads the folded log at `path`, which should be that up to commit `version`.
    fn from_json(path: &str, version: u64, bytes: &[u8]) -> Result<Self> {
        let folded: Folded = parse(path, "snapshot", FORMAT_OF_DROPS, bytes)?;
        if folded.version != version {
            let message = format!("snapshot `{path}` says it is commit `{}`", folded.version);
            return Err(Error::corrupt(message));
        }
        let is_sealed = |digest: &String| {
            bytes.strip_suffix(seal(digest).as_bytes()).is_some_and(|rest| sha256(rest) == *digest)
        };
        if !folded.sha256.as_ref().is_none_or(is_sealed) {
            return Err(Error::corrupt(format!("snapshot `{path}` has been altered")));
        }
        log::check_names(path, "snapshot", folded.files.iter().map(|file| file.path.as_str()))?;
        let file = |file: DataFile| (file.path.clone(), Arc::new(file));
        Ok(Self {
            version,
            files: folded.files.into_iter().map(file).collect(),
            models: folded.models.into_iter().collect(),
            history: folded.history,
        })
    }

    /// The number of the newest commit in it; 0 is the empty store.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether the model with this id is stored.
    pub fn has_model(&self, id: i64) -> bool {
        self.models.contains(&id)
    }

    /// Number of models stored.
    pub fn num_models(&self) -> usize {
        self.models.len()
    }

    /// The ids of the models stored, in no order.
    pub fn models(&self) -> impl Iterator<Item = i64> {
        self.models.iter().copied()
    }

    /// Whether the file at `path` is in it.
    pub(super) fn has_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// The files at those of `paths` that are in it.
    pub(super) fn files_at(&self, paths: &[String]) -> Vec<Arc<DataFile>> {
        paths.iter().filter_map(|path| self.files.get(path)).map(Arc::clone).collect()
    }

    /// The tables that have files, in order.
    pub(super) fn tables(&self) -> BTreeSet<Table> {
        self.files.values().map(|file| file.table.clone()).collect()
    }

    /// Every file, in the order of paths.
    pub fn files(&self) -> impl Iterator<Item = &Arc<DataFile>> {
        self.files.values()
    }

    /// The files of one table, oldest first.
    pub fn files_of(&self, table: &Table) -> Vec<Arc<DataFile>> {
        self.files.values().filter(|file| file.table == *table).map(Arc::clone).collect()
    }

    /// The architectures with weights in the store, by name.
    pub fn archs(&self) -> Vec<String> {
        let arch = |file: &Arc<DataFile>| match &file.table {
            Table::Weights(arch) => Some(arch.clone()),
            _ => None,
        };
        let mut archs: Vec<String> = self.files.values().filter_map(arch).collect();
        archs.sort_unstable();
        archs.dedup();
        archs
    }

    /// Every commit up to this one, oldest first.
    pub fn history(&self) -> &[CommitInfo] {
        &self.history
    }
}

/// What lies in the log folder.
pub(super) struct LogListing {
    /// Number of the newest entry; 0 if there is none.
    pub(super) newest: u64,
    /// The bytes of each folded log, by number.
    pub(super) folded: BTreeMap<u64, u64>,
    /// Files that this commit removed, or one before it, may be gone; 0 if none are.
    pub(super) vacuumed: u64,
}

impl LogListing {
    pub(super) async fn read(location: &Location) -> Result<Self> {
        let log = Self::list(location).await?;
        // A listing takes time: it may lack an entry and have the log folded behind it.
        if log.beyond().is_empty() { Ok(log) } else { Self::list(location).await }
    }

    /// What speaks of commits after the newest entry: entries are lost.
    pub(super) fn beyond(&self) -> Vec<Path> {
        let folded = self.folded.keys().filter(|&&version| version > self.newest);
        let mark = (self.vacuumed > self.newest).then(|| paths::vacuumed(self.vacuumed));
        folded.map(|&version| paths::folded(version)).chain(mark).collect()
    }

    /// For writers: another commit with the number of a lost one would be taken for it.
    pub(super) fn check_complete(&self, location: &Location) -> Result<()> {
        let Some(path) = self.beyond().into_iter().next() else { return Ok(()) };
        let newest = self.newest;
        Err(Error::corrupt(format!(
            "`{path}` is of a later commit than `{newest}`, the newest entry of store `{location}`"
        ))
        .with_hint(format!(
            "put the lost entries back; or remove what `zoolake verify` lists, to go on from \
             commit {newest} without them"
        )))
    }

    async fn list(location: &Location) -> Result<Self> {
        let folder = paths::log();
        let mut objects = location.objects().list(Some(&folder));
        let mut listing = Self { newest: 0, folded: BTreeMap::new(), vacuumed: 0 };
        while let Some(object) =
            objects.try_next().await.map_err(|error| failure::read(location, &folder, error))?
        {
            match paths::parse_log(&object.location) {
                Some(LogObject::Entry(version)) => listing.newest = listing.newest.max(version),
                Some(LogObject::Folded(version)) => {
                    listing.folded.insert(version, object.size);
                }
                Some(LogObject::Vacuumed(version)) => {
                    listing.vacuumed = listing.vacuumed.max(version);
                }
                None => {}
            }
        }
        Ok(listing)
    }
}

/// Reads the log entries of commits `first` to `last`.
fn entries(
    location: &Location,
    first: u64,
    last: u64,
) -> impl Stream<Item = Result<Entry>> + Unpin {
    futures::stream::iter(first..=last)
        .map(|version| read_entry(location, version))
        .buffered(CONCURRENT_READS)
}

/// Reads the log entry of commit `version`.
pub(super) async fn read_entry(location: &Location, version: u64) -> Result<Entry> {
    let path = paths::entry(version);
    let entry = match get(location, &path).await {
        Ok(bytes) => Entry::from_json(&location.path_of(&path), version, &bytes),
        Err(error) => Err(error),
    };
    entry.map_err(|error| match error.kind() {
        // Older states do not need the damaged entry.
        Kind::Corrupt => error.with_hint(format!(
            "`--at {}` reads the store as it was before; {}",
            version - 1,
            failure::VERIFY,
        )),
        _ => error,
    })
}

async fn get(location: &Location, path: &Path) -> Result<bytes::Bytes> {
    let object =
        location.objects().get(path).await.map_err(|error| failure::read(location, path, error))?;
    object.bytes().await.map_err(|error| failure::read(location, path, error))
}
