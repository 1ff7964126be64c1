//! `zoolake log`: the commits of a store.

use std::num::NonZero;

use clap::Args;

use super::output::Output;
use super::place::PlaceAndTime;
use crate::error::Result;

/// List the commits of a store, the newest first
///
/// `--at` of other commands takes their numbers. The table `snapshots` has the same rows for SQL,
/// and which program wrote them.
#[derive(Debug, Args)]
pub(super) struct Log {
    /// Only the newest N
    #[arg(short, long, value_name = "N")]
    limit: Option<NonZero<usize>>,

    #[command(flatten)]
    place: PlaceAndTime,

    #[command(flatten)]
    output: Output,
}

impl Log {
    pub(super) async fn run(self) -> Result<()> {
        let limit = self.limit.map_or_else(String::new, |limit| format!("LIMIT {limit}"));
        let sql = format!(
            "SELECT version, time, operation, message, models, models_dropped,
                    files_added, files_removed, bytes_added
             FROM snapshots ORDER BY version DESC {limit}"
        );
        self.output.write(self.place.session().await?.sql(&sql).await?).await
    }
}
