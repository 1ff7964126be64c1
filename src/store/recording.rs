//! Results of predictions as a commit: every run adds its own, whatever else is there, and
//! once. The message of its commit ends with its name, by which it is known again.

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::datatypes::Int64Type;
use async_trait::async_trait;

use super::commit::{Draft, NewFiles, Proposal};
use super::encoded::narrow;
use super::schema::Table;
use super::snapshot::Snapshot;
use super::{Store, clock};
use crate::error::{Error, Kind, Result};

/// Name and time of something that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// A name nobody else chooses; names sort by time.
    pub id: String,
    /// When, in UTC (RFC 3339).
    pub time: String,
}

impl Stamp {
    /// One of now.
    pub fn now() -> Self {
        // Microseconds and 32 random bits: short enough to be typed.
        let id = clock::unique().chars().take(23).collect();
        Self { id, time: clock::now() }
    }
}

impl Store {
    /// Commits the rows of one run in [`RESULTS`](super::RESULTS) and
    /// [`PREDICTIONS`](super::PREDICTIONS), all or none, with a `message` for people; returns
    /// the number of the commit, which an earlier call may have made.
    ///
    /// # Errors
    /// `Conflict` if a model that predictions are about was dropped in the meantime;
    /// `Unavailable` if the store cannot be written: nothing is visible then, or all of it,
    /// and calling again does the rest.
    pub async fn record(
        &self,
        message: &str,
        results: &RecordBatch,
        predictions: &RecordBatch,
    ) -> Result<u64> {
        let runs = results.column_by_name("run").and_then(|runs| runs.as_string_opt::<i32>());
        let Some(run) = runs.and_then(|runs| runs.iter().flatten().next()) else {
            return Err(Error::internal("results of no run"));
        };
        let tables = [
            (Table::Results, sorted(&Table::Results, results)?),
            (Table::Predictions, sorted(&Table::Predictions, predictions)?),
        ];
        let ids = predictions.column_by_name("model_id");
        let ids = ids.and_then(|ids| ids.as_primitive_opt::<Int64Type>());
        let models = ids.map(|ids| ids.values().iter().copied().collect()).unwrap_or_default();
        let run = format!("(run {run})");
        let recording = Recording { message: format!("{message} {run}"), run, tables, models };
        let mut writer = self.writer().await?;
        writer.propose(&recording).await?;
        let recorded = recording.commit_in(writer.snapshot());
        recorded.ok_or_else(|| Error::internal("a run is not where it was recorded"))
    }
}

/// Adds rows to tables.
struct Recording {
    message: String,
    /// The end of the message, which no other run has.
    run: String,
    tables: [(Table, RecordBatch); 2],
    /// What they are about.
    models: BTreeSet<i64>,
}

#[async_trait]
impl Proposal for Recording {
    async fn draft(&self, snapshot: &Snapshot, files: &mut NewFiles<'_>) -> Result<Option<Draft>> {
        if self.commit_in(snapshot).is_some() {
            return Ok(None);
        }
        if let Some(id) = self.models.iter().find(|id| !snapshot.has_model(**id)) {
            let message = format!("model `{id}` was dropped while predictions were made");
            return Err(Error::new(Kind::Conflict, message).with_hint("run the same command again"));
        }
        let mut add = Vec::new();
        for (table, rows) in &self.tables {
            let encoded = narrow(table, &rows.schema(), [Ok(rows.clone())])?;
            add.push(files.write(table, encoded).await?);
        }
        let message = self.message.clone();
        Ok(Some(Draft { operation: "predict".to_owned(), message, add, ..Draft::default() }))
    }

    /// As long as the models are there, and the run is not.
    fn holds(&self, _draft: &Draft, snapshot: &Snapshot) -> bool {
        self.models.iter().all(|id| snapshot.has_model(*id)) && self.commit_in(snapshot).is_none()
    }
}

impl Recording {
    /// The commit that recorded the run. Its files tell less: they may be merged by now.
    fn commit_in(&self, snapshot: &Snapshot) -> Option<u64> {
        let mut commits = snapshot.history().iter().rev();
        commits.find(|commit| commit.message.ends_with(&self.run)).map(|commit| commit.version)
    }
}

/// Rows in the order of their table.
fn sorted(table: &Table, rows: &RecordBatch) -> Result<RecordBatch> {
    if table.schema().is_none_or(|schema| schema != rows.schema()) {
        return Err(Error::invalid(format!("rows have not the columns of table `{table}`")));
    }
    let failed = |error| Error::internal(format!("cannot sort `{table}`")).with_source(error);
    let column = |name: &&str| rows.column_by_name(name).cloned();
    let keys = table.sorted_by().iter().filter_map(column);
    let keys: Vec<SortColumn> = keys.map(|values| SortColumn { values, options: None }).collect();
    let order = lexsort_to_indices(&keys, None).map_err(failed)?;
    take_record_batch(rows, &order).map_err(failed)
}
