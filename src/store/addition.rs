//! Trained models as a commit.

use std::collections::HashSet;

use async_trait::async_trait;

use super::Writer;
use super::commit::{Draft, NewFiles, Proposal, models};
use super::encode;
use super::schema::Table;
use super::snapshot::Snapshot;
use crate::arch::Arch;
use crate::error::Result;
use crate::train::Trained;

/// What a commit of models did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commit {
    /// The newest commit now.
    pub version: u64,
    /// Models added.
    pub added: usize,
    /// Models left out because the store had them already.
    pub already_there: usize,
}

impl Writer {
    /// Commits trained models, all or none. Models that the store already has,
    /// because another writer was first, are left out.
    ///
    /// # Errors
    /// `Unavailable` if the store cannot be written: nothing of this call is
    /// visible then, or all of it, and calling again does the rest.
    pub async fn commit(&mut self, trained: &[Trained], operation: &str) -> Result<Commit> {
        let committed = self.propose(&Addition { trained, operation }).await?;
        let added = committed.map_or(0, |committed| committed.entry.models.len());
        let version = self.snapshot().version();
        Ok(Commit { version, added, already_there: trained.len() - added })
    }
}

/// Adds what a store lacks of `trained`.
struct Addition<'a> {
    trained: &'a [Trained],
    operation: &'a str,
}

#[async_trait]
impl Proposal for Addition<'_> {
    async fn draft(&self, snapshot: &Snapshot, files: &mut NewFiles<'_>) -> Result<Option<Draft>> {
        let fresh = self.fresh(snapshot);
        if fresh.is_empty() {
            return Ok(None);
        }
        let layouts = new_archs(&fresh, snapshot);
        let mut zoos: Vec<&str> = fresh.iter().map(|trained| trained.model.zoo.as_str()).collect();
        zoos.sort_unstable();
        zoos.dedup();
        let operation = self.operation;
        Ok(Some(Draft {
            operation: operation.to_owned(),
            message: format!("{operation} {}: {}", zoos.join(", "), models(fresh.len())),
            add: write_files(&fresh, &layouts, files).await?,
            models: ids(&fresh),
            layouts,
            ..Draft::default()
        }))
    }

    /// As long as the files hold exactly what is missing.
    fn holds(&self, draft: &Draft, snapshot: &Snapshot) -> bool {
        let fresh = self.fresh(snapshot);
        ids(&fresh) == draft.models && new_archs(&fresh, snapshot) == draft.layouts
    }
}

impl<'a> Addition<'a> {
    /// What the store does not have yet, each model once.
    fn fresh(&self, snapshot: &Snapshot) -> Vec<&'a Trained> {
        let mut seen = HashSet::new();
        let mut is_new = |id| !snapshot.has_model(id) && seen.insert(id);
        self.trained.iter().filter(|trained| is_new(trained.model.id)).collect()
    }
}

fn ids(trained: &[&Trained]) -> Vec<i64> {
    trained.iter().map(|trained| trained.model.id).collect()
}

/// The architectures of some models, by name.
fn archs(trained: &[&Trained]) -> Vec<&'static str> {
    let mut archs: Vec<_> = trained.iter().map(|trained| trained.model.arch).collect();
    archs.sort_unstable();
    archs.dedup();
    archs
}

/// Architectures whose layout the store does not have yet.
fn new_archs(trained: &[&Trained], snapshot: &Snapshot) -> Vec<String> {
    let stored = snapshot.archs();
    let archs = archs(trained).into_iter().map(str::to_owned);
    archs.filter(|arch| !stored.contains(arch)).collect()
}

async fn write_files(
    trained: &[&Trained],
    layouts: &[String],
    files: &mut NewFiles<'_>,
) -> Result<Vec<super::DataFile>> {
    let mut add = vec![
        files.write(&Table::Models, encode::models(trained)?).await?,
        files.write(&Table::Epochs, encode::epochs(trained)?).await?,
    ];
    for name in archs(trained) {
        let arch = Arch::by_name(name)?;
        let of_arch: Vec<&Trained> =
            trained.iter().copied().filter(|trained| trained.model.arch == name).collect();
        let table = Table::Weights(name.to_owned());
        for weights in encode::weights(&arch, &of_arch, encode::FILE_BYTES, files.encoding()) {
            add.push(files.write(&table, weights?).await?);
        }
        if layouts.iter().any(|layout| layout == name) {
            let tensors = encode::tensors(name, arch.layout())?;
            add.push(files.write(&Table::Tensors, tensors).await?);
        }
    }
    Ok(add)
}
