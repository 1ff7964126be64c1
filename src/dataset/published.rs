//! The way of every data set with official files, from them to a [`Dataset`].
//!
//! Owns the order of its steps and the checks between them. Knows no format.

use std::path::{Path, PathBuf};

use super::images::Labelled;
use super::transform::{Fit, Preparation, Transform};
use super::{Augment, Dataset, Info, folder, split};
use crate::error::{Error, Result};

/// Every random split is drawn with this seed, as the published zoos' are (from
/// another generator, so that the images differ).
pub(super) const SPLIT_SEED: u64 = 42;

/// A data set that is read from its official files.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) info: Info,
    /// How images come to the size of the input.
    pub(super) fit: Fit,
    /// The byte that counts as 1.
    pub(super) full_scale: f32,
    /// Mean and standard deviation of scaled pixels, for all channels or for each.
    pub(super) normalise: &'static [[f32; 2]],
    pub(super) augment: Option<Augment>,
    /// Images of each class in the training files, validation included: what
    /// tells files of another data set or part before days of training. Copies
    /// that list the images in another order pass, but split into other images.
    pub(super) per_class: &'static [usize],
    /// Reads the training images, validation included, and the test images from
    /// the paths of [`Info::files`].
    pub(super) read: fn(&Info, &[PathBuf]) -> Result<[Labelled; 2]>,
}

impl Published {
    /// See [`super::load`].
    pub(super) fn load(&self, input: [usize; 3], data_dir: Option<&Path>) -> Result<Dataset> {
        let info = &self.info;
        let transform = Transform::new(
            Preparation {
                shape: info.shape,
                fit: self.fit,
                full_scale: self.full_scale,
                normalise: self.normalise,
            },
            input,
        )?;
        let paths = folder::find(info, data_dir)?;
        let [train, test] = (self.read)(info, &paths)?;
        self.check_identity(&train, &paths[0])?;
        let [train_size, val_size, _] = info.sizes;
        let count = train.images.count as u32;
        let parts = split::random(count, [train_size, val_size], SPLIT_SEED);
        let [train, val] = parts.map(|part| transform.split(&train, &part));
        let all: Vec<u32> = (0..test.images.count as u32).collect();
        Ok(Dataset {
            name: info.name.to_string(),
            shape: input,
            classes: info.classes,
            train,
            val: (val_size > 0).then_some(val),
            test: transform.split(&test, &all),
            augment: self.augment,
            black: transform.black(),
        })
    }

    /// Whether the training images are those of this data set.
    fn check_identity(&self, train: &Labelled, path: &Path) -> Result<()> {
        let Info { name, home, .. } = &self.info;
        for (class, expected) in self.per_class.iter().enumerate() {
            let found = train.labels.iter().filter(|label| **label as usize == class).count();
            if found != *expected {
                return Err(Error::invalid(format!(
                    "`{}` does not hold the training images of `{name}`: `{found}` are of class \
                     `{class}`, expected `{expected}`",
                    path.display()
                ))
                .with_hint(format!(
                    "use the files as they are distributed, and keep those of each data set in its \
                     own folder, here `DIR/{home}`"
                )));
            }
        }
        Ok(())
    }
}

/// Refuses any other number of images than `expected` in `file`.
pub(super) fn expect_count(found: usize, expected: usize, what: &str, file: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::corrupt(format!("`{file}`: `{found}` {what}, expected `{expected}`")).with_hint(
        "use the files as they are distributed; a part of a data set is a data set of your own: \
         `zoolake datasets add`",
    ))
}
