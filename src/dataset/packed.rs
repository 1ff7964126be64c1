//! Data files as bytes, plain or compressed.
//!
//! Owns opening and unpacking one file, and how errors word what is wrong with
//! its bytes. Knows no format of images.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;

use crate::error::{Error, Kind, Result};

/// The first bytes of every gzip stream.
const GZIP: &[u8] = &[0x1f, 0x8b];
/// The first bytes of every bzip2 stream.
const BZIP2: &[u8] = b"BZh";
/// No more than this is allocated on the word of a header alone.
const RESERVE: u64 = 64 << 20;

/// What a damaged file's owner can do.
pub(super) const FETCH_AGAIN: &str = "the file is damaged or incomplete: download it again";

/// A file that is read from front to end, unpacked on the way.
pub(super) struct Source<'a> {
    /// What errors call it.
    name: String,
    reader: Box<dyn Read + 'a>,
    /// Bytes taken so far, unpacked.
    taken: u64,
}

impl Source<'static> {
    /// The file at `path`; whether it is packed, its first bytes say.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| cannot_open(&name, error))?;
        Self::new(BufReader::new(file), name)
    }
}

impl<'a> Source<'a> {
    /// What `reader` yields, unpacked if it starts as gzip or bzip2 do.
    pub(super) fn new(mut reader: impl Read + 'a, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let mut start = Vec::with_capacity(BZIP2.len());
        let read = reader.by_ref().take(BZIP2.len() as u64).read_to_end(&mut start);
        read.map_err(|error| unreadable(&name, error))?;
        let (gzip, bzip2) = (start.starts_with(GZIP), start == BZIP2);
        let whole = Cursor::new(start).chain(reader);
        let reader: Box<dyn Read + 'a> = match () {
            () if gzip => Box::new(MultiGzDecoder::new(whole)),
            () if bzip2 => Box::new(MultiBzDecoder::new(whole)),
            () => Box::new(whole),
        };
        Ok(Self { name, reader, taken: 0 })
    }

    /// What errors call the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The next `len` bytes, or as many as there are. A stream that breaks off
    /// is an error that tells how many bytes did arrive.
    pub(super) fn up_to(&mut self, len: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(len.min(RESERVE) as usize);
        let before = self.taken;
        let read = self.reader.by_ref().take(len).read_to_end(&mut bytes);
        self.taken += bytes.len() as u64;
        match read {
            Ok(_) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && len < u64::MAX => {
                Err(truncated(&self.name, before + len, self.taken).with_source(error))
            }
            Err(error) => Err(unreadable(&self.name, error)),
        }
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> Result<Vec<u8>> {
        self.up_to(u64::MAX)
    }

    /// How many bytes follow; reading them also makes gzip and bzip2 compare
    /// their checksums.
    pub(super) fn trailing(&mut self) -> Result<u64> {
        io::copy(&mut self.reader, &mut io::sink()).map_err(|error| unreadable(&self.name, error))
    }
}

/// For readers of formats that ask for a [`Read`].
impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.taken += read as u64;
        Ok(read)
    }
}

pub(super) fn truncated(name: &str, expected: u64, actual: u64) -> Error {
    Error::corrupt(format!("`{name}`: truncated: expected `{expected}` bytes, got `{actual}`"))
        .with_hint(FETCH_AGAIN)
}

fn cannot_open(name: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::not_found(format!("no file `{name}`"))
            .with_hint("name the folder that holds the data set's files")
            .with_source(error),
        _ => unreadable(name, error),
    }
}

/// The kinds are those decompressors give damaged data; all others come from the
/// disk.
pub(super) fn unreadable(name: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Error::corrupt(format!("`{name}`: damaged compressed data: `{error}`"))
                .with_hint(FETCH_AGAIN)
        }
        _ => Error::new(Kind::Unavailable, format!("cannot read `{name}`: `{error}`"))
            .with_hint("check that it is a file and that you may read it"),
    }
    .with_source(error)
}
