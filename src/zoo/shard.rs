//! One of several parts of a zoo, for machines that train it together.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::random::shuffle;

/// More parts than this is a slip of the pen.
const MAX_COUNT: u32 = 1_000_000;

/// Part `number` of `count`.
///
/// Models are dealt like cards: of each `count` consecutive ones every part gets
/// one, in an order that is shuffled anew for each such round, always in the same
/// way. So the sizes of the parts differ by one at most, also over the first N
/// models of a grid, and every part sees all values of every axis: in blocks or
/// in plain turns, all models of one slow activation could fall to one machine.
/// Which part a model belongs to depends on its index in the grid and on `count`
/// alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    number: u32,
    count: u32,
}

impl Shard {
    /// Part `number`, from 1 to `count`.
    ///
    /// # Errors
    /// `Invalid` for a part there is not.
    pub fn new(number: u32, count: u32) -> Result<Self> {
        if !(1..=MAX_COUNT).contains(&count) {
            return Err(Error::invalid(format!(
                "`{count}` shards: expected a number from 1 to {MAX_COUNT}"
            )));
        }
        if !(1..=count).contains(&number) {
            return Err(Error::invalid(format!(
                "shard `{number}` of `{count}`: expected a number from 1 to {count}"
            )));
        }
        Ok(Self { number, count })
    }

    /// What this part has of `models`, which stand in the order of the grid from
    /// its beginning.
    pub fn of<T>(self, models: Vec<T>) -> Vec<T> {
        let mut round: Vec<u32> = Vec::new();
        let mut mine = Vec::with_capacity(models.len() / self.count as usize + 1);
        for (index, model) in models.into_iter().enumerate() {
            let place = index % self.count as usize;
            if place == 0 {
                round = (1..=self.count).collect();
                shuffle(&mut ChaCha8Rng::seed_from_u64(index as u64), &mut round);
            }
            if round[place] == self.number {
                mine.push(model);
            }
        }
        mine
    }
}

/// As `--shard` takes it: `2/8`.
impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::{Activation, Model, published};

    fn shards<T: Clone>(models: &[T], count: u32) -> Vec<Vec<T>> {
        let shard = |number| Shard::new(number, count).unwrap().of(models.to_vec());
        (1..=count).map(shard).collect()
    }

    #[test]
    fn shards_are_disjoint_and_complete_and_of_one_size() {
        for (models, count) in [(10, 3), (2560, 7), (48, 1), (3, 8), (0, 2)] {
            let models: Vec<usize> = (0..models).collect();
            let shards = shards(&models, count);
            let sizes = shards.iter().map(Vec::len);
            assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
            let mut all = shards.concat();
            all.sort_unstable();
            assert_eq!(all, models);
        }
    }

    #[test]
    fn a_limit_changes_no_models_shard() {
        let models: Vec<usize> = (0..100).collect();
        for (all, first) in shards(&models, 6).iter().zip(shards(&models[..20], 6)) {
            assert_eq!(all[..first.len()], first);
        }
    }

    /// 32 combinations of dropout, initialisation and activation turn fastest: in
    /// plain turns each of 32 machines would have one of them, and a quarter of
    /// the machines all models with the slow activation.
    #[test]
    fn every_shard_has_its_share_of_every_activation() {
        let zoo = published().iter().find(|zoo| zoo.name == "mnist_hyp_fix").unwrap();
        let models = zoo.zoo().unwrap().models();
        for count in [2, 4, 8, 10, 16, 32] {
            for shard in shards(&models, count) {
                let gelu = |model: &&Model| model.hyper.activation == Activation::Gelu;
                let share = shard.iter().filter(gelu).count() as f64 / shard.len() as f64;
                // A quarter, standard deviation 0.05 in a shard of 80.
                assert!((0.1..0.4).contains(&share), "{share} of {count} shards");
            }
        }
    }

    #[test]
    fn there_is_no_shard_0_and_no_shard_5_of_4() {
        for (number, count, message) in [
            (0, 4, "shard `0` of `4`: expected a number from 1 to 4"),
            (5, 4, "shard `5` of `4`: expected a number from 1 to 4"),
            (1, 0, "`0` shards: expected a number from 1 to 1000000"),
        ] {
            assert_eq!(Shard::new(number, count).unwrap_err().to_string(), message);
        }
    }
}
