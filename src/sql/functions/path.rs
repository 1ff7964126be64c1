//! Functions of the path that a vector takes through the rows of a window, such
//! as the weights of a model through its epochs.
//!
//! As windows of DataFusion: rows must come sorted. `paths` answers most queries
//! without them. Frames do not matter: a path is what led to a row, as for `lag`.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{
    Documentation, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};

use super::measure::{Measure, Place};
use super::vector::{Vectors, coerced, wrong_count};

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PathMeasure {
    name: &'static str,
    measure: Measure,
    signature: Signature,
    documentation: Documentation,
}

/// The function `name(vector) OVER (…)`.
pub(super) fn measure(name: &'static str, measure: Measure, description: &str) -> WindowUDF {
    let syntax = format!("{name}(vector) OVER (PARTITION BY model_id ORDER BY epoch)");
    let description = format!(
        "{description} Frames do not matter: it looks at all rows of the window up to this."
    );
    let documentation = Documentation::builder(DOC_SECTION_ARRAY, description, syntax)
        .with_argument("vector", "A vector, such as the column of a vectors_<arch> view.")
        .build();
    let signature = Signature::user_defined(Volatility::Immutable);
    WindowUDF::new_from_impl(PathMeasure { name, measure, signature, documentation })
}

impl PathMeasure {
    /// What the function says.
    pub(super) fn measure(&self) -> (&'static str, Measure) {
        (self.name, self.measure)
    }
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

    /// Planning makes one already, so that what is refused is refused before anything is read.
    fn partition_evaluator(
        &self,
        arguments: PartitionEvaluatorArgs,
    ) -> Result<Box<dyn PartitionEvaluator>> {
        if arguments.ignore_nulls() {
            let name = self.name;
            return plan_err!("{name} takes no IGNORE NULLS: leave out NULLs by WHERE before it");
        }
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
        if !self.begun && self.measure == Measure::Start {
            // A copy: a slice would keep the vectors of other models, too.
            self.first = now.map(<[f32]>::to_vec);
        }
        self.begun = true;
        let before: Vec<_> = (range.start..range.end - 1).map(|row| vectors.get(row)).collect();
        let place = Place { first: self.first.as_deref(), before: &before, now };
        let value = self.measure.of(self.name, place)?;
        Ok(ScalarValue::Float64(value))
    }
}
