//! `vector_statistics`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use super::function::{self, Function};
use super::vector::{Vectors, coerced};
use crate::statistics::{Statistic, Summary};

const NAME: &str = "vector_statistics";

#[derive(Debug)]
struct Statistics;

pub(in crate::sql) fn udf() -> ScalarUDF {
    let documentation = Documentation::builder(
        DOC_SECTION_ARRAY,
        "Several statistics of a vector as one struct, for the price of one scan and one sort: \
         mean, var, stddev, skewness, kurtosis, min, q0.25, q0.5, q0.75, max, l1_norm and l2_norm, \
         or those whose names follow.",
        "vector_statistics(vector, name, …)",
    )
    .with_argument("vector", "A vector, such as a column of a weights_<arch> table.")
    .with_argument("name", "What vector_<name> computes, or q0.9 for a quantile.")
    .build();
    function::udf(Statistics, documentation)
}

impl Function for Statistics {
    fn name(&self) -> &'static str {
        NAME
    }

    fn coerced(&self, arguments: &[DataType]) -> Result<Option<Vec<DataType>>> {
        let [vector, names @ ..] = arguments else { return Ok(None) };
        let mut types = vec![coerced(NAME, vector)?];
        types.extend(names.iter().map(|_| DataType::Utf8));
        Ok(Some(types))
    }

    fn returns(&self, arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
        let mut statistics = Vec::new();
        for name in arguments.scalar_arguments.iter().skip(1) {
            let Some(ScalarValue::Utf8(Some(name))) = name else {
                return plan_err!("{NAME} takes names of statistics in quotes");
            };
            match name.parse() {
                Ok(statistic) if statistics.contains(&statistic) => {
                    return plan_err!("{NAME} got `{name}` twice");
                }
                Ok(statistic) => statistics.push(statistic),
                Err(known) => return plan_err!("{NAME} knows no `{name}`; it knows {known}"),
            }
        }
        if statistics.is_empty() {
            statistics.extend(Statistic::USUAL);
        }
        let field =
            |statistic: &Statistic| Field::new(statistic.to_string(), DataType::Float64, true);
        Ok(DataType::Struct(statistics.iter().map(field).collect()))
    }

    fn call(&self, arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let (Some(vectors), DataType::Struct(fields)) =
            (arguments.args.first(), arguments.return_field.data_type())
        else {
            return exec_err!("{NAME} has nothing to yield");
        };
        let array = vectors.to_array(arguments.number_rows)?;
        let vectors = Vectors::of(NAME, &array)?;
        let statistics = fields.iter().map(|field| field.name().parse());
        let Ok(statistics) = statistics.collect::<Result<Vec<Statistic>, _>>() else {
            return exec_err!("{NAME} yields {fields:?}");
        };
        let columns = Summary::new(&statistics).columns(vectors.iter()).into_iter();
        let columns = columns.map(|column| Arc::new(Float64Array::from(column)) as ArrayRef);
        let nulls = array.logical_nulls().filter(|nulls: &NullBuffer| nulls.null_count() > 0);
        let result = StructArray::try_new(fields.clone(), columns.collect(), nulls)?;
        Ok(Arc::new(result))
    }
}
