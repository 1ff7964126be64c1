//! Features as a query yields them, on their way into a matrix.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, PrimitiveArray, RecordBatch};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, Schema};

use super::matrix::{Matrix, Values};
use crate::error::{Error, Result};

/// Collects batches with `model_id`, `epoch` and features, in any order of rows, into a
/// [`Matrix`].
pub(super) struct Collector<'a> {
    /// What the features are called, for messages.
    set: &'a str,
    /// The row of each state.
    places: &'a HashMap<(i64, i64), usize>,
    names: Vec<String>,
    values: Values,
    filled: Vec<bool>,
    /// How many states have a value that is no finite number, for each feature.
    wild: Vec<usize>,
}

/// What a set of features does not say of states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gaps {
    set: String,
    /// The features that no state has: they are left out.
    empty: Vec<String>,
    /// Features that only some states have, and how many values are missing in them.
    partial: (usize, usize),
}

impl<'a> Collector<'a> {
    /// A collector of the features called `set` of states in these `places`.
    pub(super) fn new(set: &'a str, places: &'a HashMap<(i64, i64), usize>) -> Self {
        let (names, wild) = (Vec::new(), Vec::new());
        let filled = vec![false; places.len()];
        Self { set, places, names, values: Values::Double(Vec::new()), filled, wild }
    }

    /// Takes the rows of a batch; those of other states are passed over.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let (schema, columns) = (batch.schema(), batch.columns());
        let features = || {
            let features = schema.fields().iter().zip(columns);
            features.filter(|(field, _)| is_feature(field))
        };
        if self.names.is_empty() {
            self.names = features().flat_map(|(field, column)| names(field, column)).collect();
            let count = self.names.len() * self.places.len();
            self.values = match features().all(|(field, _)| is_single(field)) {
                true => Values::Single(vec![f32::NAN; count]),
                false => Values::Double(vec![f64::NAN; count]),
            };
            self.wild = vec![0; self.names.len()];
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
        for (_, column) in features() {
            first += self.fill(column, first, &places)?;
        }
        Ok(())
    }

    /// Takes the values of a column, which are features `first` and following; returns how
    /// many.
    fn fill(&mut self, column: &ArrayRef, first: usize, places: &[Option<usize>]) -> Result<usize> {
        let rows = places.iter().enumerate().filter_map(|(row, place)| Some((row, (*place)?)));
        if !is_list(column.data_type()) {
            let numbers = self.numbers(column)?;
            for (row, place) in rows.filter(|(row, _)| numbers.is_valid(*row)) {
                self.set(place, first, numbers.value(row));
            }
            return Ok(1);
        }
        let vectors = of_equal_length(column).ok_or_else(|| self.unfit(column))?;
        let width = vectors.value_length() as usize;
        let numbers = self.numbers(vectors.values())?;
        for (row, place) in rows.filter(|(row, _)| vectors.is_valid(*row)) {
            let from = vectors.value_offset(row) as usize;
            for feature in (0..width).filter(|feature| numbers.is_valid(from + feature)) {
                self.set(place, first + feature, numbers.value(from + feature));
            }
        }
        Ok(width)
    }

    fn numbers(&self, column: &ArrayRef) -> Result<PrimitiveArray<Float64Type>> {
        let numbers = cast(column, &DataType::Float64).ok();
        let numbers =
            numbers.and_then(|numbers| numbers.as_primitive_opt::<Float64Type>().cloned());
        numbers.ok_or_else(|| self.unfit(column))
    }

    fn set(&mut self, place: usize, feature: usize, value: f64) {
        self.wild[feature] += usize::from(!value.is_finite());
        let index = place * self.names.len() + feature;
        match &mut self.values {
            Values::Single(values) => values[index] = value as f32,
            Values::Double(values) => values[index] = value,
        }
    }

    fn unfit(&self, column: &ArrayRef) -> Error {
        let (set, data_type) = (self.set, column.data_type());
        Error::internal(format!("features `{set}` have a column of type `{data_type}`"))
    }

