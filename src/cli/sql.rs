//! `zoolake sql`: any query.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;

use super::output::Output;
use super::place::{DataFolder, PlaceAndTime};
use crate::error::{Error, Result};

/// Answer an SQL query over a store
///
/// Tables: `models`, `epochs`, `states` (the two joined), `weights_<arch>` (one vector
/// column per tensor), `vectors_<arch>` (the whole state as one vector), `weights` (one row
/// per state and tensor), `tensors`, `functions` (those on vectors), `snapshots`, `files`.
/// `zoolake describe` lists them with their columns.
#[derive(Debug, Args)]
pub(super) struct Sql {
    /// The query; `-` reads it from standard input
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    query: Option<String>,

    /// Read the query from a file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,

    #[command(flatten)]
    place: PlaceAndTime,

    #[command(flatten)]
    data: DataFolder,

    #[command(flatten)]
    output: Output,
}

impl Sql {
    pub(super) async fn run(self) -> Result<()> {
        let query = self.query()?;
        let rows = self.place.session_with(&self.data).await?.sql(&query).await?;
        self.output.write(rows).await
    }

    fn query(&self) -> Result<String> {
        let read = match (&self.query, &self.file) {
            (Some(query), _) if query != "-" => return Ok(query.clone()),
            (_, Some(path)) => {
                std::fs::read_to_string(path).map_err(|error| (path.display().to_string(), error))
            }
            _ => {
                let mut text = String::new();
                let read = std::io::stdin().read_to_string(&mut text);
                read.map(|_| text).map_err(|error| ("standard input".to_owned(), error))
            }
        };
        read.map_err(|(source, error)| {
            Error::invalid(format!("cannot read the query from `{source}`: {error}"))
        })
    }
}
