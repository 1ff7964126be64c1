//! Copies of a snapshot in another store, wherever either is.
//!
//! Files keep their names, which nobody else has, with the number of the last commit that
//! dropped models from the target, if there is one: so no name is used twice. An
//! interrupted copy goes on where it stopped: a file that is there already, byte for byte
//! and for less than a day, is not sent again. A target that has some of the models gets
//! the others; files that hold both are written anew there, and so are all weights if it
//! keeps them in another encoding.
//!
//! Runs of predictions come too, those that the target lacks: their models are all there
//! then. Of a run that it has, predictions come with models that come.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;

use super::columns::read_columns;
use super::commit::{self, Draft, NewFiles, Proposal};
use super::log::DataFile;
use super::rewrite::{Owner, Share, read, rewrite, share};
use super::schema::Table;
use super::snapshot::{CONCURRENT_FILES, CONCURRENT_READS, Snapshot};
use super::{Location, Store, clock, failure, paths, verify};
use crate::error::{Error, Kind, Result};

/// So long a file that was sent is taken over by the same copy, begun again. One that has
/// been there for longer is left to vacuums, and sent under another name.
const TAKEN_OVER_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What a copy did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The newest commit of the target now.
    pub version: u64,
    /// Models it got.
    pub models: usize,
    /// Rows of [`RESULTS`](super::RESULTS) it got.
    pub results: u64,
    /// Files it got, with those that an interrupted copy had sent before.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyProgress {
    /// Files done.
    pub files: usize,
    /// Files in all.
    pub total_files: usize,
    /// Bytes done, as they are in the source.
    pub bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
    /// Files that were there already.
    pub already_there: usize,
}

impl Store {
    /// Commits to `target` the models and runs of `snapshot`, one of this store's, that it
    /// lacks, and tells `watch` after every file how far it is.
    ///
    /// # Errors
    /// `Corrupt` if a file is not as it was committed: damage is not copied. `NotFound`
    /// if a vacuum removed files of `snapshot` meanwhile. After any failure the target is
    /// as it was, and calling again does the rest.
    pub async fn copy_to(
        &self,
        target: &Store,
        snapshot: &Snapshot,
        watch: &(dyn Fn(CopyProgress) + Sync),
    ) -> Result<Copied> {
        let mut writer = target.writer().await?;
        let transfer = Transfer {
            source: &self.location,
            snapshot,
            reencodes: self.encoding != target.encoding,
            watch,
        };
        let committed = match writer.propose(&transfer).await {
            Err(error) if error.kind() == Kind::Corrupt => {
                self.check_overtaken(snapshot).await?;
                return Err(error);
            }
            proposed => proposed?,
        };
        let version = writer.snapshot().version();
        let nothing = Copied { version, models: 0, results: 0, files: 0, bytes: 0 };
        Ok(committed.map_or(nothing, |committed| {
            let add = &committed.entry.add;
            let bytes = add.iter().map(|file| file.bytes).sum();
            let (models, results) = (committed.entry.models.len(), results_in(add));
            Copied { version, models, results, files: add.len(), bytes }
        }))
    }
}

/// Brings what a store lacks of a snapshot of another.
struct Transfer<'a> {
    source: &'a Location,
    snapshot: &'a Snapshot,
    /// Whether the other keeps weights in another way.
    reencodes: bool,
    watch: &'a (dyn Fn(CopyProgress) + Sync),
}

