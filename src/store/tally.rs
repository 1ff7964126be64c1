//! What the tables have: every model once, with each of its states once.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;

use super::schema::Table;
use super::snapshot::Snapshot;
use super::verify::Finding;
use crate::arch::Arch;

/// How often each model and each state is in the tables.
#[derive(Default)]
pub(super) struct Tally {
    /// Rows of `models`, and the states the model should have.
    models: BTreeMap<i64, (usize, i64)>,
    /// The states of each model in `epochs`, and in all `weights_<arch>`.
    states: BTreeMap<&'static str, BTreeMap<i64, Epochs>>,
    /// Rows of `tensors` per architecture.
    tensors: HashMap<String, usize>,
}

/// Epochs of a model, as ranges with both ends, in the order in which they came: mostly one.
#[derive(Default)]
struct Epochs(Vec<(i64, i64)>);

impl Epochs {
    fn add(&mut self, epoch: i64) {
        match self.0.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(epoch) => *last = epoch,
            _ => self.0.push((epoch, epoch)),
        }
    }

    /// How many different ones there are, and the first that is there more than once.
    fn count(&mut self) -> (i64, Option<i64>) {
        self.0.sort_unstable();
        let (mut count, mut twice, mut seen) = (0, None, None);
        for &(first, last) in &self.0 {
            count += match seen {
                Some(seen) if first <= seen => {
                    twice = twice.or(Some(first));
                    (last - seen).max(0)
                }
                _ => last - first + 1,
            };
            seen = seen.max(Some(last));
        }
        (count, twice)
    }
}

impl Tally {
    pub(super) fn add(&mut self, table: &Table, batches: &[RecordBatch]) {
        for batch in batches {
            let column = |name: &str| {
                batch.column_by_name(name).and_then(|array| array.as_primitive_opt::<Int64Type>())
            };
            if *table == Table::Tensors {
                let archs = batch.column_by_name("arch").and_then(|array| array.as_string_opt());
                let archs: Option<&StringArray> = archs;
                for arch in archs.into_iter().flatten().flatten() {
                    *self.tensors.entry(arch.to_owned()).or_default() += 1;
                }
            }
            let Some(ids) = column("model_id") else { continue };
            match table {
                Table::Models => {
                    let epochs = column("epochs");
                    for (row, id) in ids.values().iter().enumerate() {
                        let model = self.models.entry(*id).or_default();
                        model.0 += 1;
                        model.1 = epochs.map_or(0, |epochs| epochs.value(row)) + 1;
                    }
                }
                Table::Epochs | Table::Weights(_) => {
                    let name = if *table == Table::Epochs { "epochs" } else { "weights" };
                    let Some(epochs) = column("epoch") else { continue };
                    let counts = self.states.entry(name).or_default();
                    for (id, epoch) in ids.values().iter().zip(epochs.values()) {
                        counts.entry(*id).or_default().add(*epoch);
                    }
                }
                Table::Tensors | Table::Results | Table::Predictions | Table::Other(_) => {}
            }
        }
    }

    /// What does not fit together, or to the log of `snapshot`. Unless the tally is of `all`
    /// files, missing rows are no news.
    pub(super) fn check(mut self, snapshot: &Snapshot, all: bool) -> Vec<Finding> {
        let finding = |place: &str, problem| Finding { place: place.to_owned(), problem };
        let mut findings = Vec::new();
        if let Some((id, _)) = self.models.iter().find(|(_, (rows, _))| *rows > 1) {
            findings.push(finding("models", format!("model `{id}` is there more than once")));
        }
        // Of each table, the states of every model.
        let mut counts: BTreeMap<&str, BTreeMap<i64, i64>> = BTreeMap::new();
        for (&table, models) in &mut self.states {
            let mut twice = None;
            for (id, epochs) in models {
                let (count, more_than_once) = epochs.count();
                counts.entry(table).or_default().insert(*id, count);
                twice = twice.or(more_than_once.map(|epoch| (*id, epoch)));
            }
            if let Some((id, epoch)) = twice {
                let problem = format!("model `{id}` has epoch `{epoch}` more than once");
                findings.push(finding(table, problem));
            }
        }
        if !all {
            return findings;
        }
        let stored = &self.models;
        if let Some(id) = stored.keys().find(|id| !snapshot.has_model(**id)) {
            findings.push(finding("models", format!("model `{id}` is in no log entry")));
        }
        if stored.len() < snapshot.num_models() {
            let problem =
                format!("has `{}` models, and the log `{}`", stored.len(), snapshot.num_models());
            findings.push(finding("models", problem));
        }
        for table in ["epochs", "weights"] {
            for (id, (_, expected)) in stored {
                let found = counts.get(table).and_then(|counts| counts.get(id)).unwrap_or(&0);
                if found != expected {
                    let problem =
                        format!("model `{id}` has `{found}` states instead of `{expected}`");
                    findings.push(finding(table, problem));
                }
            }
        }
        for name in snapshot.archs() {
            let found = self.tensors.get(&name).copied().unwrap_or(0);
            // Those that only a later zoolake knows are left alone.
            let Ok(arch) = Arch::by_name(&name) else { continue };
            let expected = arch.layout().tensors().len();
            if found != expected {
                let problem = format!("has `{found}` tensors of `{name}` instead of `{expected}`");
                findings.push(finding("tensors", problem));
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(epochs: impl IntoIterator<Item = i64>) -> (i64, Option<i64>) {
        let mut counted = Epochs::default();
        epochs.into_iter().for_each(|epoch| counted.add(epoch));
        counted.count()
    }

    #[test]
    fn epochs_are_counted_once_in_any_order() {
        assert_eq!(count([]), (0, None));
        assert_eq!(count(0..51), (51, None));
        assert_eq!(count((3..6).chain(0..3).chain(9..10)), (7, None));
        assert_eq!(count((0..6).chain([2])), (6, Some(2)));
        assert_eq!(count((0..6).chain(4..9).chain(1..3)), (9, Some(1)));
        assert_eq!(count([i64::MAX, i64::MIN, i64::MAX]), (2, Some(i64::MAX)));
    }

    /// 50 thousand models take a range each, whatever number of states they have.
    #[test]
    fn states_in_order_are_one_range() {
        let mut epochs = Epochs::default();
        (0..1000).for_each(|epoch| epochs.add(epoch));
        assert_eq!(epochs.0, [(0, 999)]);
    }
}
