//! STL-10 from its binary files.
//!
//! Owns what the bytes mean. Knows neither where the files lie nor how they are
//! packed.
//!
//! An image is 96 x 96 pixels of red, then of green, then of blue, each plane
//! column by column; labels are 1 to 10. Unlabelled images are passed over.

use std::borrow::Cow;
use std::path::PathBuf;

use super::Info;
use super::archive::members;
use super::images::{Images, Labelled};
use super::info::Download;
use super::published::Published;
use super::transform::Fit;
use crate::error::{Error, Result};

pub(super) static STL10: Published = Published {
    info: Info {
        name: Cow::Borrowed("stl10"),
        title: Cow::Borrowed("STL-10 photographs"),
        shape: [3, 96, 96],
        classes: 10,
        built_in: false,
        files: &[&["stl10_binary", "stl10_binary.tar.gz"]],
        folders: &[],
        sizes: [4_200, 800, 8_000],
        licence: Cow::Borrowed("not stated"),
        source: Cow::Borrowed("https://cs.stanford.edu/~acoates/stl10/"),
        downloads: &[Download {
            file: "stl10_binary.tar.gz",
            folders: &[
                "http://ai.stanford.edu/~acoates/stl10/",
                "https://cs.stanford.edu/~acoates/stl10/",
            ],
            md5: "91f7769df0f17e558f3565bffb0c7dfb",
        }],
        home: Cow::Borrowed("stl10"),
        megabytes: 2640,
    },
    fit: Fit::Resize,
    full_scale: 255.0,
    normalise: &[[0.5, 0.5]],
    augment: None,
    per_class: &[500; 10],
    read,
};

fn read(info: &Info, paths: &[PathBuf]) -> Result<[Labelled; 2]> {
    let [train, val, test] = info.sizes;
    let pixels = |images: usize| (images * info.shape.iter().product::<usize>()) as u64;
    let wanted = [
        ("train_X.bin", pixels(train + val)),
        ("train_y.bin", (train + val) as u64),
        ("test_X.bin", pixels(test)),
        ("test_y.bin", test as u64),
    ];
    let mut files = members(&paths[0], &wanted)?.into_iter();
    let mut part = |labels_name: &str| {
        let (images, labels) = (files.next().unwrap_or_default(), files.next().unwrap_or_default());
        let name = format!("{}: {labels_name}", paths[0].display());
        let labels = labels_from_one(&labels, info.classes, &name)?;
        Ok(Labelled { images: Images::from_columns(&images, labels.len(), info.shape), labels })
    };
    Ok([part("train_y.bin")?, part("test_y.bin")?])
}

/// Labels that count from one, as labels that count from zero.
fn labels_from_one(labels: &[u8], classes: usize, name: &str) -> Result<Vec<u32>> {
    let label = |(index, label): (usize, &u8)| match usize::from(*label) {
        label if (1..=classes).contains(&label) => Ok(label as u32 - 1),
        label => Err(Error::corrupt(format!(
            "`{name}`: label `{label}` of image `{index}` is out of range: expected `1` to \
             `{classes}`"
        ))
        .with_hint("use the files as they are distributed")),
    };
    labels.iter().enumerate().map(label).collect()
}

#[cfg(test)]
#[path = "stl10_tests.rs"]
mod tests;
