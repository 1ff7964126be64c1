//! Gets the official files of a data set.
//!
//! Owns downloading: the order of places, resuming, checksums, and that a file
//! appears whole or not at all. Which files there are is [`Info`]'s.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use md5::{Digest, Md5};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode};

use super::packed::unreadable;
use super::{Download, Info};
use crate::error::{Error, Kind, Result};

/// How often a place is asked for the rest of a file it broke off, as long as
/// every time brings more of it.
const RESUMES: usize = 20;

/// Is told how a fetch goes.
pub trait Watch: Sync {
    /// `file` is being received from `url`; `have` bytes are here from before, and
    /// it has `total` bytes in all, if that is known.
    fn receiving(&self, file: &str, url: &str, have: u64, total: Option<u64>);
    /// Some bytes more are here.
    fn received(&self, bytes: u64);
    /// `file` is not had from `url`, for this reason; the next place is tried.
    fn failed(&self, file: &str, url: &str, reason: &str);
}

/// Gets files.
#[derive(Debug)]
pub struct Fetch {
    client: Client,
    mirror: Option<String>,
}

impl Fetch {
    /// With the proxies that the environment names. A file is looked for in
    /// `mirror` first, if there is one: at `<mirror>/<data set>/<file>`, as a data
    /// folder has it.
    pub fn new(mirror: Option<&str>) -> Result<Self> {
        Self::with(Client::builder(), mirror)
    }

