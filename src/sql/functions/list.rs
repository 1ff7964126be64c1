//! `vector_list`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray};
use arrow::datatypes::DataType;
use datafusion::common::utils::take_function_args;
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::vector::{arrays, coerced, wrong_count};
use crate::store::values_field;

const NAME: &str = "vector_list";

#[derive(Debug, PartialEq, Eq, Hash)]
struct List {
    signature: Signature,
    documentation: Documentation,
}

pub(super) fn udf() -> ScalarUDF {
    let documentation = Documentation::builder(
        DOC_SECTION_ARRAY,
        "A vector as a list without a fixed length, so that vectors of several lengths fit one \
         column.",
        "vector_list(vector)",
    )
    .with_argument("vector", "A vector, such as a column of a weights_<arch> table.")
    .build();
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::new_from_impl(List { signature, documentation })
}

impl ScalarUDFImpl for List {
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
        let [vector] = arguments else {
            return wrong_count(&self.documentation.syntax_example, arguments.len());
        };
        Ok(vec![coerced(NAME, vector)?])
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(values_field()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [array] = take_function_args(NAME, arrays(&arguments)?)?;
        let list: ArrayRef = match array.as_fixed_size_list_opt() {
            Some(fixed) => Arc::new(ListArray::from(fixed.clone())),
            None => array,
        };
        // The same values, under the one name the type promises.
        let list = arrow::compute::cast(&list, &DataType::List(values_field()))?;
        Ok(ColumnarValue::Array(list))
    }
}
