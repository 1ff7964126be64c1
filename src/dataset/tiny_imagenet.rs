//! Tiny ImageNet: 200 classes of ImageNet as JPEG files of 64 x 64 pixels.
//!
//! Owns the layout of its folder. Classes are numbered in the order of their
//! WordNet ids; the official validation images are the test images, since the
//! official test images have no labels.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

use super::images::Labelled;
use super::info::Download;
use super::picture::Picture;
use super::published::{Published, expect_count};
use super::transform::Fit;
use super::tree::Tree;
use super::{Augment, Info};
use crate::error::{Error, Result};

/// As the published ResNet-18 zoo prepares it: bytes are not scaled to [0, 1],
/// but the statistics of ImageNet are scaled to bytes.
pub(super) static TINY_IMAGENET: Published = Published {
    info: Info {
        name: Cow::Borrowed("tiny_imagenet"),
        title: Cow::Borrowed("Tiny ImageNet photographs"),
        shape: [3, 64, 64],
        classes: 200,
        built_in: false,
        files: &[&["tiny-imagenet-200", "tiny-imagenet-200.zip"]],
        folders: &[],
        sizes: [100_000, 0, 10_000],
        licence: Cow::Borrowed("non-commercial research"),
        source: Cow::Borrowed("http://cs231n.stanford.edu/"),
        downloads: &[Download {
            file: "tiny-imagenet-200.zip",
            folders: &["http://cs231n.stanford.edu/"],
            md5: "90528d7ca1a48142e341f4ef8d21d0de",
        }],
        home: Cow::Borrowed("tiny_imagenet"),
        megabytes: 248,
    },
    fit: Fit::Resize,
    full_scale: 1.0,
    normalise: &[
        [(255.0 * 0.485_f64) as f32, (255.0 * 0.229_f64) as f32],
        [(255.0 * 0.456_f64) as f32, (255.0 * 0.224_f64) as f32],
        [(255.0 * 0.406_f64) as f32, (255.0 * 0.225_f64) as f32],
    ],
    augment: Some(Augment::FlipRotate { degrees: 20.0 }),
    per_class: &[500; 200],
    read,
};

/// The folder at the top of the archive.
const TOP: &str = "tiny-imagenet-200/";

fn read(info: &Info, paths: &[PathBuf]) -> Result<[Labelled; 2]> {
    let tree = &mut Tree::open(&paths[0])?;
    let top = if matches!(tree, Tree::Zip { .. }) { TOP } else { "" };
    let path = format!("{top}wnids.txt");
    let wnids = text(tree, &path)?;
    let mut wnids: Vec<&str> = wnids.lines().map(str::trim).filter(|id| !id.is_empty()).collect();
    wnids.sort_unstable();
    expect_count(wnids.len(), info.classes, "classes", &tree.name_of(&path))?;

    let [train_size, _, test_size] = info.sizes;
    let train = (0..info.classes).flat_map(|class| {
        let wnid = wnids[class];
        (0..train_size / info.classes)
            .map(move |n| (format!("{top}train/{wnid}/images/{wnid}_{n}.JPEG"), class as u32))
    });
    let train = pictures(tree, info, train_size, train)?;

    let path = format!("{top}val/val_annotations.txt");
    let classes: HashMap<&str, u32> =
        wnids.iter().enumerate().map(|(class, wnid)| (*wnid, class as u32)).collect();
    let annotations = text(tree, &path)?;
    let annotated = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (file, wnid) = (words.next()?, words.next()?);
        Some((format!("{top}val/images/{file}"), *classes.get(wnid)?))
    };
    let val = annotations.lines().map(|line| {
        annotated(line).ok_or_else(|| {
            Error::corrupt(format!(
                "`{}`: `{line}` does not name an image and one of the classes of `wnids.txt`",
                tree.name_of(&path)
            ))
            .with_hint("use the archive as it is distributed, or the folder it unpacks to")
        })
    });
    let val = val.collect::<Result<Vec<_>>>()?;
    expect_count(val.len(), test_size, "images", &tree.name_of(&path))?;
    let test = pictures(tree, info, test_size, val.into_iter())?;
    Ok([train, test])
}

fn text(tree: &mut Tree, path: &str) -> Result<String> {
    String::from_utf8(tree.read(path)?).map_err(|_| {
        Error::corrupt(format!("`{}`: not text", tree.name_of(path)))
            .with_hint("use the archive as it is distributed, or the folder it unpacks to")
    })
}

/// The images at the `count` paths, with their labels; grey ones are shown in
/// colour.
fn pictures(
    tree: &mut Tree,
    info: &Info,
    count: usize,
    paths: impl Iterator<Item = (String, u32)>,
) -> Result<Labelled> {
    let mut part = Labelled::none(info.shape);
    // At once: growing would take twice the memory.
    part.images.pixels.reserve_exact(count * info.shape.iter().product::<usize>());
    for (path, label) in paths {
        let picture = Picture::decode(&tree.read(&path)?, &tree.name_of(&path))?.in_colour();
        if picture.shape != info.shape {
            let [_, height, width] = picture.shape;
            return Err(Error::corrupt(format!(
                "`{}`: an image of `{height}x{width}` pixels, expected `{}x{}`",
                tree.name_of(&path),
                info.shape[1],
                info.shape[2]
            ))
            .with_hint("use the archive as it is distributed, or the folder it unpacks to"));
        }
        part.images.pixels.extend_from_slice(&picture.pixels);
        part.images.count += 1;
        part.labels.push(label);
    }
    Ok(part)
}

#[cfg(test)]
#[path = "tiny_imagenet_tests.rs"]
mod tests;
