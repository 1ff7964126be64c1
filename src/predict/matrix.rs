//! Features of states as a matrix.

use std::ops::Range;

use crate::error::{Error, Result};

/// One row of features for each state, in the order of the states. Values are finite, or NaN
/// where a state has none.
#[derive(Debug, Clone)]
pub struct Matrix {
    names: Vec<String>,
    rows: usize,
    values: Values,
}

/// Values row by row, as precise as they are stored.
#[derive(Debug, Clone)]
pub(super) enum Values {
    Single(Vec<f32>),
    Double(Vec<f64>),
}

impl Matrix {
    /// A matrix with columns called `names` and `values` row by row; NaN is no value.
    ///
    /// # Errors
    /// `Internal` if the values do not make whole rows.
    pub fn new(names: Vec<String>, rows: usize, values: Vec<f64>) -> Result<Self> {
        Self::of(names, rows, Values::Double(values))
    }

    /// The same of values of either kind.
    pub(super) fn of(names: Vec<String>, rows: usize, values: Values) -> Result<Self> {
        let count = match &values {
            Values::Single(values) => values.len(),
            Values::Double(values) => values.len(),
        };
        if names.len() * rows != count {
            let columns = names.len();
            let message = format!("`{count}` values are no matrix of {rows} x {columns}");
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

    /// Copies the features of a state to `to`, which has a place for each.
    pub fn read(&self, row: usize, to: &mut [f64]) {
        self.read_from(row, 0, to);
    }

    /// The same with the mean of a feature in the place of a missing value; less that mean, if
    /// features are `CENTRED`. In the vector instructions of who calls it.
    #[inline(always)]
    pub(super) fn read_known<const CENTRED: bool>(
        &self,
        row: usize,
        means: &[f64],
        to: &mut [f64],
    ) {
        let places = row * self.columns()..(row + 1) * self.columns();
        match &self.values {
            Values::Single(values) => {
                let values = values[places].iter().map(|value| f64::from(*value));
                known::<CENTRED>(values, means, to);
            }
            Values::Double(values) => known::<CENTRED>(values[places].iter().copied(), means, to),
        }
    }

    /// Some features of the states `rows`, feature by feature.
    pub(super) fn features(&self, features: Range<usize>, rows: &[usize]) -> Vec<Vec<f64>> {
        let mut columns = vec![Vec::with_capacity(rows.len()); features.len()];
        let mut values = vec![0.0; features.len()];
        for &row in rows {
            self.read_from(row, features.start, &mut values);
            columns.iter_mut().zip(&values).for_each(|(column, value)| column.push(*value));
        }
        columns
    }

    /// Copies features of a state, from the one at `first` on.
    fn read_from(&self, row: usize, first: usize, to: &mut [f64]) {
        let start = row * self.columns() + first;
        let places = start..start + to.len();
        match &self.values {
            Values::Single(values) => {
                let values = values[places].iter();
                to.iter_mut().zip(values).for_each(|(to, value)| *to = f64::from(*value));
            }
            Values::Double(values) => to.copy_from_slice(&values[places]),
        }
    }

    /// The same without the columns that `is_left_out` names.
    pub(super) fn without(self, is_left_out: impl Fn(&str) -> bool) -> Self {
        let stays: Vec<bool> = self.names.iter().map(|name| !is_left_out(name)).collect();
        if stays.iter().all(|&stays| stays) {
            return self;
        }
        let values = match &self.values {
            Values::Single(values) => Values::Single(kept(values, &stays)),
            Values::Double(values) => Values::Double(kept(values, &stays)),
        };
        Self { names: kept(&self.names, &stays), rows: self.rows, values }
    }
}

#[inline(always)]
fn known<const CENTRED: bool>(values: impl Iterator<Item = f64>, means: &[f64], to: &mut [f64]) {
    for ((to, value), mean) in to.iter_mut().zip(values).zip(means) {
        let known = if value.is_nan() { *mean } else { value };
        *to = if CENTRED { known - mean } else { known };
    }
}

/// The items of each row that stay.
fn kept<T: Clone>(items: &[T], stays: &[bool]) -> Vec<T> {
    let rows = items.chunks(stays.len()).flat_map(|row| row.iter().zip(stays));
    rows.filter(|(_, stays)| **stays).map(|(item, _)| item.clone()).collect()
}
