//! USPS, as torchvision has it from LIBSVM or as published with *The Elements of
//! Statistical Learning*.
//!
//! Owns both formats. Knows neither where the files lie nor how they are packed.
//!
//! Both are text, an image per line: a label, then 256 grey values in [-1, 1].
//! LIBSVM's labels are one higher, and its values are written `position:value`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::str::SplitAsciiWhitespace;

use super::Info;
use super::images::Labelled;
use super::info::Download;
use super::packed::Source;
use super::published::{Published, expect_count};
use super::transform::Fit;
use crate::error::{Error, Result};

pub(super) static USPS: Published = Published {
    info: Info {
        name: Cow::Borrowed("usps"),
        title: Cow::Borrowed("USPS handwritten digits of envelopes"),
        shape: [1, 16, 16],
        classes: 10,
        built_in: false,
        files: &[
            &["usps.bz2", "usps", "zip.train.gz", "zip.train"],
            &["usps.t.bz2", "usps.t", "zip.test.gz", "zip.test"],
        ],
        folders: &["USPS"],
        sizes: [6_000, 1_291, 2_007],
        licence: Cow::Borrowed("not stated"),
        source: Cow::Borrowed("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/"),
        downloads: &[
            Download { file: "usps.bz2", folders: LIBSVM, md5: "ec16c51db3855ca6c91edd34d0e9b197" },
            Download {
                file: "usps.t.bz2",
                folders: LIBSVM,
                md5: "8ea070ee2aca1ac39742fdd1ef5ed118",
            },
        ],
        home: Cow::Borrowed("usps"),
        megabytes: 8,
    },
    fit: Fit::Resize,
    full_scale: 255.0,
    normalise: &[[0.1307, 0.3081]],
    augment: None,
    per_class: &[1194, 1005, 731, 658, 652, 556, 664, 645, 542, 644],
    read,
};

const LIBSVM: &[&str] = &["https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"];

fn read(info: &Info, paths: &[PathBuf]) -> Result<[Labelled; 2]> {
    let [train, val, test] = info.sizes;
    Ok([part(info, &paths[0], train + val)?, part(info, &paths[1], test)?])
}

fn part(info: &Info, path: &Path, count: usize) -> Result<Labelled> {
    let mut source = Source::open(path)?;
    let text = source.rest()?;
    let part = parse(&text, info, source.name())?;
    expect_count(part.images.count, count, "images", source.name())?;
    Ok(part)
}

fn parse(text: &[u8], info: &Info, name: &str) -> Result<Labelled> {
    let bad = |line: usize, what: String| {
        Error::corrupt(format!("`{name}`: line `{line}`: {what}")).with_hint(
            "use `usps.bz2` and `usps.t.bz2` of LIBSVM, or `zip.train.gz` and `zip.test.gz` of \
             The Elements of Statistical Learning, as they are distributed",
        )
    };
    let mut part = Labelled::none(info.shape);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let bad = |what: String| bad(index + 1, what);
        let line = str::from_utf8(line).map_err(|_| bad("not text".to_owned()))?;
        let mut words = line.split_ascii_whitespace();
        let Some(label) = words.next() else { continue };
        let numbered = line.contains(':');
        let parsed = label.parse().ok().filter(|label: &f32| label.fract() == 0.0);
        // LIBSVM counts digits from one.
        let class = parsed.map(|label| label - f32::from(u8::from(numbered)));
        match class.filter(|class| (0.0..info.classes as f32).contains(class)) {
            Some(class) => part.labels.push(class as u32),
            None => return Err(bad(format!("label `{label}` is not a digit's"))),
        }
        let pixels = info.shape.iter().product();
        part.images.pixels.append(&mut grey_values(words, numbered, pixels).map_err(bad)?);
        part.images.count += 1;
    }
    Ok(part)
}

/// The `count` values of a line as bytes.
fn grey_values(
    words: SplitAsciiWhitespace<'_>,
    numbered: bool,
    count: usize,
) -> std::result::Result<Vec<u8>, String> {
    let value = |(index, word): (usize, &str)| {
        let value = match word.split_once(':') {
            Some((position, value)) if numbered && position == (index + 1).to_string() => value,
            None if !numbered => word,
            _ => return Err(format!("`{word}` in place `{}`", index + 1)),
        };
        match value.parse::<f32>() {
            // torchvision's conversion, which truncates.
            Ok(value) if (-1.0..=1.0).contains(&value) => Ok(((value + 1.0) / 2.0 * 255.0) as u8),
            _ => Err(format!("`{value}` is not a grey value in [-1, 1]")),
        }
    };
    let values = words.enumerate().map(value).collect::<std::result::Result<Vec<u8>, _>>()?;
    if values.len() == count {
        Ok(values)
    } else {
        Err(format!("`{}` grey values, expected `{count}`", values.len()))
    }
}

#[cfg(test)]
#[path = "usps_tests.rs"]
mod tests;
