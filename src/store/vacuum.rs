//! Vacuum: what no snapshot needs any more is removed.
//!
//! Four kinds of files: those a later commit removed (by compaction, by dropping a
//! zoo), once that is long enough ago; those that no commit names, left by writers
//! that were killed; on a local disk, what these were in the middle of writing; and
//! folded logs from which only snapshots start that lost files so. Log entries stay.
//!
//! A writer that is at work has files that no commit names yet. They are told by
//! their age alone, so what is kept must be longer than any commit takes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path as FsPath;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStoreExt, PutMode};
use serde::Serialize;

use super::durable::staging_files;
use super::format::WRITER;
use super::log::FORMAT;
use super::snapshot::{LogListing, Snapshot, read_entry};
use super::{Store, clock, failure, paths};
use crate::error::{Error, Kind, Result};

/// A file that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbage {
    /// Below the root of the store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Why nobody needs it.
    pub kind: GarbageKind,
}

/// Why nobody needs a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GarbageKind {
    /// The commit of this number removed it; older snapshots have it.
    Removed(u64),
    /// No commit names it.
    Unreferenced,
    /// Half written, on a local disk.
    Unfinished,
    /// A folded log, for snapshots that cannot be read any more.
    Folded,
}

/// Version 1 of `log/*.vacuumed.json`: files that this commit removed, or one before
/// it, are gone. Its name says all that programs need.
#[derive(Serialize)]
struct Mark {
    format: u32,
    version: u64,
    time: String,
    writer: String,
}

impl Garbage {
    /// The last commit some of whose removed files are in `garbage`: once they are gone,
    /// older snapshots that had them cannot be read.
    pub fn horizon(garbage: &[Self]) -> Option<u64> {
        let removed_by = |garbage: &Self| match garbage.kind {
            GarbageKind::Removed(version) => Some(version),
            _ => None,
        };
        garbage.iter().filter_map(removed_by).max()
    }
}

impl Store {
    /// What a vacuum that keeps what is younger than `older_than` would remove.
    pub async fn garbage(&self, older_than: Duration) -> Result<Vec<Garbage>> {
        let cutoff = clock::before(older_than);
        // Before the log: a file that is committed after that is in the snapshot.
        let folder = paths::data_folder();
        let objects: Vec<ObjectMeta> = self
            .objects()
            .list(Some(&folder))
            .try_filter(|object| std::future::ready(object.last_modified <= cutoff))
            .try_collect()
            .await
            .map_err(|error| failure::read(&self.location, &folder, error))?;
        let log = LogListing::read(&self.location).await?;
        // The files of lost entries are in no snapshot, until these are put back.
        log.check_complete(&self.location)?;
        let snapshot = Snapshot::from_log(&self.location, &log, None).await?;
        let removals = self.removals(&snapshot, &log, cutoff).await?;
        let live: HashSet<&str> = snapshot.files().map(|file| file.path.as_str()).collect();
        let is_dead = |path: &str| !live.contains(path) && !removals.needed.contains(path);
        let removed_by = removals.after(log.vacuumed);
        let dead = objects.iter().filter(|object| is_dead(object.location.as_ref()));
        let garbage = dead.map(|object| {
            let path = object.location.to_string();
            let removed = removed_by.get(path.as_str()).copied().map(GarbageKind::Removed);
            let kind = removed.unwrap_or(GarbageKind::Unreferenced);
            Garbage { path, bytes: object.size, kind }
        });
        let mut garbage: Vec<Garbage> = garbage.collect();
        let horizon = Garbage::horizon(&garbage).unwrap_or(0).max(log.vacuumed);
        garbage.extend(self.spent(&log, &removals, horizon).await?);
        if let Some(root) = self.location.folder() {
            garbage.extend(unfinished(root, cutoff)?);
        }
        garbage.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(garbage)
    }

