//! zoolake: an embedded columnar analytics store for *model zoos*, populations
//! of trained neural networks.
//!
//! # A tour by task
//!
//! **Say what to train.** A [`zoo::Zoo`] is a TOML specification: a data set, an
//! architecture, and a grid of hyperparameters.
//!
//! **Train it.** A [`train::Runner`] trains its models in parallel with an
//! [`train::Engine`] and hands each finished one to a [`train::Sink`].
//!
//! **Store it.** A [`store::Store`] is a folder or a bucket of plain Parquet
//! files and a commit log; its [`store::Writer`] commits trained models.
//!
//! **Ask it.** A [`sql::Session`] answers SQL over one [`store::Snapshot`], with
//! functions for weight vectors.
//!
//! ```
//! # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
//! use zoolake::{sql::Session, store::{Location, Store}};
//!
//! let store = Store::open_or_create(Location::memory()).await?;
//! let session = Session::new(&store, &store.snapshot().await?).await?;
//! let rows = session.sql("SELECT count(*) AS models FROM models").await?.collect().await?;
//! assert_eq!(rows[0].num_rows(), 1);
//! # Ok::<(), zoolake::Error>(()) }).unwrap();
//! ```
//!
//! **Describe its states.** [`features::register`] makes the feature sets of the
//! literature table functions of a session, and a [`features::Query`] chooses sets,
//! zoos, epochs and tensors.
//!
//! ```no_run
//! # async fn described(mut session: zoolake::sql::Session) -> zoolake::Result<()> {
//! use zoolake::features::{self, Epochs, Query};
//!
//! features::register(&mut session);
//! let query = Query { set: "hsg_quintiles_v1".into(), epochs: Epochs::Last, ..Query::default() };
//! let rows = session.sql(&query.sql(&session).await?).await?;
//! # Ok(()) }
//! ```
//!
//! The modules stand in the order in which data flows; none imports one to its
//! right: `arch`, `dataset`, `zoo`, `train`, `store`, `scan`, `sql`, `features`, `predict`, `cli`.
//! `ARCHITECTURE.md` is the map.

pub mod arch;
pub mod cli;
pub mod dataset;
mod disk;
pub mod error;
pub mod features;
mod memory;
pub mod predict;
mod random;
pub mod scan;
pub mod sql;
mod statistics;
pub mod store;
pub mod train;
pub mod zoo;

pub use error::{Error, Kind, Result};
