//! NumPy's `.npy` files of whole numbers.
//!
//! Owns the format. Knows nothing of images.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::packed::{Source, truncated};
use crate::error::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY";

/// What to do about a damaged array.
const WRITE_AGAIN: &str = "write it with `numpy.save`";

/// An array in C order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Array<T> {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<T>,
}

/// The array of bytes in the file at `path`.
pub(super) fn read_bytes(path: &Path) -> Result<Array<u8>> {
    let (shape, kind, values) = read(path)?;
    if kind != "|u1" {
        return Err(Error::invalid(format!(
            "`{}`: values of type `{kind}`, expected bytes (`uint8`)",
            path.display()
        ))
        .with_hint("images are bytes from 0 to 255"));
    }
    Ok(Array { shape, values })
}

/// The array of whole numbers in the file at `path`, all of them from 0 to
/// 2^32 - 1.
pub(super) fn read_labels(path: &Path) -> Result<Array<u32>> {
    let (shape, kind, bytes) = read(path)?;
    let (signed, size) = match &*kind {
        "|u1" => (false, 1),
        "|i1" => (true, 1),
        "<u2" => (false, 2),
        "<i2" => (true, 2),
        "<u4" => (false, 4),
        "<i4" => (true, 4),
        "<u8" => (false, 8),
        "<i8" => (true, 8),
        _ => {
            return Err(Error::invalid(format!(
                "`{}`: values of type `{kind}`, expected whole numbers",
                path.display()
            ))
            .with_hint("labels are integers from 0"));
        }
    };
    let label = |bytes: &[u8]| {
        let unsigned = bytes.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let negative = signed && bytes[size - 1] >= 0x80;
        u32::try_from(unsigned).ok().filter(|_| !negative).ok_or_else(|| {
            Error::invalid(format!("`{}`: a label below 0 or above 2^32 - 1", path.display()))
                .with_hint("labels are integers from 0")
        })
    };
    let values = bytes.chunks_exact(size).map(label).collect::<Result<_>>()?;
    Ok(Array { shape, values })
}

/// Shape, type and bytes of the values.
fn read(path: &Path) -> Result<(Vec<usize>, String, Vec<u8>)> {
    let mut source = Source::open(path)?;
    let name = source.name().to_owned();
    let not_ours = |what: &str| {
        Error::corrupt(format!("`{name}`: not a `.npy` file: {what}")).with_hint(WRITE_AGAIN)
    };
    let start = source.up_to(8)?;
    if start.get(..6) != Some(MAGIC) {
        return Err(not_ours("it does not begin as one"));
    }
    // Version 1 has a header of up to 2^16 bytes, later ones of up to 2^32.
    let len_bytes = if start.get(6) == Some(&1) { 2 } else { 4 };
    let len = source.up_to(len_bytes)?;
    let len = len.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let header = String::from_utf8(source.up_to(len)?).unwrap_or_default();
    let (kind, order, shape) =
        parse(&header).ok_or_else(|| not_ours("its header cannot be read"))?;
    if order {
        return Err(Error::invalid(format!("`{name}`: an array in Fortran order"))
            .with_hint("write it with `numpy.save(file, numpy.ascontiguousarray(array))`"));
    }
    let size: usize = kind.get(2..).and_then(|size| size.parse().ok()).unwrap_or(1);
    let values = shape.iter().try_fold(size, |len, dim| len.checked_mul(*dim));
    let values_len = values.ok_or_else(|| not_ours("its dimensions are impossible"))? as u64;
    let before = 8 + len_bytes + len;
    let values = source.up_to(values_len)?;
    if (values.len() as u64) < values_len {
        return Err(truncated(&name, before + values_len, before + values.len() as u64)
            .with_hint(WRITE_AGAIN));
    }
    match source.trailing()? {
        0 => Ok((shape, kind, values)),
        trailing => Err(Error::corrupt(format!("`{name}`: `{trailing}` bytes after the array"))
            .with_hint(WRITE_AGAIN)),
    }
}

