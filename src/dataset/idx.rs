//! The idx file format, in which MNIST and its kin are distributed.
//!
//! Owns reading and checking one file. Knows neither which files make up a data
//! set nor where they lie.

use std::path::Path;

use super::images::Images;
use super::packed::{FETCH_AGAIN, Source, truncated};
use crate::error::{Error, Result};

/// Magic number of a list of images: unsigned bytes, three dimensions.
const IMAGES: [u8; 4] = [0, 0, 8, 3];
/// Magic number of a list of labels: unsigned bytes, one dimension.
const LABELS: [u8; 4] = [0, 0, 8, 1];

/// The images in the file at `path`, plain or packed.
pub(super) fn read_images(path: &Path) -> Result<Images> {
    images(Source::open(path)?)
}

/// The labels in the file at `path`, plain or packed; all are below `classes`.
pub(super) fn read_labels(path: &Path, classes: usize) -> Result<Vec<u32>> {
    labels(Source::open(path)?, classes)
}

/// The images in `bytes`, plain or packed; `name` is what errors call them.
pub(super) fn parse_images(bytes: &[u8], name: &str) -> Result<Images> {
    images(Source::new(bytes, name)?)
}

/// The labels in `bytes`, plain or packed, all below `classes`; `name` is what
/// errors call them.
pub(super) fn parse_labels(bytes: &[u8], name: &str, classes: usize) -> Result<Vec<u32>> {
    labels(Source::new(bytes, name)?, classes)
}

fn images(source: Source<'_>) -> Result<Images> {
    let ([count, height, width], pixels) = values(source, IMAGES, "images")?;
    Ok(Images { count, shape: [1, height, width], pixels })
}

fn labels(source: Source<'_>, classes: usize) -> Result<Vec<u32>> {
    let name = source.name().to_owned();
    let ([_], labels) = values(source, LABELS, "labels")?;
    match labels.iter().enumerate().find(|(_, label)| usize::from(**label) >= classes) {
        Some((index, label)) => Err(Error::corrupt(format!(
            "`{name}`: label `{label}` of image `{index}` is out of range: expected one below \
             `{classes}`"
        ))
        .with_hint("check that this is the label file of the data set you named")),
        None => Ok(labels.into_iter().map(u32::from).collect()),
    }
}

/// The dimensions and values of the idx file in `source`, whose magic number is
/// `magic`; checks that the file is exactly as long as its header says.
fn values<const N: usize>(
    mut source: Source<'_>,
    magic: [u8; 4],
    what: &str,
) -> Result<([usize; N], Vec<u8>)> {
    let name = source.name().to_owned();

    // The header is read in one go, so that a file cut inside it says so.
    let header_len = 4 + 4 * N as u64;
    let header = source.up_to(header_len)?;
    if let Some(found) = header.get(..4)
        && found != magic
    {
        return Err(Error::corrupt(format!(
            "`{name}`: not an idx file of {what}: magic number is `{}`, expected `{}`",
            hex(found),
            hex(&magic)
        ))
        .with_hint(match found {
            found if found == IMAGES => "this is a file of images: were the two files swapped?",
            found if found == LABELS => "this is a file of labels: were the two files swapped?",
            _ => "use the files as they are distributed, `.gz` or unpacked",
        }));
    }
    if (header.len() as u64) < header_len {
        return Err(truncated(&name, header_len, header.len() as u64));
    }

    let mut dims = [0usize; N];
    for (dim, bytes) in dims.iter_mut().zip(header[4..].chunks_exact(4)) {
        *dim = bytes.iter().fold(0, |value, byte| value << 8 | usize::from(*byte));
    }
    let len = dims.iter().try_fold(1u64, |len, dim| len.checked_mul(*dim as u64));
    let Some(file_len) = len.and_then(|len| len.checked_add(header_len)) else {
        let dims: Vec<_> = dims.iter().map(usize::to_string).collect();
        return Err(Error::corrupt(format!(
            "`{name}`: impossible dimensions `{}`",
            dims.join(" x ")
        ))
        .with_hint(FETCH_AGAIN));
    };

    let values = source.up_to(file_len - header_len)?;
    let found = header_len + values.len() as u64;
    if found < file_len {
        return Err(truncated(&name, file_len, found));
    }
    let trailing = source.trailing()?;
    if trailing > 0 {
        return Err(Error::corrupt(format!(
            "`{name}`: `{trailing}` trailing bytes: its header says `{file_len}` bytes, it has \
             `{}`",
            file_len + trailing
        ))
        .with_hint(FETCH_AGAIN));
    }
    Ok((dims, values))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "idx_tests.rs"]
mod tests;
