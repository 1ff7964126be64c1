//! Where a store is: a local folder, an object store, or memory.

use std::fmt;
use std::io;
use std::path::{self, Path as FsPath, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use url::Url;

use super::digest::sha256;
use super::durable::DurableLocal;
use super::requests::{Counted, RequestCounter};
use crate::disk::sync_folder;
use crate::error::{Error, Kind, Result};

/// A place for a store, with the client to reach it. Paths of objects are
/// relative to the root of the store, wherever that is.
#[derive(Clone)]
pub struct Location {
    shown: String,
    objects: Arc<dyn ObjectStore>,
    /// On a local disk.
    folder: Option<PathBuf>,
}

/// Settings of cloud object stores, beyond the usual environment variables
/// (`AWS_*`, `GOOGLE_*`, `AZURE_*`), over which they take precedence.
#[derive(Debug, Clone, Default)]
pub struct CloudOptions {
    /// URL of an S3-compatible service, such as `http://localhost:9000`.
    pub endpoint_url: Option<String>,
    /// Permit plain HTTP.
    pub allow_http: bool,
}

/// Environment variables with these prefixes configure object stores.
const CLOUD_PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// With one slash where two belong, or none.
const SCHEMES_WITH_COLON: [&str; 6] = ["s3:", "s3a:", "gs:", "az:", "abfs:", "file:"];

const SCHEMES: &str = "a folder, `s3://bucket/path`, `gs://bucket/path` or `az://container/path`";

impl Location {
    /// A new, empty place in memory.
    pub fn memory() -> Self {
        Self::from_objects("memory://", Arc::new(InMemory::new()))
    }

    /// A place whose objects, relative to its root, are `objects`. Commits rely
    /// on `PutMode::Create` and on a put being durable when it returns.
    pub fn from_objects(shown: impl Into<String>, objects: Arc<dyn ObjectStore>) -> Self {
        Self { shown: shown.into(), objects, folder: None }
    }

    /// A place to read from: a local folder must exist.
    pub fn existing(text: &str, options: &CloudOptions) -> Result<Self> {
        if let Some(folder) = local_folder(text)?
            && !folder.is_dir()
        {
            if folder.exists() {
                return Err(is_a_file(text));
            }
            let message = format!("no zoolake store at `{text}`: there is no such folder");
            return Err(Error::not_found(message).with_hint(
                "name one with `--store`, or make one with `zoolake train` or `zoolake demo`",
            ));
        }
        Self::new(text, options)
    }

    /// A place to write to: a local folder is created if need be.
    pub fn new(text: &str, options: &CloudOptions) -> Result<Self> {
        let folder = local_folder(text)?;
        let objects: Arc<dyn ObjectStore> = match &folder {
            Some(folder) if folder.is_file() => return Err(is_a_file(text)),
            Some(folder) => Arc::new(DurableLocal::new(folder).map_err(|error| {
                Error::new(Kind::Unavailable, format!("cannot use folder `{text}`: {error}"))
                    .with_hint("make the place writable, or choose another with `--store`")
                    .with_source(error)
            })?),
            None => cloud(text, options)?,
        };
        Ok(Self { shown: text.trim_end_matches('/').to_owned(), objects, folder })
    }

    /// Tells this place from others, in the name of a folder: the beginning of a SHA-256
    /// over its URL, or over the folder without links.
    pub fn fingerprint(&self) -> String {
        let folder = self.folder.as_ref().map(|folder| folder.canonicalize());
        let mut digest = match folder {
            Some(Ok(folder)) => sha256(folder.as_os_str().as_encoded_bytes()),
            _ => sha256(self.shown.as_bytes()),
        };
        digest.truncate(16);
        digest
    }

    /// The same place, with what is asked of it counted from now on.
    #[must_use]
    pub fn counted(self, counter: &RequestCounter) -> Self {
        Self { objects: Arc::new(Counted::new(self.objects, counter.clone())), ..self }
    }

    /// The folder of a store on a local disk.
    pub(super) fn folder(&self) -> Option<&FsPath> {
        self.folder.as_deref()
    }

    /// Makes the names in `folder` durable, once more, if the store is on a local disk.
    pub(super) fn sync(&self, folder: &Path) -> io::Result<()> {
        self.folder().map_or(Ok(()), |root| sync_folder(&root.join(folder.as_ref())))
    }

    pub(super) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// An object's path as the user would write it.
    pub(super) fn path_of(&self, object: &Path) -> String {
        let slash = if self.shown.ends_with('/') { "" } else { "/" };
        format!("{}{slash}{object}", self.shown)
    }
}

/// The URL or folder, as the user wrote it.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({})", self.shown)
    }
}

