//! The states that are studied: which they are, and what is to be told of them.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::matrix::{Collector, Matrix};
use super::target::Target;
use crate::error::{Error, Result};
use crate::features::{Epochs, Query};
use crate::sql::Session;

/// Columns of `states` that name a model rather than describe it.
const NAMES: [&str; 4] = ["model_id", "name", "parent_id", "extra"];

/// Which states are studied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Of these zoos; of all if there are none.
    pub zoos: Vec<String>,
    /// Zoos that are the test part; they are selected too.
    pub test_zoos: Vec<String>,
    /// Of which epochs.
    pub epochs: Epochs,
    /// Only those for which this SQL condition on columns of `states` holds.
    pub filter: Option<String>,
}

impl Selection {
    /// Every zoo it names.
    pub(super) fn all_zoos(&self) -> Vec<String> {
        // Without zoos to learn from, all are selected.
        match self.zoos.is_empty() {
            true => Vec::new(),
            false => self.zoos.iter().chain(&self.test_zoos).cloned().collect(),
        }
    }

    /// The condition in SQL.
    fn condition(&self) -> String {
        let mut all = vec![condition_on(self.epochs)];
        let zoos = self.all_zoos();
        if !zoos.is_empty() {
            let quoted = zoos.iter().map(|zoo| format!("'{}'", zoo.replace('\'', "''")));
            all.push(format!("zoo IN ({})", quoted.collect::<Vec<_>>().join(", ")));
        }
        all.extend(self.filter.as_ref().map(|filter| format!("({filter})")));
        all.join(" AND ")
    }
}

/// States by model and epoch.
#[derive(Debug)]
pub struct States {
    /// The model of each state, ascending.
    pub model_ids: Vec<i64>,
    /// Its epoch.
    pub epochs: Vec<i64>,
    /// The zoo of the model.
    pub zoos: Vec<String>,
    /// The architectures that occur, sorted.
    pub archs: Vec<String>,
    /// What is to be predicted of them.
    pub targets: Vec<Target>,
    places: HashMap<(i64, i64), usize>,
}

impl States {
    /// The selected states with the columns `targets` of `states`.
    ///
    /// # Errors
    /// `Invalid` if a zoo or a target is unknown, or if nothing is selected.
    pub async fn load(
        session: &Session,
        selection: &Selection,
        targets: &[String],
    ) -> Result<Self> {
        let known = known_targets(session).await?;
        if let Some(target) = targets.iter().find(|target| !known.contains_key(*target)) {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            return Err(Error::not_allowed("target", target, &names));
        }
        check_zoos(session, selection).await?;
        let columns = targets.iter().enumerate();
        let columns = columns.map(|(index, name)| format!(", \"{name}\" AS target_{index}"));
        let sql = format!(
            "SELECT model_id, epoch, zoo, arch{} FROM states WHERE {} ORDER BY model_id, epoch",
            columns.collect::<String>(),
            selection.condition()
        );
        let rows = session.sql(&sql).await?;
        let schema = rows.schema();
        let batch = concat_batches(&schema, &rows.collect().await?)
            .map_err(|error| Error::internal("states do not fit together").with_source(error))?;
        if batch.num_rows() == 0 {
            let message = format!("no state is selected by `{}`", selection.condition());
            return Err(
                Error::invalid(message).with_hint("`zoolake query zoos` lists what the store has")
            );
        }
        let (model_ids, epochs) = (integers(&batch, 0)?, integers(&batch, 1)?);
        let mut archs = texts(&batch, 3)?.into_iter().flatten().collect::<Vec<_>>();
        archs.sort_unstable();
        archs.dedup();
        let target = |(index, name): (usize, &String)| match known[name] {
            true => Target::numbers(name, numbers(&batch, 4 + index)?),
            false => Target::classes(name, texts(&batch, 4 + index)?),
        };
        let keys = model_ids.iter().copied().zip(epochs.iter().copied());
        Ok(Self {
            places: keys.enumerate().map(|(row, key)| (key, row)).collect(),
            zoos: texts(&batch, 2)?.into_iter().flatten().collect(),
            targets: targets.iter().enumerate().map(target).collect::<Result<_>>()?,
            model_ids,
            epochs,
            archs,
        })
    }

