//! `vector_list`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray};
use arrow::datatypes::DataType;
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use super::function::{self, Function, arrays};
use super::vector::coerced;
use crate::store::values_field;

const NAME: &str = "vector_list";

#[derive(Debug)]
struct List;

pub(super) fn udf() -> ScalarUDF {
    let documentation = Documentation::builder(
        DOC_SECTION_ARRAY,
        "A vector as a list without a fixed length, so that vectors of several lengths fit one \
         column.",
        "vector_list(vector)",
    )
    .with_argument("vector", "A vector, such as a column of a weights_<arch> table.")
    .build();
    function::udf(List, documentation)
}

impl Function for List {
    fn name(&self) -> &'static str {
        NAME
    }

    fn coerced(&self, arguments: &[DataType]) -> Result<Option<Vec<DataType>>> {
        let [vector] = arguments else { return Ok(None) };
        Ok(Some(vec![coerced(NAME, vector)?]))
    }

    fn returns(&self, _arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
        Ok(DataType::List(values_field()))
    }

    fn call(&self, arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let [array] = take_function_args(NAME, arrays(arguments)?)?;
        let list: ArrayRef = match array.as_fixed_size_list_opt() {
            Some(fixed) => Arc::new(ListArray::from(fixed.clone())),
            None => array,
        };
        // The same values, under the one name the type promises.
        Ok(arrow::compute::cast(&list, &DataType::List(values_field()))?)
    }
}
