//! Functions of one vector, or of two of equal length, that yield one number.
//! Those of one vector are statistics.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::Float64Array;
use arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::vector::{Vectors, arrays, coerced, wrong_count};
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
    signature: Signature,
    documentation: Documentation,
}

/// The function `name(vector)`.
pub(super) fn of_one(name: &'static str, description: &str, statistic: Statistic) -> ScalarUDF {
    let documentation =
        Documentation::builder(DOC_SECTION_ARRAY, description, format!("{name}(vector)"))
            .with_argument("vector", "A vector, such as a column of a weights_<arch> table.");
    udf(name, Kernel::One(statistic), documentation.build())
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
    udf(name, Kernel::Two(kernel), documentation.build())
}

fn udf(name: &'static str, kernel: Kernel, documentation: Documentation) -> ScalarUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::new_from_impl(Number { name, kernel, signature, documentation })
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

/// Names are unique; kernels cannot be compared.
impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Number {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match (self.kernel, arguments) {
            (Kernel::One(_), [_]) | (Kernel::Two(_), [_, _]) => {
                arguments.iter().map(|argument| coerced(self.name, argument)).collect()
            }
            _ => wrong_count(&self.documentation.syntax_example, arguments.len()),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = arrays(&arguments)?;
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
            _ => return wrong_count(&self.documentation.syntax_example, arrays.len()),
        };
        Ok(ColumnarValue::Array(Arc::new(result)))
    }
}
