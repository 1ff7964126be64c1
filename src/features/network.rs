//! SQL functions that run stored networks on images.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Builder, Float64Array, Float64Builder, ListBuilder,
};
use arrow::datatypes::{DataType, Float32Type, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_OTHER;
use datafusion::logical_expr::{Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF};

use super::images::{Choice, Images};
use super::{activations, margins};
use crate::arch::Arch;
use crate::dataset::Split;
use crate::error::{self, Error};
use crate::sql::{self, Function, list_of};
use crate::train;
use crate::zoo::Activation;

/// What a network is asked.
#[derive(Debug, Clone, Copy)]
enum Question {
    Accuracy,
    Logits,
    Activations,
    Margins,
}

impl Question {
    fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "network_accuracy",
            Self::Logits => "network_logits",
            Self::Activations => "network_activations",
            Self::Margins => "network_margins",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Accuracy => {
                "The fraction of images whose largest logit is their label's, as in table epochs."
            }
            Self::Logits => "The logits that a network gives to images, image by image.",
            Self::Activations => {
                "Statistics of the logits that a network gives to images: see activations_v1."
            }
            Self::Margins => {
                "The margin signature of each layer of a network on images: see margins_v1."
            }
        }
    }
}

/// A function of weights, the network they belong to, and a choice of images.
#[derive(Debug)]
struct Network {
    question: Question,
    images: Arc<Images>,
}

/// `network_accuracy`, `network_logits`, `network_activations` and `network_margins`, for
/// data sets in `folder`.
pub(super) fn functions(folder: PathBuf) -> [ScalarUDF; 4] {
    let images = Arc::new(Images::of(folder));
    let questions =
        [Question::Accuracy, Question::Logits, Question::Activations, Question::Margins];
    questions.map(|question| {
        let syntax =
            format!("{}(vector, arch, activation, dataset, part, images)", question.name());
        let documentation = Documentation::builder(DOC_SECTION_OTHER, question.about(), syntax)
            .with_argument("vector", "All weights of a state: a row of vectors_<arch>.")
            .with_argument("arch", "Its architecture.")
            .with_argument("activation", "As in table models.")
            .with_argument("dataset", "A data set, such as 'mnist'.")
            .with_argument("part", "'train', 'val' or 'test'.")
            .with_argument("images", "How many of its images, at random, but always the same.")
            .build();
        sql::udf(Network { question, images: Arc::clone(&images) }, documentation)
    })
}

impl Function for Network {
    fn name(&self) -> &'static str {
        self.question.name()
    }

    fn coerced(&self, arguments: &[DataType]) -> Result<Option<Vec<DataType>>> {
        let [_, _, _, _, _, _] = arguments else { return Ok(None) };
        let vector = list_of(DataType::Float32);
        let [arch, activation, dataset, part] = [const { DataType::Utf8 }; 4];
        Ok(Some(vec![vector, arch, activation, dataset, part, DataType::Int64]))
    }

    fn returns(&self, _arguments: &ReturnFieldArgs<'_>) -> Result<DataType> {
        Ok(match self.question {
            Question::Accuracy => DataType::Float64,
            Question::Logits => list_of(DataType::Float32),
            Question::Activations | Question::Margins => list_of(DataType::Float64),
        })
    }

    fn call(&self, arguments: &ScalarFunctionArgs) -> Result<ArrayRef> {
        let arrays = sql::arrays(arguments)?;
        let rows = (0..arguments.number_rows).map(|row| self.row(&arrays, row));
        Ok(match self.question {
            Question::Accuracy => {
                let numbers = rows.map(|row| answer(row, Asked::accuracy));
                Arc::new(numbers.collect::<Result<Float64Array>>()?)
            }
            Question::Logits => {
                let mut lists = ListBuilder::new(Float32Builder::new());
                for row in rows {
                    let logits = answer(row, Asked::logits)?;
                    lists.append_option(logits.map(|logits| logits.into_iter().map(Some)));
                }
                Arc::new(lists.finish())
            }
            Question::Activations => lists(rows.map(|row| answer(row, Asked::activations)))?,
            Question::Margins => lists(rows.map(|row| answer(row, Asked::margins)))?,
        })
    }
}

fn lists(rows: impl Iterator<Item = Result<Option<Vec<Option<f64>>>>>) -> Result<ArrayRef> {
    let mut lists = ListBuilder::new(Float64Builder::new());
    for row in rows {
        lists.append_option(row?);
    }
    Ok(Arc::new(lists.finish()))
}

/// What is answered in a row; nothing if nothing is asked.
fn answer<T>(
    asked: error::Result<Option<Asked>>,
    question: fn(&Asked) -> error::Result<T>,
) -> Result<Option<T>> {
    let answered = asked.and_then(|asked| asked.as_ref().map(question).transpose());
    answered.map_err(|error| DataFusionError::External(Box::new(error)))
}

/// A network and the images it is asked about.
struct Asked {
    arch: Arch,
    activation: Activation,
    weights: Vec<f32>,
    images: Arc<Split>,
}

impl Network {
    /// What is asked in a row; nothing if an argument is NULL.
    fn row(&self, arrays: &[ArrayRef], row: usize) -> error::Result<Option<Asked>> {
        let [vectors, text @ .., counts] = arrays else { return Ok(None) };
        if arrays.iter().any(|array| array.is_null(row)) {
            return Ok(None);
        }
        let text: Vec<&str> =
            text.iter().map(|array| array.as_string::<i32>().value(row)).collect();
        let [arch, activation, dataset, part] = text[..] else { return Ok(None) };
        let (arch, activation) = (Arch::by_name(arch)?, Activation::by_name(activation)?);
        let count = counts.as_primitive::<Int64Type>().value(row);
        let choice = Choice {
            dataset: dataset.to_owned(),
            shape: arch.input(),
            part: part.parse()?,
            count: usize::try_from(count).unwrap_or(0),
        };
        let vector = vectors.as_list::<i32>().value(row);
        let weights = vector.as_primitive::<Float32Type>().values().to_vec();
        if weights.len() != arch.layout().size() {
            let (name, size, found) = (arch.name(), arch.layout().size(), weights.len());
            let message = format!("a state of `{name}` has {size} values, and not `{found}`");
            return Err(Error::invalid(message).with_hint("take them from `vectors_<arch>`"));
        }
        Ok(Some(Asked { arch, activation, weights, images: self.images.get(&choice)? }))
    }
}

impl Asked {
    fn accuracy(&self) -> error::Result<f64> {
        train::accuracy(&self.arch, self.activation, &self.weights, &self.images)
    }

    fn logits(&self) -> error::Result<Vec<f32>> {
        train::logits(&self.arch, self.activation, &self.weights, &self.images)
    }

    fn activations(&self) -> error::Result<Vec<Option<f64>>> {
        Ok(activations::statistics(&self.logits()?, self.arch.classes()))
    }

    fn margins(&self) -> error::Result<Vec<Option<f64>>> {
        let boundaries =
            train::boundaries(&self.arch, self.activation, &self.weights, &self.images)?;
        Ok(boundaries.iter().flat_map(margins::signature).collect())
    }
}
