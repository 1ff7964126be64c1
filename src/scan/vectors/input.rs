//! The bytes of a Parquet file: on a local disk, or fetched from an object store.
//!
//! A file on a disk is read where and when a page is decoded, into buffers that
//! stay in the cache of the processor; of an object, what a row group needs is
//! fetched beforehand, in as few requests as possible.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, Bytes};
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{GetOptions, GetResultPayload, ObjectStore, ObjectStoreExt};
use parquet::arrow::async_reader::MetadataFetch;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use super::buffers::Buffers;

/// What is asked of an object first: footers and page indexes are smaller.
pub(super) const TAIL: u64 = 128 << 10;

/// What is read from a disk at a time, where everything is read. Each tensor has a window,
/// and those of a small network shall stay in the second-level cache.
const WINDOW: usize = 128 << 10;

/// A file to read from.
#[derive(Debug, Clone)]
pub(super) enum Opened {
    Disk(Disk),
    /// An object, and its last [`TAIL`] bytes with the place where they begin.
    Object {
        objects: Arc<dyn ObjectStore>,
        path: Path,
        tail: (u64, Bytes),
    },
}

impl Opened {
    /// Opens the object of `size` bytes at `path`.
    pub(super) async fn new(
        objects: &Arc<dyn ObjectStore>,
        path: &Path,
        size: u64,
        buffers: &Buffers<u8>,
    ) -> object_store::Result<Self> {
        let start = size.saturating_sub(TAIL);
        let options = GetOptions { range: Some((start..size).into()), ..GetOptions::default() };
        let got = objects.get_opts(path, options).await?;
        if let GetResultPayload::File(file, _) = got.payload {
            return Ok(Self::Disk(Disk::new(file, size, buffers.clone())));
        }
        let tail = (start, got.bytes().await?);
        Ok(Self::Object { objects: Arc::clone(objects), path: path.clone(), tail })
    }

    /// An object of which the footer is known: nothing of it is asked for yet.
    pub(super) fn known(objects: &Arc<dyn ObjectStore>, path: &Path, size: u64) -> Self {
        let (objects, path, tail) = (Arc::clone(objects), path.clone(), (size, Bytes::new()));
        Self::Object { objects, path, tail }
    }

    /// The bytes of `ranges`, ready to be decoded. A disk is read later.
    pub(super) async fn fetch(
        &self,
        ranges: impl FnOnce() -> Vec<Range<u64>>,
    ) -> object_store::Result<FileBytes> {
        match self {
            Self::Disk(disk) => Ok(FileBytes::Disk(disk.clone())),
            Self::Object { objects, path, tail } => {
                let mut ranges = ranges();
                // Of a small file the tail is all.
                ranges.retain(|range| range.start < tail.0);
                let bytes = objects.get_ranges(path, &ranges).await?;
                let mut pieces = vec![tail.clone()];
                pieces.extend(ranges.iter().map(|range| range.start).zip(bytes));
                pieces.sort_unstable_by_key(|(start, _)| *start);
                Ok(FileBytes::Fetched(pieces.into()))
            }
        }
    }
}

/// What the footer needs, most of which is in the tail.
impl MetadataFetch for &Opened {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            let length = usize::try_from(range.end.saturating_sub(range.start))?;
            match self {
                Opened::Disk(disk) => disk.read(range.start, length),
                Opened::Object { objects, path, tail } => {
                    match piece(std::slice::from_ref(tail), range.start, length) {
                        Ok(bytes) => Ok(bytes),
                        Err(_) => {
                            let bytes = objects.get_range(path, range).await;
                            bytes.map_err(|error| ParquetError::External(Box::new(error)))
                        }
                    }
                }
            }
        }
        .boxed()
    }
}

/// Bytes at their place in the file, as the Parquet reader asks for them.
#[derive(Debug, Clone)]
pub(super) enum FileBytes {
    Disk(Disk),
    /// Pieces of the file in the order of their places.
    Fetched(Arc<[(u64, Bytes)]>),
}

