//! Features of chosen states, as a query.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use super::call::Call;
use super::set::{Column, FeatureSet, Frame, literals, quoted};
use super::slots::layer_of;
use super::{Epochs, LAST, parse};
use crate::error::{Error, Result};
use crate::sql::Session;

/// Which features of which states.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// The feature set, with its number if it takes one: `learning_curve_v1(10)`.
    pub set: String,
    /// Architectures; none: the only one there is. Several ask for a common frame.
    pub archs: Vec<String>,
    /// Zoos; none: all.
    pub zoos: Vec<String>,
    /// Epochs of every model.
    pub epochs: Epochs,
    /// Tensors, or layers with all their tensors; none: all.
    pub tensors: Vec<String>,
}

impl Query {
    /// The query in SQL: `model_id`, `epoch` and the features, ordered by (`epoch`,
    /// `model_id`).
    ///
    /// # Errors
    /// `Invalid` if the set, an architecture, a zoo, an epoch or a tensor is unknown,
    /// or if no state is left.
    pub async fn sql(&self, session: &Session) -> Result<String> {
        let (set, number) = parse(&self.set)?;
        let archs = self.archs(session, set).await?;
        let archs: Vec<&str> = archs.iter().map(String::as_str).collect();
        let call = Call::new(set, session, &archs, number)?;
        let frame = set.frame(session, &call).await?;
        let columns = self.columns(set, &frame)?;
        let states = self.states(&call.sql(set), &self.last_epochs(session).await?);
        self.expect_states(session, &states).await?;
        let models = self.models();
        Ok(format!(
            "{models}SELECT f.model_id, f.epoch, {columns} {states} ORDER BY f.epoch, f.model_id"
        ))
    }

    /// The architectures of the chosen states. Several must be asked for by name.
    async fn archs(&self, session: &Session, set: &dyn FeatureSet) -> Result<Vec<String>> {
        let models =
            texts(session, "SELECT DISTINCT zoo, arch FROM models ORDER BY zoo, arch").await?;
        for zoo in &self.zoos {
            if !models.iter().any(|model| model[0] == *zoo) {
                let mut known: Vec<&str> = models.iter().map(|model| model[0].as_str()).collect();
                known.dedup();
                return Err(Error::not_allowed("zoo", zoo, &known));
            }
        }
        let chosen =
            models.iter().filter(|model| self.zoos.is_empty() || self.zoos.contains(&model[0]));
        let mut archs: Vec<&str> = chosen.map(|model| model[1].as_str()).collect();
        archs.sort_unstable();
        archs.dedup();
        for arch in &self.archs {
            if !archs.contains(&arch.as_str()) && !archs.is_empty() {
                return Err(Error::not_allowed("architecture", arch, &archs));
            }
        }
        if !self.archs.is_empty() || !set.of_weights() {
            return Ok(self.archs.clone());
        }
        if archs.len() > 1 {
            let names: Vec<String> = archs.iter().map(|arch| format!("`{arch}`")).collect();
            let message = format!("the states are of several architectures: {}", names.join(", "));
            let hint = format!("choose one, or `{}` for their common frame", archs.join(","));
            return Err(Error::invalid(message).with_hint(hint));
        }
        Ok(archs.into_iter().map(str::to_owned).collect())
    }

    /// The chosen columns in SQL.
    fn columns(&self, set: &dyn FeatureSet, frame: &Frame) -> Result<String> {
        let mut tensors: Vec<&str> =
            frame.columns.iter().filter_map(|column| column.tensor.as_deref()).collect();
        tensors.dedup();
        for tensor in &self.tensors {
            if tensors.is_empty() {
                let message =
                    format!("features of `{}` are not of a tensor such as `{tensor}`", set.name());
                return Err(Error::invalid(message));
            }
            if !tensors.iter().any(|known| tensor == known || tensor == layer_of(known)) {
                return Err(Error::not_allowed("tensor", tensor, &tensors));
            }
        }
        let chosen = |column: &&Column| match &column.tensor {
            Some(of) => self.tensors.iter().any(|name| name == of || name == layer_of(of)),
            None => false,
        };
        let columns =
            frame.columns.iter().filter(|column| self.tensors.is_empty() || chosen(column));
        let columns: Vec<String> =
            columns.map(|column| format!("f.{}", quoted(&column.name))).collect();
        Ok(columns.join(", "))
    }

