//! The idx file format, in which MNIST and its kin are distributed.
//!
//! Owns reading and checking one file, plain or gzip. Knows neither which files
//! make up a data set nor where they lie.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Kind, Result};

/// The first bytes of every gzip stream.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Magic number of a list of images: unsigned bytes, three dimensions.
const IMAGES: [u8; 4] = [0, 0, 8, 3];
/// Magic number of a list of labels: unsigned bytes, one dimension.
const LABELS: [u8; 4] = [0, 0, 8, 1];
/// No more than this is allocated on the word of a header alone.
const RESERVE: u64 = 64 << 20;

/// What a damaged file's owner can do.
const FETCH_AGAIN: &str = "the file is damaged or incomplete: download it again";

/// Grey images of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Images {
    /// Number of images.
    pub(super) count: usize,
    /// Rows of an image, in pixels.
    pub(super) height: usize,
    /// Columns of an image, in pixels.
    pub(super) width: usize,
    /// `[count, height, width]` in C order, as in the file.
    pub(super) pixels: Vec<u8>,
}

impl Images {
    /// The pixels of image number `index`, which is below `count`.
    pub(super) fn image(&self, index: usize) -> &[u8] {
        let size = self.height * self.width;
        &self.pixels[index * size..(index + 1) * size]
    }
}

/// The images in the file at `path`, plain or gzip.
pub(super) fn read_images(path: &Path) -> Result<Images> {
    images(open(path)?, &path.display().to_string())
}

/// The labels in the file at `path`, plain or gzip; all are below `classes`.
pub(super) fn read_labels(path: &Path, classes: usize) -> Result<Vec<u8>> {
    labels(open(path)?, &path.display().to_string(), classes)
}

/// The images in `bytes`, plain or gzip; `name` is what errors call them.
pub(super) fn parse_images(bytes: &[u8], name: &str) -> Result<Images> {
    images(bytes, name)
}

/// The labels in `bytes`, plain or gzip, all below `classes`; `name` is what
/// errors call them.
pub(super) fn parse_labels(bytes: &[u8], name: &str, classes: usize) -> Result<Vec<u8>> {
    labels(bytes, name, classes)
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::not_found(format!("no file `{}`", path.display()))
            .with_hint("name the folder that holds the data set's files")
            .with_source(error),
        _ => unreadable(&path.display().to_string(), error),
    })
}

fn images(source: impl Read, name: &str) -> Result<Images> {
    let ([count, height, width], pixels) = values(source, name, IMAGES, "images")?;
    Ok(Images { count, height, width, pixels })
}

fn labels(source: impl Read, name: &str, classes: usize) -> Result<Vec<u8>> {
    let ([_], labels) = values(source, name, LABELS, "labels")?;
    match labels.iter().enumerate().find(|(_, label)| usize::from(**label) >= classes) {
        Some((index, label)) => Err(Error::corrupt(format!(
            "`{name}`: label `{label}` of image `{index}` is out of range: expected one below \
             `{classes}`"
        ))
        .with_hint("check that this is the label file of the data set you named")),
        None => Ok(labels),
    }
}

/// The dimensions and values of the idx file in `source`, whose magic number is
/// `magic`; checks that the file is exactly as long as its header says.
fn values<const N: usize>(
    source: impl Read,
    name: &str,
    magic: [u8; 4],
    what: &str,
) -> Result<([usize; N], Vec<u8>)> {
    let mut source = decompressed(source).map_err(|error| unreadable(name, error))?;

    // The header is read in one go, so that a file cut inside it says so.
    let header_len = 4 + 4 * N as u64;
    let header = up_to(&mut source, header_len, 0, name)?;
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
        return Err(truncated(name, header_len, header.len() as u64));
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

    let values = up_to(&mut source, file_len - header_len, header_len, name)?;
    let found = header_len + values.len() as u64;
    if found < file_len {
        return Err(truncated(name, file_len, found));
    }
    // Reading to the end also makes gzip compare its checksum.
    let trailing =
        io::copy(&mut source, &mut io::sink()).map_err(|error| unreadable(name, error))?;
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

/// `source` itself, or what it unpacks to if it starts as gzip does.
fn decompressed<'a>(mut source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut start = Vec::with_capacity(GZIP.len());
    source.by_ref().take(GZIP.len() as u64).read_to_end(&mut start)?;
    let packed = start == GZIP;
    let whole = Cursor::new(start).chain(source);
    Ok(if packed { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

/// The next `len` bytes, or as many as there are. `before` is how many were read
/// so far, for the message about a gzip stream that breaks off.
fn up_to(source: &mut impl Read, len: u64, before: u64, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(len.min(RESERVE) as usize);
    match source.take(len).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(truncated(name, before + len, before + bytes.len() as u64).with_source(error))
        }
        Err(error) => Err(unreadable(name, error)),
    }
}

fn truncated(name: &str, expected: u64, actual: u64) -> Error {
    Error::corrupt(format!("`{name}`: truncated: expected `{expected}` bytes, got `{actual}`"))
        .with_hint(FETCH_AGAIN)
}

/// The kinds are those flate2 gives damaged data; all others come from the disk.
fn unreadable(name: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Error::corrupt(format!("`{name}`: damaged gzip data: `{error}`")).with_hint(FETCH_AGAIN)
        }
        _ => Error::new(Kind::Unavailable, format!("cannot read `{name}`: `{error}`"))
            .with_hint("check that it is a file and that you may read it"),
    }
    .with_source(error)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[path = "idx_tests.rs"]
mod tests;
