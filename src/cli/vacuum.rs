//! `zoolake vacuum`: files that no snapshot needs are removed.

use std::time::Duration;

use clap::Args;

use super::display::{bytes, count};
use super::duration;
use super::place::Place;
use super::stdout::print;
use crate::error::Result;
use crate::store::{Garbage, GarbageKind};

/// Remove files that are no longer needed
///
/// These are files of older snapshots, which `compact` or `drop` removed from the newest one, and
/// files of no commit: of writers that were killed, or of log entries that are lost, so see first
/// that `zoolake log` begins with the last commit you know of. After a vacuum `--at` no longer reads
/// the snapshots that had these files, and says so.
#[derive(Debug, Args)]
pub(super) struct Vacuum {
    #[command(flatten)]
    place: Place,

    /// Keep what was written, or removed from the newest snapshot, within this time, such as `12h`
    /// or `7d`. Writers at work are recognised by nothing else: it must be longer than any commit
    /// or `copy` into the store takes, interruptions included
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = duration::parse)]
    older_than: Duration,

    /// Say what would be removed; do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Vacuum {
    pub(super) async fn run(self) -> Result<()> {
        let store = self.place.cloud.open(&self.place.store).await?;
        let garbage = store.garbage(self.older_than).await?;
        if garbage.is_empty() {
            return print("nothing to remove\n");
        }
        let total: u64 = garbage.iter().map(|file| file.bytes).sum();
        let mut text = String::new();
        if self.dry_run {
            for file in &garbage {
                text += &format!("{}  {}  {}\n", file.path, bytes(file.bytes), why(file.kind));
            }
        } else {
            store.vacuum(&garbage).await?;
        }
        let verb = if self.dry_run { "would be removed" } else { "removed" };
        text += &format!("{}, {}, {verb}\n", count(garbage.len(), "file"), bytes(total));
        if let Some(horizon) = Garbage::horizon(&garbage) {
            let reads = if self.dry_run { "would still read" } else { "reads" };
            text += &format!("`--at` {reads} the store as of commit {horizon} and later\n");
        }
        print(&text)
    }
}

fn why(kind: GarbageKind) -> String {
    match kind {
        GarbageKind::Removed(version) => format!("removed by commit {version}"),
        GarbageKind::Unreferenced => "of no commit".to_owned(),
        GarbageKind::Unfinished => "half written".to_owned(),
        GarbageKind::Folded => "folded log of commits that are gone".to_owned(),
    }
}
