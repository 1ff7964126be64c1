//! The arguments that say whether and where models in training are kept.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::env_vars;
use crate::store::Store;
use crate::train::Workplace;

/// How models in training outlive their process.
#[derive(Debug, Args)]
pub(super) struct Checkpoint {
    /// Keep every finished epoch of a model on disk until the model is committed, so that a
    /// killed process loses no more than an epoch, and states do not pile up in memory. `auto`
    /// does so for models with more than 64 MiB of weights in all their states
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    checkpoint: When,

    /// The folder for that [default: `work` in the store if that is a folder, otherwise
    /// `.cache/zoolake/work` in the home folder]
    #[arg(long, value_name = "DIR", env = env_vars::WORK)]
    work: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

impl Checkpoint {
    /// Bytes of weights in all its states from which on a model is kept, if one is.
    pub(super) fn at_least(&self) -> Option<usize> {
        match self.checkpoint {
            When::Auto => Some(Workplace::LONG),
            When::Always => Some(0),
            When::Never => None,
        }
    }

    /// Where models on their way into `store` are kept.
    pub(super) fn workplace(&self, store: &Store) -> Option<Workplace> {
        let at_least = self.at_least()?;
        let at_home = || {
            let home = std::env::home_dir().unwrap_or_else(std::env::temp_dir);
            home.join(".cache/zoolake/work")
        };
        let folder = self.work.clone().or_else(|| store.work_folder()).unwrap_or_else(at_home);
        Some(Workplace::new(folder, at_least))
    }
}
