//! What a writer does to a store. A further operation is a line of [`Operation`]
//! and one of each function.

use std::ops::Range;
use std::sync::LazyLock;

use zoolake::store::{Store, Writer};
use zoolake::train::Trained;
use zoolake::{Kind, Result};

use crate::fixture::synthetic;

/// Something that can be done again if it failed, with the same result.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// Models are committed, of which others may have committed some.
    Commit(Range<usize>),
    /// Small files are merged.
    Compact,
    /// Every model is dropped, if there is any.
    Drop,
}

/// Models that operations are about, with a state each.
pub(super) const MODELS: usize = 48;

static TRAINED: LazyLock<Vec<Trained>> =
    LazyLock::new(|| (0..MODELS as u32).map(|index| synthetic(index, 0)).collect());

impl Operation {
    pub(super) async fn run(&self, store: &Store, writer: &mut Writer) -> Result<()> {
        match self {
            Self::Commit(models) => {
                writer.commit(&TRAINED[models.clone()], "train").await.map(drop)
            }
            Self::Compact => store.compact(&|_| ()).await.map(drop),
            Self::Drop => match store.drop_zoo(&TRAINED[0].model.zoo).await {
                Err(error) if error.kind() == Kind::Invalid => Ok(()),
                dropped => dropped.map(drop),
            },
        }
    }

    /// Whether it is tried until it succeeds. What reads and writes the whole store
    /// takes more requests than go well in a row where it is rough.
    pub(super) fn insists(&self) -> bool {
        matches!(self, Self::Commit(_))
    }

    /// The models that have been committed, now or before, when it is done.
    pub(super) fn commits(&self) -> Vec<i64> {
        match self {
            Self::Commit(models) => {
                TRAINED[models.clone()].iter().map(|trained| trained.model.id).collect()
            }
            Self::Compact | Self::Drop => Vec::new(),
        }
    }
}
