//! Vectors as SQL functions see them: a column of `f32` slices.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

/// A column of vectors, each a slice of one flat buffer.
#[derive(Clone, Copy)]
pub(in crate::sql) struct Vectors<'a> {
    values: &'a [f32],
    ends: Ends<'a>,
    nulls: Option<&'a NullBuffer>,
    length: usize,
}

/// Where vectors end in the flat buffer.
#[derive(Clone, Copy)]
enum Ends<'a> {
    Fixed(usize),
    Offsets(&'a [i32]),
}

impl<'a> Vectors<'a> {
    /// The vectors of an array that [`coerced`] lets through.
    pub(in crate::sql) fn of(function: &str, array: &'a ArrayRef) -> Result<Self> {
        let (child, ends) = match array.data_type() {
            DataType::FixedSizeList(_, length) => {
                let length = usize::try_from(*length).unwrap_or(0);
                (array.as_fixed_size_list().values(), Ends::Fixed(length))
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                (list.values(), Ends::Offsets(list.value_offsets()))
            }
            other => return exec_err!("{function} got {other} instead of a vector"),
        };
        let Some(values) = child.as_primitive_opt::<Float32Type>() else {
            return exec_err!("{function} got a list of {} instead of Float32", child.data_type());
        };
        let vectors =
            Self { values: values.values(), ends, nulls: array.nulls(), length: array.len() };
        // A NULL inside a NULL vector is nobody's value.
        if values.null_count() > 0
            && let Some(row) = (0..array.len()).find(|&row| {
                let range = vectors.range(row);
                array.is_valid(row) && values.slice(range.start, range.len()).null_count() > 0
            })
        {
            return exec_err!("{function}: the vector in row {row} has a NULL element");
        }
        Ok(vectors)
    }

    fn range(&self, row: usize) -> Range<usize> {
        match self.ends {
            Ends::Fixed(length) => row * length..(row + 1) * length,
            // Offsets are never negative nor descending: Arrow checks them.
            Ends::Offsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
        }
    }

    /// The vector in `row`, or `None` if it is NULL.
    pub(in crate::sql) fn get(&self, row: usize) -> Option<&'a [f32]> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        Some(&self.values[self.range(row)])
    }

    /// The vectors, row by row.
    pub(super) fn iter(self) -> impl Iterator<Item = Option<&'a [f32]>> {
        (0..self.length).map(move |row| self.get(row))
    }
}

/// The rows for which the last argument has one value: all if it is a constant.
pub(super) fn runs(
    arguments: &[ColumnarValue],
    rows: usize,
) -> impl Iterator<Item = Range<usize>> + use<> {
    let constant = matches!(arguments, [.., ColumnarValue::Scalar(_)]);
    let length = if constant { rows.max(1) } else { 1 };
    (0..rows).step_by(length).map(move |start| start..start + length)
}

/// Lists of a type.
pub(crate) fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}

/// The type to which a vector argument is cast: vectors of `Float32` stay as
/// they are, other lists of numbers become `List<Float32>`.
pub(super) fn coerced(function: &str, argument: &DataType) -> Result<DataType> {
    match argument {
        DataType::FixedSizeList(item, _) | DataType::List(item)
            if *item.data_type() == DataType::Float32 =>
        {
            Ok(argument.clone())
        }
        DataType::FixedSizeList(item, _)
        | DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
            if item.data_type().is_numeric() || *item.data_type() == DataType::Null =>
        {
            Ok(list_of(DataType::Float32))
        }
        DataType::Null => Ok(list_of(DataType::Float32)),
        other => plan_err!(
            "{function} takes a vector, such as a column of a weights_<arch> table, and got {other}"
        ),
    }
}

/// The error for a wrong number of arguments.
pub(super) fn wrong_count<T>(syntax: &str, count: usize) -> Result<T> {
    plan_err!("{syntax} got {count} argument{}", if count == 1 { "" } else { "s" })
}
