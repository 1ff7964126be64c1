//! The argument that says how a new store keeps weights.

use clap::{Args, ValueEnum};

use super::place::Cloud;
use crate::error::{Error, Result};
use crate::store::{Store, WeightEncoding};

/// How a new store keeps weights.
#[derive(Debug, Args)]
pub(super) struct Weights {
    /// How the store keeps weights, if it is new: `split` takes a sixth less space, `plain` is
    /// read more than twice as fast from a fast disk
    #[arg(long, value_name = "ENCODING")]
    weights: Option<Kept>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kept {
    Split,
    Plain,
}

impl Weights {
    /// The store at `place`, as it is, or a new one, in `otherwise` if nothing was said.
    ///
    /// # Errors
    /// `Invalid` if the store keeps weights in another way than was asked for.
    pub(super) async fn open_or_create(
        &self,
        cloud: &Cloud,
        place: &str,
        otherwise: WeightEncoding,
    ) -> Result<Store> {
        let wanted = self.weights.map(|kept| match kept {
            Kept::Split => WeightEncoding::Split,
            Kept::Plain => WeightEncoding::Plain,
        });
        let store = cloud.open_or_create(place, wanted.unwrap_or(otherwise)).await?;
        match wanted {
            Some(wanted) if wanted != store.encoding() => {
                let (wanted, found) = (wanted.name(), store.encoding().name());
                let message = format!("`{place}` keeps weights `{found}`, not `{wanted}`");
                Err(Error::invalid(message).with_hint(
                    "leave out `--weights`, or make a store of the other kind by `zoolake copy`",
                ))
            }
            _ => Ok(store),
        }
    }
}
