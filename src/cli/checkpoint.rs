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
    /// does so for models with at least 64 MiB of weights in all their states
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    checkpoint: When,

    /// The folder for that, which stores may share [default: `work` in the store if that is a
    /// folder, otherwise `.cache/zoolake/work` in the home folder]
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
        Some(Workplace::new(self.folder(store), self.at_least()?))
    }

    /// Stores may hold the same models: each has a folder to itself.
    fn folder(&self, store: &Store) -> PathBuf {
        let at_home = || {
            let home = std::env::home_dir().unwrap_or_else(std::env::temp_dir);
            home.join(".cache/zoolake/work")
        };
        match (&self.work, store.work_folder()) {
            (None, Some(own)) => own,
            (shared, _) => {
                let shared = shared.clone().unwrap_or_else(at_home);
                shared.join(store.location().fingerprint())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{CloudOptions, Location};
    use std::fs;

    #[tokio::test]
    async fn a_store_does_not_clear_the_desks_of_another() {
        let site = tempfile::tempdir().unwrap();
        let path = |name: &str| site.path().join(name);
        let open = async |name: &str| {
            let folder = path(name).into_os_string().into_string().unwrap();
            let location = Location::new(&folder, &CloudOptions::default()).unwrap();
            Store::open_or_create(location).await.unwrap()
        };
        let (one, other) = (open("one").await, open("other").await);
        let checkpoint = Checkpoint { checkpoint: When::Always, work: Some(path("work")) };
        let desks = [&one, &other].map(|store| checkpoint.folder(store).join("7"));
        desks.iter().for_each(|desk| fs::create_dir_all(desk).unwrap());
        checkpoint.workplace(&open("other/../one/").await).unwrap().tidy(|id| id == 7);
        assert_eq!(desks.map(|desk| desk.exists()), [false, true]);

        let alone = Checkpoint { checkpoint: When::Always, work: None };
        assert_eq!(alone.folder(&one), path("one/work"));
    }
}
