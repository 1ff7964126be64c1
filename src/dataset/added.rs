//! Data sets of one's own, as [`add`](super::add()) keeps them.
//!
//! Owns their folder: a description and two arrays per part.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::images::{Images, Labelled};
use super::packed::unreadable;
use super::transform::{Fit, Preparation, Transform};
use super::{Dataset, Info, npy};
use crate::error::{Error, Kind, Result};

/// The parts of a data set, in the order of [`Info::sizes`].
pub(super) const PARTS: [&str; 3] = ["train", "val", "test"];

/// The file that makes a folder a data set.
pub(super) const DESCRIPTION: &str = "zoolake-dataset.json";

/// The format this program writes, and the newest it reads.
pub(super) const FORMAT: u32 = 1;

/// What [`DESCRIPTION`] says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) format: u32,
    /// Channels, height and width of an image.
    pub(super) shape: [usize; 3],
    /// Names of the classes, in the order of their labels.
    pub(super) classes: Vec<String>,
    /// Number of training, validation and test images.
    pub(super) sizes: [usize; 3],
    /// Mean and standard deviation of pixels in [0, 1], for each channel.
    pub(super) normalise: Vec<[f32; 2]>,
    /// Where the images came from.
    pub(super) source: String,
}

impl Description {
    /// What no program of ours would have written.
    fn fault(&self) -> Option<&'static str> {
        let [channels, height, width] = self.shape;
        let pixels = 1..=usize::from(u16::MAX);
        let positive = |[mean, std]: &[f32; 2]| mean.is_finite() && std.is_finite() && *std > 0.0;
        match () {
            () if ![1, 3].contains(&channels) => Some("neither one nor three channels"),
            () if !pixels.contains(&height) || !pixels.contains(&width) => {
                Some("no usable `shape`")
            }
            () if self.normalise.len() != channels => Some("not one `normalise` for each channel"),
            () if !self.normalise.iter().all(positive) => Some("no usable `normalise`"),
            () if self.classes.is_empty() => Some("no `classes`"),
            () => None,
        }
    }
}

/// The arrays of `part`: images `[N, H, W]` or `[N, H, W, C]`, and labels.
pub(super) fn arrays(folder: &Path, part: &str) -> [PathBuf; 2] {
    ["images", "labels"].map(|what| folder.join(format!("{part}_{what}.npy")))
}

/// The data sets that were added to `data_dir`, by name.
pub fn list(data_dir: &Path) -> Result<Vec<Info>> {
    let Ok(entries) = fs::read_dir(data_dir) else { return Ok(Vec::new()) };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    // A folder that is still being written has a hidden name.
    let mut names: Vec<String> = names.filter(|name| super::check_name(name).is_ok()).collect();
    names.sort();
    names.iter().filter_map(|name| info(name, data_dir).transpose()).collect()
}

/// The data set `name`, if it was added to `data_dir`.
pub(super) fn info(name: &str, data_dir: &Path) -> Result<Option<Info>> {
    let folder = data_dir.join(name);
    if !folder.join(DESCRIPTION).is_file() {
        return Ok(None);
    }
    let description = describe(&folder)?;
    Ok(Some(Info {
        name: Cow::Owned(name.to_owned()),
        title: Cow::Owned(format!("added from {}", description.source)),
        shape: description.shape,
        classes: description.classes.len(),
        built_in: false,
        files: &[],
        folders: &[],
        sizes: description.sizes,
        licence: Cow::Borrowed("your own"),
        source: Cow::Owned(description.source),
        downloads: &[],
        home: Cow::Owned(name.to_owned()),
        megabytes: 0,
    }))
}

