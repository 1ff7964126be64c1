//! Functions of the path that a vector takes through the rows of a window, such
//! as the weights of a model through its epochs.
//!
//! A row is compared with a single other row of its partition, which is all that
//! is kept: nothing is copied for `lag` or `first_value` to yield.

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

/// With which row of its partition a row is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Since {
    Previous,
    First,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PathDistance {
    name: &'static str,
    since: Since,
    signature: Signature,
    documentation: Documentation,
}

/// The function `name(vector) OVER (…)`.
pub(super) fn distance_since(name: &'static str, since: Since, description: &str) -> WindowUDF {
    let syntax = format!("{name}(vector) OVER (PARTITION BY model_id ORDER BY epoch)");
    let documentation = Documentation::builder(DOC_SECTION_ARRAY, description, syntax)
        .with_argument("vector", "A vector, such as the column of a vectors_<arch> view.")
        .build();
    let signature = Signature::user_defined(Volatility::Immutable);
    WindowUDF::new_from_impl(PathDistance { name, since, signature, documentation })
}

impl WindowUDFImpl for PathDistance {
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
        Ok(Box::new(Path { name: self.name, since: self.since, begun: false, first: None }))
    }
}

/// The path of one partition, as far as rows have come.
#[derive(Debug)]
struct Path {
    name: &'static str,
    since: Since,
    begun: bool,
    /// The first vector, if others are compared with it; `None` if it is NULL.
    first: Option<Vec<f32>>,
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
        let start = match self.since {
            Since::Previous => row.saturating_sub(1),
            Since::First => row,
        };
        Ok(start..row + 1)
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let [array] = values else { return exec_err!("{} got no vector", self.name) };
        let vectors = Vectors::of(self.name, array)?;
        let now = vectors.get(range.end - 1);
        let then = match self.since {
            Since::Previous if range.len() < 2 => None,
            Since::Previous => vectors.get(range.start),
            Since::First => {
                if !self.begun {
                    self.begun = true;
                    // A copy: a slice would keep the vectors of other models, too.
                    self.first = now.map(<[f32]>::to_vec);
                }
                self.first.as_deref()
            }
        };
        let (Some(then), Some(now)) = (then, now) else { return Ok(ScalarValue::Float64(None)) };
        if then.len() != now.len() {
            return exec_err!(
                "{}: vectors have {} and {} values",
                self.name,
                then.len(),
                now.len()
            );
        }
        Ok(ScalarValue::Float64(Some(distance(then, now))))
    }
}
