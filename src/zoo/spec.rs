//! A zoo specification: TOML in, models out.

use std::fmt::Debug;

use serde::Deserialize;
use toml::Value;

use super::grid::Grid;
use super::hyper::{Activation, Init, Optimizer, Scheduler};
use super::model::Model;
use super::seeds::Seeds;
use crate::arch::Arch;
use crate::dataset;
use crate::error::{Error, Result};

/// Above this a grid is a slip of the pen; expanding it would fill the memory.
const MAX_MODELS: usize = 10_000_000;

/// A population of models: one data set, one architecture, a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Zoo {
    name: String,
    dataset: String,
    arch: Arch,
    epochs: usize,
    grid: Grid,
}

/// The TOML file as it is written; every key is checked by [`Zoo::from_toml`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Value,
    dataset: Value,
    arch: Value,
    epochs: Value,
    seeds: Value,
    hyper: HyperTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HyperTable {
    activation: Value,
    init: Value,
    optimizer: Value,
    scheduler: Option<Value>,
    lr: Value,
    weight_decay: Option<Value>,
    dropout: Option<Value>,
    momentum: Option<Value>,
    batch_size: Option<Value>,
}

impl Zoo {
    /// Reads a specification. Every error names the key, the value and what is
    /// allowed.
    pub fn from_toml(toml: &str) -> Result<Self> {
        let file: File = toml::from_str(toml).map_err(|error| syntax_error(toml, &error))?;
        let zoo = Self {
            name: zoo_name(text(&file.name))?,
            dataset: dataset_name(text(&file.dataset))?,
            arch: Arch::by_name(&text(&file.arch))?,
            epochs: integer("epochs", &file.epochs, 1, 1_000_000)?,
            grid: file.hyper.grid(Seeds::parse(&file.seeds)?)?,
        };
        if zoo.grid.is_empty() {
            return Err(Error::invalid("`seeds` is empty: expected at least one seed"));
        }
        if let Seeds::Same(seeds) = &zoo.grid.seeds {
            distinct("seeds", seeds)?;
        }
        zoo.grid.momentum_counts()?;
        match zoo.grid.len() {
            Some(models) if models <= MAX_MODELS => Ok(zoo),
            _ => Err(Error::invalid(format!(
                "zoo `{}` has more than {MAX_MODELS} models: split its grid over several zoos",
                zoo.name
            ))),
        }
    }

    /// The name, as in the `zoo` column.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of the data set.
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// The architecture of every model.
    pub fn arch(&self) -> &Arch {
        &self.arch
    }

    /// Training epochs of every model.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// The grid.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Every model, in the published enumeration order: the seed turns slowest.
    pub fn models(&self) -> Vec<Model> {
        self.first_models(usize::MAX)
    }

    /// The first `count` of [`Self::models`].
    pub fn first_models(&self, count: usize) -> Vec<Model> {
        let cells = self.grid.cells().unwrap_or(0);
        let model = |index: usize, seed| {
            let hyper = self.grid.cell(index % cells, self.epochs, seed);
            Model::new(&self.name, index, &self.dataset, self.arch.name(), hyper)
        };
        let seeds: Vec<_> = (0..cells.min(count))
            .map(|cell| self.grid.seeds.of_cell(|seed| model(cell, seed).id))
            .collect();
        (0..self.grid.len().unwrap_or(0).min(count))
            .map(|index| model(index, seeds[index % cells][index / cells]))
            .collect()
    }
}

impl HyperTable {
    /// Defaults are those of every published CNN zoo (specification, section 1.1).
    fn grid(&self, seeds: Seeds) -> Result<Grid> {
        let or = |value: &Option<Value>, default: f64| match value {
            Some(value) => value.clone(),
            None => Value::Float(default),
        };
        let constant = || Value::String(Scheduler::Constant.name().to_owned());
        let scheduler = self.scheduler.clone().unwrap_or_else(constant);
        let batch_size = self.batch_size.clone().unwrap_or(Value::Integer(10));
        let unit = |value: f64| (0.0..1.0).contains(&value);
        Ok(Grid {
            activation: axis("activation", &self.activation, |value| {
                Activation::by_name(&text(value))
            })?,
            init: axis("init", &self.init, |value| Init::by_name(&text(value)))?,
            optimizer: axis("optimizer", &self.optimizer, |value| {
                Optimizer::by_name(&text(value))
            })?,
            scheduler: axis("scheduler", &scheduler, |value| Scheduler::by_name(&text(value)))?,
            // Engines compute in single precision.
            lr: numbers("lr", &self.lr, "a number from 1e-37 to 1e38", |lr| {
                (1e-37..=1e38).contains(&lr)
            })?,
            weight_decay: numbers(
                "weight_decay",
                &or(&self.weight_decay, 0.0),
                "a number of at least 0",
                |decay| decay >= 0.0,
            )?,
            dropout: numbers("dropout", &or(&self.dropout, 0.0), "a rate in [0, 1)", unit)?,
            momentum: numbers("momentum", &or(&self.momentum, 0.9), "a number in [0, 1)", unit)?,
            batch_size: axis("batch_size", &batch_size, |value| {
                integer("batch_size", value, 1, 1_000_000)
            })?,
            seeds,
        })
    }
}

