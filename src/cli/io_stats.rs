//! `--io-stats`: what a command asked of its store.

use std::sync::OnceLock;

use clap::Args;

use super::display::bytes;
use super::progress::note;
use crate::store::{Location, RequestCounter};

/// The requests of this process, if they are counted.
static COUNTER: OnceLock<RequestCounter> = OnceLock::new();

/// Whether to count requests.
#[derive(Debug, Args)]
pub(super) struct IoStats {
    /// Say at the end, on standard error, how many requests the store took and how many bytes
    #[arg(long)]
    io_stats: bool,
}

impl IoStats {
    /// The location, whose requests are counted if that is wanted.
    pub(super) fn watch(&self, location: Location) -> Location {
        if !self.io_stats {
            return location;
        }
        location.counted(COUNTER.get_or_init(RequestCounter::default))
    }
}

/// Says what was counted.
pub(super) fn report() {
    if let Some(counter) = COUNTER.get() {
        let requests = counter.requests();
        note(&format!(
            "requests: {requests}; {} read, {} written",
            bytes(requests.bytes_read),
            bytes(requests.bytes_written)
        ));
    }
}