    /// The matrix. A feature that no state has is left out.
    ///
    /// # Errors
    /// `Invalid` if a state is not there, or has a feature that is no finite number.
    pub(super) fn finish(self) -> Result<(Matrix, Gaps)> {
        let Self { set, places, names, values, filled, wild } = self;
        let states = places.len();
        let missing = filled.iter().filter(|filled| !**filled).count();
        if missing > 0 {
            let message = format!("`{missing}` of `{states}` states have no features `{set}`");
            return Err(Error::invalid(message).with_hint(
                "choose another set, or states that have it, with `--zoo`, `--epoch` or `--where`",
            ));
        }
        if let Some((name, count)) = names.iter().zip(&wild).find(|(_, count)| **count > 0) {
            let message = format!(
                "feature `{name}` of `{set}` is no finite number in `{count}` of `{states}` states"
            );
            return Err(Error::invalid(message).with_hint(
                "leave out models that diverged with `--where \"status = 'ok'\"`, or choose another set",
            ));
        }
        let matrix = Matrix::of(names, states, values)?;
        let gaps = Gaps::of(set, &matrix);
        let matrix = matrix.without(|name| gaps.empty.iter().any(|empty| empty == name));
        Ok((matrix, gaps))
    }
}

impl Gaps {
    fn of(set: &str, matrix: &Matrix) -> Self {
        let mut missing = vec![0_usize; matrix.columns()];
        let mut values = vec![0.0; matrix.columns()];
        for row in 0..matrix.rows() {
            matrix.read(row, &mut values);
            for (count, value) in missing.iter_mut().zip(&values) {
                *count += usize::from(value.is_nan());
            }
        }
        let names = matrix.names().iter().zip(&missing);
        let empty = names.filter(|(_, count)| **count == matrix.rows());
        let partial = missing.iter().filter(|count| (1..matrix.rows()).contains(*count));
        Self {
            set: set.to_owned(),
            empty: empty.map(|(name, _)| name.clone()).collect(),
            partial: (partial.clone().count(), partial.sum()),
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.empty.is_empty() && self.partial.0 == 0
    }
}

/// What becomes of them, in a line.
impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize, noun: &str| match count {
            1 => format!("1 {noun}"),
            _ => format!("{count} {noun}s"),
        };
        let (set, (features, values)) = (&self.set, self.partial);
        if features > 0 {
            let (values, features) = (plural(values, "value"), plural(features, "feature"));
            write!(
                f,
                "`{set}` lacks {values} in {features}: trees know them as missing, other predictors \
                 take the mean of the training part"
            )?;
        }
        let Some(first) = self.empty.first() else { return Ok(()) };
        match features {
            0 => write!(f, "of `{set}` no state has `{first}`")?,
            _ => write!(f, "; no state has `{first}`")?,
        }
        match self.empty.len() {
            1 => f.write_str(", which is left out"),
            count => write!(f, " and others, {count} in all, which are left out"),
        }
    }
}

/// How many features a query with this schema yields, and whether all of them are in single
/// precision. Vectors whose length is not known count as one.
pub(super) fn width(schema: &Schema) -> (usize, bool) {
    let features = || schema.fields().iter().filter(|field| is_feature(field));
    let count = |field: &FieldRef| match field.data_type() {
        DataType::FixedSizeList(_, width) => usize::try_from(*width).unwrap_or(0),
        _ => 1,
    };
    (features().map(count).sum(), features().all(|field| is_single(field)))
}

fn is_feature(field: &Field) -> bool {
    !matches!(field.name().as_str(), "model_id" | "epoch")
}

fn is_list(data_type: &DataType) -> bool {
    matches!(data_type, DataType::FixedSizeList(..) | DataType::List(_))
}

fn is_single(field: &Field) -> bool {
    match field.data_type() {
        DataType::FixedSizeList(item, _) | DataType::List(item) => {
            *item.data_type() == DataType::Float32
        }
        data_type => *data_type == DataType::Float32,
    }
}

/// Vectors of one length, which a list does not promise.
fn of_equal_length(column: &ArrayRef) -> Option<FixedSizeListArray> {
    if let DataType::List(item) = column.data_type() {
        let vectors = column.as_list::<i32>();
        let lengths = (0..vectors.len()).filter(|row| vectors.is_valid(*row));
        let length = lengths.map(|row| vectors.value_length(row)).next().unwrap_or(0);
        let equal = DataType::FixedSizeList(Arc::clone(item), length);
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let equal = cast_with_options(column, &equal, &options).ok()?;
        return equal.as_fixed_size_list_opt().cloned();
    }
    column.as_fixed_size_list_opt().cloned()
}

