//! Functions of the path that a vector takes through the rows of a window, such
//! as the weights of a model through its epochs.
//!
//! A row is compared with the first row of its partition, or the one or two before
//! it, which is all that is kept: nothing is copied for `lag` or `first_value` to yield.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{
    Documentation, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};

use super::l2_distance::distance;
use super::vector::{Vectors, coerced, wrong_count};

/// What a function says of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Measure {
    /// The distance from the row before.
    Step,
    /// The distance from the first row.
    Start,
    /// The angle between the step to the row before and the one to this row.
    Turn,
}

impl Measure {
    /// The rows before a row that it looks at.
    fn rows_before(self) -> usize {
        match self {
            Self::Start => 0,
            Self::Step => 1,
            Self::Turn => 2,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PathMeasure {
    name: &'static str,
    measure: Measure,
    signature: Signature,
    documentation: Documentation,
}

/// The function `name(vector) OVER (…)`.
pub(super) fn measure(name: &'static str, measure: Measure, description: &str) -> WindowUDF {
    let syntax = format!("{name}(vector) OVER (PARTITION BY model_id ORDER BY epoch)");
    let documentation = Documentation::builder(DOC_SECTION_ARRAY, description, syntax)
        .with_argument("vector", "A vector, such as the column of a vectors_<arch> view.")
        .build();
    let signature = Signature::user_defined(Volatility::Immutable);
    WindowUDF::new_from_impl(PathMeasure { name, measure, signature, documentation })
}

impl WindowUDFImpl for PathMeasure {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        match arguments {
            [vector] => Ok(vec![coerced(self.name, vector)?]),
            _ => wrong_count(&self.documentation.syntax_example, arguments.len()),
        }
    }

    fn field(&self, arguments: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(arguments.name(), DataType::Float64, true)))
    }

    fn partition_evaluator(
        &self,
        _arguments: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Path { name: self.name, measure: self.measure, begun: false, first: None }))
    }
}

/// The path of one partition, as far as rows have come.
#[derive(Debug)]
struct Path {
    name: &'static str,
    measure: Measure,
    begun: bool,
    /// The first vector, if others are compared with it; `None` if it is NULL.
    first: Option<Vec<f32>>,
}

impl Path {
    /// The distance of two vectors; `None` if one is missing.
    fn distance(&self, a: Option<&[f32]>, b: Option<&[f32]>) -> Result<Option<f64>> {
        match (a, b) {
            (Some(a), Some(b)) if a.len() == b.len() => Ok(Some(distance(a, b))),
            (Some(a), Some(b)) => {
                exec_err!("{}: vectors have {} and {} values", self.name, a.len(), b.len())
            }
            _ => Ok(None),
        }
    }
}

impl PartitionEvaluator for Path {
    fn supports_bounded_execution(&self) -> bool {
        true
    }

    fn is_causal(&self) -> bool {
        true
    }

    /// The rows that must still be there when a row is looked at.
    fn get_range(&self, row: usize, _rows: usize) -> Result<Range<usize>> {
        Ok(row.saturating_sub(self.measure.rows_before())..row + 1)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let [array] = values else { return exec_err!("{} got no vector", self.name) };
        let vectors = Vectors::of(self.name, array)?;
        let now = vectors.get(range.end - 1);
        let value = match self.measure {
            Measure::Start => {
                if !self.begun {
                    self.begun = true;
                    // A copy: a slice would keep the vectors of other models, too.
                    self.first = now.map(<[f32]>::to_vec);
                }
                self.distance(self.first.as_deref(), now)?
            }
            measure if range.len() <= measure.rows_before() => None,
            Measure::Step => self.distance(vectors.get(range.start), now)?,
            Measure::Turn => {
                let (first, corner) = (vectors.get(range.start), vectors.get(range.start + 1));
                let before = self.distance(first, corner)?;
                let step = self.distance(corner, now)?;
                match (before, step, self.distance(first, now)?) {
                    (Some(before), Some(step), Some(across)) => turn(before, step, across),
                    _ => None,
                }
            }
        };
        Ok(ScalarValue::Float64(value))
    }
}

/// The angle by which the second of two steps turns off the first, from their
/// lengths and the distance across, by the law of cosines; `None` if nothing moved.
fn turn(before: f64, step: f64, across: f64) -> Option<f64> {
    let twice = 2.0 * before * step;
    let cosine = (across * across - before * before - step * step) / twice;
    // Rounding can take the cosine past one; NaN stays NaN.
    (twice != 0.0).then(|| cosine.clamp(-1.0, 1.0).acos())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    #[test]
    fn turns() {
        assert_eq!(turn(1.0, 2.0, 3.0), Some(0.0));
        assert_eq!(turn(1.0, 1.0, 0.0), Some(PI));
        assert!((turn(3.0, 4.0, 5.0).unwrap() - PI / 2.0).abs() < 1e-15);
        assert_eq!(turn(0.0, 1.0, 1.0), None);
        assert!(turn(f64::NAN, 1.0, 1.0).unwrap().is_nan());
    }
}
