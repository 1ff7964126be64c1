//! `zoolake.json`: the object that makes a place a store and says which format
//! version it has.

use futures::TryStreamExt;
use object_store::{ObjectStoreExt, PutMode};
use serde::{Deserialize, Serialize};

use super::log::{FORMAT, parse};
use super::weight_encoding::WeightEncoding;
use super::{Location, clock, failure, paths};
use crate::error::{Error, Kind, Result};

#[derive(Serialize, Deserialize)]
struct Format {
    format: u32,
    created: String,
    writer: String,
    /// Older programs pass over it, and write what they always wrote.
    #[serde(default, skip_serializing_if = "WeightEncoding::is_default")]
    weights: WeightEncoding,
}

/// The name and version of this program, as recorded in what it writes.
pub(super) const WRITER: &str = concat!("zoolake ", env!("CARGO_PKG_VERSION"));

/// Checks that there is a store of a format this zoolake reads; how it encodes weights.
pub(super) async fn check(location: &Location) -> Result<WeightEncoding> {
    match location.objects().get(&paths::format()).await {
        Ok(object) => {
            let bytes =
                object.bytes().await.map_err(|e| failure::read(location, &paths::format(), e))?;
            let path = location.path_of(&paths::format());
            parse::<Format>(&path, "store format", FORMAT, &bytes).map(|format| format.weights)
        }
        Err(error)
            if matches!(error, object_store::Error::NotFound { .. })
                && !failure::is_without_bucket(&error) =>
        {
            Err(Error::not_found(format!("no zoolake store at `{location}`")).with_hint(
                "name one with `--store`, or make one with `zoolake train` or `zoolake demo`",
            ))
        }
        Err(error) => Err(failure::read(location, &paths::format(), error)),
    }
}

/// Checks the store, or creates one that encodes `weights` so where there is nothing yet;
/// how it encodes them.
pub(super) async fn create_if_absent(
    location: &Location,
    weights: WeightEncoding,
) -> Result<WeightEncoding> {
    match check(location).await {
        Err(error) if error.kind() == Kind::NotFound => {}
        checked => return checked,
    }
    refuse_foreign(location).await?;
    let format =
        Format { format: FORMAT, created: clock::now(), writer: WRITER.to_owned(), weights };
    let bytes = serde_json::to_vec_pretty(&format)
        .map_err(|error| Error::internal("cannot serialise the store format").with_source(error))?;
    let path = paths::format();
    let put = location.objects().put_opts(&path, bytes.into(), PutMode::Create.into()).await;
    // It may be there all the same: stored without a word, or by another writer.
    match (put, check(location).await) {
        (Err(error), Err(unseen))
            if matches!(unseen.kind(), Kind::NotFound | Kind::Unavailable) =>
        {
            Err(failure::write(location, &path, error))
        }
        (_, checked) => checked,
    }
}

/// A store shares its place with nobody: a slip in `--store` must not scatter
/// files into a home folder.
pub(super) async fn refuse_foreign(location: &Location) -> Result<()> {
    let first = location.objects().list(None).try_next().await;
    let first = first.map_err(|error| failure::read(location, &paths::format(), error))?;
    let Some(object) = first else { return Ok(()) };
    match check(location).await {
        Err(error) if error.kind() == Kind::NotFound => Err(Error::invalid(format!(
            "`{location}` is not empty and holds no zoolake store: it has `{}`",
            object.location
        ))
        .with_hint("choose an empty or new place with `--store`")),
        // Another writer has created it since it was looked for.
        checked => checked.map(drop),
    }
}
