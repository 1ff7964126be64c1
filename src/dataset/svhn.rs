//! SVHN, cropped digits, from its MATLAB files.
//!
//! Owns what their variables mean. Knows neither the format nor where the files
//! lie.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::images::{Images, Labelled};
use super::info::Download;
use super::packed::Source;
use super::published::{Published, expect_count};
use super::transform::Fit;
use super::{Info, matlab};
use crate::error::{Error, Result};

pub(super) static SVHN: Published = Published {
    info: Info {
        name: Cow::Borrowed("svhn"),
        title: Cow::Borrowed("Street View House Numbers, cropped digits"),
        shape: [3, 32, 32],
        classes: 10,
        built_in: false,
        files: &[&["train_32x32.mat"], &["test_32x32.mat"]],
        folders: &["SVHN"],
        sizes: [60_000, 13_257, 26_032],
        licence: Cow::Borrowed("non-commercial use"),
        source: Cow::Borrowed("http://ufldl.stanford.edu/housenumbers/"),
        downloads: &[
            Download {
                file: "train_32x32.mat",
                folders: &["http://ufldl.stanford.edu/housenumbers/"],
                md5: "e26dedcc434d2e4c54c9b2d4a06d8373",
            },
            Download {
                file: "test_32x32.mat",
                folders: &["http://ufldl.stanford.edu/housenumbers/"],
                md5: "eb5a983be6a315427106f1b164d9cef3",
            },
        ],
        home: Cow::Borrowed("svhn"),
        megabytes: 246,
    },
    fit: Fit::Crop,
    full_scale: 255.0,
    normalise: &[[0.5, 0.5]],
    augment: None,
    per_class: &[4948, 13_861, 10_585, 8497, 7458, 6882, 5727, 5595, 5045, 4659],
    read,
};

fn read(info: &Info, paths: &[PathBuf]) -> Result<[Labelled; 2]> {
    let [train, val, test] = info.sizes;
    Ok([part(info, &paths[0], train + val)?, part(info, &paths[1], test)?])
}

/// `X` is height x width x channel x image, `y` the digits, of which zero is
/// written 10.
fn part(info: &Info, path: &Path, count: usize) -> Result<Labelled> {
    let name = path.display().to_string();
    let arrays = matlab::read(Source::open(path)?)?;
    let array = |wanted: &str| {
        arrays.iter().find(|array| array.name == wanted).ok_or_else(|| {
            Error::corrupt(format!("`{name}`: no variable `{wanted}`"))
                .with_hint("use the file of cropped digits as it is distributed")
        })
    };
    let pixels = array("X")?;
    let [channels, height, width] = info.shape;
    // A single image would lack the last dimension.
    let images = pixels.dims.get(3).copied().unwrap_or(1);
    if pixels.dims.get(..3) != Some(&[height, width, channels]) {
        return Err(Error::corrupt(format!(
            "`{name}`: `X` has the dimensions `{:?}`, expected `{:?}`",
            pixels.dims,
            [height, width, channels, count]
        ))
        .with_hint("use the file of cropped digits as it is distributed"));
    }
    expect_count(images, count, "images", &name)?;
    let labels = array("y")?;
    expect_count(labels.values.len(), count, "labels", &name)?;
    let digit = |(index, label): (usize, &u8)| match label {
        1..=9 => Ok(u32::from(*label)),
        10 => Ok(0),
        _ => Err(Error::corrupt(format!(
            "`{name}`: label `{label}` of image `{index}` is out of range: expected `1` to `10`"
        ))
        .with_hint("use the file of cropped digits as it is distributed")),
    };
    let labels = labels.values.iter().enumerate().map(digit).collect::<Result<_>>()?;
    Ok(Labelled { images: Images::from_columns(&pixels.values, images, info.shape), labels })
}

#[cfg(test)]
#[path = "svhn_tests.rs"]
mod tests;
