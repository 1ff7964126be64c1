//! `vector_quantile`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::utils::take_function_args;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{
    Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
};

use super::function::{self, Function, arrays};
use super::vector::{Vectors, coerced, runs};
use crate::statistics::{Statistic, Summary};

const NAME: &str = "vector_quantile";

#[derive(Debug)]
pub(super) struct Quantile;

pub(super) fn udf() -> ScalarUDF {
    let documentation = Documentation::builder(
        DOC_SECTION_ARRAY,
        "The exact q-quantile of a vector, interpolated linearly between order statistics as \
         numpy's `quantile` does by default; NaN if the vector has one.",
        "vector_quantile(vector, q)",
    )
    .with_argument("vector", "A vector, such as a column of a weights_<arch> table.")
    .with_argument("q", "A fraction in [0, 1]: 0.5 is the median.")
    .build();
    function::udf(Quantile, documentation)
}

impl Function for Quantile {
    fn name(&self) -> &'static str {
        NAME
    }

    fn coerced(&self, arguments: &[DataType]) -> Result<Option<Vec<DataType>>> {
        let [vector, _] = arguments else { return Ok(None) };
        Ok(Some(vec![coerced(NAME, vector)?, DataType::Float64]))
    }

    fn returns(&self, _arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn call(&self, arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let [array, fractions] = take_function_args(NAME, arrays(arguments)?)?;
        let vectors = Vectors::of(NAME, &array)?;
        let fractions = fractions.as_primitive::<Float64Type>();
        let mut result = Vec::with_capacity(array.len());
        for run in runs(&arguments.args, array.len()) {
            if fractions.is_null(run.start) {
                result.resize(run.end, None);
                continue;
            }
            let summary = Summary::new(&[quantile(fractions.value(run.start))?]);
            let columns = summary.columns(run.map(|row| vectors.get(row)));
            result.extend(columns.into_iter().flatten());
        }
        Ok(Arc::new(Float64Array::from(result)))
    }
}

impl Quantile {
    /// The statistic that a call with these arguments computes for every row, if
    /// there is only one.
    pub(super) fn statistic(arguments: &[Expr]) -> Option<Statistic> {
        match arguments {
            [_, Expr::Literal(ScalarValue::Float64(Some(fraction)), _)] => quantile(*fraction).ok(),
            _ => None,
        }
    }
}

/// Refuses what is no fraction.
pub(super) fn quantile(fraction: f64) -> Result<Statistic> {
    if !(0.0..=1.0).contains(&fraction) {
        return exec_err!("quantile {fraction} is outside [0, 1]");
    }
    Ok(Statistic::quantile(fraction))
}
