//! Dropping a zoo: its models are no longer in the newest snapshot.
//!
//! Files that hold only its models are removed, those that hold others too are
//! written anew without them. The log entry names the models, so that they can be
//! trained and committed again.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};

use super::columns::read_columns;
use super::commit::{self, Draft, NewFiles, Proposal};
use super::log::DataFile;
use super::rewrite::{Owner, Share, Wanted, rewrite, share};
use super::schema::Table;
use super::snapshot::{CONCURRENT_READS, Snapshot};
use super::{Location, Store, failure};
use crate::error::{Error, Kind, Result};

/// What dropping a zoo did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// The commit that did it.
    pub version: u64,
    /// Models dropped.
    pub models: usize,
    /// Files removed from the newest snapshot.
    pub files: usize,
    /// Their bytes, less those of the files that were written anew.
    pub bytes: u64,
}

impl Store {
    /// How many models of `zoo` a drop would find.
    ///
    /// # Errors
    /// As of [`Self::drop_zoo`].
    pub async fn models_of_zoo(&self, zoo: &str) -> Result<usize> {
        let leaving = Removal { zoo }.leaving(&self.location, &self.snapshot().await?).await?;
        Ok(leaving.models.len())
    }

    /// Drops every model of `zoo` from the newest snapshot. Those that another writer
    /// commits in the meantime stay.
    ///
    /// # Errors
    /// `Invalid` with the names of those there are if there is no such zoo.
    pub async fn drop_zoo(&self, zoo: &str) -> Result<Dropped> {
        let mut writer = self.writer().await?;
        let committed = writer.propose(&Removal { zoo }).await?;
        let committed =
            committed.ok_or_else(|| Error::internal(format!("nothing of zoo `{zoo}` to drop")))?;
        let removed: u64 = committed.removed.iter().map(|file| file.bytes).sum();
        let added: u64 = committed.entry.add.iter().map(|file| file.bytes).sum();
        Ok(Dropped {
            version: committed.entry.version,
            models: committed.entry.dropped.len(),
            files: committed.removed.len(),
            bytes: removed.saturating_sub(added),
        })
    }
}

/// Takes a zoo out of the newest snapshot.
struct Removal<'a> {
    zoo: &'a str,
}

#[async_trait]
impl Proposal for Removal<'_> {
    async fn draft(&self, snapshot: &Snapshot, files: &mut NewFiles<'_>) -> Result<Option<Draft>> {
        let location = files.location();
        let Leaving { models, archs } = self.leaving(location, snapshot).await?;
        let stays = |layouts: &[String], owner: Owner<'_>| match owner {
            Owner::Model(id) | Owner::Prediction(_, id) => !models.contains(&id),
            Owner::Arch(arch) => !layouts.iter().any(|layout| layout == arch),
            Owner::Run(_) => true,
        };
        let concerns = |file: &DataFile| match &file.table {
            Table::Tensors | Table::Results => false,
            Table::Weights(arch) if !archs.contains(arch) => false,
            _ => may_be_about(file, &models),
        };
        // Of most files the log says that nothing stays. They are not opened: they may be lost.
        let staying: BTreeSet<i64> = snapshot.models().filter(|id| !models.contains(id)).collect();
        let leaves = |file: &Arc<DataFile>| {
            file.model_id.is_some_and(|(min, max)| staying.range(min..=max).next().is_none())
        };
        let concerned = snapshot.files().filter(|file| concerns(file)).map(Arc::clone);
        let (leaving, mixed): (Vec<_>, Vec<_>) = concerned.partition(leaves);
        let mut shares = shares_of(location, mixed, &|owner| stays(&[], owner)).await?;
        shares.extend(leaving.into_iter().map(|file| (file, Share::None)));

        // What is left of an architecture without weights is its layout.
        let layouts = without_weights(snapshot, archs, &shares);
        let stays = |owner: Owner<'_>| stays(&layouts, owner);
        let tensors = snapshot.files_of(&Table::Tensors);
        shares.extend(shares_of(location, tensors, &stays).await?);

        let mut draft = Draft {
            operation: "drop".to_owned(),
            message: format!("drop {}: {}", self.zoo, commit::models(models.len())),
            dropped: models.iter().copied().collect(),
            ..Draft::default()
        };
        for (file, share) in shares {
            if share == Share::All {
                draft.keep.push(file.path.clone());
                continue;
            }
            draft.remove.push(file.path.clone());
            if share == Share::Some {
                let table = file.table.clone();
                if let Some(rest) =
                    rewrite(location, &table, &[file], files.encoding(), &stays).await?
                {
                    draft.add.push(files.write(&table, rest).await?);
                }
            }
        }
        draft.layouts = layouts;
        Ok(Some(draft))
    }

    /// As long as the files are all there, the models too, nobody has recorded predictions
    /// about them, and the layouts that go are those of the architectures that lose their last
    /// weights: others may have committed weights, or dropped the other zoos of an architecture.
    fn holds(&self, draft: &Draft, snapshot: &Snapshot) -> bool {
        let removed: HashSet<&str> = draft.remove.iter().map(String::as_str).collect();
        let is_removed = |file: &Arc<DataFile>| removed.contains(file.path.as_str());
        let dropped: BTreeSet<i64> = draft.dropped.iter().copied().collect();
        // The other tables get rows of a model once, with the model itself.
        let kept: HashSet<&str> = draft.keep.iter().map(String::as_str).collect();
        let is_overlooked = |file: &Arc<DataFile>| {
            matches!(file.table, Table::Predictions | Table::Other(_))
                && may_be_about(file, &dropped)
                && !is_removed(file)
                && !kept.contains(file.path.as_str())
        };
        let has_weights = |arch: &String| {
            let table = Table::Weights(arch.clone());
            draft.add.iter().any(|file| file.table == table)
                || !snapshot.files_of(&table).iter().all(is_removed)
        };
        draft.remove.iter().all(|path| snapshot.has_file(path))
            && !snapshot.files().any(is_overlooked)
            && draft.dropped.iter().all(|id| snapshot.has_model(*id))
            && snapshot.archs().iter().all(|arch| has_weights(arch) != draft.layouts.contains(arch))
    }
}