/// Which data sets there are depends on the data folder, so that a wrong name
/// shows when it is loaded.
fn dataset_name(name: String) -> Result<String> {
    dataset::check_name(&name)?;
    Ok(name)
}

/// The values of one axis: a list, or a single value.
fn axis<T: Debug>(key: &str, value: &Value, parse: impl Fn(&Value) -> Result<T>) -> Result<Vec<T>> {
    let values = match value {
        Value::Array(items) => items.iter().map(parse).collect::<Result<Vec<T>>>()?,
        single => vec![parse(single)?],
    };
    if values.is_empty() {
        return Err(Error::invalid(format!(
            "`{key}` is `[]`, so the grid is empty: expected at least one value"
        )));
    }
    distinct(key, &values)?;
    Ok(values)
}

fn numbers(
    key: &str,
    value: &Value,
    allowed: &str,
    is_allowed: impl Fn(f64) -> bool,
) -> Result<Vec<f64>> {
    axis(key, value, |item| {
        let number = item.as_float().or_else(|| item.as_integer().map(|integer| integer as f64));
        number
            .filter(|number| number.is_finite() && is_allowed(*number))
            // -0.0 and 0.0 are one value and must have one model id.
            .map(|number| number + 0.0)
            .ok_or_else(|| Error::invalid(format!("{key} `{item}`: expected {allowed}")))
    })
}

fn integer(key: &str, value: &Value, min: usize, max: usize) -> Result<usize> {
    value
        .as_integer()
        .and_then(|integer| usize::try_from(integer).ok())
        .filter(|integer| (min..=max).contains(integer))
        .ok_or_else(|| {
            Error::invalid(format!("{key} `{value}`: expected an integer from {min} to {max}"))
        })
}

/// Two equal values on one axis would be the same model twice.
fn distinct<T: Debug>(key: &str, values: &[T]) -> Result<()> {
    let mut texts: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    texts.sort_unstable();
    match texts.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(Error::invalid(format!(
            "`{key}` has the value `{}` twice: each value may stand once",
            pair[0].to_lowercase()
        ))),
    }
}

/// A string's content, or what was written instead of a string.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Zoo names become part of model names and of SQL literals.
fn zoo_name(name: String) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
        return Err(Error::invalid(format!(
            "name `{}`: expected 1 to 100 letters, digits, `_`, `-` or `.`",
            name.escape_debug()
        )));
    }
    Ok(name)
}

