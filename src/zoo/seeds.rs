//! The `seeds` key of a zoo specification: a list or a range.

use toml::Value;

use crate::error::{Error, Result};

const ALLOWED: &str = "a list such as `[1, 2, 3]` or a range such as `{ from = 1, to = 1000 }`";

/// More seeds than this in one range is a slip of the pen: the largest
/// published zoo has 4,320 models.
const MAX_SEEDS: u64 = 10_000_000;

/// The seeds that `value` stands for.
pub(super) fn parse(value: &Value) -> Result<Vec<u64>> {
    match value {
        Value::Array(items) => items.iter().map(seed).collect(),
        Value::Table(range) => {
            if let Some(key) = range.keys().find(|key| !["from", "to"].contains(&key.as_str())) {
                return Err(Error::not_allowed("key of `seeds`", key, &["from", "to"]));
            }
            let bound = |key| {
                seed(range.get(key).ok_or_else(|| {
                    Error::invalid(format!("`seeds` lacks `{key}`: expected {ALLOWED}"))
                })?)
            };
            let (from, to) = (bound("from")?, bound("to")?);
            if to < from || to - from >= MAX_SEEDS {
                return Err(Error::invalid(format!(
                    "`seeds` from `{from}` to `{to}`: expected 1 to {MAX_SEEDS} seeds, both ends included"
                )));
            }
            Ok((from..=to).collect())
        }
        other => Err(Error::invalid(format!("`seeds` is `{other}`: expected {ALLOWED}"))),
    }
}

fn seed(value: &Value) -> Result<u64> {
    value.as_integer().and_then(|seed| u64::try_from(seed).ok()).ok_or_else(|| {
        Error::invalid(format!(
            "seed `{value}` in `seeds`: expected an integer from 0 to {}",
            i64::MAX
        ))
    })
}
