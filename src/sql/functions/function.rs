//! What all functions of a row have in common.

use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::vector::wrong_count;

/// A function of a row that has the same result whenever it is called.
pub(crate) trait Function: Debug + Send + Sync + 'static {
    /// The name, which no other function has.
    fn name(&self) -> &'static str;

    /// The types to which arguments of these types are cast; `None` if there are too
    /// many or too few.
    fn coerced(&self, arguments: &[DataType]) -> Result<Option<Vec<DataType>>>;

    /// The type of the result.
    fn returns(&self, arguments: &ReturnFieldArgs<'_>) -> Result<DataType>;

    /// The results, row by row.
    fn call(&self, arguments: &ScalarFunctionArgs) -> Result<ArrayRef>;
}

/// A function as DataFusion calls it.
#[derive(Debug)]
pub(super) struct Udf<F> {
    pub(super) function: F,
    signature: Signature,
    documentation: Documentation,
}

/// A function with what is to be said of it.
pub(crate) fn udf(function: impl Function, documentation: Documentation) -> ScalarUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::new_from_impl(Udf { function, signature, documentation })
}

/// The arguments of a call as arrays, one value per row: constants repeated.
pub(crate) fn arrays(arguments: &ScalarFunctionArgs) -> Result<Vec<ArrayRef>> {
    arguments.args.iter().map(|value| value.to_array(arguments.number_rows)).collect()
}

impl<F: Function> PartialEq for Udf<F> {
    fn eq(&self, other: &Self) -> bool {
        self.function.name() == other.function.name()
    }
}

impl<F: Function> Eq for Udf<F> {}

impl<F: Function> Hash for Udf<F> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name().hash(state);
    }
}

impl<F: Function> ScalarUDFImpl for Udf<F> {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match self.function.coerced(arguments)? {
            Some(coerced) => Ok(coerced),
            None => wrong_count(&self.documentation.syntax_example, arguments.len()),
        }
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        internal_err!("the type of {} may depend on what its arguments are", self.name())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), self.function.returns(&arguments)?, true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Array(self.function.call(&arguments)?))
    }
}
