//! The weights of a state: in memory, or on disk until they are stored.

use std::borrow::Cow;
use std::sync::Arc;

use super::work::Desk;
use crate::error::Result;

/// All parameters and running statistics of a state, flattened in layout order.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// In memory.
    Held(Vec<f32>),
    /// On the desk of a model whose states together are too large for memory.
    Kept(Kept),
}

/// Weights that lie on a model's desk.
#[derive(Debug, Clone)]
pub struct Kept {
    pub(super) desk: Arc<Desk>,
    pub(super) epoch: usize,
    pub(super) len: usize,
    pub(super) finite: bool,
}

impl Weights {
    /// The values, read from disk if they lie there.
    ///
    /// # Errors
    /// `Corrupt` if the file is not as it was written.
    pub fn read(&self) -> Result<Cow<'_, [f32]>> {
        match self {
            Self::Held(values) => Ok(Cow::Borrowed(values)),
            Self::Kept(Kept { desk, epoch, .. }) => desk.weights(*epoch).map(Cow::Owned),
        }
    }

    /// Whether no value is NaN or infinite.
    pub fn is_finite(&self) -> bool {
        match self {
            Self::Held(values) => values.iter().all(|value| value.is_finite()),
            Self::Kept(kept) => kept.finite,
        }
    }

    /// Bytes of the values, wherever they are.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Held(values) => size_of_val(values.as_slice()),
            Self::Kept(kept) => kept.len * size_of::<f32>(),
        }
    }
}

impl From<Vec<f32>> for Weights {
    fn from(values: Vec<f32>) -> Self {
        Self::Held(values)
    }
}

/// The same place, not the same values.
impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.desk, &other.desk) && self.epoch == other.epoch
    }
}
