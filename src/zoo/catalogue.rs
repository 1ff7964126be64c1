//! The zoo specifications that ship with zoolake, by name (`zoos/*.toml`): the
//! demo's, and the 27 of the paper in its order.

use super::spec::Zoo;
use crate::error::Result;

/// A specification that ships with zoolake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// What `zoolake train NAME` takes.
    pub name: &'static str,
    /// The TOML text.
    pub toml: &'static str,
}

impl Published {
    /// The zoo.
    pub fn zoo(&self) -> Result<Zoo> {
        Zoo::from_toml(self.toml).map_err(|error| error.context(self.name))
    }
}

macro_rules! specifications {
    ($($name:literal),+ $(,)?) => {
        &[$(Published {
            name: $name,
            toml: include_str!(concat!("../../zoos/", $name, ".toml")),
        }),+]
    };
}

/// Every specification that ships with zoolake.
pub fn published() -> &'static [Published] {
    specifications![
        "digits_demo",
        "mnist_seed",
        "mnist_hyp_rand",
        "mnist_hyp_fix",
        "fashion_mnist_seed",
        "fashion_mnist_hyp_rand",
        "fashion_mnist_hyp_fix",
        "svhn_seed",
        "svhn_hyp_rand",
        "svhn_hyp_fix",
        "usps_seed",
        "usps_hyp_rand",
        "usps_hyp_fix",
        "cifar10_s_seed",
        "cifar10_s_hyp_rand",
        "cifar10_s_hyp_fix",
        "cifar10_m_seed",
        "cifar10_m_hyp_rand",
        "cifar10_m_hyp_fix",
        "stl10_s_seed",
        "stl10_s_hyp_rand",
        "stl10_s_hyp_fix",
        "stl10_m_seed",
        "stl10_m_hyp_rand",
        "stl10_m_hyp_fix",
        "cifar10_resnet18_seed",
        "cifar100_resnet18_seed",
        "tiny_imagenet_resnet18_seed",
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde::Deserialize;

    use super::*;
    use crate::zoo::{Model, Seeds};

    #[test]
    fn every_published_zoo_parses_and_is_named_like_its_file() {
        for published in published() {
            assert_eq!(published.zoo().unwrap().name(), published.name);
        }
    }

    #[test]
    fn every_file_in_zoos_is_published() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/zoos");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let mut names: Vec<String> =
            published().iter().map(|zoo| format!("{}.toml", zoo.name)).collect();
        names.sort();
        assert_eq!(files, names);
    }

    /// What Ray Tune made of the published search spaces
    /// (`python/make_enumeration_fixture.py`).
    #[derive(Deserialize)]
    struct Enumeration {
        zoo: String,
        models: usize,
        epochs: usize,
        batch_size: usize,
        trials: Vec<Trial>,
    }

    #[derive(Deserialize)]
    struct Trial {
        index: usize,
        dropout: f64,
        init: String,
        activation: String,
        lr: f64,
        optimizer: String,
        weight_decay: f64,
        /// Where the published zoo fixed it.
        seed: Option<u64>,
    }

    fn assert_is(model: &Model, trial: &Trial) {
        let hyper = &model.hyper;
        assert_eq!(
            (hyper.activation.name(), hyper.init.name(), hyper.optimizer.name()),
            (trial.activation.as_str(), trial.init.as_str(), trial.optimizer.as_str()),
            "{}",
            model.name
        );
        assert_eq!(
            (hyper.dropout, hyper.lr, hyper.weight_decay),
            (trial.dropout, trial.lr, trial.weight_decay),
            "{}",
            model.name
        );
        assert!(trial.seed.is_none_or(|seed| seed == hyper.seed), "{}", model.name);
    }

    #[test]
    fn the_27_zoos_are_enumerated_as_ray_tune_does() {
        let json = include_str!("../../tests/fixtures/zoo/enumeration.json");
        let enumerations: Vec<Enumeration> = serde_json::from_str(json).unwrap();
        let names: Vec<&str> = published().iter().map(|zoo| zoo.name).collect();
        assert!(enumerations.iter().map(|zoo| zoo.zoo.as_str()).eq(names[1..].iter().copied()));
        assert_eq!(enumerations.iter().map(|zoo| zoo.models).sum::<usize>(), 50_360);
        let states = enumerations.iter().map(|zoo| zoo.models * (zoo.epochs + 1)).sum::<usize>();
        assert_eq!(states, 2_415_360 + 51_000 + 2 * 61_000, "the CNNs' and the ResNets'");
        for (enumeration, published) in enumerations.iter().zip(&published()[1..]) {
            let models = published.zoo().unwrap().models();
            assert_eq!(models.len(), enumeration.models, "{}", published.name);
            for trial in &enumeration.trials {
                let model = &models[trial.index];
                assert_is(model, trial);
                assert_eq!(model.hyper.epochs, enumeration.epochs);
                assert_eq!(model.hyper.batch_size, enumeration.batch_size);
                assert_eq!(model.hyper.momentum, 0.9);
            }
            let ids: HashSet<i64> = models.iter().map(|model| model.id).collect();
            assert_eq!(ids.len(), models.len(), "{}", published.name);
        }
    }

    #[test]
    fn hyp_10_rand_draws_ten_seeds_below_a_million_in_each_cell() {
        let rand: Vec<Zoo> = published()
            .iter()
            .filter(|published| published.name.ends_with("_rand"))
            .map(|published| published.zoo().unwrap())
            .collect();
        assert_eq!(rand.len(), 8);
        for zoo in rand {
            let random = Seeds::Random { per_cell: 10, below: 1_000_000, seed: 42 };
            assert_eq!(zoo.grid().seeds, random);
            assert!(zoo.models().iter().all(|model| model.hyper.seed < 1_000_000));
        }
    }

    /// Stored ids follow from them: these values may never change.
    #[test]
    fn random_seeds_of_a_published_zoo_are_frozen() {
        let zoo = published().iter().find(|zoo| zoo.name == "mnist_hyp_rand").unwrap();
        let models = zoo.zoo().unwrap().models();
        let seeds = [0, 1, 256, 2559].map(|index: usize| models[index].hyper.seed);
        assert_eq!(seeds, [221_049, 916_273, 693_434, 221_534]);
    }
}
