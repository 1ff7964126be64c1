//! `lookup`: what stands beside a key.
//!
//! It is what a join with a small table finds. But joins gather thousands of rows
//! before they hand them on, which of weights is more than memory holds.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_OTHER;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
};

use crate::sql::{self, Function, list_of};

const NAME: &str = "lookup";

#[derive(Debug)]
struct Lookup;

pub(super) fn function() -> ScalarUDF {
    let documentation = Documentation::builder(
        DOC_SECTION_OTHER,
        "What stands in one list where a key stands in another, NULL if it stands nowhere: of wide \
         rows a join that does not gather them.",
        "lookup(key, keys, values)",
    )
    .with_argument("key", "An integer, such as a model_id.")
    .with_argument("keys", "A list that is the same for all rows, such as (SELECT array_agg(…)).")
    .with_argument("values", "As long a list, the same for all rows.")
    .build();
    sql::udf(Lookup, documentation)
}

impl Function for Lookup {
    fn name(&self) -> &'static str {
        NAME
    }

    fn coerced(&self, arguments: &[DataType]) -> Result<Option<Vec<DataType>>> {
        let [_, _, values] = arguments else { return Ok(None) };
        Ok(Some(vec![DataType::Int64, list_of(DataType::Int64), values.clone()]))
    }

    fn returns(&self, arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
        match arguments.arg_fields.last().map(|field| field.data_type()) {
            Some(DataType::List(item)) => Ok(item.data_type().clone()),
            _ => plan_err!("{NAME} takes a list of values"),
        }
    }

    fn call(&self, arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let [key, keys, values] = arguments.args.as_slice() else {
            return exec_err!("{NAME} got {} arguments", arguments.args.len());
        };
        let (keys, values) = (list(keys)?, list(values)?);
        if keys.len() != values.len() {
            return exec_err!("{NAME} got {} keys and {} values", keys.len(), values.len());
        }
        let places = keys.as_primitive::<Int64Type>().iter().zip(0_u32..);
        let places: HashMap<i64, u32> =
            places.filter_map(|(key, place)| Some((key?, place))).collect();
        let key = key.to_array(arguments.number_rows)?;
        let found = key.as_primitive::<Int64Type>().iter().map(|key| places.get(&key?).copied());
        Ok(take(&values, &found.collect::<UInt32Array>(), None)?)
    }
}

/// The elements of a list that is the same for all rows; none if it is NULL.
fn list(argument: &ColumnarValue) -> Result<ArrayRef> {
    match argument {
        ColumnarValue::Scalar(ScalarValue::List(list)) if list.is_valid(0) => Ok(list.value(0)),
        ColumnarValue::Scalar(ScalarValue::List(list)) => Ok(list.values().slice(0, 0)),
        _ => exec_err!("{NAME} takes lists that are the same for all rows"),
    }
}
