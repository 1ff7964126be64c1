//! Numbers and vectors in a file that tells whether it is whole.
//!
//! ```text
//! zoolake work 1 state model=5710284755468252748 engine=candle epoch=3\n
//! u32 count of numbers,  u64 each
//! u32 count of vectors,  u64 length and f32 values each
//! SHA-256 of everything above
//! ```
//!
//! All little-endian. The first line, which `head -1` shows, holds the format
//! version and says what the file is of; one with another line is not read.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::disk::sync_folder;
use crate::error::{Error, Kind, Result};

/// Bytes that are converted at a time.
const CHUNK: usize = 64 << 10;

const DIGEST: usize = 32;

/// What a file holds.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    pub(super) numbers: Vec<u64>,
    pub(super) vectors: Vec<Vec<f32>>,
}

/// Writes the file at `path`: all of it, durably, or nothing. `label` is its
/// first line.
pub(super) fn write(path: &Path, label: &str, numbers: &[u64], vectors: &[&[f32]]) -> Result<()> {
    let staging = path.with_added_extension("new");
    let write = || {
        let mut file = Hashed::new(File::create(&staging)?);
        encode(&mut file, label, numbers, vectors)?;
        let digest = file.hash.finalize();
        file.inner.write_all(&digest)?;
        file.inner.sync_all()?;
        fs::rename(&staging, path)?;
        path.parent().map_or(Ok(()), sync_folder)
    };
    write().map_err(|error| {
        // Best effort: the next write of this file replaces it.
        let _ = fs::remove_file(&staging);
        super::unwritable(path, error)
    })
}

/// Reads a file of exactly this `label`.
///
/// # Errors
/// `Corrupt` if it is not as it was written, or not of this label; `NotFound`;
/// `Unavailable` if the disk does not answer.
pub(super) fn read(path: &Path, label: &str) -> Result<Record> {
    let read = || {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut file = Hashed::new(file);
        let record = decode(&mut file, label, bytes)?;
        let mut digest = [0; DIGEST];
        file.inner.read_exact(&mut digest)?;
        if digest != *file.hash.finalize() {
            return Err(damaged("its SHA-256 is not the one written"));
        }
        Ok(record)
    };
    read().map_err(|error| unreadable(path, error))
}

/// Whether there is a file at `path`.
///
/// # Errors
/// `Unavailable` if the disk does not say.
pub(super) fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    const AGAIN: &str = "run the same command again: what is damaged is trained again";
    let (kind, hint) = match error.kind() {
        io::ErrorKind::NotFound => (Kind::NotFound, AGAIN),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => (Kind::Corrupt, AGAIN),
        _ => (
            Kind::Unavailable,
            "mend that, or remove the file, and run the same command again: finished epochs are \
             kept, what is lost is trained again",
        ),
    };
    Error::new(kind, format!("cannot use `{}`: {error}", path.display()))
        .with_hint(hint)
        .with_source(error)
}

fn encode(
    file: &mut impl Write,
    label: &str,
    numbers: &[u64],
    vectors: &[&[f32]],
) -> io::Result<()> {
    let count = |count: usize| u32::try_from(count).map_err(io::Error::other);
    let mut head = format!("{label}\n").into_bytes();
    head.extend(count(numbers.len())?.to_le_bytes());
    head.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    head.extend(count(vectors.len())?.to_le_bytes());
    file.write_all(&head)?;
    let mut bytes = [0; CHUNK];
    for vector in vectors {
        file.write_all(&(vector.len() as u64).to_le_bytes())?;
        for values in vector.chunks(CHUNK / 4) {
            let bytes = &mut bytes[..4 * values.len()];
            for (bytes, value) in bytes.chunks_exact_mut(4).zip(values) {
                bytes.copy_from_slice(&value.to_le_bytes());
            }
            file.write_all(bytes)?;
        }
    }
    Ok(())
}

