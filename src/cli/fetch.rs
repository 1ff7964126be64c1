//! `zoolake datasets fetch`: official files of data sets.

use std::path::Path;

use clap::Args;
use indicatif::ProgressBar;

use super::display::bytes;
use super::progress::{note, transfer_bar};
use super::signal;
use crate::dataset::{self, Fetch, Info, Watch};
use crate::error::{Error, Kind, Result};

/// Download the official files of data sets
///
/// They go to DIR/<data set>, their checksums are compared, and what is there
/// already is only checked. An interrupted download goes on where it stopped.
#[derive(Debug, Args)]
pub(super) struct FetchFiles {
    /// The data sets
    #[arg(required = true)]
    names: Vec<String>,

    /// Look here first: `URL/<data set>/<file>`, such as a data folder behind a web server
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
}

impl FetchFiles {
    pub(super) async fn run(self, data: &Path) -> Result<()> {
        // Before anything is fetched: a wrong name must not wait for gigabytes.
        let infos = self.names.iter().map(|name| dataset::info(name, Some(data)));
        let infos = infos.collect::<Result<Vec<Info>>>()?;
        let fetch = Fetch::new(self.mirror.as_deref())?;
        for info in infos {
            if info.downloads.is_empty() {
                let why = if info.built_in { "is built in" } else { "was added here" };
                note(&format!("`{}` {why}: there is nothing to fetch", info.name));
                continue;
            }
            let shown = Shown::new();
            let files = tokio::select! {
                files = fetch.fetch(&info, data, &shown) => files,
                () = signal::stopped() => Err(interrupted(&info)),
            };
            shown.bar.finish_and_clear();
            for (path, new) in files? {
                let state = if new { "fetched" } else { "already there" };
                note(&format!("{state}, checksum correct: `{}`", path.display()));
            }
        }
        Ok(())
    }
}

fn interrupted(info: &Info) -> Error {
    Error::new(Kind::Interrupted, format!("interrupted while fetching `{}`", info.name))
        .with_hint("run the same command again to go on")
}

/// Shows how a download goes: a bar on a terminal, a line per file elsewhere.
struct Shown {
    bar: ProgressBar,
}

impl Shown {
    fn new() -> Self {
        Self { bar: transfer_bar("{msg}") }
    }
}

impl Watch for Shown {
    fn receiving(&self, file: &str, url: &str, have: u64, total: Option<u64>) {
        self.bar.set_length(total.unwrap_or(have));
        self.bar.set_position(have);
        self.bar.reset_eta();
        self.bar.set_message(file.to_owned());
        let size = total.map_or_else(String::new, |total| format!(", {}", bytes(total)));
        let from = if have > 0 { format!(", going on at {}", bytes(have)) } else { String::new() };
        self.bar.suspend(|| note(&format!("fetching {url}{size}{from}")));
    }

    fn received(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn failed(&self, _file: &str, url: &str, reason: &str) {
        self.bar.suspend(|| note(&format!("cannot fetch {url}: {reason}")));
    }
}
