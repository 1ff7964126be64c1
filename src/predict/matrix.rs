//! Features of states as a matrix.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type};

use crate::error::{Error, Result};

/// One row of features for each state, in the order of the states; every value is finite.
#[derive(Debug, Clone)]
pub struct Matrix {
    names: Vec<String>,
    rows: usize,
    /// Row by row.
    values: Vec<f64>,
}

impl Matrix {
    /// A matrix with columns called `names` and `values` row by row.
    ///
    /// # Errors
    /// `Internal` if the values do not make whole rows.
    pub fn new(names: Vec<String>, rows: usize, values: Vec<f64>) -> Result<Self> {
        if names.len() * rows != values.len() {
            let (columns, values) = (names.len(), values.len());
            let message = format!("`{values}` values are no matrix of {rows} x {columns}");
            return Err(Error::internal(message));
        }
        Ok(Self { names, rows, values })
    }

    /// Number of states.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of features.
    pub fn columns(&self) -> usize {
        self.names.len()
    }

    /// The names of the features.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The features of one state.
    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns()..][..self.columns()]
    }

    /// One feature of the states `rows`.
    pub(super) fn column<'a>(
        &'a self,
        column: usize,
        rows: &'a [usize],
    ) -> impl Iterator<Item = f64> + 'a {
        let columns = self.columns();
        rows.iter().map(move |&row| self.values[row * columns + column])
    }

    /// The same without the columns that `is_left_out` names.
    pub(super) fn without(self, is_left_out: impl Fn(&str) -> bool) -> Self {
        let stays: Vec<bool> = self.names.iter().map(|name| !is_left_out(name)).collect();
        if stays.iter().all(|&stays| stays) {
            return self;
        }
        let kept = |row: usize| self.row(row).iter().zip(&stays).filter(|(_, stays)| **stays);
        let values = (0..self.rows).flat_map(kept).map(|(value, _)| *value).collect();
        let names = self.names.iter().zip(&stays).filter(|(_, stays)| **stays);
        Self { names: names.map(|(name, _)| name.clone()).collect(), rows: self.rows, values }
    }
}

/// Collects batches with `model_id`, `epoch` and features, in any order of rows, into a
/// [`Matrix`].
pub(super) struct Collector<'a> {
    /// What the features are called, for messages.
    set: &'a str,
    /// The row of each state.
    places: &'a HashMap<(i64, i64), usize>,
    names: Vec<String>,
    values: Vec<f64>,
    filled: Vec<bool>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(set: &'a str, places: &'a HashMap<(i64, i64), usize>) -> Self {
        let filled = vec![false; places.len()];
        Self { set, places, names: Vec::new(), values: Vec::new(), filled }
    }

    /// Takes the rows of a batch; those of other states are passed over.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let schema = batch.schema();
        let is_key = |field: &Field| matches!(field.name().as_str(), "model_id" | "epoch");
        let features: Vec<usize> =
            (0..batch.num_columns()).filter(|&index| !is_key(schema.field(index))).collect();
        if self.names.is_empty() {
            self.names = features.iter().flat_map(|&index| names(schema.field(index))).collect();
            self.values = vec![f64::NAN; self.names.len() * self.places.len()];
        }
        let key = |name: &str| -> Result<_> {
            let column = batch.column_by_name(name).map(|column| cast(column, &DataType::Int64));
            match column {
                Some(Ok(column)) => Ok(column.as_primitive::<Int64Type>().clone()),
                _ => Err(Error::internal(format!("features `{}` lack `{name}`", self.set))),
            }
        };
        let (ids, epochs) = (key("model_id")?, key("epoch")?);
        let place = |row: usize| self.places.get(&(ids.value(row), epochs.value(row))).copied();
        let places: Vec<Option<usize>> = (0..batch.num_rows()).map(place).collect();
        for place in places.iter().flatten() {
            self.filled[*place] = true;
        }
        let mut first = 0;
        for &index in &features {
            first += self.fill(batch.column(index), first, &places)?;
        }
        Ok(())
    }

    /// Takes the values of a column, which are features `first` and following; returns how
    /// many.
    fn fill(&mut self, column: &ArrayRef, first: usize, places: &[Option<usize>]) -> Result<usize> {
        let stride = self.names.len();
        let rows = places.iter().enumerate().filter_map(|(row, place)| Some((row, (*place)?)));
        if let Some(vectors) = column.as_fixed_size_list_opt() {
            let width = usize::try_from(vectors.value_length()).unwrap_or(0);
            let values = vectors.values().as_primitive_opt::<Float32Type>();
            let values = values.ok_or_else(|| self.unfit(column.data_type()))?.values();
            for (row, place) in rows.filter(|(row, _)| vectors.is_valid(*row)) {
                let to = &mut self.values[place * stride + first..][..width];
                let from = &values[(vectors.offset() + row) * width..][..width];
                for (to, from) in to.iter_mut().zip(from) {
                    *to = f64::from(*from);
                }
            }
            return Ok(width);
        }
        let numbers = cast(column, &DataType::Float64).ok();
        let numbers = numbers.as_ref().and_then(|array| array.as_primitive_opt::<Float64Type>());
        let numbers = numbers.ok_or_else(|| self.unfit(column.data_type()))?;
        for (row, place) in rows.filter(|(row, _)| numbers.is_valid(*row)) {
            self.values[place * stride + first] = numbers.value(row);
        }
        Ok(1)
    }

    fn unfit(&self, data_type: &DataType) -> Error {
        Error::internal(format!("features `{}` have a column of type `{data_type}`", self.set))
    }

    /// The matrix. A feature that no state has is left out.
    ///
    /// # Errors
    /// `Invalid` if a state lacks features, or has one that is no finite number.
    pub(super) fn finish(self) -> Result<Matrix> {
        let Self { set, places, names, values, filled } = self;
        let missing = filled.iter().filter(|filled| !**filled).count();
        if missing > 0 {
            let states = places.len();
            let message = format!("`{missing}` of `{states}` states have no features `{set}`");
            return Err(Error::invalid(message).with_hint(
                "choose another set, or states that have it, with `--zoo`, `--epoch` or `--where`",
            ));
        }
        let mut wanting = vec![0_usize; names.len()];
        for row in values.chunks(names.len().max(1)) {
            for (count, value) in wanting.iter_mut().zip(row) {
                *count += usize::from(!value.is_finite());
            }
        }
        let states = places.len();
        let partial = names.iter().zip(&wanting).find(|(_, count)| (1..states).contains(*count));
        if let Some((name, count)) = partial {
            let message = format!(
                "feature `{name}` of `{set}` is no number in `{count}` of `{states}` states"
            );
            return Err(Error::invalid(message).with_hint(
                "leave out models that diverged with `--where \"status = 'ok'\"`, or choose another set",
            ));
        }
        let empty: Vec<&String> = names
            .iter()
            .zip(&wanting)
            .filter(|(_, count)| **count > 0)
            .map(|(name, _)| name)
            .collect();
        let empty: Vec<String> = empty.into_iter().cloned().collect();
        let matrix = Matrix::new(names, states, values)?;
        Ok(matrix.without(|name| empty.iter().any(|empty| empty == name)))
    }
}

