//! SQL functions that run stored networks on images.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Builder, Float64Array, Float64Builder, ListBuilder,
};
use arrow::datatypes::{DataType, Field, Float32Type, Int64Type};
use datafusion::common::plan_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::scalar_doc_sections::DOC_SECTION_OTHER;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::images::{Choice, Images};
use super::{activations, margins};
use crate::arch::Arch;
use crate::dataset::Split;
use crate::error::{self, Error};
use crate::train;
use crate::zoo::Activation;

/// What a network is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    signature: Signature,
    documentation: Documentation,
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
        let signature = Signature::user_defined(Volatility::Immutable);
        let images = Arc::clone(&images);
        ScalarUDF::new_from_impl(Network { question, images, signature, documentation })
    })
}

/// A session has one function of a name.
impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        self.question == other.question
    }
}

impl Eq for Network {}

impl Hash for Network {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.question.hash(state);
    }
}

fn list(of: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", of, true)))
}

impl ScalarUDFImpl for Network {
    fn name(&self) -> &'static str {
        self.question.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        let [_, _, _, _, _, _] = arguments else {
            let (syntax, count) = (&self.documentation.syntax_example, arguments.len());
            return plan_err!("{syntax} got {count} argument{}", if count == 1 { "" } else { "s" });
        };
        let text = [DataType::Utf8, DataType::Utf8, DataType::Utf8, DataType::Utf8];
        let vector = std::iter::once(list(DataType::Float32));
        Ok(vector.chain(text).chain([DataType::Int64]).collect())
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.question {
            Question::Accuracy => DataType::Float64,
            Question::Logits => list(DataType::Float32),
            Question::Activations | Question::Margins => list(DataType::Float64),
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays: Vec<ArrayRef> =
            arguments.args.iter().map(|value| value.to_array(rows)).collect::<Result<_>>()?;
        let rows = (0..rows).map(|row| self.row(&arrays, row));
        let array: ArrayRef = match self.question {
            Question::Accuracy => {
                let accuracy = |asked: error::Result<Option<Asked>>| {
                    asked.and_then(|asked| asked.map(|it| it.accuracy()).transpose())
                };
                let numbers = rows.map(|row| accuracy(row).map_err(ours));
                Arc::new(numbers.collect::<Result<Float64Array>>()?)
            }
            Question::Logits => {
                let mut lists = ListBuilder::new(Float32Builder::new());
                for asked in rows {
                    let logits = asked.and_then(|asked| asked.map(|it| it.logits()).transpose());
                    lists.append_option(logits.map_err(ours)?.map(|it| it.into_iter().map(Some)));
                }
                Arc::new(lists.finish())
            }
            Question::Activations | Question::Margins => {
                let mut lists = ListBuilder::new(Float64Builder::new());
                for asked in rows {
                    let numbers = |asked: Asked| match self.question {
                        Question::Margins => asked.margins(),
                        _ => asked.activations(),
                    };
                    let numbers = asked.and_then(|asked| asked.map(numbers).transpose());
                    lists.append_option(numbers.map_err(ours)?);
                }
                Arc::new(lists.finish())
            }
        };
        Ok(ColumnarValue::Array(array))
    }
}

fn ours(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
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
