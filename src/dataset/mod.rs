//! Data sets: labelled images, split and normalised, in memory.
//!
//! Owns the readers of data files, where the files come from, the splits and the
//! transforms. Knows nothing of networks but the shape of the image they take.
//!
//! ```
//! let digits = zoolake::dataset::load("digits", [1, 28, 28], None)?;
//! assert_eq!(digits.train.len(), 1297);
//! assert_eq!(digits.train.images.len(), 1297 * 28 * 28);
//! # Ok::<(), zoolake::Error>(())
//! ```

mod add;
mod added;
mod archive;
mod augment;
mod cifar;
mod digits;
#[cfg(feature = "fetch")]
mod fetch;
mod folder;
mod idx;
mod images;
mod info;
mod matlab;
mod mnist;
mod npy;
mod packed;
mod picture;
mod published;
mod resample;
mod resize;
mod split;
mod stl10;
mod svhn;
mod tiny_imagenet;
mod transform;
mod tree;
mod usps;

use std::path::{Path, PathBuf};

pub use add::add;
pub use added::list as added;
pub use augment::Augment;
#[cfg(feature = "fetch")]
pub use fetch::{Fetch, Watch};
pub use info::{Download, Info};

use published::Published;

use crate::error::{Error, Kind, Result};

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

    /// The label of image number `index`.
    ///
    /// # Errors
    /// `Internal` if there is no such image.
    pub(crate) fn label(&self, index: u32) -> Result<u32> {
        self.labels.get(index as usize).copied().ok_or_else(|| self.no_image(index))
    }

    /// What to say of an image number beyond the last.
    pub(crate) fn no_image(&self, index: u32) -> Error {
        Error::internal(format!("no image `{index}` in a split of {}", self.len()))
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// Those with official files, in the order of the documentation.
static PUBLISHED: [&Published; 9] = [
    &mnist::MNIST,
    &mnist::FASHION,
    &svhn::SVHN,
    &usps::USPS,
    &stl10::STL10,
    &cifar::CIFAR10,
    &cifar::CIFAR10_RESNET,
    &cifar::CIFAR100,
    &tiny_imagenet::TINY_IMAGENET,
];

/// Every data set zoolake knows, the built-in one first.
pub fn all() -> impl Iterator<Item = &'static Info> {
    [&digits::INFO].into_iter().chain(PUBLISHED.iter().map(|published| &published.info))
}

/// What is known about the data set called `name`, one of [`all`] or one that
/// was [added](add()) to `data_dir`; an error lists those there are.
///
/// ```
/// assert!(zoolake::dataset::info("digits", None)?.built_in);
/// assert!(zoolake::dataset::info("digit", None).is_err());
/// # Ok::<(), zoolake::Error>(())
/// ```
pub fn info(name: &str, data_dir: Option<&Path>) -> Result<Info> {
    if let Some(info) = all().find(|info| info.name == name) {
        return Ok(info.clone());
    }
    let Some(data_dir) = data_dir else {
        let names: Vec<&str> = all().map(|info| &*info.name).collect();
        return Err(Error::not_allowed("dataset", name, &names));
    };
    check_name(name)?;
    if let Some(info) = added::info(name, data_dir)? {
        return Ok(info);
    }
    // Only names are wanted of the others, whatever state they are in.
    let added = added(data_dir).unwrap_or_default();
    let names: Vec<&str> =
        all().map(|info| &*info.name).chain(added.iter().map(|info| &*info.name)).collect();
    let error = Error::not_allowed("dataset", name, &names);
    if error.hint().is_some() {
        return Err(error);
    }
    Err(error.with_hint(format!(
        "data sets of your own are made by `zoolake datasets add`, and looked for in `{}`",
        data_dir.display()
    )))
}

/// Whether `name` can be that of a data set; there need not be one.
///
/// Data sets of one's own are known only where their folder is, so a
/// specification is read without looking for its data set.
pub fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if (1..=100).contains(&name.len()) && name.chars().all(allowed) && !name.starts_with('.') {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "dataset `{name}`: expected 1 to 100 letters, digits, `_`, `-` or `.`, not beginning with `.`"
    )))
}

