//! What a failed request means for the caller.

use std::error::Error as StdError;
use std::io::ErrorKind;

use object_store::path::Path;

use super::Location;
use crate::error::{Error, Kind};

/// A failed read of the object at `path`.
pub(super) fn read(location: &Location, path: &Path, error: object_store::Error) -> Error {
    let reason = reason(&error);
    match error {
        object_store::Error::NotFound { .. } => {
            Error::corrupt(format!("`{path}` is missing from store `{location}`"))
                .with_hint("`zoolake verify` lists everything that is damaged")
        }
        error => {
            let hint = if reason.contains("scheme is not allowed") {
                "plain HTTP takes `--allow-http`"
            } else {
                "mend that and run the same command again"
            };
            let message = format!("cannot read `{path}` from store `{location}`: {reason}");
            Error::new(Kind::Unavailable, message).with_hint(hint).with_source(error)
        }
    }
}

/// A failed write of the object at `path`.
pub(super) fn write(location: &Location, path: &Path, error: object_store::Error) -> Error {
    let hint = match io_kind(&error) {
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            "free space there and run the same command again: what was committed is kept"
        }
        Some(
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::NotADirectory,
        ) => "make the place writable, or choose another with `--store`",
        _ => "mend that and run the same command again: what was committed is kept",
    };
    Error::new(
        Kind::Unavailable,
        format!("cannot write `{path}` to store `{location}`: {}", reason(&error)),
    )
    .with_hint(hint)
    .with_source(error)
}

/// A failed removal of objects below `path`.
pub(super) fn remove(location: &Location, path: &Path, error: object_store::Error) -> Error {
    let reason = reason(&error);
    let message = format!("cannot remove objects below `{path}` of store `{location}`: {reason}");
    Error::new(Kind::Unavailable, message)
        .with_hint("mend that and run the same command again")
        .with_source(error)
}

/// The deepest cause, in one line: `No space left on device`.
fn reason(error: &object_store::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().replace('\n', " ")
}

fn io_kind(error: &object_store::Error) -> Option<ErrorKind> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}
