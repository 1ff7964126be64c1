//! A folder, or the `.zip` it is distributed as, read by path.
//!
//! Owns finding and unpacking one member at a time. Knows nothing of what is in
//! them.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::packed::{FETCH_AGAIN, unreadable};
use crate::error::{Error, Result};

/// See the module.
pub(super) enum Tree {
    Folder(PathBuf),
    Zip { name: String, archive: Box<ZipArchive<BufReader<File>>> },
}

impl Tree {
    /// The tree at `path`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| unreadable(&name, error))?;
        match ZipArchive::new(BufReader::new(file)) {
            Ok(archive) => Ok(Self::Zip { name, archive: Box::new(archive) }),
            Err(error) => Err(Error::corrupt(format!("`{name}`: not a whole `.zip` archive"))
                .with_hint(FETCH_AGAIN)
                .with_source(error)),
        }
    }

    /// What errors call the member at `path`.
    pub(super) fn name_of(&self, path: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(path).display().to_string(),
            Self::Zip { name, .. } => format!("{name}: {path}"),
        }
    }

    /// The contents of the member at `path`, whose parts are separated by `/`.
    pub(super) fn read(&mut self, path: &str) -> Result<Vec<u8>> {
        let name = self.name_of(path);
        let missing = || {
            Error::corrupt(format!("`{name}` is missing"))
                .with_hint("use the archive as it is distributed, or the folder it unpacks to")
        };
        match self {
            Self::Folder(folder) => {
                std::fs::read(folder.join(path)).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => missing(),
                    _ => unreadable(&name, error),
                })
            }
            Self::Zip { archive, .. } => {
                let index = archive.index_for_name(path).ok_or_else(missing)?;
                unpacked(archive, index).map_err(|error| {
                    let reason = error.to_string().replace('\n', " ");
                    Error::corrupt(format!("`{name}`: damaged: `{reason}`"))
                        .with_hint(FETCH_AGAIN)
                        .with_source(error)
                })
            }
        }
    }
}

/// The member with number `index`. Inflated here: the zip crate's own inflating
/// is a feature, and one that would change flate2 for parquet.
fn unpacked(archive: &mut ZipArchive<BufReader<File>>, index: usize) -> io::Result<Vec<u8>> {
    let mut member = archive.by_index_raw(index)?;
    let (method, size, checksum) = (member.compression(), member.size(), member.crc32());
    let mut packed = Vec::new();
    member.read_to_end(&mut packed)?;
    let mut bytes = Vec::new();
    match method {
        CompressionMethod::Stored => bytes = packed,
        // One byte more than there should be, so that a longer one is noticed.
        #[expect(deprecated, reason = "the name of deflate without that feature")]
        CompressionMethod::Unsupported(8) => {
            DeflateDecoder::new(&*packed).take(size.saturating_add(1)).read_to_end(&mut bytes)?;
        }
        other => return Err(io::Error::other(format!("compression {other}"))),
    }
    if bytes.len() as u64 != size || crc32fast::hash(&bytes) != checksum {
        return Err(io::Error::other("wrong length or checksum"));
    }
    Ok(bytes)
}
