//! MATLAB files of version 5, as far as arrays of small whole numbers go.
//!
//! Owns the format: a header, then one element per variable, mostly compressed.
//! Knows nothing of data sets.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;

use super::packed::{FETCH_AGAIN, Source, truncated, unreadable};
use crate::error::{Error, Result};

/// Types of data elements.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Text, subsystem offset, version and the mark of the byte order.
const HEADER: usize = 128;
/// Version 1 of the format, then the mark as little-endian machines write it.
const VERSION_AND_ORDER: [u8; 4] = [0x00, 0x01, b'I', b'M'];

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Array {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    /// In column-major order: the first index runs fastest.
    pub(super) values: Vec<u8>,
}

/// The variables of the file.
pub(super) fn read(mut source: Source<'_>) -> Result<Vec<Array>> {
    let name = source.name().to_owned();
    let header = source.up_to(HEADER as u64)?;
    if header.get(HEADER - 4..) != Some(&VERSION_AND_ORDER) {
        return Err(Error::corrupt(format!("`{name}`: not a MATLAB file of version 5"))
            .with_hint("use the file as it is distributed"));
    }
    let mut arrays = Vec::new();
    loop {
        let tag = source.up_to(8)?;
        if tag.is_empty() {
            return Ok(arrays);
        }
        let Some((kind, len)) = tag_of(&tag) else {
            return Err(truncated(&name, 8, tag.len() as u64));
        };
        let element = source.up_to(len.into())?;
        if element.len() < len as usize {
            return Err(truncated(&name, len.into(), element.len() as u64)
                .context(format!("variable `{}`", arrays.len() + 1)));
        }
        let element = match kind {
            COMPRESSED => inflated(&element, &name)?,
            MATRIX => element,
            other => return Err(unsupported(&name, &format!("an element of type `{other}`"))),
        };
        arrays.push(matrix(&element, &name)?);
    }
}

/// What a compressed element holds: one matrix, without its tag.
fn inflated(element: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut decoder = ZlibDecoder::new(element);
    let mut read = |len: u64| {
        let mut bytes = Vec::new();
        match decoder.by_ref().take(len).read_to_end(&mut bytes) {
            Ok(read) if (read as u64) < len => {
                Err(unreadable(name, io::ErrorKind::UnexpectedEof.into()))
            }
            Ok(_) => Ok(bytes),
            Err(error) => Err(unreadable(name, error)),
        }
    };
    match tag_of(&read(8)?) {
        Some((MATRIX, len)) => {
            let matrix = read(len.into())?;
            // Past the end, where zlib has its checksum.
            match decoder.read(&mut [0]) {
                Ok(0) => Ok(matrix),
                Ok(_) => Err(unsupported(name, "more than a matrix in an element")),
                Err(error) => Err(unreadable(name, error)),
            }
        }
        _ => Err(unsupported(name, "something other than a matrix")),
    }
}

/// Type and length of the element that an 8-byte tag opens.
fn tag_of(tag: &[u8]) -> Option<(u32, u32)> {
    Some((word(tag, 0)?, word(tag, 4)?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

/// The array in the contents of a matrix element: flags, dimensions, name, data.
fn matrix(bytes: &[u8], name: &str) -> Result<Array> {
    let mut rest = bytes;
    let mut next = || {
        element(&mut rest).ok_or_else(|| {
            Error::corrupt(format!("`{name}`: a matrix that breaks off")).with_hint(FETCH_AGAIN)
        })
    };
    let [flags, dims, array_name, data] = [next()?, next()?, next()?, next()?];
    if (flags.0, dims.0, array_name.0) != (UINT32, INT32, INT8) {
        return Err(unsupported(name, "a matrix of an unknown kind"));
    }
    let dims: Vec<usize> = (0..dims.1.len() / 4)
        .filter_map(|index| word(dims.1, 4 * index))
        .map(|dim| dim as usize)
        .collect();
    let array_name = String::from_utf8_lossy(array_name.1).into_owned();
    let values = match data {
        (UINT8, values) => values.to_vec(),
        (DOUBLE, values) => small_numbers(values).ok_or_else(|| {
            unsupported(name, &format!("`{array_name}`: not small whole numbers"))
        })?,
        (other, _) => {
            let what = format!("`{array_name}`: values of type `{other}`");
            return Err(unsupported(name, &what));
        }
    };
    let len = dims.iter().try_fold(1_usize, |len, dim| len.checked_mul(*dim));
    if len != Some(values.len()) {
        return Err(Error::corrupt(format!(
            "`{name}`: `{array_name}` has `{}` values and the dimensions `{dims:?}`",
            values.len()
        ))
        .with_hint(FETCH_AGAIN));
    }
    Ok(Array { name: array_name, dims, values })
}

fn small_numbers(doubles: &[u8]) -> Option<Vec<u8>> {
    let small = |bytes: &[u8]| {
        let double = f64::from_le_bytes(bytes.try_into().ok()?);
        let small = double as u8;
        (f64::from(small) == double).then_some(small)
    };
    doubles.chunks(8).map(small).collect()
}

/// Takes the type and data of the element at the front of `rest`.
fn element<'a>(rest: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    let first = word(rest, 0)?;
    // Up to four bytes of data stand in the tag itself, their number in the
    // upper half of its first word.
    if let len @ 1.. = (first >> 16) as usize {
        let data = rest.get(4..8)?.get(..len)?;
        *rest = &rest[8..];
        return Some((first & 0xffff, data));
    }
    let len = word(rest, 4)? as usize;
    let data = rest[8..].get(..len)?;
    // Elements begin at multiples of eight bytes; the last one may end earlier.
    *rest = rest[8..].get(len.next_multiple_of(8)..).unwrap_or_default();
    Some((first, data))
}

fn unsupported(name: &str, what: &str) -> Error {
    Error::corrupt(format!("`{name}`: {what}, where arrays of bytes were expected"))
        .with_hint("use the file as it is distributed")
}
