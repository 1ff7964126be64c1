//! `zoolake verify`: is everything there, as it was written?

use clap::Args;

use super::display::{bytes, count, thousands};
use super::place::Place;
use super::stdout::print;
use crate::error::{Error, Result};

/// Check that a store is sound
///
/// Reads every log entry and every file, compares sizes and SHA-256 checksums, and checks that
/// each model is there exactly once with all its states. Exits with 1 if anything is damaged.
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
}

impl Verify {
    pub(super) async fn run(self) -> Result<()> {
        let store = self.place.cloud.open(&self.place.store).await?;
        let report = store.verify().await?;
        let mut text = String::new();
        for finding in &report.findings {
            text += &format!("{}: {}\n", finding.place, finding.problem);
        }
        if report.findings.is_empty() {
            text += &format!(
                "sound: {} models in {} files, {}, at commit {}\n",
                thousands(report.models as u64),
                thousands(report.files as u64),
                bytes(report.bytes),
                report.version
            );
        }
        if report.superseded > 0 {
            text += &format!(
                "{} of older snapshots only, not checked; `zoolake vacuum` removes such in time\n",
                count(report.superseded, "data file")
            );
        }
        if report.unreferenced > 0 {
            text += &format!(
                "{} of no commit: of writers that were killed, failed or are at work, or of log \
                 entries that are lost; before `zoolake vacuum` removes them, see that `zoolake \
                 log` begins with the last commit you know of\n",
                count(report.unreferenced, "data file")
            );
        }
        print(&text)?;
        match report.findings.len() {
            0 => Ok(()),
            findings => Err(Error::corrupt(format!(
                "store `{}` is damaged in {findings} place{}",
                store.location(),
                if findings == 1 { "" } else { "s" }
            ))),
        }
    }
}
