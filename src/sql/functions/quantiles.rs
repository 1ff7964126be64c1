//! `vector_quantiles`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Builder, ListBuilder};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::exec_err;
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use super::function::{self, Function, arrays};
use super::quantile::quantile;
use super::vector::{Vectors, coerced, list_of, runs};
use crate::statistics::{Statistic, Summary};

const NAME: &str = "vector_quantiles";

#[derive(Debug)]
struct Quantiles;

pub(super) fn udf() -> ScalarUDF {
    let documentation = Documentation::builder(
        DOC_SECTION_ARRAY,
        "Several exact quantiles of a vector for the price of one sort: see vector_quantile.",
        "vector_quantiles(vector, fractions)",
    )
    .with_argument("vector", "A vector, such as a column of a weights_<arch> table.")
    .with_argument("fractions", "A list of fractions in [0, 1], such as [0, 0.25, 0.5, 0.75, 1].")
    .build();
    function::udf(Quantiles, documentation)
}

impl Function for Quantiles {
    fn name(&self) -> &'static str {
        NAME
    }

    fn coerced(&self, arguments: &[DataType]) -> Result<Option<Vec<DataType>>> {
        let [vector, _] = arguments else { return Ok(None) };
        Ok(Some(vec![coerced(NAME, vector)?, list_of(DataType::Float64)]))
    }

    fn returns(&self, _arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
        Ok(list_of(DataType::Float64))
    }

    fn call(&self, arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let [array, fractions] = take_function_args(NAME, arrays(arguments)?)?;
        let vectors = Vectors::of(NAME, &array)?;
        let fractions = fractions.as_list::<i32>();
        let mut result = ListBuilder::new(Float64Builder::new());
        for run in runs(&arguments.args, array.len()) {
            let given = fractions.is_valid(run.start);
            let statistics = if given { statistics(&fractions.value(run.start))? } else { vec![] };
            let vectors = run.map(|row| vectors.get(row).filter(|_| given));
            let columns = Summary::new(&statistics).columns(vectors.clone());
            for (row, vector) in vectors.enumerate() {
                if vector.is_some() {
                    columns.iter().for_each(|column| result.values().append_option(column[row]));
                }
                result.append(vector.is_some());
            }
        }
        Ok(Arc::new(result.finish()))
    }
}

fn statistics(fractions: &ArrayRef) -> Result<Vec<Statistic>> {
    let fractions = fractions.as_primitive::<Float64Type>().iter();
    fractions
        .map(|fraction| match fraction {
            Some(fraction) => quantile(fraction),
            None => exec_err!("{NAME}: a fraction is NULL"),
        })
        .collect()
}
