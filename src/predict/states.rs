//! The states that are studied: which they are, and what is to be told of them.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::collector::{Collector, Gaps};
use super::matrix::Matrix;
use super::split::Splitting;
use super::target::Target;
use crate::error::{Error, Result};
use crate::features::{Epochs, LAST, Query};
use crate::sql::{Rows, Session};

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

    /// The states in SQL: a table and a condition on it.
    fn sql(&self) -> String {
        let states = match self.epochs {
            Epochs::Last => format!(
                "(SELECT s.* FROM states s JOIN {LAST} l ON s.model_id = l.model_id AND s.epoch = l.epoch)"
            ),
            _ => "states".to_owned(),
        };
        format!("{states} WHERE {}", self.condition())
    }

    fn condition(&self) -> String {
        let mut all = Vec::new();
        if let Epochs::Range(first, last) = self.epochs {
            all.push(format!("epoch BETWEEN {first} AND {last}"));
        }
        let zoos = self.all_zoos();
        if !zoos.is_empty() {
            let quoted = zoos.iter().map(|zoo| format!("'{}'", zoo.replace('\'', "''")));
            all.push(format!("zoo IN ({})", quoted.collect::<Vec<_>>().join(", ")));
        }
        all.extend(self.filter.as_ref().map(|filter| format!("({filter})")));
        if all.is_empty() { "true".to_owned() } else { all.join(" AND ") }
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
    /// The selected states that have a part in `splitting`, with the columns `targets` of
    /// `states`.
    ///
    /// # Errors
    /// `Invalid` if a zoo or a target is unknown, or if nothing is selected.
    pub async fn load(
        session: &Session,
        selection: &Selection,
        targets: &[String],
        splitting: &Splitting,
    ) -> Result<Self> {
        let known = known_targets(session).await?;
        if let Some(target) = targets.iter().find(|target| !known.contains_key(*target)) {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            return Err(Error::not_allowed("target", target, &names));
        }
        let batch = rows(session, selection, targets, splitting).await?;
        let (model_ids, epochs) = (integers(&batch, 0)?, integers(&batch, 1)?);
        let mut archs = texts(&batch, 3)?.into_iter().flatten().collect::<Vec<_>>();
        archs.sort_unstable();
        archs.dedup();
        let target = |(index, name): (usize, &String)| match known[name] {
            true => Target::numbers(name, numbers(&batch, TARGETS + index)?),
            false => Target::classes(name, texts(&batch, TARGETS + index)?),
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

    /// Those of `targets` that have more than one value in the states that [`Self::load`] would
    /// yield, and the others.
    ///
    /// # Errors
    /// As of [`Self::load`].
    pub async fn varying(
        session: &Session,
        selection: &Selection,
        targets: &[String],
        splitting: &Splitting,
    ) -> Result<(Vec<String>, Vec<String>)> {
        let batch = rows(session, selection, targets, splitting).await?;
        let (mut varying, mut constant) = (Vec::new(), Vec::new());
        for (index, name) in targets.iter().enumerate() {
            let mut values: Vec<String> =
                texts(&batch, TARGETS + index)?.into_iter().flatten().collect();
            values.sort_unstable();
            values.dedup();
            if values.len() > 1 { &mut varying } else { &mut constant }.push(name.clone());
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
        query.sql(session).await.map_err(|error| match self.archs.as_slice() {
            // What the set itself says to do is for SQL.
            [arch, _, ..] if error.to_string().contains("no common frame") => {
                error.with_hint(format!(
                    "choose states of one with `--where \"arch = '{arch}'\"`, or statistics of \
                     weights, such as `hsg_quintiles_v1`"
                ))
            }
            _ => error,
        })
    }

    /// The features called `set` of these states, which `rows` are, and what they lack.
    ///
    /// # Errors
    /// `Invalid` if states are not there, or have features that are no numbers.
    pub(super) async fn features(&self, set: &str, mut rows: Rows) -> Result<(Matrix, Gaps)> {
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

/// Where targets begin in what [`rows`] yields.
const TARGETS: usize = 4;

/// Model, epoch, zoo, architecture and targets of the selected states that have a part in
/// `splitting`.
async fn rows(
    session: &Session,
    selection: &Selection,
    targets: &[String],
    splitting: &Splitting,
) -> Result<RecordBatch> {
    check_zoos(session, selection).await?;
    let columns = targets.iter().enumerate();
    let columns = columns.map(|(index, name)| format!(", \"{name}\" AS target_{index}"));
    let columns: String = columns.collect();
    let states = selection.sql();
    let sql = format!(
        "SELECT model_id, epoch, zoo, arch{columns} FROM {states} ORDER BY model_id, epoch"
    );
    let rows = session.sql(&sql).await?;
    let schema = rows.schema();
    let unfit = |error| Error::internal("states do not fit together").with_source(error);
    let batch = concat_batches(&schema, &rows.collect().await?).map_err(unfit)?;
    if batch.num_rows() == 0 {
        let message = format!("no state is selected by `{}`", selection.condition());
        let hint = "`zoolake query zoos` lists what the store has";
        return Err(Error::invalid(message).with_hint(hint));
    }
    let ids = integers(&batch, 0)?;
    let named: BooleanArray = ids.iter().map(|id| Some(splitting.names(*id))).collect();
    if named.true_count() == 0 {
        let models = ids.chunk_by(|a, b| a == b).count();
        let message = format!("the split file names none of the `{models}` models selected");
        let hint = "`SELECT model_id, zoo FROM models` tells their ids";
        return Err(Error::invalid(message).with_hint(hint));
    }
    filter_record_batch(&batch, &named).map_err(unfit)
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
