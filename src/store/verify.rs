//! Verification: is every byte the log speaks of there and as it was written?

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::columns::projection;
use super::digest::sha256;
use super::encoded::{range, union};
use super::log::{DataFile, Entry};
use super::snapshot::{CONCURRENT_FILES, CONCURRENT_READS, LogListing, Snapshot, read_entry};
use super::tally::Tally;
use super::{Location, Store, failure, paths};
use crate::error::{Error, Kind, Result};

/// What verification found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// The newest commit.
    pub version: u64,
    /// Models in the store.
    pub models: usize,
    /// Files read.
    pub files: usize,
    /// Bytes read.
    pub bytes: u64,
    /// Data files that no commit names: of writers that were killed or failed, or are still at
    /// work; or of the newest log entries, if these are lost, which nothing else may tell.
    pub unreferenced: usize,
    /// Data files that a later commit removed, and that older snapshots still have.
    pub superseded: usize,
    /// What is damaged; empty means the store is sound.
    pub findings: Vec<Finding>,
}

/// One thing that is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object concerned, or the table.
    pub place: String,
    /// What is wrong with it, and what is affected.
    pub problem: String,
}

impl Store {
    /// Reads everything: every log entry, every folded log, every data file of the
    /// newest snapshot; and checks that each model is there exactly once, with all
    /// its states.
    ///
    /// # Errors
    /// Only if the store cannot be read, now (`Unavailable`) or by this program
    /// (`Unsupported`), or if a vacuum removed files meanwhile (`NotFound`); damage is
    /// reported, not returned.
    pub async fn verify(&self) -> Result<Report> {
        let mut report = Report::default();
        let (snapshot, removed) = self.verify_log(&mut report).await?;
        report.models = snapshot.num_models();
        let (mut tally, mut unread) = (Tally::default(), 0);
        let mut checks = self.check_files(snapshot.files().map(Arc::clone).collect());
        while let Some((file, checked)) = checks.next().await {
            match checked? {
                Ok(batches) => tally.add(&file.table, &batches),
                Err(problem) => {
                    unread += 1;
                    report.findings.push(Finding { place: file.path.clone(), problem });
                }
            }
            report.files += 1;
            report.bytes += file.bytes;
        }
        report.findings.extend(tally.check(&snapshot, unread == 0));
        if snapshot.version() == report.version {
            if unread > 0 {
                self.check_overtaken(&snapshot).await?;
            }
            self.count_others(&snapshot, &removed, &mut report).await?;
        }
        Ok(report)
    }

    /// The first of `files`, all of `snapshot`, that is missing or not as it was committed.
    ///
    /// # Errors
    /// `NotFound` if a vacuum removed files of `snapshot` since it was loaded.
    pub async fn first_damaged(
        &self,
        snapshot: &Snapshot,
        files: &[Arc<DataFile>],
    ) -> Result<Option<Finding>> {
        let found = self.find_damaged(files).await;
        if found.is_some() {
            self.check_overtaken(snapshot).await?;
        }
        Ok(found)
    }

    async fn find_damaged(&self, files: &[Arc<DataFile>]) -> Option<Finding> {
        // Sizes first: they cost little and tell most.
        let mut sizes = futures::stream::iter(files.to_vec())
            .map(|file| async move { (self.check_size(&file).await, file) })
            .buffered(CONCURRENT_READS);
        while let Some((problem, file)) = sizes.next().await {
            // Where one cannot be told, no more can be of the others.
            if let Some(problem) = problem.ok()? {
                return Some(Finding { place: file.path.clone(), problem });
            }
        }
        let mut checks = self.check_files(files.to_vec());
        while let Some((file, checked)) = checks.next().await {
            if let Ok(Err(problem)) = checked {
                return Some(Finding { place: file.path.clone(), problem });
            }
        }
        None
    }

    /// Each of `files`, in their order, with its keys or what is wrong with it. A few of
    /// them are in memory at a time.
    fn check_files(
        &self,
        files: Vec<Arc<DataFile>>,
    ) -> impl Stream<Item = (Arc<DataFile>, Result<Result<Vec<RecordBatch>, String>>)> + Unpin {
        futures::stream::iter(files)
            .map(move |file| async move { (Arc::clone(&file), self.check_file(&file).await) })
            .buffered(CONCURRENT_FILES)
    }

