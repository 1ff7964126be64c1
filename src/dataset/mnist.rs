//! MNIST and Fashion-MNIST from the idx files they are distributed as.
//!
//! Owns which files belong together, and what the published zoos did with them.
//! Knows neither the format nor where the files lie.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::images::Labelled;
use super::info::Download;
use super::published::{Published, expect_count};
use super::transform::Fit;
use super::{Info, idx};
use crate::error::{Error, Result};

/// Training images and labels, test images and labels. Both data sets use
/// these names.
const FILES: &[&[&str]] = &[
    &["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"],
    &["train-labels-idx1-ubyte", "train-labels-idx1-ubyte.gz"],
    &["t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz"],
    &["t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte.gz"],
];

pub(super) static MNIST: Published = Published {
    info: Info {
        name: Cow::Borrowed("mnist"),
        title: Cow::Borrowed("MNIST handwritten digits"),
        shape: [1, 28, 28],
        classes: 10,
        built_in: false,
        files: FILES,
        folders: &["MNIST/raw"],
        sizes: [50_000, 10_000, 10_000],
        licence: Cow::Borrowed("CC BY-SA 3.0"),
        source: Cow::Borrowed("http://yann.lecun.com/exdb/mnist/"),
        downloads: &[
            mnist("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            mnist("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            mnist("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            mnist("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ],
        home: Cow::Borrowed("mnist"),
        megabytes: 12,
    },
    fit: Fit::Enlarge,
    full_scale: 255.0,
    normalise: &[[0.1307, 0.3081]],
    augment: None,
    per_class: &[5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    read,
};

pub(super) static FASHION: Published = Published {
    info: Info {
        name: Cow::Borrowed("fashion_mnist"),
        title: Cow::Borrowed("Fashion-MNIST articles of clothing"),
        shape: [1, 28, 28],
        classes: 10,
        built_in: false,
        files: FILES,
        folders: &["FashionMNIST/raw"],
        sizes: [50_000, 10_000, 10_000],
        licence: Cow::Borrowed("MIT"),
        source: Cow::Borrowed("https://github.com/zalandoresearch/fashion-mnist"),
        downloads: &[
            fashion("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            fashion("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
            fashion("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            fashion("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ],
        home: Cow::Borrowed("fashion_mnist"),
        megabytes: 31,
    },
    fit: Fit::Enlarge,
    full_scale: 255.0,
    normalise: &[[0.5, 0.5]],
    augment: None,
    per_class: &[6000; 10],
    read,
};

/// Places of MNIST; its home page asks not to be used for downloads any more.
const fn mnist(file: &'static str, md5: &'static str) -> Download {
    const URLS: &[&str] = &[
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ];
    Download { file, folders: URLS, md5 }
}

const fn fashion(file: &'static str, md5: &'static str) -> Download {
    const URLS: &[&str] = &[
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ];
    Download { file, folders: URLS, md5 }
}

fn read(info: &Info, paths: &[PathBuf]) -> Result<[Labelled; 2]> {
    let [train, val, test] = info.sizes;
    Ok([pair(info, &paths[0], &paths[1], train + val)?, pair(info, &paths[2], &paths[3], test)?])
}

/// One pair of files, `count` images with labels.
fn pair(info: &Info, image_path: &Path, label_path: &Path, count: usize) -> Result<Labelled> {
    let [_, height, width] = info.shape;
    let images = idx::read_images(image_path)?;
    let labels = idx::read_labels(label_path, info.classes)?;
    if images.shape != info.shape {
        let [_, found_height, found_width] = images.shape;
        return Err(Error::corrupt(format!(
            "`{}`: images of `{found_height}x{found_width}` pixels, expected `{height}x{width}`",
            image_path.display()
        ))
        .with_hint(format!("use the files of `{}` as they are distributed", info.name)));
    }
    expect_count(images.count, count, "images", &image_path.display().to_string())?;
    expect_count(labels.len(), count, "labels", &label_path.display().to_string())?;
    Ok(Labelled { images, labels })
}

#[cfg(test)]
#[path = "mnist_tests.rs"]
mod tests;
