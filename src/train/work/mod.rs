//! Models half trained, on disk: a [`Workplace`] has a [`Desk`] for each.
//!
//! Owns what lies there, its format and whether it can be trusted. A model whose
//! states together are large leaves each finished epoch on its desk, with what it
//! takes to go on from there: that bounds memory, and a killed process loses the
//! epoch it was in and no more. When the model is stored its desk is cleared.

mod desk;
mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use desk::CLEARED;
pub(super) use desk::{Checkpoint, Desk, Found};

use crate::error::{Error, Kind, Result};
use crate::zoo::Model;

/// The folder where long models leave their finished epochs.
#[derive(Debug, Clone)]
pub struct Workplace {
    folder: PathBuf,
    at_least: usize,
}

impl Workplace {
    /// A model with fewer bytes of weights in all its states has no desk: it is
    /// trained again sooner than an epoch is worth syncing.
    pub const LONG: usize = 64 << 20;

    /// The workplace in `folder`, which is created when it is needed, for models
    /// with `at_least` so many bytes of weights in all their states.
    pub fn new(folder: impl Into<PathBuf>, at_least: usize) -> Self {
        Self { folder: folder.into(), at_least }
    }

    /// Whether `model`, whose states have `size` values each, is [that long](Self::LONG).
    pub(super) fn is_long(model: &Model, size: usize) -> bool {
        bytes(model, size) >= Self::LONG
    }

    /// The desk of `model`, whose states have `size` values each, or `None` if it needs none.
    ///
    /// # Errors
    /// `Conflict` if another process works at it.
    pub(super) fn desk(&self, model: &Model, engine: &str, size: usize) -> Result<Option<Desk>> {
        if bytes(model, size) < self.at_least {
            return Ok(None);
        }
        Desk::sit_down(&self.folder, model.id, engine).map(Some)
    }

    /// Clears the desks of models that are stored: a process may have been killed
    /// after the commit. Best effort, since they only take space.
    pub fn tidy(&self, is_stored: impl Fn(i64) -> bool) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == CLEARED) {
                let _ = fs::remove_dir_all(path);
                continue;
            }
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(id) = id
                && is_stored(id)
                && let Ok(desk) = Desk::sit_down(&self.folder, id, "")
            {
                desk.clear();
            }
        }
    }
}

/// Bytes of weights in all states of `model`, of `size` values each.
fn bytes(model: &Model, size: usize) -> usize {
    size * size_of::<f32>() * (model.hyper.epochs + 1)
}

/// A failed write below a workplace.
fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("cannot write `{}`: {error}", path.display()))
        .with_hint(
            "mend that, or choose another place with `--work`, and run the same command again: \
             finished epochs are kept",
        )
        .with_source(error)
}