#[async_trait]
impl Proposal for Transfer<'_> {
    async fn draft(&self, target: &Snapshot, files: &mut NewFiles<'_>) -> Result<Option<Draft>> {
        let (models, layouts) = (self.models(target), self.layouts(target));
        let results = self.results(target);
        let runs = runs(files.location(), &results).await?;
        let wanted = |owner: Owner<'_>| match owner {
            Owner::Model(id) => models.contains(&id),
            Owner::Arch(arch) => layouts.iter().any(|layout| layout == arch),
            Owner::Run(run) => !runs.contains(run),
            Owner::Prediction(run, id) => models.contains(&id) || !runs.contains(run),
        };
        let (whole, anew) = self.wanted_files(target, &wanted).await?;
        if whole.is_empty() && anew.is_empty() {
            return Ok(None);
        }
        let mut progress = CopyProgress {
            total_files: whole.len() + anew.len(),
            total_bytes: whole.iter().chain(&anew).map(|file| file.bytes).sum(),
            ..CopyProgress::default()
        };
        let mut draft = Draft {
            operation: "copy".to_owned(),
            models: models.iter().copied().collect(),
            keep: results.iter().map(|file| file.path.clone()).collect(),
            ..Draft::default()
        };
        let mut done = |file: &DataFile, sent: bool| {
            progress.files += 1;
            progress.bytes += file.bytes;
            progress.already_there += usize::from(!sent);
            (self.watch)(progress);
        };
        draft.add = self.send_whole(whole, target, files.location(), &mut done).await?;
        for file in anew {
            let table = file.table.clone();
            let only = std::slice::from_ref(&file);
            if let Some(rows) =
                rewrite(self.source, &table, only, files.encoding(), &wanted).await?
            {
                draft.add.push(files.write(&table, rows).await?);
            }
            done(&file, true);
        }
        draft.layouts = layouts;
        let (from, at) = (self.source, self.snapshot.version());
        draft.message = format!("copy {from} at {at}: {}", commit::models(models.len()));
        if results_in(&draft.add) > 0 {
            draft.message += ", results of predictions";
        }
        Ok(Some(draft))
    }

    /// As long as the target lacks the same, and nobody has brought results.
    fn holds(&self, draft: &Draft, target: &Snapshot) -> bool {
        self.models(target).into_iter().eq(draft.models.iter().copied())
            && self.layouts(target) == draft.layouts
            && self.results(target).iter().all(|file| draft.keep.contains(&file.path))
    }
}