/// Where the first file of a data set is, if all of its files are there; nothing
/// is read. Built-in data sets are nowhere.
pub fn locate(info: &Info, data_dir: &Path) -> Option<PathBuf> {
    if info.files.is_empty() {
        return (!info.built_in).then(|| data_dir.join(&*info.name));
    }
    folder::find(info, Some(data_dir)).ok()?.into_iter().next()
}

/// The data set called `name` for networks that take `input` = `[channels,
/// height, width]`: brought to that size, scaled, normalised, split with a fixed
/// seed. Grey is copied into each channel; colour becomes grey for one channel
/// if its statistics are those of all channels alike.
///
/// `data_dir` is the folder with the files of a data set that is not built in:
/// the files lie in it or in its subfolder `name`. Built-in data sets ignore it.
///
/// All of it is kept in memory: 4 bytes for each pixel and channel, 220 MB for
/// MNIST as it is, 5.4 GB for Tiny ImageNet.
pub fn load(name: &str, input: [usize; 3], data_dir: Option<&Path>) -> Result<Dataset> {
    let loaded = if name == digits::INFO.name {
        digits::load(input)
    } else if let Some(published) = PUBLISHED.iter().find(|published| published.info.name == name) {
        published.load(input, data_dir)
    } else {
        return added::load(&info(name, data_dir)?, input, data_dir);
    };
    loaded.map_err(|error| match error.kind() {
        // A wrong shape is about this data set; errors about files name the file.
        Kind::Invalid => error.context(format!("dataset `{name}`")),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder that `ZOOLAKE_TEST_DATA` names, with real files in the layout of
    /// a data folder, if `home` is in it.
    pub(super) fn real_data(home: &str) -> Option<PathBuf> {
        let folder = std::env::var_os("ZOOLAKE_TEST_DATA").map(PathBuf::from);
        let folder = folder.filter(|folder| folder.join(home).is_dir());
        if folder.is_none() {
            eprintln!("SKIPPED: ZOOLAKE_TEST_DATA does not name a folder with `{home}/`");
        }
        folder
    }

    /// SHA-256 of pixels that are bytes.
    pub(super) fn digest(pixels: &[f32]) -> String {
        use sha2::{Digest, Sha256};
        let bytes: Vec<u8> = pixels.iter().map(|pixel| *pixel as u8).collect();
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn sizes_and_classes_agree() {
        for Published { info, per_class, normalise, .. } in PUBLISHED {
            assert_eq!(per_class.len(), info.classes, "{}", info.name);
            assert_eq!(per_class.iter().sum::<usize>(), info.sizes[0] + info.sizes[1]);
            assert!([1, info.shape[0]].contains(&normalise.len()));
            for download in info.downloads {
                assert_eq!(download.md5.len(), 32, "{}", download.file);
                assert!(download.folders.iter().all(|folder| folder.ends_with('/')));
                let known = info.files.iter().any(|names| names.contains(&download.file));
                assert!(known, "{} is fetched and not read", download.file);
            }
        }
    }

    #[test]
    fn names_are_unique_and_every_one_has_a_reader() {
        for info in all() {
            assert_eq!(&super::info(&info.name, None).unwrap(), info);
            match load(&info.name, [3, 28, 28], None) {
                Ok(dataset) => {
                    assert!(info.built_in && info.files.is_empty());
                    let val = dataset.val.as_ref().map_or(0, Split::len);
                    assert_eq!([dataset.train.len(), val, dataset.test.len()], info.sizes);
                    assert_eq!((&*dataset.name, dataset.classes), (&*info.name, info.classes));
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
            "unknown dataset `fashion-mnist`: expected one of `digits`, `mnist`, \
             `fashion_mnist`, `svhn`, `usps`, `stl10`, `cifar10`, `cifar10_resnet`, `cifar100`, \
             `tiny_imagenet`"
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