    /// Folds the log entry by entry and compares with each folded log. Returns the
    /// newest state that can be told, and what the commits removed: behind a damaged
    /// entry the next folded log leads on.
    async fn verify_log(&self, report: &mut Report) -> Result<(Snapshot, HashSet<String>)> {
        let log = LogListing::read(&self.location).await?;
        report.version = log.newest;
        let (mut snapshot, mut removed) = (Snapshot::default(), HashSet::new());
        let mut commits = futures::stream::iter(1..=log.newest)
            .map(|version| self.read_commit(&log, version))
            .buffered(CONCURRENT_READS);
        let mut version = 0;
        while let Some((entry, folded)) = commits.next().await {
            version += 1;
            let follows = snapshot.version() + 1 == version;
            let problem = match entry {
                Ok(entry) => {
                    let problem = follows.then(|| misfit(&entry, &snapshot)).flatten();
                    if follows {
                        snapshot.apply(&entry);
                    }
                    removed.extend(entry.remove);
                    problem
                }
                Err(error) if !is_damage(&error) => return Err(error),
                Err(error) if follows => {
                    let before = version - 1;
                    Some(format!("{error}; commits before it can be read with `--at {before}`"))
                }
                Err(error) => Some(error.to_string()),
            };
            let place = format!("commit {version}");
            report.findings.extend(problem.map(|problem| Finding { place, problem }));
            let told = snapshot.version() == version;
            let problem = match folded {
                None => continue,
                Some(Ok(folded)) if told && folded != snapshot => {
                    "differs from the log it folds".to_owned()
                }
                Some(Ok(folded)) => {
                    snapshot = folded;
                    continue;
                }
                Some(Err(error)) if !is_damage(&error) => return Err(error),
                // A vacuum was faster.
                Some(Err(_)) if !self.has_folded(version).await? => continue,
                Some(Err(error)) => error.to_string(),
            };
            report.findings.push(Finding { place: format!("folded log {version}"), problem });
        }
        report.findings.extend(log.beyond().into_iter().map(|path| Finding {
            place: path.to_string(),
            problem: format!(
                "is of a later commit than `{}`, the newest entry there is; writers refuse the store",
                log.newest
            ),
        }));
        Ok((snapshot, removed))
    }

    /// The entry of a commit, and the log folded behind it if there is one.
    async fn read_commit(
        &self,
        log: &LogListing,
        version: u64,
    ) -> (Result<Entry>, Option<Result<Snapshot>>) {
        let entry = read_entry(&self.location, version).await;
        if !log.folded.contains_key(&version) {
            return (entry, None);
        }
        (entry, Some(Snapshot::read_folded(&self.location, version).await))
    }

    async fn has_folded(&self, version: u64) -> Result<bool> {
        Ok(LogListing::read(&self.location).await?.folded.contains_key(&version))
    }

    /// What is wrong with the size of a file.
    async fn check_size(&self, file: &DataFile) -> object_store::Result<Option<String>> {
        match self.objects().head(&file.path.as_str().into()).await {
            Ok(object) if object.size == file.bytes => Ok(None),
            Ok(object) => Ok(Some(wrong_size(object.size, file))),
            Err(object_store::Error::NotFound { .. }) => Ok(Some(missing(file))),
            Err(error) => Err(error),
        }
    }

    /// Checks one file against what the log says of it, and returns its keys, or
    /// what is wrong with it.
    async fn check_file(&self, file: &DataFile) -> Result<Result<Vec<RecordBatch>, String>> {
        let bytes = match read(&self.location, file).await? {
            Ok(bytes) => bytes,
            Err(problem) => return Ok(Err(problem)),
        };
        let batches = match read_keys(bytes) {
            Ok(batches) => batches,
            Err(error) => return Ok(Err(format!("{error}; {}", affected(file)))),
        };
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows as u64 != file.rows {
            return Ok(Err(format!("has `{rows}` rows instead of `{}`", file.rows)));
        }
        for (key, logged) in [("model_id", file.model_id), ("epoch", file.epoch)] {
            let range = batches.iter().map(|batch| range(batch, key)).fold(None, union);
            if logged.is_some() && logged != range {
                return Ok(Err(format!(
                    "has another range of `{key}` than the log says: queries miss rows; {}",
                    affected(file)
                )));
            }
        }
        Ok(Ok(batches))
    }