    /// Table `models` as one of the chosen zoos only, if zoos are chosen: it stands in front
    /// of a query, and so in front of those that its table functions stand for.
    fn models(&self) -> String {
        match literals(&self.zoos).as_str() {
            "" => String::new(),
            zoos => format!("WITH models AS (SELECT * FROM models WHERE zoo IN ({zoos})) "),
        }
    }

    /// The last epochs of chosen models, as a list in SQL; empty if they do not matter.
    async fn last_epochs(&self, session: &Session) -> Result<String> {
        if self.epochs != Epochs::Last {
            return Ok(String::new());
        }
        let last = format!(
            "{}SELECT DISTINCT arrow_cast(epoch, 'Utf8') FROM {LAST} ORDER BY 1",
            self.models()
        );
        let epochs: Vec<String> = texts(session, &last).await?.into_iter().flatten().collect();
        Ok(epochs.join(", "))
    }

    /// The chosen states of `call` in SQL, as `f`; with what [`Self::last_epochs`] are.
    fn states(&self, call: &str, last: &str) -> String {
        let (chosen, condition) = match self.epochs {
            Epochs::Last => (format!("{LAST} AS c JOIN "), " AND f.epoch = c.epoch"),
            _ if self.zoos.is_empty() => (String::new(), ""),
            _ => ("models AS c JOIN ".to_owned(), ""),
        };
        let on = if chosen.is_empty() { "" } else { " ON f.model_id = c.model_id" };
        let epochs = match self.epochs {
            // The join alone would come after the features of all epochs.
            Epochs::Last if !last.is_empty() => format!(" WHERE f.epoch IN ({last})"),
            Epochs::Last | Epochs::All => String::new(),
            Epochs::Range(first, last) if first == last => format!(" WHERE f.epoch = {first}"),
            Epochs::Range(first, last) => format!(" WHERE f.epoch BETWEEN {first} AND {last}"),
        };
        format!("FROM {chosen}{call} AS f{on}{condition}{epochs}")
    }

    /// Fails if no state is chosen.
    async fn expect_states(&self, session: &Session, states: &str) -> Result<()> {
        let models = self.models();
        if count(session, &format!("{models}SELECT count(*) {states}")).await? > 0 {
            return Ok(());
        }
        let (set, asked) = (&self.set, self.epochs);
        let error = Error::invalid(format!("`{set}` has no state of the epochs `{asked}`"));
        let end = async |end: &str| {
            let of_chosen = "FROM epochs WHERE model_id IN (SELECT model_id FROM models)";
            count(session, &format!("{models}SELECT coalesce({end}(epoch), -1) {of_chosen}")).await
        };
        let (first, last) = (end("min").await?, end("max").await?);
        Err(match first {
            -1 => no_states(),
            _ => error.with_hint(format!("the states are of epochs {first} to {last}")),
        })
    }
}

/// What is said of a store that is empty.
pub(super) fn no_states() -> Error {
    Error::not_found("the store has no states").with_hint("`zoolake train` adds models")
}

/// The rows of a query that yields text.
async fn texts(session: &Session, sql: &str) -> Result<Vec<Vec<String>>> {
    let mut rows = Vec::new();
    for batch in session.sql(sql).await?.collect().await? {
        for row in 0..batch.num_rows() {
            let text = |column: usize| {
                let column = batch.column(column).as_string_opt::<i32>();
                column.map_or_else(String::new, |column| column.value(row).to_owned())
            };
            rows.push((0..batch.num_columns()).map(text).collect());
        }
    }
    Ok(rows)
}

/// The one number that a query yields.
pub(super) async fn count(session: &Session, sql: &str) -> Result<i64> {
    let batches = session.sql(sql).await?.collect().await?;
    let number = |batch: &RecordBatch| {
        batch.column(0).as_primitive_opt::<Int64Type>().map(|column| column.value(0))
    };
    let number = batches.iter().find(|batch| batch.num_rows() > 0).and_then(number);
    number.ok_or_else(|| Error::internal(format!("`{sql}` yields no number")))
}