/// What leaves with a zoo.
struct Leaving {
    models: BTreeSet<i64>,
    /// Architectures of these models.
    archs: BTreeSet<String>,
}

impl Removal<'_> {
    async fn leaving(&self, location: &Location, snapshot: &Snapshot) -> Result<Leaving> {
        let mut leaving = Leaving { models: BTreeSet::new(), archs: BTreeSet::new() };
        let (mut zoos, mut unlogged) = (BTreeSet::new(), None);
        for_each_model(location, snapshot, |id, zoo, arch| {
            unlogged = unlogged.or_else(|| (!snapshot.has_model(id)).then_some(id));
            if zoo == self.zoo {
                leaving.models.insert(id);
                leaving.archs.insert(arch.to_owned());
            } else if !zoos.contains(zoo) {
                zoos.insert(zoo.to_owned());
            }
        })
        .await?;
        // Whatever zoo it is of: from the log it is told which files have no other models.
        if let Some(id) = unlogged {
            let error = Error::corrupt(format!("model `{id}` of `models` is in no log entry"));
            return Err(error.with_hint(failure::VERIFY));
        }
        if !leaving.models.is_empty() {
            return Ok(leaving);
        }
        let names: Vec<&str> = zoos.iter().map(String::as_str).collect();
        Err(match names.as_slice() {
            [] => Error::invalid(format!("unknown zoo `{}`: `{location}` has no models", self.zoo)),
            names => Error::not_allowed("zoo", self.zoo, names),
        })
    }
}

/// Whether `file` may have rows of one of `models`.
fn may_be_about(file: &DataFile, models: &BTreeSet<i64>) -> bool {
    file.model_id.is_none_or(|(min, max)| models.range(min..=max).next().is_some())
}

/// How much of each file stays.
async fn shares_of(
    location: &Location,
    files: Vec<Arc<DataFile>>,
    stays: Wanted<'_>,
) -> Result<Vec<(Arc<DataFile>, Share)>> {
    let shares: Vec<(Arc<DataFile>, Share)> = futures::stream::iter(files)
        .map(|file| async move { share(location, &file, stays).await.map(|share| (file, share)) })
        .buffered(CONCURRENT_READS)
        .try_collect()
        .await?;
    for (file, share) in &shares {
        if let (Share::Some, Table::Other(name)) = (share, &file.table) {
            let message = format!("a newer zoolake wrote table `{name}`, which has these models");
            let error = Error::new(Kind::Unsupported, message);
            return Err(error.with_hint("install a newer zoolake"));
        }
    }
    Ok(shares)
}

/// Those of `archs` of whose weights nothing stays.
fn without_weights(
    snapshot: &Snapshot,
    archs: BTreeSet<String>,
    shares: &[(Arc<DataFile>, Share)],
) -> Vec<String> {
    let emptied = shares.iter().filter(|(_, share)| *share == Share::None);
    let emptied: HashSet<&str> = emptied.map(|(file, _)| file.path.as_str()).collect();
    let is_left = |arch: &String| {
        let files = snapshot.files_of(&Table::Weights(arch.clone()));
        files.iter().all(|file| emptied.contains(file.path.as_str()))
    };
    archs.into_iter().filter(is_left).collect()
}

/// Calls `visit` with the id, the zoo and the architecture of every model.
async fn for_each_model(
    location: &Location,
    snapshot: &Snapshot,
    mut visit: impl FnMut(i64, &str, &str),
) -> Result<()> {
    let mut files = futures::stream::iter(snapshot.files_of(&Table::Models))
        .map(|file| async move {
            let batches = read_columns(location, &file, &["model_id", "zoo", "arch"]).await;
            batches.map(|batches| (file, batches))
        })
        .buffered(CONCURRENT_READS);
    while let Some((file, batches)) = files.try_next().await? {
        for batch in batches {
            let text = |name| text_column(&batch, name);
            let ids = batch.column_by_name("model_id");
            let ids = ids.and_then(|ids| ids.as_primitive_opt::<Int64Type>());
            let (Some(ids), Some(zoos), Some(archs)) = (ids, text("zoo"), text("arch")) else {
                return Err(Error::corrupt(format!("`{}` lacks columns of `models`", file.path)));
            };
            for row in 0..batch.num_rows() {
                visit(ids.value(row), zoos.value(row), archs.value(row));
            }
        }
    }
    Ok(())
}

fn text_column<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a StringArray> {
    batch.column_by_name(name)?.as_string_opt::<i32>()
}
