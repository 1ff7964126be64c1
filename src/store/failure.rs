//! What a failed request means for the caller.

use std::error::Error as StdError;
use std::io::ErrorKind;

use object_store::path::Path;

use super::Location;
use crate::error::{Error, Kind};

/// What to do about a store that is damaged.
pub(crate) const VERIFY: &str = "`zoolake verify` lists everything that is damaged";

/// A failed read of the object at `path`.
pub(super) fn read(location: &Location, path: &Path, error: object_store::Error) -> Error {
    if matches!(error, object_store::Error::NotFound { .. }) && !is_without_bucket(&error) {
        return Error::corrupt(format!("`{path}` is missing from store `{location}`"))
            .with_hint(VERIFY);
    }
    let message = format!("cannot read `{path}` from store `{location}`: {}", reason(&error));
    if is_beyond_end(&error) {
        return Error::corrupt(message).with_hint(VERIFY).with_source(error);
    }
    Error::new(Kind::Unavailable, message).with_hint(hint(location, &error)).with_source(error)
}

/// A failed write of the object at `path`.
pub(super) fn write(location: &Location, path: &Path, error: object_store::Error) -> Error {
    let message = format!("cannot write `{path}` to store `{location}`: {}", reason(&error));
    let hint = match hint(location, &error) {
        AGAIN => "mend that and run the same command again: what was committed is kept",
        hint => hint,
    };
    Error::new(Kind::Unavailable, message).with_hint(hint).with_source(error)
}

/// A failed removal of objects.
pub(super) fn remove(location: &Location, error: object_store::Error) -> Error {
    let message = format!("cannot remove objects of store `{location}`: {}", reason(&error));
    Error::new(Kind::Unavailable, message)
        .with_hint("mend that and run the same command again")
        .with_source(error)
}

/// Whether a service says that the bucket or container itself is not there.
pub(super) fn is_without_bucket(error: &object_store::Error) -> bool {
    let answer = reason(error);
    ["NoSuchBucket:", "ContainerNotFound:"].iter().any(|code| answer.starts_with(code))
}

/// Whether an object is too short for what was asked of it: bytes that are there no longer,
/// or that a damaged footer speaks of. `object_store` has no kind of error for it.
pub(crate) fn is_beyond_end(error: &object_store::Error) -> bool {
    let answer = reason(error);
    let beginnings = [
        "Wanted range starting at ",
        "Range started at ",
        "Out of range of file ",
        "InvalidRange:",
        "Server returned non-2xx status code: 416 ",
    ];
    beginnings.iter().any(|beginning| answer.starts_with(beginning))
}

/// Where nothing better can be said.
const AGAIN: &str = "mend that and run the same command again";

/// What to do about a failed request.
fn hint(location: &Location, error: &object_store::Error) -> &'static str {
    match (error, io_kind(error)) {
        (_, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)) => {
            "free space there and run the same command again: what was committed is kept"
        }
        (
            _,
            Some(
                ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotADirectory,
            ),
        ) => "make the place writable, or choose another with `--store`",
        _ if location.folder().is_some() => AGAIN,
        (
            object_store::Error::PermissionDenied { .. }
            | object_store::Error::Unauthenticated { .. },
            _,
        ) => {
            "check the credentials in the environment and what they permit: \
              docs/object-stores.md has what zoolake needs"
        }
        _ if is_without_bucket(error) => "make the bucket first, or choose another with `--store`",
        _ if reason(error).contains("scheme is not allowed") => "plain HTTP takes `--allow-http`",
        (_, Some(_)) => "check the endpoint and the network, and run the same command again",
        _ => AGAIN,
    }
}

/// The deepest cause, in one line: `No space left on device`. Of an answer of a
/// service in XML, its code and message: `NoSuchBucket: There is no such bucket`.
pub(crate) fn reason(error: &object_store::Error) -> String {
    let mut cause: &dyn StdError = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string();
    let element = |name: &str| {
        let (_, content) = text.split_once(&format!("<{name}>"))?;
        content.split_once("</")?.0.lines().next()
    };
    match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!("{code}: {}", message.trim_end_matches('.')),
        _ => text.replace('\n', " "),
    }
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

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;

    use super::super::CloudOptions;
    use super::*;

    fn answered(body: &str) -> object_store::Error {
        let text = format!("Server returned non-2xx status code: 404 Not Found: {body}");
        object_store::Error::NotFound { path: "zoo".to_owned(), source: text.into() }
    }

    #[test]
    fn of_an_answer_in_xml_code_and_message_are_told() {
        let body = "<?xml version=\"1.0\"?>\n<Error><Code>ContainerNotFound</Code><Message>The \
                    specified container does not exist.\nRequestId:1</Message></Error>";
        let error = answered(body);
        assert_eq!(reason(&error), "ContainerNotFound: The specified container does not exist");
        let place = Location::memory();
        let error = read(&place, &Path::from("log"), error);
        assert_eq!(error.kind(), Kind::Unavailable, "nothing is damaged");
        assert!(error.hint().unwrap().starts_with("make the bucket first"));
        let missing = read(&place, &Path::from("log"), answered("<Code>NoSuchKey</Code>"));
        assert_eq!(missing.kind(), Kind::Corrupt);
    }

    /// As Azure answers without a body, and S3 with one.
    #[test]
    fn a_range_that_a_service_does_not_have_is_damage() {
        for body in [
            "",
            "<Error><Code>InvalidRange</Code><Message>The requested range is not satisfiable\
             </Message></Error>",
        ] {
            let text =
                format!("Server returned non-2xx status code: 416 Range Not Satisfiable: {body}");
            let error = object_store::Error::Generic { store: "S3", source: text.into() };
            assert!(is_beyond_end(&error), "{error}");
            assert_eq!(read(&Location::memory(), &"data".into(), error).kind(), Kind::Corrupt);
        }
        assert!(!is_beyond_end(&answered("<Code>NoSuchKey</Code>")));
    }

    /// Of every kind of store that is at hand.
    #[tokio::test]
    async fn a_range_beyond_the_end_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        let on_disk = Location::new(folder.path().to_str().unwrap(), &CloudOptions::default());
        for location in [Location::memory(), on_disk.unwrap()] {
            let (objects, path) = (location.objects(), Path::from("data/short"));
            objects.put(&path, "short".into()).await.unwrap();
            let error = objects.get_range(&path, 5..9).await.unwrap_err();
            assert_eq!(read(&location, &path, error).kind(), Kind::Corrupt, "{location}");
        }
    }
}
