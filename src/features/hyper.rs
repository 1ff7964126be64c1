//! `hyper`.

use std::collections::BTreeSet;

use arrow::array::AsArray;
use async_trait::async_trait;

use super::call::Call;
use super::set::{FeatureSet, Frame, literal, literals, quoted};
use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::sql::Session;

/// Numeric hyperparameters: column of `models`, and what stands for NULL, if
/// anything does. An optimiser without momentum has a momentum of 0, and so has one
/// whose schedule sets it, which the column of the schedule tells.
const NUMERIC: [(&str, Option<&str>); 6] = [
    ("lr", None),
    ("weight_decay", None),
    ("dropout", None),
    ("momentum", Some("0.0")),
    ("batch_size", None),
    ("epochs", None),
];

/// Hyperparameters that are one of several words. No word (NULL) is 0 in every column.
const CATEGORICAL: [&str; 4] = ["activation", "init", "optimizer", "scheduler"];

/// How a model was trained. The seed is left out: it has no order and never recurs.
pub(super) struct Hyper;

#[async_trait]
impl FeatureSet for Hyper {
    fn name(&self) -> &'static str {
        "hyper"
    }

    fn about(&self) -> &'static str {
        "numeric hyperparameters, and categorical ones one-hot, with a column for each value in the store"
    }

    fn source(&self) -> &'static str {
        "Unterthiner et al. 2020, arXiv 2002.11448, hyper"
    }

    fn dimension(&self, _arch: &Arch) -> Option<usize> {
        None
    }

    fn of_weights(&self) -> bool {
        false
    }

    async fn frame(&self, session: &Session, call: &Call) -> Result<Frame> {
        let mut names: Vec<String> = NUMERIC.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut features = NUMERIC
            .map(|(name, missing)| match missing {
                Some(value) => format!("coalesce(CAST(m.{name} AS DOUBLE), {value}) AS {name}"),
                None => format!("CAST(m.{name} AS DOUBLE) AS {name}"),
            })
            .to_vec();
        for (place, values) in categories(session).await?.into_iter().enumerate() {
            let column = CATEGORICAL[place];
            for value in values {
                let name = format!("{column}={value}");
                let is = format!("m.{column} = {}", literal(&value));
                features.push(format!("CASE WHEN {is} THEN 1.0 ELSE 0.0 END AS {}", quoted(&name)));
                names.push(name);
            }
        }
        let query = format!(
            "SELECT e.model_id, e.epoch, {} FROM epochs e JOIN models m ON e.model_id = m.model_id{}",
            features.join(", "),
            of_archs(call)
        );
        Ok(Frame::of_models(names, query))
    }
}

/// The condition on `m`, the models, that they are of one of the architectures.
pub(super) fn of_archs(call: &Call) -> String {
    let names: Vec<&str> = call.archs.iter().map(Arch::name).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" WHERE m.arch IN ({})", literals(&names))
    }
}

/// The values in the store of each categorical hyperparameter, in order.
async fn categories(session: &Session) -> Result<Vec<BTreeSet<String>>> {
    let sql = format!("SELECT DISTINCT {} FROM models", CATEGORICAL.join(", "));
    let mut values = vec![BTreeSet::new(); CATEGORICAL.len()];
    for batch in session.sql(&sql).await?.collect().await? {
        for (column, values) in batch.columns().iter().zip(&mut values) {
            let column = column
                .as_string_opt::<i32>()
                .ok_or_else(|| Error::internal("a categorical hyperparameter is no text"))?;
            values.extend(column.iter().flatten().map(str::to_owned));
        }
    }
    Ok(values)
}
