//! `vector_quantiles`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Builder, ListBuilder};
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::exec_err;
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::quantile::quantile;
use super::vector::{Vectors, arrays, coerced, runs, wrong_count};
use crate::statistics::{Statistic, Summary};

const NAME: &str = "vector_quantiles";

#[derive(Debug, PartialEq, Eq, Hash)]
struct Quantiles {
    signature: Signature,
    documentation: Documentation,
}

pub(super) fn udf() -> ScalarUDF {
    let documentation = Documentation::builder(
        DOC_SECTION_ARRAY,
        "Several exact quantiles of a vector for the price of one sort: see vector_quantile.",
        "vector_quantiles(vector, fractions)",
    )
    .with_argument("vector", "A vector, such as a column of a weights_<arch> table.")
    .with_argument("fractions", "A list of fractions in [0, 1], such as [0, 0.25, 0.5, 0.75, 1].")
    .build();
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::new_from_impl(Quantiles { signature, documentation })
}

fn list_of_float64() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Float64, true)))
}

impl ScalarUDFImpl for Quantiles {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [vector, _] = arguments else {
            return wrong_count(&self.documentation.syntax_example, arguments.len());
        };
        Ok(vec![coerced(NAME, vector)?, list_of_float64()])
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(list_of_float64())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [array, fractions] = take_function_args(NAME, arrays(&arguments)?)?;
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
        Ok(ColumnarValue::Array(Arc::new(result.finish())))
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
