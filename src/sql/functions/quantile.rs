//! `vector_quantile`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{exec_err, utils::take_function_args};
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::vector::{Vectors, arrays, coerced, wrong_count};

const NAME: &str = "vector_quantile";

#[derive(Debug, PartialEq, Eq, Hash)]
struct Quantile {
    signature: Signature,
    documentation: Documentation,
}

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
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::new_from_impl(Quantile { signature, documentation })
}

impl ScalarUDFImpl for Quantile {
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
        Ok(vec![coerced(NAME, vector)?, DataType::Float64])
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [array, q] = take_function_args(NAME, arrays(&arguments)?)?;
        let vectors = Vectors::of(NAME, &array)?;
        let mut sorted = Vec::new();
        let quantiles = q.as_primitive::<Float64Type>().iter().enumerate();
        let rows = quantiles.map(|(row, q)| match (vectors.get(row), q) {
            (Some(vector), Some(q)) => {
                check(q)?;
                sort_into(&mut sorted, vector);
                Ok(at(&sorted, q))
            }
            _ => Ok(None),
        });
        let result = rows.collect::<Result<Float64Array>>()?;
        Ok(ColumnarValue::Array(Arc::new(result) as ArrayRef))
    }
}

/// Refuses what is no fraction.
pub(super) fn check(q: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&q) {
        return exec_err!("quantile {q} is outside [0, 1]");
    }
    Ok(())
}

/// Sorts a vector into a buffer that serves row after row; NaN goes last.
pub(super) fn sort_into(sorted: &mut Vec<f32>, vector: &[f32]) {
    sorted.clear();
    sorted.extend_from_slice(vector);
    // A NaN of either sign must be found at the end.
    sorted.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())));
}

/// The `q`-quantile of sorted values, by numpy's rule `linear`: position
/// `(n - 1) q` between order statistics, interpolated in `f64`.
pub(super) fn at(sorted: &[f32], q: f64) -> Option<f64> {
    let last = *sorted.last()?;
    if last.is_nan() {
        return Some(f64::NAN);
    }
    let position = (sorted.len() - 1) as f64 * q;
    let below = position.floor() as usize;
    let (low, high) =
        (f64::from(sorted[below]), f64::from(sorted[(below + 1).min(sorted.len() - 1)]));
    let fraction = position - position.floor();
    // From the nearer neighbour, as numpy does it, which gives NaN beside an
    // infinite value; here that is the limit.
    Some(if fraction == 0.0 || low == high {
        low
    } else if low.is_infinite() || high.is_infinite() {
        low + high
    } else if fraction < 0.5 {
        low + (high - low) * fraction
    } else {
        high - (high - low) * (1.0 - fraction)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference: `numpy.quantile([3, 1, 2, 10], [0, .25, .5, .9, 1])`.
    #[test]
    fn numpy_linear() {
        let mut sorted = Vec::new();
        sort_into(&mut sorted, &[3.0, 1.0, 2.0, 10.0]);
        let quantile = |q| at(&sorted, q).unwrap();
        assert_eq!(
            [quantile(0.0), quantile(0.25), quantile(0.5), quantile(1.0)],
            [1.0, 1.75, 2.5, 10.0]
        );
        assert!((quantile(0.9) - 7.9).abs() < 1e-12);
        assert_eq!(at(&[], 0.5), None);
        assert!(check(1.5).is_err() && check(f64::NAN).is_err());
    }

    #[test]
    fn infinities_are_values() {
        let (inf, mut sorted) = (f32::INFINITY, Vec::new());
        sort_into(&mut sorted, &[1.0, -inf, -inf, inf]);
        assert_eq!(
            [0.0, 0.1, 2.0 / 3.0, 0.9].map(|q| at(&sorted, q).unwrap()),
            [f64::NEG_INFINITY, f64::NEG_INFINITY, 1.0, f64::INFINITY]
        );
    }

    #[test]
    fn nan_of_either_sign_is_not_skipped() {
        let mut sorted = Vec::new();
        for nan in [f32::NAN, -f32::NAN] {
            sort_into(&mut sorted, &[1.0, nan, 0.0]);
            assert!(at(&sorted, 0.0).unwrap().is_nan());
        }
    }
}
