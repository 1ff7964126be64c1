//! `vector_spectrum`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Float64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_ARRAY;
use datafusion::logical_expr::{Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use super::function::{self, Function, arrays};
use super::vector::{Vectors, coerced};
use crate::statistics::{Spectra, Spectrum};

const NAME: &str = "vector_spectrum";

#[derive(Debug)]
struct VectorSpectrum;

pub(super) fn udf() -> ScalarUDF {
    let documentation = Documentation::builder(
        DOC_SECTION_ARRAY,
        "What the eigenvalues (squared singular values) of a weight matrix say about it, as \
         WeightWatcher defines it: a struct of log_norm, log_spectral_norm, stable_rank, entropy, \
         alpha, xmin, D, alpha_hat, eigenvalues and fitted. Of a convolution they are those of the \
         matrices at all kernel positions. alpha, xmin, D and alpha_hat are NULL if fewer than 10 \
         eigenvalues exceed 1e-5; fitted says how many do. A vector of another shape, such as a \
         bias, has no spectrum: NULL.",
        "vector_spectrum(vector, shape[, scale])",
    )
    .with_argument("vector", "A vector, such as a column of a weights_<arch> table.")
    .with_argument("shape", "Its shape as in table tensors: '[20, 36]' or '[6, 8, 5, 5]'.")
    .with_argument(
        "scale",
        "What eigenvalues are multiplied by: 1, or 0.5 for the convolutions of WeightWatcher.",
    )
    .build();
    function::udf(VectorSpectrum, documentation)
}

fn fields() -> Fields {
    let field = |name: &str, data_type: &DataType| Field::new(name, data_type.clone(), true);
    let numbers = Spectrum::NUMBERS.iter().map(|name| field(name, &DataType::Float64));
    let counts = Spectrum::COUNTS.iter().map(|name| field(name, &DataType::Int64));
    numbers.chain(counts).collect()
}

impl Function for VectorSpectrum {
    fn name(&self) -> &'static str {
        NAME
    }

    fn coerced(&self, arguments: &[DataType]) -> Result<Option<Vec<DataType>>> {
        Ok(match arguments {
            [vector, _] => Some(vec![coerced(NAME, vector)?, DataType::Utf8]),
            [vector, _, _] => Some(vec![coerced(NAME, vector)?, DataType::Utf8, DataType::Float64]),
            _ => None,
        })
    }

    fn returns(&self, _arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn call(&self, arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let arrays = arrays(arguments)?;
        let [vectors, shapes, scales @ ..] = arrays.as_slice() else {
            return exec_err!("{NAME} has no shape");
        };
        let (vectors, shapes) = (Vectors::of(NAME, vectors)?, shapes.as_string::<i32>());
        let scales = scales.first().map(|scales| scales.as_primitive::<Float64Type>());
        // Rows of one shape follow each other, or all have the same.
        let mut known: Option<(&str, f64, Option<Spectra>)> = None;
        let mut spectra = Vec::with_capacity(shapes.len());
        for row in 0..shapes.len() {
            let scale =
                scales.map_or(Some(1.0), |scales| scales.is_valid(row).then(|| scales.value(row)));
            let (Some(vector), true, Some(scale)) = (vectors.get(row), shapes.is_valid(row), scale)
            else {
                spectra.push(None);
                continue;
            };
            let shape = shapes.value(row);
            let same = known.take().filter(|(text, times, _)| *text == shape && *times == scale);
            let (_, _, maker) = known.insert(match same {
                Some(same) => same,
                None => (shape, scale, maker(shape, scale)?),
            });
            spectra.push(match maker {
                Some(maker) if maker.size() != vector.len() => {
                    return exec_err!("{NAME}: a vector of {} values is no {shape}", vector.len());
                }
                Some(maker) => Some(maker.of(vector)),
                None => None,
            });
        }
        Ok(Arc::new(structs(&spectra)?))
    }
}

/// What makes the spectra of vectors of a shape, if they are matrices.
fn maker(shape: &str, scale: f64) -> Result<Option<Spectra>> {
    let Ok(sizes) = serde_json::from_str::<Vec<usize>>(shape) else {
        return exec_err!("{NAME} takes a shape such as '[6, 8, 5, 5]', not `{shape}`");
    };
    if !(scale > 0.0 && scale.is_finite()) {
        return exec_err!("{NAME} multiplies by a positive number, not by {scale}");
    }
    Ok(Spectra::new(&sizes, scale))
}

fn structs(spectra: &[Option<Spectrum>]) -> Result<StructArray> {
    let numbers = (0..Spectrum::NUMBERS.len()).map(|at| {
        let column = spectra.iter().map(|spectrum| spectrum.and_then(|it| it.numbers()[at]));
        Arc::new(column.collect::<Float64Array>()) as ArrayRef
    });
    let counts = (0..Spectrum::COUNTS.len()).map(|at| {
        let column = spectra.iter().map(|spectrum| spectrum.map(|it| it.counts()[at] as i64));
        Arc::new(column.collect::<Int64Array>()) as ArrayRef
    });
    let nulls: NullBuffer = spectra.iter().map(Option::is_some).collect();
    Ok(StructArray::try_new(fields(), numbers.chain(counts).collect(), Some(nulls))?)
}
