//! Functions of one vector, or of two of equal length, that yield one number.
//! Those of one vector are statistics.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use super::function::{self, Function, arrays};
use super::vector::{Vectors, coerced};
use crate::statistics::{Statistic, Summary};

/// What a function computes.
#[derive(Debug, Clone, Copy)]
enum Kernel {
    One(Statistic),
    /// `None` is NULL.
    Two(fn(&[f32], &[f32]) -> Option<f64>),
}

#[derive(Debug)]
pub(super) struct Number {
    name: &'static str,
    kernel: Kernel,
}

/// The function `name(vector)`.
pub(super) fn of_one(name: &'static str, description: &str, statistic: Statistic) -> ScalarUDF {
    let documentation =
        Documentation::builder(DOC_SECTION_ARRAY, description, format!("{name}(vector)"))
            .with_argument("vector", "A vector, such as a column of a weights_<arch> table.");
    function::udf(Number { name, kernel: Kernel::One(statistic) }, documentation.build())
}

/// The function `name(a, b)`.
pub(super) fn of_two(
    name: &'static str,
    description: &str,
    kernel: fn(&[f32], &[f32]) -> Option<f64>,
) -> ScalarUDF {
    let documentation =
        Documentation::builder(DOC_SECTION_ARRAY, description, format!("{name}(a, b)"))
            .with_argument("a", "A vector, such as a column of a weights_<arch> table.")
            .with_argument("b", "A vector of the same length.");
    function::udf(Number { name, kernel: Kernel::Two(kernel) }, documentation.build())
}

impl Number {
    /// What the function of one vector computes.
    pub(super) fn statistic(&self) -> Option<Statistic> {
        match self.kernel {
            Kernel::One(statistic) => Some(statistic),
            Kernel::Two(_) => None,
        }
    }
}

impl Function for Number {
    fn name(&self) -> &'static str {
        self.name
    }

    fn coerced(&self, arguments: &[DataType]) -> Result<Option<Vec<DataType>>> {
        match (self.kernel, arguments) {
            (Kernel::One(_), [_]) | (Kernel::Two(_), [_, _]) => {
                let vectors = arguments.iter().map(|argument| coerced(self.name, argument));
                vectors.collect::<Result<_>>().map(Some)
            }
            _ => Ok(None),
        }
    }

    fn returns(&self, _arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn call(&self, arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let arrays = arrays(arguments)?;
        let result: Float64Array = match (self.kernel, arrays.as_slice()) {
            (Kernel::One(statistic), [array]) => {
                let vectors = Vectors::of(self.name, array)?;
                let columns = Summary::new(&[statistic]).columns(vectors.iter());
                columns.into_iter().flatten().collect()
            }
            (Kernel::Two(kernel), [a, b]) => {
                let (left, right) = (Vectors::of(self.name, a)?, Vectors::of(self.name, b)?);
                let rows = (0..a.len()).map(|row| match (left.get(row), right.get(row)) {
                    (Some(a), Some(b)) if a.len() == b.len() => Ok(kernel(a, b)),
                    (Some(a), Some(b)) => {
                        exec_err!("{}: vectors have {} and {} values", self.name, a.len(), b.len())
                    }
                    _ => Ok(None),
                });
                rows.collect::<Result<_>>()?
            }
            (_, arrays) => return exec_err!("{} got {} arguments", self.name, arrays.len()),
        };
        Ok(Arc::new(result))
    }
}
