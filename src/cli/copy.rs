//! `zoolake copy`: a snapshot in another store.

use std::sync::OnceLock;

use clap::Args;
use indicatif::ProgressBar;

use super::display::{bytes, count};
use super::place::Cloud;
use super::progress::{note, transfer_bar};
use super::signal;
use super::stdout::print;
use super::weights::Weights;
use crate::error::{Error, Kind, Result};
use crate::store::{CopyProgress, Table};

/// Copy a store to another place
///
/// Copies the newest snapshot, or that of `--at`, in one commit; to a store that has some of its
/// models and results of predictions already, those that it lacks. Every file is compared with its
/// checksum on the way. An interrupted copy goes on where it stopped. Where the other store keeps
/// weights otherwise (`--weights`), they are written anew.
#[derive(Debug, Args)]
pub(super) struct Copy {
    /// The store to copy: a folder, `s3://bucket/path`, `gs://bucket/path` or `az://container/path`
    from: String,

    /// Where to: the same kinds of places; created if it is not there
    to: String,

    #[command(flatten)]
    cloud: Cloud,

    #[command(flatten)]
    weights: Weights,

    /// Copy the store as it was after commit N; `zoolake log` lists them
    #[arg(long, value_name = "N")]
    at: Option<u64>,
}

impl Copy {
    pub(super) async fn run(self) -> Result<()> {
        let source = self.cloud.open(&self.from).await?;
        let snapshot = match self.at {
            Some(version) => source.snapshot_at(version).await?,
            None => source.snapshot().await?,
        };
        if snapshot.files().next().is_none() {
            let (from, at) = (&self.from, snapshot.version());
            return print(&format!("nothing to copy: `{from}` is empty at commit {at}\n"));
        }
        let target = self.weights.open_or_create(&self.cloud, &self.to, source.encoding()).await?;
        let shown = Shown::new();
        let watch = |progress| shown.update(progress);
        let copied = tokio::select! {
            copied = source.copy_to(&target, &snapshot, &watch) => copied,
            () = signal::stopped() => Err(interrupted(&self.to)),
        };
        shown.bar.finish_and_clear();
        let copied = copied?;
        if copied.files == 0 {
            let results = snapshot.files_of(&Table::Results).iter().map(|file| file.rows).sum();
            let all = both(snapshot.num_models(), results);
            return print(&format!("nothing to copy: `{}` lacks none of {all}\n", self.to));
        }
        print(&format!(
            "copied {}: {}, {}; `{}` is at commit {}\n",
            both(copied.models, copied.results),
            count(copied.files, "file"),
            bytes(copied.bytes),
            self.to,
            copied.version
        ))
    }
}

/// `3 models`, or `3 models and 16 results`.
fn both(models: usize, results: u64) -> String {
    let models = count(models, "model");
    match results {
        0 => models,
        results => format!("{models} and {}", count(results as usize, "result")),
    }
}

fn interrupted(to: &str) -> Error {
    Error::new(Kind::Interrupted, format!("interrupted: `{to}` may not have the copy yet"))
        .with_hint("run the same command again to go on")
}

/// Shows how far a copy is: a bar on a terminal.
struct Shown {
    bar: ProgressBar,
    begun: OnceLock<()>,
}

impl Shown {
    fn new() -> Self {
        Self { bar: transfer_bar("copying"), begun: OnceLock::new() }
    }

    fn update(&self, progress: CopyProgress) {
        self.begun.get_or_init(|| {
            let (files, size) = (count(progress.total_files, "file"), progress.total_bytes);
            self.bar.suspend(|| note(&format!("copying {files}, {}", bytes(size))));
        });
        self.bar.set_length(progress.total_bytes);
        self.bar.set_position(progress.bytes);
        if progress.files == progress.total_files && progress.already_there > 0 {
            let there = count(progress.already_there, "file");
            self.bar.suspend(|| note(&format!("{there} of them were there already")));
        }
    }
}
