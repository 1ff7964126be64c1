//! Verification: is every byte the log speaks of there and as it was written?

use std::collections::{BTreeMap, HashMap, HashSet};

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::columns::projection;
use super::digest::sha256;
use super::encode::{range, union};
use super::log::{DataFile, Entry};
use super::schema::Table;
use super::snapshot::{LogListing, Snapshot, read_entry};
use super::{Location, Store, failure, paths};
use crate::arch::Arch;
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
    /// Data files that no commit names, left by writers that were killed or failed, or are
    /// still at work: harmless.
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
        let mut states = States::default();
        for file in snapshot.files() {
            match self.verify_file(file).await? {
                Ok(batches) => states.add(&file.table, &batches),
                Err(problem) => {
                    states.incomplete = true;
                    report.findings.push(Finding { place: file.path.clone(), problem });
                }
            }
            report.files += 1;
            report.bytes += file.bytes;
        }
        report.findings.extend(states.check(&snapshot));
        if snapshot.version() == report.version {
            if states.incomplete {
                self.check_overtaken(&snapshot).await?;
            }
            self.count_others(&snapshot, &removed, &mut report).await?;
        }
        Ok(report)
    }

    /// The first file of `snapshot` that is missing or not as it was committed.
    ///
    /// # Errors
    /// `NotFound` if a vacuum removed files of `snapshot` since it was loaded.
    pub async fn first_damaged(&self, snapshot: &Snapshot) -> Result<Option<Finding>> {
        let found = self.find_damaged(snapshot).await;
        if found.is_some() {
            self.check_overtaken(snapshot).await?;
        }
        Ok(found)
    }

    async fn find_damaged(&self, snapshot: &Snapshot) -> Option<Finding> {
        // Sizes first: they cost little and tell most.
        for file in snapshot.files() {
            let problem = match self.objects().head(&file.path.as_str().into()).await {
                Ok(object) if object.size == file.bytes => continue,
                Ok(object) => wrong_size(object.size, file),
                Err(object_store::Error::NotFound { .. }) => {
                    format!("is missing; {}", affected(file))
                }
                Err(_) => return None,
            };
            return Some(Finding { place: file.path.clone(), problem });
        }
        for file in snapshot.files() {
            if let Ok(Err(problem)) = self.verify_file(file).await {
                return Some(Finding { place: file.path.clone(), problem });
            }
        }
        None
    }

    /// Folds the log entry by entry and compares with each folded log. Returns the
    /// newest state that can be told, and what its commits removed: behind a damaged
    /// entry the next folded log leads on.
    async fn verify_log(&self, report: &mut Report) -> Result<(Snapshot, HashSet<String>)> {
        let log = LogListing::read(&self.location).await?;
        report.version = log.newest;
        let (mut snapshot, mut removed) = (Snapshot::default(), HashSet::new());
        for version in 1..=log.newest {
            let place = format!("commit {version}");
            if snapshot.version() == version - 1 {
                match read_entry(&self.location, version).await {
                    Ok(entry) => {
                        let problem = misfit(&entry, &snapshot);
                        report.findings.extend(problem.map(|problem| Finding { place, problem }));
                        snapshot.apply(&entry);
                        removed.extend(entry.remove);
                    }
                    Err(error) if !is_damage(&error) => return Err(error),
                    Err(error) => {
                        let before = version - 1;
                        let problem =
                            format!("{error}; commits before it can be read with `--at {before}`");
                        report.findings.push(Finding { place, problem });
                    }
                }
            }
            if log.folded.contains_key(&version) {
                let told = snapshot.version() == version;
                let problem = match Snapshot::read_folded(&self.location, version).await {
                    Ok(folded) if told && folded != snapshot => {
                        "differs from the log it folds".to_owned()
                    }
                    Ok(folded) => {
                        snapshot = folded;
                        continue;
                    }
                    Err(error) if !is_damage(&error) => return Err(error),
                    // A vacuum was faster.
                    Err(_) if !self.has_folded(version).await? => continue,
                    Err(error) => error.to_string(),
                };
                report.findings.push(Finding { place: format!("folded log {version}"), problem });
            }
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

    async fn has_folded(&self, version: u64) -> Result<bool> {
        Ok(LogListing::read(&self.location).await?.folded.contains_key(&version))
    }

    /// Checks one file against what the log says of it, and returns its keys, or
    /// what is wrong with it.
    async fn verify_file(&self, file: &DataFile) -> Result<Result<Vec<RecordBatch>, String>> {
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
            return Ok(Err(format!("is missing; {}", affected(file))));
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

/// How often each model and each state is in the tables.
#[derive(Default)]
struct States {
    /// Rows of `models`, and the states the model should have.
    models: HashMap<i64, (usize, i64)>,
    /// Rows per model and epoch, for `epochs` and each `weights_<arch>` together.
    states: BTreeMap<&'static str, HashMap<(i64, i64), usize>>,
    /// Rows of `tensors` per architecture.
    tensors: HashMap<String, usize>,
    /// A file could not be read, so that missing rows are no news.
    incomplete: bool,
}

impl States {
    fn add(&mut self, table: &Table, batches: &[RecordBatch]) {
        for batch in batches {
            let column = |name: &str| {
                batch.column_by_name(name).and_then(|array| array.as_primitive_opt::<Int64Type>())
            };
            if *table == Table::Tensors {
                let archs = batch.column_by_name("arch").and_then(|array| array.as_string_opt());
                let archs: Option<&StringArray> = archs;
                for arch in archs.into_iter().flatten().flatten() {
                    *self.tensors.entry(arch.to_owned()).or_default() += 1;
                }
            }
            let Some(ids) = column("model_id") else { continue };
            match table {
                Table::Models => {
                    let epochs = column("epochs");
                    for (row, id) in ids.values().iter().enumerate() {
                        let model = self.models.entry(*id).or_default();
                        model.0 += 1;
                        model.1 = epochs.map_or(0, |epochs| epochs.value(row)) + 1;
                    }
                }
                Table::Epochs | Table::Weights(_) => {
                    let name = if *table == Table::Epochs { "epochs" } else { "weights" };
                    let Some(epochs) = column("epoch") else { continue };
                    let counts = self.states.entry(name).or_default();
                    for key in ids.values().iter().zip(epochs.values()) {
                        *counts.entry((*key.0, *key.1)).or_default() += 1;
                    }
                }
                Table::Tensors | Table::Results | Table::Predictions | Table::Other(_) => {}
            }
        }
    }

    fn check(&self, snapshot: &Snapshot) -> Vec<Finding> {
        let finding = |place: &str, problem| Finding { place: place.to_owned(), problem };
        let mut findings = Vec::new();
        let stored: HashSet<i64> = self.models.keys().copied().collect();
        if let Some((id, _)) = self.models.iter().find(|(_, (rows, _))| *rows > 1) {
            findings.push(finding("models", format!("model `{id}` is there more than once")));
        }
        for (table, counts) in &self.states {
            if let Some(((id, epoch), _)) = counts.iter().find(|(_, rows)| **rows > 1) {
                let problem = format!("model `{id}` has epoch `{epoch}` more than once");
                findings.push(finding(table, problem));
            }
        }
        if self.incomplete {
            return findings;
        }
        if let Some(id) = stored.iter().find(|id| !snapshot.has_model(**id)) {
            findings.push(finding("models", format!("model `{id}` is in no log entry")));
        }
        if stored.len() < snapshot.num_models() {
            let problem =
                format!("has `{}` models, and the log `{}`", stored.len(), snapshot.num_models());
            findings.push(finding("models", problem));
        }
        for table in ["epochs", "weights"] {
            let mut states: HashMap<i64, i64> = HashMap::new();
            for (id, _) in self.states.get(table).into_iter().flat_map(HashMap::keys) {
                *states.entry(*id).or_default() += 1;
            }
            for (id, (_, expected)) in &self.models {
                let found = states.get(id).copied().unwrap_or(0);
                if found != *expected {
                    let problem =
                        format!("model `{id}` has `{found}` states instead of `{expected}`");
                    findings.push(finding(table, problem));
                }
            }
        }
        for name in snapshot.archs() {
            let found = self.tensors.get(&name).copied().unwrap_or(0);
            // Those that only a later zoolake knows are left alone.
            let Ok(arch) = Arch::by_name(&name) else { continue };
            let expected = arch.layout().tensors().len();
            if found != expected {
                let problem = format!("has `{found}` tensors of `{name}` instead of `{expected}`");
                findings.push(finding("tensors", problem));
            }
        }
        findings
    }
}