fn syntax_error(text: &str, error: &toml::de::Error) -> Error {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => {
            let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
            Error::invalid(format!("line {line}: {message}"))
        }
        None => Error::invalid(message),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SPEC: &str = r#"
        name = "tiny"
        dataset = "digits"
        arch = "cnn_s"
        epochs = 2
        seeds = [1, 2]
        [hyper]
        activation = ["tanh", "relu"]
        init = "normal"
        optimizer = "sgd"
        lr = [1e-3, 1]
    "#;

    fn error(from: &str, to: &str) -> String {
        assert!(SPEC.contains(from), "{from}");
        Zoo::from_toml(&SPEC.replace(from, to)).unwrap_err().to_string()
    }

    #[test]
    fn lists_are_axes_and_the_rest_has_the_published_defaults() {
        let models = Zoo::from_toml(SPEC).unwrap().models();
        assert_eq!(models.len(), 8);
        assert_eq!(models[0].hyper.batch_size, 10);
        assert_eq!(models[0].hyper.momentum, 0.9);
        assert_eq!(models[2].hyper.lr, 1.0);
        assert_eq!(models[7].name, "tiny/00007");
        assert_eq!(models[7].hyper.seed, 2);
    }

    #[test]
    fn a_range_of_seeds_includes_both_ends() {
        let text = SPEC.replace("[1, 2]", "{ from = 3, to = 5 }");
        assert_eq!(Zoo::from_toml(&text).unwrap().grid().seeds, Seeds::Same(vec![3, 4, 5]));
    }

    #[test]
    fn random_seeds_are_drawn_for_each_cell_and_stay_when_the_grid_grows() {
        let text = SPEC.replace("[1, 2]", "{ random = 3, below = 1000, seed = 42 }");
        let models = Zoo::from_toml(&text).unwrap().models();
        assert_eq!(models.len(), 4 * 3);
        let seeds: Vec<u64> = models.iter().map(|model| model.hyper.seed).collect();
        assert_ne!(seeds[0], seeds[1], "another cell");
        assert_ne!(seeds[0], seeds[4], "another draw of the same cell");
        let grown = text.replace("random = 3", "random = 4").replace("lr = [", "lr = [0.5, ");
        let grown = Zoo::from_toml(&grown).unwrap().models();
        let ids: HashSet<i64> = grown.iter().map(|model| model.id).collect();
        assert_eq!(ids.len(), 6 * 4);
        assert!(models.iter().all(|model| ids.contains(&model.id)));
    }

    #[test]
    fn errors_name_the_key_the_value_and_what_is_allowed() {
        let cases = [
            ("lr = [1e-3, 1]", "lr = [0.1, -1]", "lr `-1`: expected a number from 1e-37 to 1e38"),
            ("lr = [1e-3, 1]", "lr = nan", "lr `nan`: expected a number from 1e-37 to 1e38"),
            (
                "lr = [1e-3, 1]",
                "lr = []",
                "`lr` is `[]`, so the grid is empty: expected at least one value",
            ),
            (
                "lr = [1e-3, 1]",
                "lr = [1, 1.0]",
                "`lr` has the value `1.0` twice: each value may stand once",
            ),
            ("lr = [1e-3, 1]", "lr = 1\n dropout = 1", "dropout `1`: expected a rate in [0, 1)"),
            (
                "lr = [1e-3, 1]",
                "lr = 1\n batch_size = 0",
                "batch_size `0`: expected an integer from 1 to 1000000",
            ),
            (
                "\"normal\"",
                "3",
                "unknown init `3`: expected one of `uniform`, `normal`, `kaiming_uniform`, `kaiming_normal`",
            ),
            (
                "\"relu\"",
                "\"rely\"",
                "unknown activation `rely`: expected one of `tanh`, `sigmoid`, `relu`, `gelu`, `leaky_relu`, `silu`",
            ),
            (
                "\"cnn_s\"",
                "\"resnet\"",
                "unknown arch `resnet`: expected one of `cnn_s`, `cnn_s_rgb`, `cnn_m`, `resnet18_c10`, `resnet18_c100`, `resnet18_c200`",
            ),
            (
                "lr = [1e-3, 1]",
                "lr = 1\n scheduler = \"cosine\"",
                "unknown scheduler `cosine`: expected one of `constant`, `one_cycle`",
            ),
            ("epochs = 2", "epochs = 0", "epochs `0`: expected an integer from 1 to 1000000"),
            (
                "epochs = 2",
                "epochs = 2\n epoch = 3",
                "line 6: unknown field `epoch`, expected one of `name`, `dataset`, `arch`, `epochs`, `seeds`, `hyper`",
            ),
            (
                "seeds = [1, 2]",
                "seeds = [1, -2]",
                "seed `-2` in `seeds`: expected an integer from 0 to 9223372036854775807",
            ),
            (
                "seeds = [1, 2]",
                "seeds = [7, 7]",
                "`seeds` has the value `7` twice: each value may stand once",
            ),
            ("seeds = [1, 2]", "seeds = []", "`seeds` is empty: expected at least one seed"),
            (
                "seeds = [1, 2]",
                "seeds = { from = 2, to = 1 }",
                "`seeds` from `2` to `1`: expected 1 to 10000000 seeds, both ends included",
            ),
            (
                "seeds = [1, 2]",
                "seeds = { from = 2 }",
                "`seeds` lacks `to`: expected a list such as `[1, 2, 3]`, a range such as `{ from = 1, to = 1000 }`, or random ones such as `{ random = 10, below = 1000000, seed = 42 }`",
            ),
            (
                "seeds = [1, 2]",
                "seeds = { random = 3, to = 9 }",
                "unknown key of `seeds` `to`: expected one of `random`, `below`, `seed`",
            ),
            (
                "seeds = [1, 2]",
                "seeds = { random = 3, below = 2, seed = 1 }",
                "`seeds` has `3` random ones below `2`: expected 1 to 10000000, and no more than there are",
            ),
            (
                "\"tiny\"",
                "\"a b\"",
                "name `a b`: expected 1 to 100 letters, digits, `_`, `-` or `.`",
            ),
        ];
        for (from, to, message) in cases {
            assert_eq!(error(from, to), message);
        }
        assert!(error("lr = [1e-3, 1]", "lr = 1e-38").ends_with("a number from 1e-37 to 1e38"));
        assert!(error("seeds = [1, 2]", "").contains("missing field `seeds`"));
        assert!(error("init =", "init").starts_with("line 9: "));
    }

    #[test]
    fn adam_has_no_momentum_to_vary() {
        let varied = SPEC.replace("lr = [1e-3, 1]", "lr = 1\n momentum = [0, 0.9]");
        assert_eq!(Zoo::from_toml(&varied).unwrap().models().len(), 8);
        let text = varied.replace("\"sgd\"", "[\"sgd\", \"adam\"]");
        assert!(
            Zoo::from_toml(&text).unwrap_err().to_string().contains("`adam`, which ignores it")
        );
        let text = varied.replace("\"sgd\"", "\"sgd\"\nscheduler = \"one_cycle\"");
        let message = Zoo::from_toml(&text).unwrap_err().to_string();
        assert!(message.contains("`one_cycle`, which sets it"), "{message}");
    }

    #[test]
    fn a_grid_too_large_to_expand_is_refused() {
        let text = SPEC.replace("seeds = [1, 2]", "seeds = { from = 0, to = 9999999 }");
        let message = Zoo::from_toml(&text).unwrap_err().to_string();
        assert_eq!(
            message,
            "zoo `tiny` has more than 10000000 models: split its grid over several zoos"
        );
    }
}
