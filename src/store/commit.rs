//! Commits: data files first, then the log entry that makes them visible.

use std::collections::HashSet;

use bytes::Bytes;
use object_store::{ObjectStoreExt, PutMode};

use super::encode::{self, Encoded};
use super::format::WRITER;
use super::log::{DataFile, Entry, FORMAT};
use super::schema::Table;
use super::snapshot::{LogListing, Snapshot, read_entry};
use super::{Location, Store, clock, failure, paths};
use crate::arch::Arch;
use crate::error::{Error, Kind, Result};
use crate::train::Trained;

/// Every so many commits the log is folded, so that opening stays quick.
const FOLD_EVERY: u64 = 20;

/// Lost races in a row before giving up: minutes of back-off.
const MAX_LOST_RACES: u32 = 200;

/// How often an entry that is said to exist, and cannot be read, is created again: while
/// another request for that name is under way S3 may answer that there is a conflict, which
/// its client takes for an entry.
const MAX_CONFLICTS: u32 = 10;

/// What a commit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// The newest commit now.
    pub version: u64,
    /// Models added.
    pub added: usize,
    /// Models left out because the store had them already.
    pub already_there: usize,
}

/// Writes to a store. Several writers, in several processes, may be at work.
#[derive(Debug)]
pub struct Writer {
    location: Location,
    snapshot: Snapshot,
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
        let snapshot = Snapshot::load(&location, None).await?;
        Ok(Writer { location, snapshot })
    }
}

impl Writer {
    /// The store as this writer last saw it: with its own commits, and with
    /// those of others up to its last lost race.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Commits trained models, all or none. Models that the store already has,
    /// because another writer was first, are left out.
    ///
    /// # Errors
    /// `Unavailable` if the store cannot be written: nothing of this call is
    /// visible then, or all of it, and calling again does the rest.
    pub async fn commit(&mut self, trained: &[Trained], operation: &str) -> Result<Commit> {
        let mut lost = 0;
        loop {
            let fresh = self.fresh(trained);
            if fresh.is_empty() {
                let already_there = trained.len();
                return Ok(Commit { version: self.snapshot.version(), added: 0, already_there });
            }
            let mut add = Vec::new();
            if let Err(error) = self.write_files(&fresh, &mut add).await {
                self.discard(&add).await;
                return Err(error);
            }
            let new_archs = self.new_archs(&fresh);
            // The files serve as long as nothing they hold is committed by another.
            while self.fresh(trained).len() == fresh.len() && self.new_archs(&fresh) == new_archs {
                let entry = self.entry(&fresh, add.clone(), operation);
                match self.create(&entry).await? {
                    Created::Yes => {
                        self.snapshot.apply(&entry);
                        self.fold().await;
                        let (version, added) = (entry.version, fresh.len());
                        return Ok(Commit { version, added, already_there: trained.len() - added });
                    }
                    Created::Lost if lost == MAX_LOST_RACES => {
                        return Err(Error::new(
                            Kind::Conflict,
                            format!("lost `{lost}` races to other writers of `{}`", self.location),
                        )
                        .with_hint("run the same command again, with fewer writers at a time"));
                    }
                    Created::Lost => {
                        clock::back_off(lost).await;
                        lost += 1;
                        let newest = LogListing::read(&self.location).await?.newest;
                        self.snapshot.advance(&self.location, newest).await?;
                    }
                }
            }
            self.discard(&add).await;
        }
    }

    /// What of `trained` the store does not have yet, each model once.
    fn fresh<'a>(&self, trained: &'a [Trained]) -> Vec<&'a Trained> {
        let mut seen = HashSet::new();
        trained
            .iter()
            .filter(|trained| {
                !self.snapshot.has_model(trained.model.id) && seen.insert(trained.model.id)
            })
            .collect()
    }

    /// Architectures whose layout the store does not have yet.
    fn new_archs(&self, trained: &[&Trained]) -> Vec<&'static str> {
        let stored = self.snapshot.archs();
        let archs = archs(trained).into_iter();
        archs.filter(|arch| !stored.iter().any(|stored| stored == arch)).collect()
    }

    /// Adds to `files` as they are written, so that a failure can undo them.
    async fn write_files(&self, trained: &[&Trained], files: &mut Vec<DataFile>) -> Result<()> {
        files.push(self.write(Table::Models, encode::models(trained)?).await?);
        files.push(self.write(Table::Epochs, encode::epochs(trained)?).await?);
        let new_archs = self.new_archs(trained);
        for name in archs(trained) {
            let arch = Arch::by_name(name)?;
            let of_arch: Vec<&Trained> =
                trained.iter().copied().filter(|trained| trained.model.arch == name).collect();
            for weights in encode::weights(arch.layout(), &of_arch, encode::FILE_BYTES) {
                files.push(self.write(Table::Weights(name.to_owned()), weights?).await?);
            }
            if new_archs.contains(&name) {
                let tensors = encode::tensors(name, arch.layout())?;
                files.push(self.write(Table::Tensors, tensors).await?);
            }
        }
        Ok(())
    }

    async fn write(&self, table: Table, encoded: Encoded) -> Result<DataFile> {
        let path = paths::data(&table, &clock::unique());
        let file = DataFile {
            table,
            path: path.to_string(),
            rows: encoded.rows as u64,
            bytes: encoded.bytes.len() as u64,
            sha256: super::verify::sha256(&encoded.bytes),
            model_id: encoded.model_id,
            epoch: encoded.epoch,
        };
        let put = self.location.objects().put(&path, encoded.bytes.into()).await;
        put.map_err(|error| failure::write(&self.location, &path, error))?;
        Ok(file)
    }

    fn entry(&self, fresh: &[&Trained], add: Vec<DataFile>, operation: &str) -> Entry {
        let mut zoos: Vec<&str> = fresh.iter().map(|trained| trained.model.zoo.as_str()).collect();
        zoos.sort_unstable();
        zoos.dedup();
        let models = if fresh.len() == 1 { "model" } else { "models" };
        Entry {
            format: FORMAT,
            version: self.snapshot.version() + 1,
            id: clock::unique(),
            time: clock::now(),
            writer: WRITER.to_owned(),
            operation: operation.to_owned(),
            message: format!("{operation} {}: {} {models}", zoos.join(", "), fresh.len()),
            add,
            remove: Vec::new(),
            models: fresh.iter().map(|trained| trained.model.id).collect(),
        }
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
                Ok(stored) if stored.id == entry.id => return Ok(Created::Yes),
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

    /// Removes files that no entry will name. Best effort: what stays does no harm.
    async fn discard(&self, files: &[DataFile]) {
        for file in files {
            drop(self.location.objects().delete(&file.path.as_str().into()).await);
        }
    }
}

/// The architectures of some models, by name.
fn archs(trained: &[&Trained]) -> Vec<&'static str> {
    let mut archs: Vec<_> = trained.iter().map(|trained| trained.model.arch).collect();
    archs.sort_unstable();
    archs.dedup();
    archs
}
