//! `zoolake compact`: small files merged.

use clap::Args;

use super::display::{bytes, count, thousands};
use super::place::Place;
use super::progress::note;
use super::stdout::print;
use crate::error::Result;
use crate::store::Compacted;

/// Merge small files, so that queries open fewer
///
/// Every commit writes files of its own. Those of less than half the normal size (96 MiB before
/// compression) are merged, table by table, in a commit of their own: no row changes, and readers
/// and writers at work are not disturbed. Snapshots before it keep the small files until `zoolake
/// vacuum`.
#[derive(Debug, Args)]
pub(super) struct Compact {
    #[command(flatten)]
    place: Place,
}

impl Compact {
    pub(super) async fn run(self) -> Result<()> {
        let store = self.place.cloud.open(&self.place.store).await?;
        let watch = |done: &Compacted| {
            note(&format!("commit {}: {} so far", done.version, count(done.files_before, "file")))
        };
        let done = store.compact(&watch).await?;
        match done.commits {
            0 => print("nothing to merge: no table has two small files that fit together\n"),
            _ => print(&format!("{}\n", merged(&done))),
        }
    }
}

fn merged(done: &Compacted) -> String {
    format!(
        "merged {}, {}, into {}, {}",
        count(done.files_before, "file"),
        bytes(done.bytes_before),
        thousands(done.files_after as u64),
        bytes(done.bytes_after)
    )
}
