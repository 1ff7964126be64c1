//! A folder of files, or the `.tar.gz` it is distributed as.
//!
//! Owns reading named members without unpacking to disk. Knows nothing of what
//! is in them.

use std::io::{self, Read};
use std::path::Path;

use tar::Archive;

use super::packed::{FETCH_AGAIN, Source, unreadable};
use crate::error::{Error, Result};

/// The contents of the `wanted` members of the folder or archive at `path`, in
/// that order. A member is a file name, whatever folder of the archive it is in,
/// and the bytes it must have.
pub(super) fn members(path: &Path, wanted: &[(&str, u64)]) -> Result<Vec<Vec<u8>>> {
    let name = path.display().to_string();
    let found = if path.is_dir() { in_folder(path, wanted)? } else { in_archive(path, wanted)? };
    let missing: Vec<String> = wanted
        .iter()
        .zip(&found)
        .filter(|(_, found)| found.is_none())
        .map(|((member, _), _)| format!("`{member}`"))
        .collect();
    if missing.is_empty() {
        return found.into_iter().flatten().collect();
    }
    let present = wanted.len() - missing.len();
    Err(Error::corrupt(format!(
        "`{name}` is not complete: it has `{present}` of `{}` files of images and lacks {}",
        wanted.len(),
        missing.join(", ")
    ))
    .with_hint(
        "use the archive as it is distributed, or the folder it unpacks to; a part of a data set \
         is a data set of your own: `zoolake datasets add`",
    ))
}

/// For each wanted member its contents, or what is wrong with it, if it is there:
/// a member that is missing says more than one that is too short.
type Found = Vec<Option<Result<Vec<u8>>>>;

fn in_folder(folder: &Path, wanted: &[(&str, u64)]) -> Result<Found> {
    let read = |(member, size): &(&str, u64)| {
        let path = folder.join(member);
        if !path.exists() {
            return Ok(None);
        }
        let name = path.display().to_string();
        let found = path.metadata().map_err(|error| unreadable(&name, error))?.len();
        let read = || std::fs::read(&path).map_err(|error| unreadable(&name, error));
        Ok(Some(expect_size(&name, found, *size).and_then(|()| read())))
    };
    wanted.iter().map(read).collect()
}

fn in_archive(path: &Path, wanted: &[(&str, u64)]) -> Result<Found> {
    let mut source = Source::open(path)?;
    let name = source.name().to_owned();
    let damaged = |error: io::Error| damaged(&name, error);
    let mut found: Found = wanted.iter().map(|_| None).collect();
    let mut archive = Archive::new(&mut source);
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let member = entry.path().map_err(damaged)?.into_owned();
        let member = member.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(index) = wanted.iter().position(|(wanted, _)| *wanted == member) else {
            continue;
        };
        let size = wanted[index].1;
        let expected = expect_size(&format!("{name}: {member}"), entry.size(), size);
        found[index] = Some(match expected {
            Ok(()) => {
                let mut bytes = Vec::with_capacity(size as usize);
                entry.read_to_end(&mut bytes).map_err(damaged)?;
                expect_size(&format!("{name}: {member}"), bytes.len() as u64, size).map(|()| bytes)
            }
            Err(error) => Err(error),
        });
    }
    // To the end, where gzip has its checksum.
    source.trailing()?;
    Ok(found)
}

fn expect_size(name: &str, found: u64, expected: u64) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let message = format!("`{name}`: expected `{expected}` bytes, got `{found}`");
    Err(Error::corrupt(message).with_hint(FETCH_AGAIN))
}

/// Errors of the disk carry its number; all others are about the contents.
fn damaged(name: &str, error: io::Error) -> Error {
    if error.raw_os_error().is_some() {
        return unreadable(name, error);
    }
    let reason = error.to_string().replace('\n', " ");
    Error::corrupt(format!("`{name}`: not a whole `.tar.gz` archive: `{reason}`"))
        .with_hint(FETCH_AGAIN)
        .with_source(error)
}