impl FileBytes {
    /// The same bytes, read ahead for a reader of its own that goes from front to
    /// back of `range`.
    pub(super) fn ahead(&self, range: Range<u64>) -> Self {
        match self {
            Self::Disk(disk) => {
                Self::Disk(Disk { window: Arc::default(), ahead: Some(range.end), ..disk.clone() })
            }
            Self::Fetched(pieces) => Self::Fetched(Arc::clone(pieces)),
        }
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        match self {
            Self::Disk(disk) => disk.size,
            Self::Fetched(pieces) => {
                pieces.last().map_or(0, |(start, bytes)| start + bytes.len() as u64)
            }
        }
    }
}

impl ChunkReader for FileBytes {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        match self {
            Self::Disk(disk) => {
                let from = At { file: Arc::clone(&disk.file), place: start };
                Ok(Box::new(io::BufReader::new(from)))
            }
            Self::Fetched(pieces) => Ok(Box::new(behind(pieces, start).reader())),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        match self {
            Self::Disk(disk) => disk.read(start, length),
            Self::Fetched(pieces) => piece(pieces, start, length),
        }
    }
}

/// What was fetched from `start` on in one piece.
fn behind(pieces: &[(u64, Bytes)], start: u64) -> Bytes {
    let index = pieces.partition_point(|(first, _)| *first <= start);
    let Some((first, bytes)) = index.checked_sub(1).map(|index| &pieces[index]) else {
        return Bytes::new();
    };
    let skipped = usize::try_from(start - first).unwrap_or(usize::MAX);
    bytes.slice(skipped.min(bytes.len())..)
}

fn piece(pieces: &[(u64, Bytes)], start: u64, length: usize) -> Result<Bytes> {
    let bytes = behind(pieces, start);
    if bytes.len() < length { Err(missing(start, length)) } else { Ok(bytes.slice(..length)) }
}

/// A file whose metadata point to where no data of their column can be.
fn missing(start: u64, length: usize) -> ParquetError {
    ParquetError::EOF(format!("no {length} bytes at {start}: the page index is wrong"))
}

/// A file on a local disk.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    file: Arc<File>,
    size: u64,
    /// Where reading ahead ends, if it pays.
    ahead: Option<u64>,
    /// What was read last, and where it begins.
    window: Arc<Mutex<(u64, Bytes)>>,
    buffers: Buffers<u8>,
}

impl Disk {
    fn new(file: File, size: u64, buffers: Buffers<u8>) -> Self {
        Self { file: Arc::new(file), size, ahead: None, window: Arc::default(), buffers }
    }

    fn read(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = start.checked_sub(window.0).and_then(|offset| usize::try_from(offset).ok());
        if let Some(offset) = offset
            && let Some(end) = offset.checked_add(length)
            && end <= window.1.len()
        {
            return Ok(window.1.slice(offset..end));
        }
        // A length out of a damaged file must not reserve memory that no file fills.
        if start.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(missing(start, length));
        }
        let ahead = self.ahead.map_or(0, |end| end.saturating_sub(start).min(WINDOW as u64));
        let reach = length.max(usize::try_from(ahead).unwrap_or(0));
        // The window goes back first, so that it is used again here.
        *window = (start, Bytes::new());
        let mut buffer = self.buffers.lend(reach);
        read_at(&self.file, buffer.as_mut(), start)?;
        let bytes = buffer.into_bytes();
        // Where nothing was read ahead there is nothing to keep: a page may be as large
        // as a tensor, and each tensor has a window.
        if reach > length {
            window.1 = bytes.clone();
        }
        Ok(bytes.slice(..length))
    }
}

/// A place in a file that moves on with what is read.
struct At {
    file: Arc<File>,
    place: u64,
}

impl Read for At {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = read_some(&self.file, into, self.place)?;
        self.place += count as u64;
        Ok(count)
    }
}

fn read_at(file: &File, mut into: &mut [u8], mut place: u64) -> io::Result<()> {
    while !into.is_empty() {
        match read_some(file, into, place) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                into = &mut into[count..];
                place += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn read_some(file: &File, into: &mut [u8], place: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, place)
}

#[cfg(windows)]
fn read_some(file: &File, into: &mut [u8], place: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, place)
}
