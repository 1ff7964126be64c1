//! Makes a data set of images or arrays of one's own.
//!
//! Owns how they are laid out where they come from, and that a data set appears
//! whole or not at all. How it is kept is [`added`](super::added())'s.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::added::{self, DESCRIPTION, Description, FORMAT, PARTS};
use super::images::{Images, Labelled};
use super::packed::unreadable;
use super::picture::Picture;
use super::transform::{Fit, Preparation, Transform};
use super::{Info, all, check_name, npy};
use crate::error::{Error, Kind, Result};

/// The parts read, of which there may be no validation images, and the names of
/// the classes.
type Parts = ([Option<Labelled>; 3], Vec<String>);

/// Makes the data set `name` in `data_dir` of what is in the folder `from`:
/// either images `train/<class>/*.png` (or JPEG), `test/<class>/…` and perhaps
/// `val/<class>/…`, or NumPy arrays `train_images.npy` (`uint8`, `[N, H, W]` or
/// `[N, H, W, C]`), `train_labels.npy` (`[N]`, from 0) and likewise for `test`
/// and perhaps `val`. All images have one size; grey and colour may be mixed.
///
/// Pixels will be normalised with the mean and standard deviation of each
/// channel over the training images.
pub fn add(name: &str, from: &Path, data_dir: &Path) -> Result<Info> {
    check_name(name)?;
    if all().any(|info| info.name == name || info.home == name) {
        return Err(Error::invalid(format!("data set `{name}` comes with zoolake"))
            .with_hint("choose another name"));
    }
    let folder = data_dir.join(name);
    if folder.exists() {
        return Err(Error::invalid(format!("`{}` is there already", folder.display())).with_hint(
            "choose another name, or remove the folder; models trained on it keep its name",
        ));
    }
    let (parts, classes) = read(from)?;
    let description = describe(&parts, classes, from)?;
    let partial = data_dir.join(format!(".{name}.{}.partial", std::process::id()));
    let written = write(&partial, &parts, &description)
        .and_then(|()| fs::rename(&partial, &folder))
        .map_err(|error| {
            let message = format!("cannot write `{}`: {error}", folder.display());
            Error::new(Kind::Unavailable, message).with_source(error)
        });
    if written.is_err() {
        // Best effort: the failure itself is what is reported.
        let _ = fs::remove_dir_all(&partial);
    }
    written?;
    super::info(name, Some(data_dir))
}

fn read(from: &Path) -> Result<Parts> {
    if from.join("train").is_dir() {
        return read_pictures(from);
    }
    if added::arrays(from, "train")[0].exists() {
        return read_arrays(from);
    }
    let there = if from.is_dir() { "" } else { ", which is not a folder" };
    Err(Error::not_found(format!(
        "found neither `train/` nor `train_images.npy` in `{}`{there}",
        from.display()
    ))
    .with_hint(
        "expected images `train/<class>/*.png` and `test/<class>/*.png` (or JPEG), or arrays \
         `train_images.npy`, `train_labels.npy`, `test_images.npy` and `test_labels.npy`",
    ))
}

fn read_arrays(from: &Path) -> Result<Parts> {
    let part = |part: &str| {
        let absent = added::arrays(from, part).iter().all(|path| !path.exists());
        if part == "val" && absent { Ok(None) } else { added::read_part(from, part).map(Some) }
    };
    let [train, val, test] = PARTS;
    let parts = [part(train)?, part(val)?, part(test)?];
    let largest = parts[0].iter().flat_map(|train| &train.labels).max().copied().unwrap_or(0);
    // More classes than images is a slip, and would fill the memory with names.
    let images = parts[0].as_ref().map_or(0, |train| train.labels.len());
    for (part, labelled) in PARTS.iter().zip(&parts) {
        let labels = labelled.iter().flat_map(|part| &part.labels);
        let allowed = largest.min(images as u32);
        if let Some(label) = labels.into_iter().find(|label| **label > allowed) {
            return Err(Error::invalid(format!(
                "`{part}_labels.npy` has the label `{label}`, expected `0` to `{allowed}`, the \
                 classes of the training images"
            )));
        }
    }
    Ok((parts, (0..=largest).map(|label| label.to_string()).collect()))
}

