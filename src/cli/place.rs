//! The arguments that say which store, as of when, and where data sets are.

use std::path::PathBuf;

use clap::Args;

use super::env_vars;
use super::io_stats::IoStats;
use crate::error::{Kind, Result};
use crate::features;
use crate::sql::Session;
use crate::store::{CloudOptions, Location, Store, WeightEncoding};

/// How to reach stores in a cloud.
#[derive(Debug, Args)]
pub(super) struct Cloud {
    /// URL of an S3-compatible service, such as `http://localhost:9000`
    #[arg(long, value_name = "URL", env = env_vars::ENDPOINT_URL, hide_env_values = true)]
    endpoint_url: Option<String>,

    /// Permit plain HTTP to the service
    #[arg(long)]
    allow_http: bool,

    #[command(flatten)]
    io_stats: IoStats,
}

impl Cloud {
    fn options(&self) -> CloudOptions {
        CloudOptions { endpoint_url: self.endpoint_url.clone(), allow_http: self.allow_http }
    }

    fn existing(&self, store: &str) -> Result<Location> {
        Ok(self.io_stats.watch(Location::existing(store, &self.options())?))
    }

    /// A store to read.
    pub(super) async fn open(&self, store: &str) -> Result<Store> {
        Store::open(self.existing(store)?).await
    }

    /// The store, if there is one yet.
    pub(super) async fn open_if_any(&self, store: &str) -> Result<Option<Store>> {
        match self.existing(store) {
            Ok(location) => Store::open_if_any(location).await,
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A store to write, created with weights in `encoding` if it is not there.
    pub(super) async fn open_or_create(
        &self,
        store: &str,
        encoding: WeightEncoding,
    ) -> Result<Store> {
        let location = self.io_stats.watch(Location::new(store, &self.options())?);
        Store::open_or_create_with(location, encoding).await
    }
}

/// Which store to read.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The store: a folder, `s3://bucket/path`, `gs://bucket/path` or `az://container/path`
    #[arg(short, long, value_name = "URL", env = env_vars::STORE)]
    pub(super) store: String,

    #[command(flatten)]
    pub(super) cloud: Cloud,
}

/// Where the files of data sets are.
#[derive(Debug, Args)]
pub(super) struct DataFolder {
    /// The folder with the files of data sets; `zoolake datasets` lists them
    #[arg(
        short = 'd',
        long = "data",
        value_name = "DIR",
        env = env_vars::DATA,
        default_value = "./data",
        global = true
    )]
    pub(super) dir: PathBuf,
}

/// Which state of which store to ask.
#[derive(Debug, Args)]
pub(super) struct PlaceAndTime {
    #[command(flatten)]
    pub(super) place: Place,

    /// Read the store as it was after commit N; `zoolake log` lists them
    #[arg(long, value_name = "N")]
    pub(super) at: Option<u64>,
}

impl PlaceAndTime {
    /// A session over the store.
    pub(super) async fn session(&self) -> Result<Session> {
        let store = self.place.cloud.open(&self.place.store).await?;
        let snapshot = match self.at {
            Some(version) => store.snapshot_at(version).await?,
            None => store.snapshot().await?,
        };
        let mut session = Session::new(&store, &snapshot).await?;
        features::register(&mut session);
        Ok(session)
    }

    /// A session that can run stored networks on data sets.
    pub(super) async fn session_with(&self, data: &DataFolder) -> Result<Session> {
        let mut session = self.session().await?;
        features::register_networks(&mut session, &data.dir)?;
        Ok(session)
    }
}