    /// Counts the data files that are not in `snapshot`.
    async fn count_others(
        &self,
        snapshot: &Snapshot,
        removed: &HashSet<String>,
        report: &mut Report,
    ) -> Result<()> {
        let folder = paths::data_folder();
        let live: HashSet<&str> = snapshot.files().map(|file| file.path.as_str()).collect();
        let mut objects = self.objects().list(Some(&folder));
        while let Some(object) = objects
            .try_next()
            .await
            .map_err(|error| failure::read(&self.location, &folder, error))?
        {
            let path = object.location.as_ref();
            if !live.contains(path) {
                let was_removed = removed.contains(path);
                report.superseded += usize::from(was_removed);
                report.unreferenced += usize::from(!was_removed);
            }
        }
        Ok(())
    }
}

/// Whether a failure to read an object is one of its bytes.
fn is_damage(error: &Error) -> bool {
    !matches!(error.kind(), Kind::Unavailable | Kind::Unsupported)
}

/// What is wrong with `entry` on top of `snapshot`; damage of this kind is another
/// program's, or ours.
fn misfit(entry: &Entry, snapshot: &Snapshot) -> Option<String> {
    if let Some(path) = entry.remove.iter().find(|path| !snapshot.has_file(path)) {
        return Some(format!("removes `{path}`, which was not there"));
    }
    if let Some(id) = entry.dropped.iter().find(|id| !snapshot.has_model(**id)) {
        return Some(format!("drops model `{id}`, which was not there"));
    }
    let dropped: HashSet<&i64> = entry.dropped.iter().collect();
    let is_there = |id: &&i64| snapshot.has_model(**id) && !dropped.contains(id);
    let id = entry.models.iter().find(is_there)?;
    Some(format!("adds model `{id}`, which was there already"))
}

/// The bytes of a file, or what is wrong with them.
pub(super) async fn read(
    location: &Location,
    file: &DataFile,
) -> Result<std::result::Result<Bytes, String>> {
    let path = Path::from(file.path.as_str());
    let bytes = match async { location.objects().get(&path).await?.bytes().await }.await {
        Ok(bytes) => bytes,
        Err(object_store::Error::NotFound { .. }) => {
            return Ok(Err(missing(file)));
        }
        Err(error) => return Err(failure::read(location, &path, error)),
    };
    if bytes.len() as u64 != file.bytes {
        return Ok(Err(wrong_size(bytes.len() as u64, file)));
    }
    if sha256(&bytes) != file.sha256 {
        let problem = "has been altered: its SHA-256 is not the one committed";
        return Ok(Err(format!("{problem}; {}", affected(file))));
    }
    Ok(Ok(bytes))
}

fn affected(file: &DataFile) -> String {
    match file.rows {
        1 => format!("1 row of `{}` is affected", file.table),
        rows => format!("{rows} rows of `{}` are affected", file.table),
    }
}

fn missing(file: &DataFile) -> String {
    format!("is missing; {}", affected(file))
}

fn wrong_size(bytes: u64, file: &DataFile) -> String {
    format!("has `{bytes}` bytes instead of `{}`; {}", file.bytes, affected(file))
}

/// The columns of a Parquet file that say what its rows are about, those it has.
fn read_keys(bytes: Bytes) -> std::result::Result<Vec<RecordBatch>, parquet::errors::ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    let names = ["model_id", "epoch", "epochs", "arch"];
    let columns = projection(builder.schema(), builder.parquet_schema(), &names);
    let batches = builder.with_projection(columns).build()?;
    batches.map(|batch| Ok(batch?)).collect()
}