fn is_a_file(text: &str) -> Error {
    Error::invalid(format!("store `{text}` is a file, and a store is a folder"))
}

/// The folder meant by a path or a `file://` URL; `None` for any other URL.
fn local_folder(text: &str) -> Result<Option<PathBuf>> {
    if text.is_empty() {
        return Err(Error::invalid(format!("store `` is empty: expected {SCHEMES}")));
    }
    let folder = if text.starts_with("file://") {
        Url::parse(text).ok().and_then(|url| url.to_file_path().ok()).ok_or_else(|| {
            Error::invalid(format!("store `{text}`: expected `file:///absolute/path`"))
        })?
    } else if text.contains("://") {
        return Ok(None);
    } else if text.starts_with('~')
        || SCHEMES_WITH_COLON.iter().any(|scheme| text.starts_with(scheme))
    {
        // Slips that would make a folder with a strange name.
        return Err(Error::invalid(format!("store `{text}`: expected {SCHEMES}")));
    } else {
        PathBuf::from(text)
    };
    let absolute = path::absolute::<&FsPath>(&folder);
    absolute.map(Some).map_err(|error| Error::invalid(format!("store `{text}`: {error}")))
}

fn cloud(text: &str, options: &CloudOptions) -> Result<Arc<dyn ObjectStore>> {
    let url = Url::parse(text)
        .map_err(|error| Error::invalid(format!("store `{text}`: {error}: expected {SCHEMES}")))?;
    if !["s3", "s3a", "gs", "az", "abfs", "abfss"].contains(&url.scheme()) {
        return Err(Error::invalid(format!(
            "store `{text}` has the unknown scheme `{}`: expected {SCHEMES}",
            url.scheme()
        )));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Error::invalid(format!("store `{text}` names no bucket: expected {SCHEMES}")));
    }
    let environment = std::env::vars_os().filter_map(|(key, value)| {
        let (key, value) = (key.into_string().ok()?, value.into_string().ok()?);
        CLOUD_PREFIXES.iter().any(|prefix| key.starts_with(prefix)).then_some((key, value))
    });
    let explicit = [
        options.endpoint_url.clone().map(|url| ("endpoint_url".to_owned(), url)),
        options.allow_http.then(|| ("allow_http".to_owned(), "true".to_owned())),
    ];
    let options = environment.chain(explicit.into_iter().flatten());
    let (objects, prefix) = object_store::parse_url_opts(&url, options).map_err(|error| {
        let hint = if cfg!(feature = "cloud") {
            "set the credentials in `AWS_*`, `GOOGLE_*` or `AZURE_*`"
        } else {
            "this zoolake was built without the feature `cloud`"
        };
        Error::invalid(format!("store `{text}`: {}", super::reason(&error)))
            .with_hint(hint)
            .with_source(error)
    })?;
    Ok(Arc::new(PrefixStore::new(objects, prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_place_is_said_in_one_line() {
        let error = |text| Location::new(text, &CloudOptions::default()).unwrap_err().to_string();
        assert_eq!(
            error("ftp://host/x"),
            "store `ftp://host/x` has the unknown scheme `ftp`: expected a folder, \
             `s3://bucket/path`, `gs://bucket/path` or `az://container/path`"
        );
        for text in ["s3://", "gs://", "az:///zoo"] {
            let said = error(text);
            assert!(
                said.starts_with(&format!("store `{text}` names no bucket: expected a folder"))
            );
        }
        assert!(error("").starts_with("store `` is empty"));
        assert!(error("s3:/bucket/zoo").starts_with("store `s3:/bucket/zoo`: expected a folder"));
        assert!(error("~/zoo").starts_with("store `~/zoo`: expected a folder"));
        assert!(error("file://relative/x").contains("expected `file:///absolute/path`"));
    }

    #[test]
    fn a_folder_that_cannot_be_synced_is_no_success() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        let location = Location::new(place, &CloudOptions::default()).unwrap();
        let log = Path::from("log");
        assert_eq!(location.sync(&log).is_err(), cfg!(unix));
        std::fs::create_dir(folder.path().join("log")).unwrap();
        location.sync(&log).unwrap();
        Location::memory().sync(&log).unwrap();
    }

    #[test]
    fn a_folder_to_read_from_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let error =
            Location::existing(missing.to_str().unwrap(), &CloudOptions::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(!missing.exists(), "looking must not create");
    }
}
