//! `vector_concat`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, FixedSizeListArray, Float32Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use super::function::{self, Function, arrays};
use super::vector::Vectors;
use crate::store::values_field;

const NAME: &str = "vector_concat";

#[derive(Debug)]
struct Concat;

pub(super) fn udf() -> ScalarUDF {
    let documentation = Documentation::builder(
        DOC_SECTION_ARRAY,
        "Vectors of fixed length one after the other, as one vector; NULL if one of them is.",
        "vector_concat(vector, vector, …)",
    )
    .with_argument("vector", "A vector of fixed length: a column of a weights_<arch> table.")
    .build();
    function::udf(Concat, documentation)
}

impl Function for Concat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn coerced(&self, arguments: &[DataType]) -> Result<Option<Vec<DataType>>> {
        Ok((!arguments.is_empty()).then(|| arguments.to_vec()))
    }

    fn returns(&self, arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
        let length = |argument: &FieldRef| match argument.data_type() {
            DataType::FixedSizeList(item, length) if *item.data_type() == DataType::Float32 => {
                Ok(*length)
            }
            other => plan_err!("{NAME} takes FixedSizeList<Float32> vectors and got {other}"),
        };
        let total = arguments.arg_fields.iter().map(length).sum::<Result<i32>>()?;
        Ok(DataType::FixedSizeList(values_field(), total))
    }

    fn call(&self, arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let DataType::FixedSizeList(_, length) = *arguments.return_field.data_type() else {
            return exec_err!("{NAME} has no vector to yield");
        };
        let rows = arguments.number_rows;
        let arrays = arrays(arguments)?;
        let parts: Vec<_> =
            arrays.iter().map(|array| Vectors::of(NAME, array)).collect::<Result<_>>()?;
        let length_of_one = usize::try_from(length).unwrap_or(0);
        let mut values = Vec::with_capacity(rows * length_of_one);
        for row in 0..rows {
            for part in &parts {
                match part.get(row) {
                    Some(part) => values.extend_from_slice(part),
                    None => break,
                }
            }
            values.resize((row + 1) * length_of_one, 0.0);
        }
        let nulls = arrays
            .iter()
            .fold(None, |nulls, array| NullBuffer::union(nulls.as_ref(), array.nulls()));
        let values = Arc::new(Float32Array::from(values));
        let result = FixedSizeListArray::try_new(values_field(), length, values, nulls)?;
        Ok(Arc::new(result))
    }
}