    fn with(builder: reqwest::ClientBuilder, mirror: Option<&str>) -> Result<Self> {
        let client = builder
            .user_agent(concat!("zoolake/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(20))
            .read_timeout(Duration::from_secs(60))
            .build()
            .map_err(|error| {
                let message = format!("cannot prepare downloads: {}", reason(&error));
                Error::new(Kind::Unavailable, message).with_source(error)
            })?;
        Ok(Self { client, mirror: mirror.map(|mirror| mirror.trim_end_matches('/').to_owned()) })
    }

    /// Gets what is missing of the files of `info` into the folder
    /// `data_dir/<data set>`. Says where the files are, and which of them are new.
    ///
    /// A file that is there is checked. One that breaks off is kept as
    /// `<file>.part`, from which the next fetch goes on.
    pub async fn fetch(
        &self,
        info: &Info,
        data_dir: &Path,
        watch: &impl Watch,
    ) -> Result<Vec<(PathBuf, bool)>> {
        let folder = data_dir.join(&*info.home);
        fs::create_dir_all(&folder).map_err(|error| cannot_write(&folder, error))?;
        let mut files = Vec::new();
        for download in info.downloads {
            let path = folder.join(download.file);
            let new = !path.exists();
            if new {
                self.get(download, &info.home, &path, watch).await?;
            } else {
                check(download, &path)?;
            }
            files.push((path, new));
        }
        Ok(files)
    }

    /// Gets one file from the first place that has it.
    async fn get(
        &self,
        download: &Download,
        home: &str,
        path: &Path,
        watch: &impl Watch,
    ) -> Result<()> {
        let mirror = self.mirror.iter().map(|mirror| format!("{mirror}/{home}/"));
        let folders = mirror.chain(download.folders.iter().map(|folder| (*folder).to_owned()));
        let mut reasons = Vec::new();
        for url in folders.map(|folder| folder + download.file) {
            match self.get_from(&url, download, path, watch).await {
                Ok(()) => return Ok(()),
                Err(Failure::Here(error)) => return Err(error),
                Err(Failure::There(reason)) => {
                    watch.failed(download.file, &url, &reason);
                    reasons.push(format!("{}: {reason}", host(&url)));
                }
            }
        }
        let by_hand = download.folders.first().copied().unwrap_or_default();
        Err(Error::new(
            Kind::Unavailable,
            format!("cannot fetch `{}`: {}", download.file, reasons.join("; ")),
        )
        .with_hint(format!(
            "without a network here, download {by_hand}{} elsewhere and put it at `{}`; running \
             the same command again resumes",
            download.file,
            path.display()
        )))
    }

    /// Gets one file from one place, going on where an earlier attempt broke off.
    async fn get_from(
        &self,
        url: &str,
        download: &Download,
        path: &Path,
        watch: &impl Watch,
    ) -> std::result::Result<(), Failure> {
        let part = part_path(path);
        let resumed = part.exists();
        self.receive_all(url, download.file, &part, watch).await?;
        let mut found = md5_of(&part).map_err(Failure::Here)?;
        if found != download.md5 && resumed {
            // What was here may have been the beginning of something else.
            remove(&part)?;
            self.receive_all(url, download.file, &part, watch).await?;
            found = md5_of(&part).map_err(Failure::Here)?;
        }
        if found != download.md5 {
            remove(&part)?;
            return Err(Failure::There(format!(
                "not the official file: its MD5 is `{found}`, expected `{}`",
                download.md5
            )));
        }
        fs::rename(&part, path).map_err(|error| Failure::Here(cannot_write(path, error)))
    }

    /// Asks until the file is whole, or an attempt brings nothing.
    async fn receive_all(
        &self,
        url: &str,
        file: &str,
        part: &Path,
        watch: &impl Watch,
    ) -> std::result::Result<(), Failure> {
        let mut outcome = Ok(());
        for _ in 0..RESUMES {
            let before = length(part);
            outcome = self.receive(url, file, part, watch).await;
            match &outcome {
                Err(Failure::There(_)) if length(part) > before => {}
                _ => break,
            }
        }
        outcome
    }

    /// One request: appends to `part` what it lacks.
    async fn receive(
        &self,
        url: &str,
        file: &str,
        part: &Path,
        watch: &impl Watch,
    ) -> std::result::Result<(), Failure> {
        let have = length(part);
        let mut request = self.client.get(url);
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let mut response = request.send().await.map_err(there)?;
        let goes_on = match response.status() {
            StatusCode::OK => false,
            StatusCode::PARTIAL_CONTENT if have > 0 && starts_at(&response, have) => true,
            // There is nothing after what is here: it is whole, or too long.
            StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(()),
            status => return Err(Failure::There(format!("answered `{status}`"))),
        };
        let have = if goes_on { have } else { 0 };
        let total = response.content_length().map(|rest| have + rest);
        watch.receiving(file, url, have, total);
        let mut options = OpenOptions::new();
        options.create(true).append(goes_on).write(true).truncate(!goes_on);
        let write = |error: io::Error| Failure::Here(cannot_write(part, error));
        let mut out = options.open(part).map_err(write)?;
        while let Some(bytes) = response.chunk().await.map_err(there)? {
            out.write_all(&bytes).map_err(write)?;
            watch.received(bytes.len() as u64);
        }
        out.sync_all().map_err(write)
    }
}

/// Why a file was not had from a place.
enum Failure {
    /// The place does not have it; another may.
    There(String),
    /// It cannot be kept here, wherever it comes from.
    Here(Error),
}

fn there(error: reqwest::Error) -> Failure {
    Failure::There(reason(&error))
}

/// The deepest cause, in one line: `Connection refused (os error 111)`.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().replace('\n', " ")
}

/// Whether the response continues at byte `have`.
fn starts_at(response: &Response, have: u64) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

fn host(url: &str) -> String {
    url::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(|host| format!("`{host}`")))
        .unwrap_or_else(|| format!("`{url}`"))
}

fn part_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn remove(part: &Path) -> std::result::Result<(), Failure> {
    fs::remove_file(part).map_err(|error| Failure::Here(cannot_write(part, error)))
}

/// Whether the file that is there is the official one.
fn check(download: &Download, path: &Path) -> Result<()> {
    let found = md5_of(path)?;
    if found == download.md5 {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "`{}` is not the official file: its MD5 is `{found}`, expected `{}`",
        path.display(),
        download.md5
    ))
    .with_hint("remove it and fetch again; if you put it there on purpose, it needs no fetching"))
}

fn md5_of(path: &Path) -> Result<String> {
    let read = |error| unreadable(&path.display().to_string(), error);
    let mut file = File::open(path).map_err(read)?;
    let mut digest = Md5::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(read)? {
            0 => break,
            len => digest.update(&buffer[..len]),
        }
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn cannot_write(path: &Path, error: io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("cannot write `{}`: {error}", path.display()))
        .with_hint("make the place writable, or choose another with `--data`")
        .with_source(error)
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