/// The names of the features in a column: those in a vector are numbered from 0.
fn names(field: &Field) -> Vec<String> {
    match field.data_type() {
        DataType::FixedSizeList(_, width) => {
            (0..*width).map(|index| format!("{}[{index}]", field.name())).collect()
        }
        _ => vec![field.name().clone()],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{FixedSizeListArray, Float64Array, Int64Array};

    use super::*;

    fn batch(keys: &[(i64, i64)], a: Vec<Option<f64>>, vectors: &[[f32; 2]]) -> RecordBatch {
        let ids = Int64Array::from_iter_values(keys.iter().map(|key| key.0));
        let epochs = Int64Array::from_iter_values(keys.iter().map(|key| key.1));
        let vectors = vectors.iter().map(|vector| Some(vector.map(Some)));
        let vectors = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(vectors, 2);
        RecordBatch::try_from_iter::<_, &str>([
            ("model_id", Arc::new(ids) as ArrayRef),
            ("epoch", Arc::new(epochs) as ArrayRef),
            ("a", Arc::new(Float64Array::from(a)) as ArrayRef),
            ("w", Arc::new(vectors) as ArrayRef),
        ])
        .unwrap()
    }

    fn places() -> HashMap<(i64, i64), usize> {
        [((7, 0), 0), ((7, 1), 1), ((8, 0), 2)].into()
    }

    #[test]
    fn rows_find_their_states() {
        let places = places();
        let mut collector = Collector::new("s", &places);
        let first = batch(&[(8, 0), (9, 0)], vec![Some(3.0), Some(9.0)], &[[5.0, 6.0], [9.0, 9.0]]);
        collector.add(&first).unwrap();
        let second =
            batch(&[(7, 1), (7, 0)], vec![Some(2.0), Some(1.0)], &[[3.0, 4.0], [1.0, 2.0]]);
        collector.add(&second.slice(0, 1)).unwrap();
        collector.add(&second.slice(1, 1)).unwrap();
        let matrix = collector.finish().unwrap();
        assert_eq!(matrix.names(), ["a", "w[0]", "w[1]"]);
        assert_eq!(matrix.values, [1.0, 1.0, 2.0, 2.0, 3.0, 4.0, 3.0, 5.0, 6.0]);
        assert_eq!(matrix.without(|name| name == "a").values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn a_feature_that_only_some_states_have_is_an_error() {
        let places = places();
        let keys = [(7, 0), (7, 1), (8, 0)];
        let vectors = [[1.0, 2.0]; 3];
        let matrix = |a: Vec<Option<f64>>| {
            let mut collector = Collector::new("s", &places);
            collector.add(&batch(&keys, a, &vectors)).unwrap();
            collector.finish()
        };
        let error = matrix(vec![Some(1.0), None, Some(f64::INFINITY)]).unwrap_err();
        assert_eq!(error.to_string(), "feature `a` of `s` is no number in `2` of `3` states");
        assert_eq!(matrix(vec![None; 3]).unwrap().names(), ["w[0]", "w[1]"], "nobody has it");
        let mut collector = Collector::new("s", &places);
        collector.add(&batch(&keys[..2], vec![Some(0.0); 2], &vectors[..2])).unwrap();
        let error = collector.finish().unwrap_err();
        assert_eq!(error.to_string(), "`1` of `3` states have no features `s`");
    }
}
