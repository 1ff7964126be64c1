//! Vacuum: what no snapshot needs any more is removed.
//!
//! Three kinds of files: those a later commit removed (by compaction, by dropping a
//! zoo), once that is long enough ago; those that no commit names, left by writers
//! that were killed; and, on a local disk, what these were in the middle of writing.
//!
//! A writer that is at work has files that no commit names yet. They are told by
//! their age alone, so what is kept must be longer than any commit takes.

use std::collections::{HashMap, HashSet};
use std::path::Path as FsPath;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, PutMode};
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
        let snapshot = self.snapshot().await?;
        let Removals { needed, gone } = self.removals(&snapshot, cutoff).await?;
        let live: HashSet<&str> = snapshot.files().map(|file| file.path.as_str()).collect();
        let is_dead = |path: &str| !live.contains(path) && !needed.contains(path);
        let dead = objects.iter().filter(|object| is_dead(object.location.as_ref()));
        let garbage = dead.map(|object| {
            let path = object.location.to_string();
            let removed = gone.get(&path).copied().map(GarbageKind::Removed);
            let kind = removed.unwrap_or(GarbageKind::Unreferenced);
            Garbage { path, bytes: object.size, kind }
        });
        let mut garbage: Vec<Garbage> = garbage.collect();
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
                Err(error) => {
                    return Err(failure::remove(&self.location, &paths::data_folder(), error));
                }
            }
        }
        Ok(())
    }

    /// What the commits of `snapshot` removed, except where an earlier vacuum was.
    async fn removals(&self, snapshot: &Snapshot, cutoff: DateTime<Utc>) -> Result<Removals> {
        let vacuumed = LogListing::read(&self.location).await?.vacuumed;
        let mut removals = Removals::default();
        for commit in snapshot.history() {
            if commit.files_removed == 0 || commit.version <= vacuumed {
                continue;
            }
            let removed = read_entry(&self.location, commit.version).await?.remove;
            let time = DateTime::parse_from_rfc3339(&commit.time);
            // Clocks differ: behind a commit that is young, all are.
            if removals.needed.is_empty() && time.is_ok_and(|time| time <= cutoff) {
                removals.gone.extend(removed.into_iter().map(|path| (path, commit.version)));
            } else {
                removals.needed.extend(removed);
            }
        }
        Ok(removals)
    }

    async fn mark(&self, version: u64) -> Result<()> {
        if LogListing::read(&self.location).await?.vacuumed >= version {
            return Ok(());
        }
        let mark = Mark { format: FORMAT, version, time: clock::now(), writer: WRITER.to_owned() };
        let bytes = serde_json::to_vec_pretty(&mark)
            .map_err(|error| Error::internal("cannot serialise a mark").with_source(error))?;
        let path = paths::vacuumed(version);
        match self.objects().put_opts(&path, bytes.into(), PutMode::Create.into()).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(failure::write(&self.location, &path, error)),
        }
    }
}

/// Files that commits removed.
#[derive(Default)]
struct Removals {
    /// By young commits: snapshots that shall stay readable have them.
    needed: HashSet<String>,
    /// By older ones, with the number of the commit.
    gone: HashMap<String, u64>,
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