impl Transfer<'_> {
    /// Models that `target` lacks.
    fn models(&self, target: &Snapshot) -> BTreeSet<i64> {
        self.snapshot.models().filter(|id| !target.has_model(*id)).collect()
    }

    /// Architectures whose layout `target` lacks.
    fn layouts(&self, target: &Snapshot) -> Vec<String> {
        let there = target.archs();
        self.snapshot.archs().into_iter().filter(|arch| !there.contains(arch)).collect()
    }

    /// Whether `target` has none of the models. Then no file has to be looked into, but those
    /// of layouts and of results.
    fn is_whole(&self, target: &Snapshot) -> bool {
        !self.snapshot.models().any(|id| target.has_model(id))
    }

    /// The results of `target`, where they decide on what it gets: whether it lacks runs.
    fn results(&self, target: &Snapshot) -> Vec<Arc<DataFile>> {
        let decides = |file: &Arc<DataFile>| {
            matches!(file.table, Table::Results | Table::Predictions)
                && !target.has_file(&file.path)
        };
        let decide = self.snapshot.files().any(decides);
        if decide { target.files_of(&Table::Results) } else { Vec::new() }
    }

    /// Sends files to `to`, where `target` is, as they are, several at a time; returns them,
    /// by path. After a failure none is begun, but those under way arrive: the next call
    /// finds them there.
    async fn send_whole(
        &self,
        files: Vec<Arc<DataFile>>,
        target: &Snapshot,
        to: &Location,
        done: &mut (dyn FnMut(&DataFile, bool) + Send),
    ) -> Result<Vec<DataFile>> {
        let mut commits = target.history().iter().rev();
        let last_drop = commits.find(|commit| commit.models_dropped > 0);
        let last_drop = last_drop.map(|commit| commit.version);
        let failed = AtomicBool::new(false);
        let mut sends = futures::stream::iter(files)
            .take_while(|_| std::future::ready(!failed.load(Ordering::Relaxed)))
            .map(|file| async move { send(self.source, to, &file, last_drop).await })
            .buffer_unordered(CONCURRENT_FILES);
        let (mut arrived, mut failure) = (Vec::new(), None);
        while let Some(sent) = sends.next().await {
            match sent {
                Ok((file, sent)) => {
                    done(&file, sent);
                    arrived.push(file);
                }
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    failure.get_or_insert(error);
                }
            }
        }
        arrived.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        failure.map_or(Ok(arrived), Err)
    }

    /// The files to send as they are, and those to write anew: some of their rows are wanted,
    /// or all in another encoding.
    async fn wanted_files(
        &self,
        target: &Snapshot,
        wanted: &(dyn Fn(Owner<'_>) -> bool + Sync),
    ) -> Result<(Vec<Arc<DataFile>>, Vec<Arc<DataFile>>)> {
        let lacks_all = self.is_whole(target);
        let lacking = self.snapshot.files().filter(|file| !target.has_file(&file.path));
        let files: Vec<Arc<DataFile>> = lacking.map(Arc::clone).collect();
        let mut shares = futures::stream::iter(files)
            .map(|file| async move {
                if lacks_all && !matches!(file.table, Table::Tensors | Table::Results) {
                    return Ok((file, Share::All));
                }
                share(self.source, &file, wanted).await.map(|share| (file, share))
            })
            .buffered(CONCURRENT_READS);
        let (mut whole, mut anew) = (Vec::new(), Vec::new());
        while let Some((file, share)) = shares.try_next().await? {
            match (share, &file.table) {
                (Share::All, Table::Weights(_)) if self.reencodes => anew.push(file),
                (Share::All, _) => whole.push(file),
                (Share::None, _) => {}
                (Share::Some, Table::Other(name)) => {
                    let message = format!("table `{name}` was written by a newer zoolake");
                    return Err(Error::new(Kind::Unsupported, message)
                        .with_hint("install it, or copy to an empty place"));
                }
                (Share::Some, _) => anew.push(file),
            }
        }
        Ok((whole, anew))
    }
}

/// Rows of `results` among `files`.
fn results_in(files: &[DataFile]) -> u64 {
    files.iter().filter(|file| file.table == Table::Results).map(|file| file.rows).sum()
}

/// The runs that have rows in `files` of `results`.
async fn runs(location: &Location, files: &[Arc<DataFile>]) -> Result<HashSet<String>> {
    let mut reads = futures::stream::iter(files.to_vec())
        .map(|file| async move { read_columns(location, &file, &["run"]).await })
        .buffered(CONCURRENT_READS);
    let mut runs = HashSet::new();
    while let Some(batches) = reads.try_next().await? {
        for batch in batches {
            let column = batch.column_by_name("run").and_then(|runs| runs.as_string_opt::<i32>());
            runs.extend(column.into_iter().flatten().flatten().map(str::to_owned));
        }
    }
    Ok(runs)
}

/// Sends a file, unless it is there already; returns it as it is there, and whether it
/// was sent. `last_drop` is the last commit there that dropped models.
async fn send(
    from: &Location,
    to: &Location,
    file: &DataFile,
    last_drop: Option<u64>,
) -> Result<(DataFile, bool)> {
    let mut path = paths::copied(&file.path, last_drop);
    let mut copy = DataFile { path: path.to_string(), ..file.clone() };
    match to.objects().head(&path).await {
        // A vacuum may have it on its list.
        Ok(object) if object.last_modified <= clock::before(TAKEN_OVER_FOR) => {
            path = paths::data(&file.table, &clock::unique());
            copy.path = path.to_string();
        }
        // Only then is it worth reading.
        Ok(object) if object.size == file.bytes && verify::read(to, &copy).await?.is_ok() => {
            return Ok((copy, false));
        }
        Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => return Err(failure::read(to, &path, error)),
    }
    let bytes = read(from, file).await?;
    let put = to.objects().put(&path, bytes.into()).await;
    put.map_err(|error| failure::write(to, &path, error))?;
    Ok((copy, true))
}
