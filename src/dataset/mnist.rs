//! MNIST and Fashion-MNIST from the idx files they are distributed as.
//!
//! Owns which files belong to which data set, where they are looked for, and the
//! published split and normalisation. Never downloads: the folder is the user's.

use std::path::{Path, PathBuf};

use super::transform::Transform;
use super::{Dataset, Info, idx, split};
use crate::error::{Error, Kind, Result};

/// Training images and labels, test images and labels. Both data sets use
/// these names.
const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// One of the data sets in this format.
pub(super) struct Source {
    info: &'static Info,
    /// The folder torchvision unpacks into, below the one it is given.
    torchvision: &'static str,
    /// Mean and standard deviation of pixels between 0 and 1.
    normalise: [f32; 2],
    /// Training images per class. The two data sets share file names and sizes,
    /// so this is what tells a swapped folder before days of training; copies
    /// that list the images in another order pass, but split into other images.
    per_class: [usize; 10],
}

pub(super) const MNIST_INFO: Info = Info {
    name: "mnist",
    title: "MNIST handwritten digits (28x28)",
    shape: [1, 28, 28],
    classes: 10,
    built_in: false,
    files: &FILES,
    sizes: [50_000, 10_000, 10_000],
    licence: "CC BY-SA 3.0",
    source: "https://ossci-datasets.s3.amazonaws.com/mnist/",
};

pub(super) const FASHION_INFO: Info = Info {
    name: "fashion_mnist",
    title: "Fashion-MNIST articles of clothing (28x28)",
    source: "https://github.com/zalandoresearch/fashion-mnist",
    licence: "MIT",
    ..MNIST_INFO
};

pub(super) static MNIST: Source = Source {
    info: &MNIST_INFO,
    torchvision: "MNIST/raw",
    normalise: [0.1307, 0.3081],
    per_class: [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
};

pub(super) static FASHION: Source = Source {
    info: &FASHION_INFO,
    torchvision: "FashionMNIST/raw",
    normalise: [0.5, 0.5],
    per_class: [6000; 10],
};

impl Source {
    /// Reads the four files from `data_dir`, or from the folder inside it that
    /// bears the data set's name.
    pub(super) fn load(&self, input: [usize; 3], data_dir: Option<&Path>) -> Result<Dataset> {
        let files = self.find(data_dir)?;
        let [train_size, val_size, test_size] = self.info.sizes;

        let (images, labels) = self.read(&files[0], &files[1], train_size + val_size)?;
        self.check_identity(&labels, &files[1])?;
        let size = [images.height, images.width];
        let transform = Transform::new(size, input, 255.0, self.normalise)?;
        let parts = split::random(images.count as u32, [train_size, val_size], super::SPLIT_SEED);
        let [train, val] = parts.map(|part| transform.split(&images, &labels, &part));

        let (images, labels) = self.read(&files[2], &files[3], test_size)?;
        let all: Vec<u32> = (0..images.count as u32).collect();
        Ok(Dataset {
            name: self.info.name.to_owned(),
            shape: input,
            classes: self.info.classes,
            train,
            val: Some(val),
            test: transform.split(&images, &labels, &all),
            augment: None,
            black: transform.black(),
        })
    }

    /// Where the four files are. Looks into the folder named after the data set
    /// first: `data_dir` itself may hold the other data set, under the same names.
    fn find(&self, data_dir: Option<&Path>) -> Result<[PathBuf; 4]> {
        let name = self.info.name;
        let files = FILES.map(|file| format!("`{file}`")).join(", ");
        let hint = format!(
            "pass `--data DIR`: the files, each plain or with `.gz`, are expected in `DIR`, \
             `DIR/{name}` or `DIR/{}`; get them from {}",
            self.torchvision, self.info.source
        );
        let Some(dir) = data_dir else {
            return Err(Error::not_found(format!(
                "data set `{name}` is not built in: its files {files} are needed"
            ))
            .with_hint(hint));
        };
        let folders = [dir.join(name), dir.join(self.torchvision), dir.to_path_buf()];
        let present = |folder: &Path, file: &str| {
            [folder.join(file), folder.join(format!("{file}.gz"))]
                .into_iter()
                .find(|path| path.exists())
        };
        // The first folder with any of the files is the one that is meant; a
        // file missing there must not be taken from elsewhere.
        let folder = folders
            .iter()
            .find(|folder| FILES.iter().any(|file| present(folder, file).is_some()))
            .ok_or_else(|| {
                Error::not_found(format!(
                    "data set `{name}`: none of its files {files} is in `{}`",
                    dir.display()
                ))
                .with_hint(hint.clone())
            })?;
        let mut found = [const { PathBuf::new() }; 4];
        for (path, file) in found.iter_mut().zip(FILES) {
            *path = present(folder, file).ok_or_else(|| {
                Error::not_found(format!(
                    "data set `{name}`: no file `{file}` or `{file}.gz` in `{}`",
                    folder.display()
                ))
                .with_hint(hint.clone())
            })?;
        }
        Ok(found)
    }

    /// One pair of files, `count` images with labels.
    fn read(&self, images: &Path, labels: &Path, count: usize) -> Result<(idx::Images, Vec<u8>)> {
        let [_, height, width] = self.info.shape;
        let (image_path, label_path) = (images, labels);
        let images = idx::read_images(image_path)?;
        let labels = idx::read_labels(label_path, self.info.classes)?;
        if [images.height, images.width] != [height, width] {
            return Err(self.not_ours(format!(
                "`{}`: images of `{}x{}` pixels, expected `{height}x{width}`",
                image_path.display(),
                images.height,
                images.width
            )));
        }
        for (path, found, what) in
            [(image_path, images.count, "images"), (label_path, labels.len(), "labels")]
        {
            if found != count {
                return Err(self.not_ours(format!(
                    "`{}`: `{found}` {what}, expected `{count}`",
                    path.display()
                )));
            }
        }
        Ok((images, labels))
    }

    /// Whether the training labels are those of this data set.
    fn check_identity(&self, labels: &[u8], path: &Path) -> Result<()> {
        let mut counts = [0usize; 10];
        for label in labels {
            // Labels were read as below the number of classes.
            counts[usize::from(*label)] += 1;
        }
        if counts == self.per_class {
            return Ok(());
        }
        let name = self.info.name;
        Err(Error::invalid(format!(
            "`{}` does not hold the labels of `{name}`: images per class are `{counts:?}`, \
             expected `{:?}`",
            path.display(),
            self.per_class
        ))
        .with_hint(format!(
            "`mnist` and `fashion_mnist` use the same file names: keep the files of this one in \
             `DIR/{name}` and pass `--data DIR`"
        )))
    }

    fn not_ours(&self, message: String) -> Error {
        Error::new(Kind::Corrupt, message)
            .with_hint(format!("use the files of `{}` as they are distributed", self.info.name))
    }
}

#[cfg(test)]
#[path = "mnist_tests.rs"]
mod tests;