fn read_pictures(from: &Path) -> Result<Parts> {
    let classes = entries(&from.join("train"))?;
    let classes: Vec<String> = classes.iter().map(|path| file_name(path)).collect();
    let mut parts = [None, None, None];
    for (part, name) in parts.iter_mut().zip(PARTS) {
        let folder = from.join(name);
        if name == "val" && !folder.exists() {
            continue;
        }
        *part = Some(part_of_pictures(&folder, &classes)?);
    }
    // If some images are in colour, all are shown so.
    let pictures = || parts.iter().flatten().flatten();
    let colour = pictures().any(|(picture, ..)| picture.shape[0] == 3);
    let mut first: Option<([usize; 3], PathBuf)> = None;
    let mut labelled = |pictures: Vec<(Picture, u32, PathBuf)>| {
        let mut part = Labelled::none([0; 3]);
        for (picture, label, path) in pictures {
            let picture = if colour { picture.in_colour() } else { picture };
            let (shape, first) = first.get_or_insert_with(|| (picture.shape, path.clone()));
            if picture.shape != *shape {
                return Err(Error::invalid(format!(
                    "`{}` has `{}x{}` pixels, but `{}` has `{}x{}`",
                    path.display(),
                    picture.shape[1],
                    picture.shape[2],
                    first.display(),
                    shape[1],
                    shape[2]
                ))
                .with_hint("bring the images to one size first"));
            }
            part.images.shape = picture.shape;
            part.images.count += 1;
            part.images.pixels.extend(picture.pixels);
            part.labels.push(label);
        }
        Ok(part)
    };
    let [train, val, test] = parts.map(|part| part.map(&mut labelled).transpose());
    Ok(([train?, val?, test?], classes))
}

/// The images below one folder per class, with their labels and paths.
fn part_of_pictures(folder: &Path, classes: &[String]) -> Result<Vec<(Picture, u32, PathBuf)>> {
    let mut pictures = Vec::new();
    for class_folder in entries(folder)? {
        let class = file_name(&class_folder);
        let Some(label) = classes.iter().position(|name| *name == class) else {
            return Err(Error::invalid(format!(
                "`{}` is not a class of the training images",
                class_folder.display()
            )));
        };
        for path in entries(&class_folder)? {
            let name = path.display().to_string();
            let file = fs::read(&path).map_err(|error| unreadable(&name, error))?;
            pictures.push((Picture::decode(&file, &name)?, label as u32, path));
        }
    }
    if pictures.is_empty() {
        return Err(Error::invalid(format!("`{}` has no images", folder.display()))
            .with_hint("expected folders of images, one for each class"));
    }
    Ok(pictures)
}

/// What is in a folder, by name; hidden files are not meant.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let name = folder.display().to_string();
    let entries = fs::read_dir(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::not_found(format!("no folder `{name}`"))
            .with_hint("training and test images are needed"),
        io::ErrorKind::NotADirectory => {
            Error::invalid(format!("`{name}` is a file, expected a folder of images"))
        }
        _ => unreadable(&name, error),
    })?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&name, error))?.path();
        if !file_name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn describe(
    parts: &[Option<Labelled>; 3],
    classes: Vec<String>,
    from: &Path,
) -> Result<Description> {
    let train = parts[0].as_ref().ok_or_else(|| Error::internal("no training part"))?;
    let shape = train.images.shape;
    for (name, part) in PARTS.iter().zip(parts) {
        let Some(part) = part else { continue };
        if part.images.shape != shape {
            return Err(Error::invalid(format!(
                "images of `{name}` have the shape `{:?}`, those of `train` have `{shape:?}`",
                part.images.shape
            ))
            .with_hint("bring the images to one size first"));
        }
    }
    let measured =
        Preparation { shape, fit: Fit::Resize, full_scale: 255.0, normalise: &[[0.0, 1.0]] };
    let everything: Vec<u32> = (0..train.images.count as u32).collect();
    let transform = Transform::new(measured, shape)?.measured_on(&train.images, &everything);
    Ok(Description {
        format: FORMAT,
        shape,
        classes,
        sizes: [0, 1, 2].map(|part| parts[part].as_ref().map_or(0, |part| part.images.count)),
        normalise: transform.statistics().to_vec(),
        source: from.display().to_string(),
    })
}

fn write(
    folder: &Path,
    parts: &[Option<Labelled>; 3],
    description: &Description,
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, part) in PARTS.iter().zip(parts) {
        let Some(Labelled { images, labels }) = part else { continue };
        let [images_path, labels_path] = added::arrays(folder, name);
        let [channels, height, width] = images.shape;
        npy::write(
            &images_path,
            "|u1",
            &[images.count, height, width, channels],
            &interleaved(images),
        )?;
        let bytes: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        npy::write(&labels_path, "<u4", &[labels.len()], &bytes)?;
    }
    let mut file = File::create(folder.join(DESCRIPTION))?;
    let mut json = serde_json::to_vec_pretty(description)?;
    json.push(b'\n');
    file.write_all(&json)?;
    file.sync_all()
}

/// `[N, C, H, W]` as `[N, H, W, C]`.
fn interleaved(images: &Images) -> Vec<u8> {
    let [channels, height, width] = images.shape;
    if channels == 1 {
        return images.pixels.clone();
    }
    let plane = height * width;
    let image = |image: &'_ [u8]| -> Vec<u8> {
        (0..plane).flat_map(|pixel| image[pixel..].iter().step_by(plane)).copied().collect()
    };
    images.pixels.chunks_exact(channels * plane).flat_map(image).collect()
}

#[cfg(test)]
#[path = "add_tests.rs"]
mod tests;
