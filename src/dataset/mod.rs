//! Data sets: labelled images, split and normalised, in memory.
//!
//! Owns the readers of data files, the splits and the transforms. Knows nothing
//! of networks but the shape of the image they take.
//!
//! ```
//! let digits = zoolake::dataset::load("digits", [1, 28, 28], None)?;
//! assert_eq!(digits.train.len(), 1297);
//! assert_eq!(digits.train.images.len(), 1297 * 28 * 28);
//! # Ok::<(), zoolake::Error>(())
//! ```

mod augment;
mod digits;
mod idx;
mod mnist;
mod resize;
mod split;
mod transform;

use std::path::Path;

pub use augment::Augment;

use crate::error::{Error, Result};

/// Every random split is drawn with this seed, as the published zoos' are (from
/// another generator, so that the images differ).
const SPLIT_SEED: u64 = 42;

/// A data set as one network input shape sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Name in specs and in the `dataset` column.
    pub name: String,
    /// Channels, height and width of an image.
    pub shape: [usize; 3],
    /// Number of classes; labels are below it.
    pub classes: usize,
    /// What is trained on.
    pub train: Split,
    /// What hyperparameters are chosen on, if there is any.
    pub val: Option<Split>,
    /// What is reported on.
    pub test: Split,
    /// What happens to training images on their way into a batch; validation and
    /// test images stay as they are.
    pub augment: Option<Augment>,
    /// What a black pixel is after normalisation, one value per channel: what
    /// augmentation puts where an image has no pixels.
    pub black: Vec<f32>,
}

/// Images and their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// `[N, C, H, W]` in C order, normalised.
    pub images: Vec<f32>,
    /// One label per image.
    pub labels: Vec<u32>,
}

impl Split {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// What there is to know about a data set without loading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// Name in specs and in the `dataset` column.
    pub name: &'static str,
    /// One line for people.
    pub title: &'static str,
    /// Channels, height and width of an image as distributed.
    pub shape: [usize; 3],
    /// Number of classes.
    pub classes: usize,
    /// Whether it comes with zoolake; otherwise it is read from a folder.
    pub built_in: bool,
    /// The files it is read from, plain or with `.gz` after the name.
    pub files: &'static [&'static str],
    /// Number of training, validation and test images.
    pub sizes: [usize; 3],
    /// The licence of the images.
    pub licence: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

/// In the order of the documentation.
static ALL: [Info; 3] = [digits::INFO, mnist::MNIST_INFO, mnist::FASHION_INFO];

/// Every data set zoolake can load, the built-in one first.
pub fn all() -> &'static [Info] {
    &ALL
}

/// What is known about the data set called `name`; an error lists those there
/// are.
///
/// ```
/// assert!(zoolake::dataset::info("digits")?.built_in);
/// assert!(zoolake::dataset::info("digit").is_err());
/// # Ok::<(), zoolake::Error>(())
/// ```
pub fn info(name: &str) -> Result<&'static Info> {
    ALL.iter().find(|info| info.name == name).ok_or_else(|| {
        Error::not_allowed("dataset", name, &ALL.iter().map(|info| info.name).collect::<Vec<_>>())
    })
}

/// The data set called `name` for networks that take `input` = `[channels,
/// height, width]`: scaled to [0, 1], enlarged if `input` is larger, normalised,
/// grey copied into each channel, split with a fixed seed.
///
/// `data_dir` is the folder with the files of a data set that is not built in:
/// the files lie in it or in its subfolder `name`. Built-in data sets ignore it.
///
/// All of it is kept in memory: 4 bytes for each pixel and channel, 220 MB for
/// MNIST as it is.
pub fn load(name: &str, input: [usize; 3], data_dir: Option<&Path>) -> Result<Dataset> {
    match info(name)?.name {
        "digits" => digits::load(input),
        "mnist" => mnist::MNIST.load(input, data_dir),
        "fashion_mnist" => mnist::FASHION.load(input, data_dir),
        other => Err(Error::internal(format!("data set `{other}` has no reader"))),
    }
    .map_err(|error| match error.kind() {
        // A wrong shape is about this data set; errors about files name the file.
        crate::error::Kind::Invalid => error.context(format!("dataset `{name}`")),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn names_are_unique_and_every_one_has_a_reader() {
        for info in all() {
            assert_eq!(super::info(info.name).unwrap(), info);
            match load(info.name, [1, 28, 28], None) {
                Ok(dataset) => {
                    assert!(info.built_in && info.files.is_empty());
                    let val = dataset.val.as_ref().map_or(0, Split::len);
                    assert_eq!([dataset.train.len(), val, dataset.test.len()], info.sizes);
                    assert_eq!((&*dataset.name, dataset.classes), (info.name, info.classes));
                    assert!(!dataset.test.is_empty());
                    assert_eq!(dataset.black.len(), dataset.shape[0]);
                }
                Err(error) => {
                    assert!(!info.built_in && !info.files.is_empty());
                    assert_eq!(error.kind(), Kind::NotFound, "{error}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_name_lists_those_there_are() {
        let error = load("fashion-mnist", [1, 28, 28], None).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(
            error.to_string(),
            "unknown dataset `fashion-mnist`: expected one of `digits`, `mnist`, `fashion_mnist`"
        );
        assert_eq!(error.hint(), Some("did you mean `fashion_mnist`?"));
    }

    #[test]
    fn a_wrong_shape_names_the_data_set() {
        let error = load("digits", [4, 28, 28], None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "dataset `digits`: cannot show grey images as `4` channels: expected `1` or `3`"
        );
        let error = load("digits", [1, 4, 4], None).unwrap_err();
        assert!(error.to_string().starts_with("dataset `digits`: cannot resize images of `8x8`"));
    }
}
