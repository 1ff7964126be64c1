//! Where the files of a data set lie.
//!
//! Owns the order in which folders are looked into. Opens nothing.

use std::path::{Path, PathBuf};

use super::Info;
use crate::error::{Error, Result};

/// Where the files of `info` are, one path for each of [`Info::files`].
///
/// Looks into the folders of the data set first: `data_dir` itself may hold
/// another data set, under the same names.
pub(super) fn find(info: &Info, data_dir: Option<&Path>) -> Result<Vec<PathBuf>> {
    let name = &info.name;
    let hint = hint(info);
    let Some(dir) = data_dir else {
        let message = format!("data set `{name}` is not built in: it needs {}", files(info));
        return Err(Error::not_found(message).with_hint(hint));
    };
    // The folder of USPS is called like one of its files.
    let home = dir.join(&*info.home);
    let present = |folder: &Path, names: &[&str]| {
        names.iter().map(|name| folder.join(name)).find(|path| path.exists() && *path != home)
    };
    let inner = [&*info.home].into_iter().chain(info.folders.iter().copied());
    // The first folder with any of the files is the one that is meant; a file
    // missing there must not be taken from elsewhere.
    let folder = inner
        .map(|inner| dir.join(inner))
        .chain([dir.to_path_buf()])
        .find(|folder| info.files.iter().any(|names| present(folder, names).is_some()))
        .ok_or_else(|| {
            let message =
                format!("data set `{name}`: found no {} in `{}`", files(info), dir.display());
            Error::not_found(message).with_hint(hint.clone())
        })?;
    let find = |names: &&[&str]| {
        present(&folder, names).ok_or_else(|| {
            let message =
                format!("data set `{name}`: no file {} in `{}`", or(names), folder.display());
            Error::not_found(message).with_hint(hint.clone())
        })
    };
    info.files.iter().map(find).collect()
}

fn hint(info: &Info) -> String {
    let mut folders = vec![format!("`DIR/{}`", info.home)];
    folders.extend(info.folders.iter().map(|folder| format!("`DIR/{folder}`")));
    format!(
        "`zoolake datasets fetch {}` gets them; if you have them, pass `--data DIR` where they are \
         in {} or `DIR`",
        info.name,
        folders.join(", ")
    )
}

fn files(info: &Info) -> String {
    info.files.iter().map(|names| or(names)).collect::<Vec<_>>().join(", ")
}

fn or(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}
