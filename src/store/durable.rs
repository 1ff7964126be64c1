//! A local folder as an object store whose writes survive a power cut.
//!
//! `object_store` 0.13 never syncs a file to disk, so a commit could be listed
//! by the folder and yet be empty after a crash. Here an object is written to a
//! staging file, synced, put in place with one atomic call, and its folder is
//! synced, before the put returns.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path as FsPath, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::clock;
use crate::disk::{create_folder, sync_folder};

/// See the module.
#[derive(Debug)]
pub(super) struct DurableLocal {
    inner: LocalFileSystem,
}

impl DurableLocal {
    /// The folder `root`, which is created (durably) if need be.
    pub(super) fn new(root: &FsPath) -> io::Result<Self> {
        create_folder(root)?;
        let inner = LocalFileSystem::new_with_prefix(root).map_err(io::Error::other)?;
        Ok(Self { inner })
    }
}

impl std::fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return self.inner.put_opts(location, payload, options).await,
        };
        let target = self.inner.path_to_filesystem(location)?;
        let shown = location.to_string();
        tokio::task::spawn_blocking(move || put(&target, &payload, create))
            .await?
            .map_err(|error| put_error(shown, create, error))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    /// Not durable: no part of a commit may go this way.
    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn put_error(path: String, create: bool, source: io::Error) -> object_store::Error {
    if create && source.kind() == io::ErrorKind::AlreadyExists {
        object_store::Error::AlreadyExists { path, source: source.into() }
    } else {
        object_store::Error::Generic { store: "DurableLocal", source: source.into() }
    }
}

/// Writes `payload` to `target`: all of it, durably, or nothing.
fn put(target: &FsPath, payload: &PutPayload, create: bool) -> io::Result<()> {
    let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_folder(folder)?;
    let staging = staging_path(target);
    let written = write_synced(&staging, payload).and_then(|()| {
        // A hard link fails if the target exists; a rename would replace it.
        if create { link(&staging, target) } else { fs::rename(&staging, target) }
    });
    if create || written.is_err() {
        // Best effort: listings leave staging files out.
        let _ = fs::remove_file(&staging);
    }
    written?;
    sync_folder(folder)
}

fn link(staging: &FsPath, target: &FsPath) -> io::Result<()> {
    fs::hard_link(staging, target).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => error,
        _ => io::Error::other(format!("cannot make a hard link, which commits need: {error}")),
    })
}

/// A staging file: its writer is at work, or was killed.
pub(super) struct StagingFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    pub(super) modified: SystemTime,
}

/// The staging files in `root` itself, and in and below those of its `folders`.
pub(super) fn staging_files(root: &FsPath, folders: &[Path]) -> io::Result<Vec<StagingFile>> {
    let (mut files, _) = look_into(root)?;
    let mut folders: Vec<PathBuf> =
        folders.iter().map(|folder| root.join(folder.as_ref())).collect();
    while let Some(folder) = folders.pop() {
        let (found, below) = look_into(&folder)?;
        files.extend(found);
        folders.extend(below);
    }
    Ok(files)
}

/// The staging files and the folders in `folder`; none if it is not there.
fn look_into(folder: &FsPath) -> io::Result<(Vec<StagingFile>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((files, folders)),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            folders.push(entry.path());
        } else if kind.is_file() && is_staging(&entry.file_name()) {
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = metadata.modified()?;
            files.push(StagingFile { path: entry.path(), bytes: metadata.len(), modified });
        }
    }
    Ok((files, folders))
}

fn is_staging(name: &OsStr) -> bool {
    let suffix = name.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, suffix)| suffix);
    suffix.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Beside the target, so that link and rename stay within one file system.
/// `LocalFileSystem` leaves names that end in `#<digits>` out of its listings.
fn staging_path(target: &FsPath) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!("#{}", clock::unique_digits()));
    PathBuf::from(name)
}

fn write_synced(path: &FsPath, payload: &PutPayload) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    for chunk in payload {
        file.write_all(chunk)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;

    #[tokio::test]
    async fn create_never_replaces_and_leaves_no_staging_file() {
        let root = tempfile::tempdir().unwrap();
        let store = DurableLocal::new(&root.path().join("new/store")).unwrap();
        let path = Path::from("log/1.json");
        let create = || PutOptions::from(PutMode::Create);
        store.put_opts(&path, "first".into(), create()).await.unwrap();
        let error = store.put_opts(&path, "second".into(), create()).await.unwrap_err();
        assert!(matches!(error, object_store::Error::AlreadyExists { .. }), "{error}");
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "first");
        store.put(&path, "third".into()).await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "third");
        let files: Vec<_> = fs::read_dir(root.path().join("new/store/log")).unwrap().collect();
        assert_eq!(files.len(), 1);
    }

    #[tokio::test]
    async fn a_staging_file_of_a_killed_writer_is_not_listed() {
        let root = tempfile::tempdir().unwrap();
        let store = DurableLocal::new(root.path()).unwrap();
        fs::write(staging_path(&root.path().join("x.json")), "half").unwrap();
        let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert!(listed.is_empty(), "{listed:?}");
        store.put(&Path::from("data/y.json"), "whole".into()).await.unwrap();
        let staged = staging_files(root.path(), &[Path::from("data")]).unwrap();
        assert_eq!(staged.iter().map(|file| file.bytes).collect::<Vec<_>>(), [4]);
    }
}
