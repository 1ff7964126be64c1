//! `zoolake drop`: a zoo leaves the store.

use std::io::{self, IsTerminal, Write};

use clap::Args;

use super::display::{bytes, count};
use super::place::Place;
use super::progress::note;
use super::stdout::print;
use crate::error::{Error, Result};
use crate::store::Store;

/// Drop every model of a zoo
///
/// Its models leave the newest snapshot, with their metrics and weights, in a commit; earlier
/// snapshots keep them until `zoolake vacuum`. They can be trained again.
#[derive(Debug, Args)]
pub(super) struct Drop {
    /// The zoo; `zoolake query zoos` lists those of a store
    zoo: String,

    #[command(flatten)]
    place: Place,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Drop {
    pub(super) async fn run(self) -> Result<()> {
        let store = self.place.cloud.open(&self.place.store).await?;
        if !self.yes && !self.is_confirmed(&store).await? {
            note("nothing was dropped");
            return Ok(());
        }
        let dropped = store.drop_zoo(&self.zoo).await?;
        print(&format!(
            "dropped {} of zoo `{}`: {}, {}, at commit {}\n\
             `--at {}` has them until `zoolake vacuum` removes the files\n",
            count(dropped.models, "model"),
            self.zoo,
            count(dropped.files, "file"),
            bytes(dropped.bytes),
            dropped.version,
            dropped.version - 1
        ))
    }

    async fn is_confirmed(&self, store: &Store) -> Result<bool> {
        let models = store.models_of_zoo(&self.zoo).await?;
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let message = "`drop` asks before it drops, and there is nobody to ask";
            return Err(Error::invalid(message).with_hint("say `--yes` to drop without asking"));
        }
        let (models, location) = (count(models, "model"), store.location());
        let question = format!("drop {models} of zoo `{}` from `{location}`? [y/N] ", self.zoo);
        let answer = io::stderr().write_all(question.as_bytes()).and_then(|()| {
            let mut answer = String::new();
            io::stdin().read_line(&mut answer).map(|_| answer)
        });
        let answer = answer.map_err(|error| Error::invalid(format!("no answer: {error}")))?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }
}