/// `bytes` is how long the file is: lengths that a damaged one claims must not
/// take memory.
fn decode(file: &mut impl Read, label: &str, bytes: u64) -> io::Result<Record> {
    let mut line = vec![0; label.len() + 1];
    file.read_exact(&mut line)?;
    if line.strip_suffix(b"\n") != Some(label.as_bytes()) {
        return Err(damaged(&format!("it does not begin with `{label}`")));
    }
    let fits = |count: u64, size: u64| match count.checked_mul(size) {
        Some(needed) if needed <= bytes => usize::try_from(count).map_err(io::Error::other),
        _ => Err(damaged("it is shorter than it says")),
    };
    let numbers = fits(u64::from(u32::from_le_bytes(array(file)?)), 8)?;
    let numbers = (0..numbers).map(|_| Ok(u64::from_le_bytes(array(file)?)));
    let numbers = numbers.collect::<io::Result<_>>()?;
    let vectors = fits(u64::from(u32::from_le_bytes(array(file)?)), 8)?;
    let vectors = (0..vectors).map(|_| {
        let length = fits(u64::from_le_bytes(array(file)?), 4)?;
        values(file, length)
    });
    Ok(Record { numbers, vectors: vectors.collect::<io::Result<_>>()? })
}

fn values(file: &mut impl Read, length: usize) -> io::Result<Vec<f32>> {
    let mut values = Vec::with_capacity(length);
    let mut bytes = [0; CHUNK];
    while values.len() < length {
        let bytes = &mut bytes[..CHUNK.min(4 * (length - values.len()))];
        file.read_exact(bytes)?;
        values.extend(bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)));
    }
    Ok(values)
}

fn array<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).map(|()| bytes)
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// Hashes what passes through.
struct Hashed<T> {
    inner: T,
    hash: Sha256,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new() }
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.hash.update(&bytes[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "zoolake work 1 state model=7 engine=candle epoch=3";

    fn written(folder: &tempfile::TempDir) -> (std::path::PathBuf, Vec<u8>) {
        let path = folder.path().join("a");
        write(&path, LABEL, &[1, u64::MAX], &[&[1.0, -2.5], &[]]).unwrap();
        let bytes = fs::read(&path).unwrap();
        (path, bytes)
    }

    /// Models half trained lie on disks: these bytes may never change. The digest
    /// is what `sha256sum` prints for those before it.
    #[test]
    fn the_format_is_frozen() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = written(&folder);
        let mut expected = b"zoolake work 1 state model=7 engine=candle epoch=3\n".to_vec();
        expected.extend([2, 0, 0, 0]);
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([255; 8]);
        expected.extend([2, 0, 0, 0]);
        expected.extend([2, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]);
        expected.extend([0; 8]);
        let (content, digest) = bytes.split_at(bytes.len() - DIGEST);
        assert_eq!(content, expected);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "f0abfffef6236c8eed2360d9b7ffefd320472eac7c05181002f1a81725276e38");
        let record = Record { numbers: vec![1, u64::MAX], vectors: vec![vec![1.0, -2.5], vec![]] };
        assert_eq!(read(&path, LABEL).unwrap(), record);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no staging file stays");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = written(&folder);
        for place in 0..bytes.len() {
            for bit in [0, 7] {
                let mut flipped = bytes.clone();
                flipped[place] ^= 1 << bit;
                fs::write(&path, flipped).unwrap();
                assert_eq!(read(&path, LABEL).unwrap_err().kind(), Kind::Corrupt, "{place} {bit}");
            }
            fs::write(&path, &bytes[..place]).unwrap();
            assert_eq!(read(&path, LABEL).unwrap_err().kind(), Kind::Corrupt, "cut at {place}");
        }
        fs::write(&path, &bytes).unwrap();
        let other = LABEL.replace("candle", "kernel");
        assert_eq!(read(&path, &other).unwrap_err().kind(), Kind::Corrupt);
        fs::remove_file(&path).unwrap();
        assert_eq!(read(&path, LABEL).unwrap_err().kind(), Kind::NotFound);
    }

    #[test]
    fn vectors_longer_than_a_chunk_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for length in [CHUNK / 4 - 1, CHUNK / 4, CHUNK / 4 + 1, 100_000] {
            let values: Vec<f32> = (0..length).map(|i| i as f32).collect();
            write(&path, LABEL, &[], &[&values]).unwrap();
            assert_eq!(read(&path, LABEL).unwrap().vectors, [values]);
        }
    }
}