    /// Removes it.
    ///
    /// # Errors
    /// `Unavailable` if something cannot be removed; calling again does the rest.
    pub async fn vacuum(&self, garbage: &[Garbage]) -> Result<()> {
        // Before any file goes: who asks for an older state is told why there is none.
        if let Some(version) = Garbage::horizon(garbage) {
            self.mark(version).await?;
        }
        let (unfinished, objects): (Vec<&Garbage>, Vec<&Garbage>) =
            garbage.iter().partition(|garbage| garbage.kind == GarbageKind::Unfinished);
        if let Some(root) = self.location.folder() {
            for garbage in unfinished {
                // Best effort: its writer may have ended just now.
                let _ = std::fs::remove_file(root.join(&garbage.path));
            }
        }
        let paths: Vec<_> = objects.iter().map(|object| Ok(object.path.as_str().into())).collect();
        let mut deleted = self.objects().delete_stream(futures::stream::iter(paths).boxed());
        while let Some(result) = deleted.next().await {
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failure::remove(&self.location, error)),
            }
        }
        Ok(())
    }

    /// Refuses `snapshot` if a vacuum removed files of it after it was loaded.
    pub(super) async fn check_overtaken(&self, snapshot: &Snapshot) -> Result<()> {
        let vacuumed = LogListing::read(&self.location).await?.vacuumed;
        let Some(by) = snapshot.vacuumed_by(&self.location, vacuumed).await? else {
            return Ok(());
        };
        Err(snapshot
            .is_vacuumed(&self.location, "was vacuumed while it was read", by)
            .with_hint("run the same command again"))
    }

    /// What the commits of `snapshot` removed, except where an earlier vacuum was and no
    /// folded log is left.
    async fn removals(
        &self,
        snapshot: &Snapshot,
        log: &LogListing,
        cutoff: DateTime<Utc>,
    ) -> Result<Removals> {
        let folded = log.folded.keys().next().copied().unwrap_or(log.vacuumed);
        let settled = folded.min(log.vacuumed);
        let mut removals = Removals::default();
        for commit in snapshot.history() {
            if commit.files_removed == 0 || commit.version <= settled {
                continue;
            }
            let removed = read_entry(&self.location, commit.version).await?.remove;
            let time = DateTime::parse_from_rfc3339(&commit.time);
            // Clocks differ: behind a commit that is young, all are.
            let is_old = removals.needed.is_empty() && time.is_ok_and(|time| time <= cutoff);
            if is_old || commit.version <= log.vacuumed {
                removals.gone.insert(commit.version, removed);
            } else {
                removals.needed.extend(removed);
            }
        }
        Ok(removals)
    }

    /// The folded logs of which no snapshot needs to start, once the files are gone that
    /// commits up to `horizon` removed.
    async fn spent(
        &self,
        log: &LogListing,
        removals: &Removals,
        horizon: u64,
    ) -> Result<Vec<Garbage>> {
        let mut spent = Vec::new();
        let next = log.folded.keys().skip(1);
        for ((&folded, &bytes), &next) in log.folded.iter().zip(next) {
            if next <= horizon && self.is_spent(folded, next, removals, horizon).await? {
                let path = paths::folded(folded).to_string();
                spent.push(Garbage { path, bytes, kind: GarbageKind::Folded });
            }
        }
        Ok(spent)
    }

    /// Whether all snapshots from `folded` to the one before `next` lose files.
    async fn is_spent(
        &self,
        folded: u64,
        next: u64,
        removals: &Removals,
        horizon: u64,
    ) -> Result<bool> {
        let spent: Result<bool> = async {
            let mut snapshot = Snapshot::read_folded(&self.location, folded).await?;
            while let Some(version) = removals.lost_before(&snapshot, horizon) {
                if version >= next {
                    return Ok(true);
                }
                snapshot.advance(&self.location, version).await?;
            }
            Ok(false)
        }
        .await;
        match spent {
            // Where an entry is damaged, the folded logs around it are what is left.
            Err(error) if error.kind() == Kind::Corrupt => Ok(false),
            spent => spent,
        }
    }

    async fn mark(&self, version: u64) -> Result<()> {
        let mark = Mark { format: FORMAT, version, time: clock::now(), writer: WRITER.to_owned() };
        let bytes = serde_json::to_vec_pretty(&mark)
            .map_err(|error| Error::internal("cannot serialise a mark").with_source(error))?;
        let path = paths::vacuumed(version);
        match self.objects().put_opts(&path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(()),
            // As of a log entry, that may only say that somebody else is about to create it.
            Err(object_store::Error::AlreadyExists { .. })
                if self.objects().head(&path).await.is_ok() =>
            {
                Ok(())
            }
            Err(error) => Err(failure::write(&self.location, &path, error)),
        }
    }
}

/// Files that commits removed.
#[derive(Default)]
struct Removals {
    /// By young commits: snapshots that shall stay readable have them.
    needed: HashSet<String>,
    /// By older ones, by number of the commit.
    gone: BTreeMap<u64, Vec<String>>,
}

impl Removals {
    /// The files that are gone by a commit after `vacuumed`, with the last such commit.
    fn after(&self, vacuumed: u64) -> HashMap<&str, u64> {
        let mut removed_by = HashMap::new();
        for (&version, paths) in self.gone.range(vacuumed + 1..) {
            removed_by.extend(paths.iter().map(|path| (path.as_str(), version)));
        }
        removed_by
    }

    /// The last commit up to `horizon` that removed a file of `snapshot`: from that on, no
    /// snapshot before this commit has all its files. `None` if `snapshot` has.
    fn lost_before(&self, snapshot: &Snapshot, horizon: u64) -> Option<u64> {
        let commits = self.gone.range(snapshot.version() + 1..).rev();
        let mut commits = commits.skip_while(|(version, _)| **version > horizon);
        let loses = |paths: &[String]| paths.iter().any(|path| snapshot.has_file(path));
        commits.find(|(_, paths)| loses(paths)).map(|(&version, _)| version)
    }
}

/// What killed writers were in the middle of writing, in a store on a local disk.
fn unfinished(root: &FsPath, cutoff: DateTime<Utc>) -> Result<Vec<Garbage>> {
    let files = staging_files(root, &[paths::data_folder(), paths::log()]).map_err(|error| {
        let message = format!("cannot read folder `{}`: {error}", root.display());
        Error::new(Kind::Unavailable, message).with_source(error)
    })?;
    let old = files.into_iter().filter(|file| DateTime::<Utc>::from(file.modified) <= cutoff);
    let garbage = old.map(|file| {
        let path = file.path.strip_prefix(root).unwrap_or(&file.path).display().to_string();
        Garbage { path, bytes: file.bytes, kind: GarbageKind::Unfinished }
    });
    Ok(garbage.collect())
}
