//! `vector_concat`.

use std::sync::Arc;

use arrow::array::{Array, FixedSizeListArray, Float32Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::vector::{Vectors, arrays};
use crate::store::values_field;

const NAME: &str = "vector_concat";

#[derive(Debug, PartialEq, Eq, Hash)]
struct Concat {
    signature: Signature,
    documentation: Documentation,
}

pub(super) fn udf() -> ScalarUDF {
    let documentation = Documentation::builder(
        DOC_SECTION_ARRAY,
        "Vectors of fixed length one after the other, as one vector; NULL if one of them is.",
        "vector_concat(vector, vector, …)",
    )
    .with_argument("vector", "A vector of fixed length: a column of a weights_<arch> table.")
    .build();
    let signature = Signature::variadic_any(Volatility::Immutable);
    ScalarUDF::new_from_impl(Concat { signature, documentation })
}

impl ScalarUDFImpl for Concat {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let length = |argument: &DataType| match argument {
            DataType::FixedSizeList(item, length) if *item.data_type() == DataType::Float32 => {
                Ok(*length)
            }
            other => plan_err!("{NAME} takes FixedSizeList<Float32> vectors and got {other}"),
        };
        let total = arguments.iter().map(length).sum::<Result<i32>>()?;
        Ok(DataType::FixedSizeList(values_field(), total))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::FixedSizeList(_, length) = *arguments.return_field.data_type() else {
            return exec_err!("{NAME} has no vector to yield");
        };
        let rows = arguments.number_rows;
        let arrays = arrays(&arguments)?;
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
        Ok(ColumnarValue::Array(Arc::new(result)))
    }
}