/// The names of the features in a column: those in a vector are numbered from 0.
fn names(field: &Field, column: &ArrayRef) -> Vec<String> {
    let vectors = if is_list(column.data_type()) { of_equal_length(column) } else { None };
    match vectors {
        Some(vectors) => {
            (0..vectors.value_length()).map(|index| format!("{}[{index}]", field.name())).collect()
        }
        None => vec![field.name().clone()],
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, ListArray};
    use arrow::datatypes::Float32Type;

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

    fn row(matrix: &Matrix, row: usize) -> Vec<f64> {
        let mut values = vec![0.0; matrix.columns()];
        matrix.read(row, &mut values);
        values
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
        let (matrix, gaps) = collector.finish().unwrap();
        assert!(gaps.is_empty());
        assert_eq!(matrix.names(), ["a", "w[0]", "w[1]"]);
        let rows = [[1.0, 1.0, 2.0], [2.0, 3.0, 4.0], [3.0, 5.0, 6.0]];
        assert_eq!([0, 1, 2].map(|place| row(&matrix, place)), rows);
        let matrix = matrix.without(|name| name == "a");
        assert_eq!([0, 1, 2].map(|place| row(&matrix, place)), rows.map(|row| row[1..].to_vec()));
    }

    #[test]
    fn lists_are_vectors_if_they_are_of_one_length() {
        let places = places();
        let take = |lists: [Vec<Option<f32>>; 3]| {
            let lists = ListArray::from_iter_primitive::<Float32Type, _, _>(lists.map(Some));
            let ids = Int64Array::from_iter_values([7, 7, 8]);
            let batch = RecordBatch::try_from_iter::<_, &str>([
                ("model_id", Arc::new(ids) as ArrayRef),
                ("epoch", Arc::new(Int64Array::from_iter_values([0, 1, 0])) as ArrayRef),
                ("probes", Arc::new(lists) as ArrayRef),
            ]);
            let mut collector = Collector::new("s", &places);
            collector.add(&batch.unwrap()).map(|()| collector.finish().unwrap().0)
        };
        let matrix = take([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]].map(|list| list.map(Some).to_vec()));
        let matrix = matrix.unwrap();
        assert_eq!(matrix.names(), ["probes[0]", "probes[1]"]);
        assert_eq!(row(&matrix, 2), [5.0, 6.0]);
        let ragged = take([vec![Some(1.0)], vec![Some(2.0), None], vec![Some(3.0)]]);
        assert!(ragged.unwrap_err().to_string().starts_with("features `s` have a column of type"));
    }

    /// What is NULL is missing, and said to be; what is no number says that a model diverged.
    #[test]
    fn missing_values_are_told_and_infinite_ones_refused() {
        let places = places();
        let keys = [(7, 0), (7, 1), (8, 0)];
        let vectors = [[1.0, 2.0]; 3];
        let matrix = |a: Vec<Option<f64>>| {
            let mut collector = Collector::new("s", &places);
            collector.add(&batch(&keys, a, &vectors)).unwrap();
            collector.finish()
        };
        let (some, gaps) = matrix(vec![Some(1.0), None, Some(2.0)]).unwrap();
        assert!(row(&some, 1)[0].is_nan());
        assert_eq!(
            gaps.to_string(),
            "`s` lacks 1 value in 1 feature: trees know them as missing, other predictors take the \
             mean of the training part"
        );
        let (none, gaps) = matrix(vec![None; 3]).unwrap();
        assert_eq!(none.names(), ["w[0]", "w[1]"]);
        let said = "of `s` no state has `a`, which is left out";
        assert_eq!(gaps.to_string(), said);
        let error = matrix(vec![Some(f64::NAN), None, Some(f64::INFINITY)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "feature `a` of `s` is no finite number in `2` of `3` states"
        );
    }

    /// What is asked before anything is read: 44.7 MB of weights for each state of a ResNet-18.
    #[test]
    fn the_width_of_vectors_is_known_from_the_schema() {
        let item = Arc::new(Field::new("item", DataType::Float32, true));
        let weights = DataType::FixedSizeList(item, 11_173_962);
        let keys = ["model_id", "epoch"].map(|name| Field::new(name, DataType::Int64, false));
        let of = |features: &[Field]| width(&Schema::new([&keys[..], features].concat()));
        assert_eq!(of(&[Field::new("w", weights.clone(), false)]), (11_173_962, true));
        let mean = Field::new("mean", DataType::Float64, true);
        assert_eq!(of(&[Field::new("w", weights, false), mean]), (11_173_963, false));
    }

    #[test]
    fn states_without_features_are_an_error() {
        let places = places();
        let mut collector = Collector::new("s", &places);
        let keys = [(7, 0), (7, 1)];
        collector.add(&batch(&keys, vec![Some(0.0); 2], &[[1.0, 2.0]; 2])).unwrap();
        let error = collector.finish().unwrap_err();
        assert_eq!(error.to_string(), "`1` of `3` states have no features `s`");
    }
}