/// Type, whether the order is Fortran's, and shape, of a header such as
/// `{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }`.
fn parse(header: &str) -> Option<(String, bool, Vec<usize>)> {
    let after = |key: &str| Some(header.split_once(&format!("'{key}':"))?.1.trim_start());
    let kind = after("descr")?.strip_prefix('\'')?.split_once('\'')?.0.to_owned();
    let fortran = after("fortran_order")?.starts_with("True");
    let shape = after("shape")?.strip_prefix('(')?.split_once(')')?.0;
    let dims = shape.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    Some((kind, fortran, dims.map(|dim| dim.parse().ok()).collect::<Option<_>>()?))
}

/// Writes an array of `values` of the NumPy type `kind`, durably.
pub(super) fn write(
    path: &Path,
    kind: &str,
    shape: &[usize],
    values: &[u8],
) -> std::io::Result<()> {
    let dims: String = shape.iter().map(|dim| format!("{dim},")).collect();
    let dict = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({dims}), }}");
    // Magic, version and length take ten bytes; the values begin at a multiple of 64.
    let len = (10 + dict.len() + 1).next_multiple_of(64) - 10;
    let mut file = File::create(path)?;
    file.write_all(MAGIC)?;
    file.write_all(&[1, 0])?;
    file.write_all(&(len as u16).to_le_bytes())?;
    file.write_all(format!("{dict:width$}\n", width = len - 1).as_bytes())?;
    file.write_all(values)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dataset").join(name)
    }

    #[test]
    fn reads_what_numpy_writes() {
        let colour = read_bytes(&fixture("colour.npy")).unwrap();
        assert_eq!((colour.shape, colour.values.len()), (vec![2, 4, 5, 3], 120));
        let labels = read_labels(&fixture("labels.npy")).unwrap();
        assert_eq!(labels, Array { shape: vec![3], values: vec![3, 0, 200] });
    }

    #[test]
    fn reads_what_it_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write(&path, "|u1", &[2, 3], &[1, 2, 3, 4, 5, 6]).unwrap();
        let array = Array { shape: vec![2, 3], values: vec![1, 2, 3, 4, 5, 6] };
        assert_eq!(read_bytes(&path).unwrap(), array);
        assert_eq!(std::fs::read(&path).unwrap().len(), 64 + 64 + 6);
        write(&path, "<u4", &[2], &[7, 0, 0, 0, 0, 1, 0, 0]).unwrap();
        assert_eq!(read_labels(&path).unwrap().values, [7, 256]);
    }

    #[test]
    fn wrong_files_are_named_with_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let error = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = read_bytes(&path).unwrap_err();
            assert!(error.hint().is_some());
            error.to_string().replace(&path.display().to_string(), "a.npy")
        };
        let good = std::fs::read(fixture("colour.npy")).unwrap();
        assert_eq!(
            error(b"PK\x03\x04...."),
            "`a.npy`: not a `.npy` file: it does not begin as one"
        );
        assert_eq!(error(&good[..200]), "`a.npy`: truncated: expected `248` bytes, got `200`");
        assert_eq!(error(&[&good[..], &[0; 3]].concat()), "`a.npy`: `3` bytes after the array");
        assert!(error(&good[..60]).contains("header cannot be read"));
        let labels = std::fs::read(fixture("labels.npy")).unwrap();
        assert_eq!(error(&labels), "`a.npy`: values of type `<i8`, expected bytes (`uint8`)");
        let fortran = std::fs::read(fixture("fortran.npy")).unwrap();
        assert_eq!(error(&fortran), "`a.npy`: an array in Fortran order");
        write(&path, "<i2", &[1], &[0xff, 0xff]).unwrap();
        assert!(read_labels(&path).unwrap_err().to_string().contains("a label below 0"));
        write(&path, "<f4", &[1], &[0; 4]).unwrap();
        assert!(read_labels(&path).unwrap_err().to_string().contains("expected whole numbers"));
    }
}