/// The data set described by `info`, one of [`list`].
pub(super) fn load(info: &Info, input: [usize; 3], data_dir: Option<&Path>) -> Result<Dataset> {
    let folder = data_dir.unwrap_or(Path::new("")).join(&*info.home);
    let description = describe(&folder)?;
    let preparation = Preparation {
        shape: description.shape,
        fit: Fit::Resize,
        full_scale: 255.0,
        normalise: &description.normalise,
    };
    let transform = Transform::new(preparation, input)
        .map_err(|error| error.context(format!("dataset `{}`", info.name)))?;
    let part = |index: usize| {
        let size = description.sizes[index];
        if size == 0 {
            return Ok(None);
        }
        let part = read_part(&folder, PARTS[index])?;
        if part.images.shape != description.shape || part.images.count != size {
            return Err(changed(
                &folder,
                format!(
                    "`{}` has `{}` images of `{:?}`, expected `{size}` of `{:?}`",
                    PARTS[index], part.images.count, part.images.shape, description.shape
                ),
            ));
        }
        if let Some(label) = part.labels.iter().find(|label| **label as usize >= info.classes) {
            let message = format!("label `{label}` of `{}` has no class", PARTS[index]);
            return Err(changed(&folder, message));
        }
        let all: Vec<u32> = (0..size as u32).collect();
        Ok(Some(transform.split(&part, &all)))
    };
    let [Some(train), val, Some(test)] = [part(0)?, part(1)?, part(2)?] else {
        return Err(changed(&folder, "no training or no test images".to_owned()));
    };
    Ok(Dataset {
        name: info.name.to_string(),
        shape: input,
        classes: info.classes,
        train,
        val,
        test,
        augment: None,
        black: transform.black(),
    })
}

/// Images and labels of one part.
pub(super) fn read_part(folder: &Path, part: &str) -> Result<Labelled> {
    let [images_path, labels_path] = arrays(folder, part);
    let images = npy::read_bytes(&images_path)?;
    let labels = npy::read_labels(&labels_path)?;
    let (count, shape) = match images.shape[..] {
        [count, height, width] => (count, [1, height, width]),
        [count, height, width, channels @ (1 | 3)] => (count, [channels, height, width]),
        _ => {
            return Err(Error::invalid(format!(
                "`{}`: an array of the shape `{:?}`, expected `[N, H, W]` or `[N, H, W, C]` with \
                 one or three channels",
                images_path.display(),
                images.shape
            )));
        }
    };
    if labels.shape != [count] {
        return Err(Error::invalid(format!(
            "`{}`: an array of the shape `{:?}`, expected `[{count}]`, one label for each image",
            labels_path.display(),
            labels.shape
        )));
    }
    if count == 0 || shape.contains(&0) {
        return Err(Error::invalid(format!("`{}`: no images", images_path.display())));
    }
    let pixels = planar(&images.values, shape);
    Ok(Labelled { images: Images { count, shape, pixels }, labels: labels.values })
}

/// `[N, H, W, C]` as `[N, C, H, W]`.
fn planar(pixels: &[u8], [channels, height, width]: [usize; 3]) -> Vec<u8> {
    if channels == 1 {
        return pixels.to_vec();
    }
    let image = |image: &'_ [u8]| -> Vec<u8> {
        (0..channels)
            .flat_map(|channel| image[channel..].iter().step_by(channels))
            .copied()
            .collect()
    };
    pixels.chunks_exact(channels * height * width).flat_map(image).collect()
}

fn describe(folder: &Path) -> Result<Description> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let path = folder.join(DESCRIPTION);
    let name = path.display().to_string();
    let text = fs::read(&path).map_err(|error| unreadable(&name, error))?;
    let damaged = |error: serde_json::Error| {
        let reason = error.to_string().replace('\n', " ");
        changed(folder, format!("`{DESCRIPTION}` cannot be read: {reason}")).with_source(error)
    };
    let Version { format } = serde_json::from_slice(&text).map_err(damaged)?;
    if format > FORMAT {
        let message = format!("`{name}` has format `{format}`, newer than this program knows");
        return Err(Error::new(Kind::Unsupported, message).with_hint("use a newer zoolake"));
    }
    let description: Description = serde_json::from_slice(&text).map_err(damaged)?;
    match description.fault() {
        Some(fault) => Err(changed(folder, format!("`{DESCRIPTION}` has {fault}"))),
        None => Ok(description),
    }
}

fn changed(folder: &Path, what: String) -> Error {
    Error::corrupt(format!("`{}`: {what}", folder.display()))
        .with_hint("remove the folder and add the data set again")
}
