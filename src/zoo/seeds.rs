//! The `seeds` key of a zoo specification: a list, a range, or random ones.

use std::borrow::Cow;
use std::collections::HashSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use toml::Value;

use crate::error::{Error, Result};
use crate::random::below;

const ALLOWED: &str = "a list such as `[1, 2, 3]`, a range such as `{ from = 1, to = 1000 }`, or \
                       random ones such as `{ random = 10, below = 1000000, seed = 42 }`";

/// More seeds than this in one range is a slip of the pen: the largest
/// published zoo has 4,320 models.
const MAX_SEEDS: u64 = 10_000_000;

/// The seeds that each cell of a grid is trained with. A cell is one choice of
/// all other hyperparameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seeds {
    /// The same seeds for every cell.
    Same(Vec<u64>),
    /// Seeds of its own for every cell, as in the Hyp-10-rand zoos, whose trials
    /// each drew theirs.
    Random {
        /// Seeds of a cell, all different.
        per_cell: u64,
        /// They are uniform below this.
        below: u32,
        /// What they are drawn from, together with the cell.
        seed: u64,
    },
}

impl Seeds {
    /// What the `seeds` key of a specification stands for.
    pub(super) fn parse(value: &Value) -> Result<Self> {
        match value {
            Value::Array(items) => items.iter().map(seed).collect::<Result<_>>().map(Self::Same),
            Value::Table(table) if table.contains_key("random") => random(table),
            Value::Table(table) => range(table),
            other => Err(Error::invalid(format!("`seeds` is `{other}`: expected {ALLOWED}"))),
        }
    }

    /// Seeds per cell.
    pub fn len(&self) -> usize {
        match self {
            Self::Same(seeds) => seeds.len(),
            Self::Random { per_cell, .. } => usize::try_from(*per_cell).unwrap_or(usize::MAX),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The seeds of one cell; `model_id` gives the id that its model with a
    /// certain seed has.
    ///
    /// Random ones come from a ChaCha8 generator started with the id of the model
    /// whose seed is [`Seeds::Random::seed`]. They so depend on what the cell is
    /// and not on where it stands, and a grid that grows, in this or another
    /// axis, keeps the models it had. A draw that the cell has already is drawn
    /// again: it would be the same model twice.
    pub(super) fn of_cell(&self, model_id: impl Fn(u64) -> i64) -> Cow<'_, [u64]> {
        match self {
            Self::Same(seeds) => Cow::Borrowed(seeds),
            Self::Random { below: bound, seed, .. } => {
                let mut rng = ChaCha8Rng::seed_from_u64(model_id(*seed).cast_unsigned());
                let mut taken = HashSet::new();
                let draws = std::iter::repeat_with(|| below(&mut rng, *bound));
                let distinct = draws.filter(|draw| taken.insert(*draw));
                Cow::Owned(distinct.take(self.len()).map(u64::from).collect())
            }
        }
    }
}

fn range(table: &toml::Table) -> Result<Seeds> {
    let [from, to] = values(table, ["from", "to"])?;
    if to < from || to - from >= MAX_SEEDS {
        return Err(Error::invalid(format!(
            "`seeds` from `{from}` to `{to}`: expected 1 to {MAX_SEEDS} seeds, both ends included"
        )));
    }
    Ok(Seeds::Same((from..=to).collect()))
}

fn random(table: &toml::Table) -> Result<Seeds> {
    let [per_cell, below, seed] = values(table, ["random", "below", "seed"])?;
    let below = u32::try_from(below).map_err(|_| {
        Error::invalid(format!("`seeds` below `{below}`: expected at most {}", u32::MAX))
    })?;
    if !(1..=MAX_SEEDS.min(below.into())).contains(&per_cell) {
        return Err(Error::invalid(format!(
            "`seeds` has `{per_cell}` random ones below `{below}`: expected 1 to {MAX_SEEDS}, and \
             no more than there are"
        )));
    }
    Ok(Seeds::Random { per_cell, below, seed })
}

/// The values of exactly these keys.
fn values<const N: usize>(table: &toml::Table, keys: [&str; N]) -> Result<[u64; N]> {
    if let Some(key) = table.keys().find(|key| !keys.contains(&key.as_str())) {
        return Err(Error::not_allowed("key of `seeds`", key, &keys));
    }
    let mut values = [0; N];
    for (value, key) in values.iter_mut().zip(keys) {
        *value = seed(table.get(key).ok_or_else(|| {
            Error::invalid(format!("`seeds` lacks `{key}`: expected {ALLOWED}"))
        })?)?;
    }
    Ok(values)
}

fn seed(value: &Value) -> Result<u64> {
    value.as_integer().and_then(|seed| u64::try_from(seed).ok()).ok_or_else(|| {
        Error::invalid(format!(
            "seed `{value}` in `seeds`: expected an integer from 0 to {}",
            i64::MAX
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds of cell `cell` if its ids are these.
    fn draw(per_cell: u64, bound: u32, cell: i64) -> Vec<u64> {
        let seeds = Seeds::Random { per_cell, below: bound, seed: 42 };
        seeds.of_cell(|seed| cell + seed.cast_signed()).into_owned()
    }

    /// Models are named by their seeds: these values may never change.
    #[test]
    fn random_seeds_are_frozen() {
        assert_eq!(draw(4, 1_000_000, 7), [185_515, 527_347, 200_021, 944_099]);
    }

    #[test]
    fn cells_have_seeds_of_their_own_and_more_of_them_begin_alike() {
        assert_ne!(draw(10, 1_000_000, 1), draw(10, 1_000_000, 2));
        assert_eq!(draw(20, 1_000_000, 1)[..10], draw(10, 1_000_000, 1));
    }

    #[test]
    fn no_seed_comes_twice_in_a_cell() {
        let mut seeds = draw(100, 100, 3);
        assert_ne!(seeds[..3], [0, 1, 2]);
        seeds.sort_unstable();
        assert_eq!(seeds, (0..100).collect::<Vec<u64>>());
    }
}