    /// Those of `targets` that have more than one value in the selected states, and the others.
    ///
    /// # Errors
    /// As of [`Self::load`].
    pub async fn varying(
        session: &Session,
        selection: &Selection,
        targets: &[String],
    ) -> Result<(Vec<String>, Vec<String>)> {
        check_zoos(session, selection).await?;
        let counts = targets.iter().map(|name| format!("count(DISTINCT \"{name}\")"));
        let counts = counts.collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT {counts} FROM states WHERE {}", selection.condition());
        let batches = session.sql(&sql).await?.collect().await?;
        let varies = |index: usize| -> Result<bool> {
            let counts = batches.iter().map(|batch| integers(batch, index));
            Ok(counts.collect::<Result<Vec<_>>>()?.concat().iter().any(|count| *count > 1))
        };
        let (mut varying, mut constant) = (Vec::new(), Vec::new());
        for (index, name) in targets.iter().enumerate() {
            if varies(index)? { &mut varying } else { &mut constant }.push(name.clone());
        }
        Ok((varying, constant))
    }

    /// The query of the features `set` of these states, which are those of `selection`. If
    /// they are of several architectures, these have a common frame.
    ///
    /// # Errors
    /// As of [`Query::sql`].
    pub(super) async fn query(
        &self,
        session: &Session,
        selection: &Selection,
        set: &str,
    ) -> Result<String> {
        let query = Query {
            set: set.to_owned(),
            archs: self.archs.clone(),
            zoos: selection.all_zoos(),
            epochs: selection.epochs,
            tensors: Vec::new(),
        };
        query.sql(session).await
    }

    /// The features called `set` of these states, which `query` yields.
    ///
    /// # Errors
    /// `Invalid` if states lack features, or have some that are no numbers.
    pub(super) async fn features(
        &self,
        session: &Session,
        set: &str,
        query: &str,
    ) -> Result<Matrix> {
        let mut rows = session.sql(query).await?;
        let mut collector = Collector::new(set, &self.places);
        while let Some(batch) = rows.next().await? {
            collector.add(&batch)?;
        }
        collector.finish()
    }

    /// Number of models.
    pub fn num_models(&self) -> usize {
        self.model_ids.chunk_by(|a, b| a == b).count()
    }

    /// The zoos that occur, sorted.
    pub fn zoo_names(&self) -> Vec<String> {
        let mut names = self.zoos.clone();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The columns of `states` that can be predicted, and whether they are numbers.
async fn known_targets(session: &Session) -> Result<BTreeMap<String, bool>> {
    let schema = session.schema("states").await?;
    let fields = schema.fields().iter().filter(|field| !NAMES.contains(&field.name().as_str()));
    Ok(fields.map(|field| (field.name().clone(), field.data_type().is_numeric())).collect())
}

async fn check_zoos(session: &Session, selection: &Selection) -> Result<()> {
    let rows = session.sql("SELECT DISTINCT zoo FROM models ORDER BY zoo").await?;
    let mut stored = Vec::new();
    for batch in rows.collect().await? {
        stored.extend(texts(&batch, 0)?.into_iter().flatten());
    }
    let names: Vec<&str> = stored.iter().map(String::as_str).collect();
    let mut asked = selection.zoos.iter().chain(&selection.test_zoos);
    match asked.find(|zoo| !stored.contains(zoo)) {
        Some(zoo) if names.is_empty() => {
            Err(Error::invalid(format!("unknown zoo `{zoo}`: the store has no models")))
        }
        Some(zoo) => Err(Error::not_allowed("zoo", zoo, &names)),
        None => Ok(()),
    }
}

/// Epochs as a condition in SQL.
fn condition_on(epochs: Epochs) -> String {
    match epochs {
        Epochs::All => "true".to_owned(),
        Epochs::Last => "epoch = epochs".to_owned(),
        Epochs::Range(first, last) => format!("epoch BETWEEN {first} AND {last}"),
    }
}

fn column(
    batch: &RecordBatch,
    index: usize,
    data_type: &DataType,
) -> Result<arrow::array::ArrayRef> {
    cast(batch.column(index), data_type)
        .map_err(|error| Error::internal("a column of `states`").with_source(error))
}

fn integers(batch: &RecordBatch, index: usize) -> Result<Vec<i64>> {
    Ok(column(batch, index, &DataType::Int64)?.as_primitive::<Int64Type>().values().to_vec())
}

fn numbers(batch: &RecordBatch, index: usize) -> Result<Vec<Option<f64>>> {
    Ok(column(batch, index, &DataType::Float64)?.as_primitive::<Float64Type>().iter().collect())
}

fn texts(batch: &RecordBatch, index: usize) -> Result<Vec<Option<String>>> {
    let texts = column(batch, index, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    Ok((0..texts.len())
        .map(|row| texts.is_valid(row).then(|| texts.value(row).to_owned()))
        .collect())
}
