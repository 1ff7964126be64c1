//! How a store keeps the values of its weights: decided when it is created, and so the
//! same in every file that is written there. Readers take what a file says of itself.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How the values of weights lie in the files of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightEncoding {
    /// Split by bytes and compressed: a sixth smaller.
    #[default]
    Split,
    /// As they are in memory: a fifth larger, written faster, and read more than twice as
    /// fast as long as the disk keeps up.
    Plain,
}

impl WeightEncoding {
    /// Its name: `split` or `plain`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Plain => "plain",
        }
    }

    /// Whether it is what stores have if nothing else is said.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What it is in Parquet. Weights are near random bits: only splitting their bytes
    /// lets zstd find the exponents (measured: 84 % of the raw size, `docs/storage.md`).
    pub(super) fn in_parquet(self) -> Result<(Encoding, Compression)> {
        Ok(match self {
            Self::Split => {
                let level = ZstdLevel::try_new(1)
                    .map_err(|error| Error::internal("zstd level 1").with_source(error))?;
                (Encoding::BYTE_STREAM_SPLIT, Compression::ZSTD(level))
            }
            Self::Plain => (Encoding::PLAIN, Compression::UNCOMPRESSED),
        })
    }
}
