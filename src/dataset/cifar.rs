//! CIFAR-10 and CIFAR-100 from their binary versions.
//!
//! Owns what the bytes mean. Knows neither where the files lie nor how they are
//! packed.
//!
//! A record is its label (CIFAR-100: the coarse one, then the fine one) and
//! 32 x 32 pixels of red, then of green, then of blue.

use std::borrow::Cow;
use std::path::PathBuf;

use super::archive::members;
use super::images::{Images, Labelled};
use super::info::Download;
use super::published::Published;
use super::transform::Fit;
use super::{Augment, Info};
use crate::error::{Error, Result};

const SHAPE: [usize; 3] = [3, 32, 32];

const TORONTO: &[&str] =
    &["https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"];

/// As the published CNN zoos prepare it.
pub(super) static CIFAR10: Published =
    cifar10(["cifar10", "CIFAR-10 photographs"], [42_000, 8_000, 10_000], &[[0.5, 0.5]], None);

/// As the published ResNet-18 zoo prepares it.
pub(super) static CIFAR10_RESNET: Published = cifar10(
    ["cifar10_resnet", "CIFAR-10 photographs, prepared for ResNet-18"],
    [40_000, 10_000, 10_000],
    &[
        [(125.3 / 255.0_f64) as f32, (63.0 / 255.0_f64) as f32],
        [(123.0 / 255.0_f64) as f32, (62.1 / 255.0_f64) as f32],
        [(113.9 / 255.0_f64) as f32, (66.7 / 255.0_f64) as f32],
    ],
    Some(Augment::CropFlip { pad: 4 }),
);

/// The one set of files, in one of its preparations.
const fn cifar10(
    [name, title]: [&'static str; 2],
    sizes: [usize; 3],
    normalise: &'static [[f32; 2]],
    augment: Option<Augment>,
) -> Published {
    Published {
        info: Info {
            name: Cow::Borrowed(name),
            title: Cow::Borrowed(title),
            shape: SHAPE,
            classes: 10,
            built_in: false,
            files: &[&["cifar-10-batches-bin", "cifar-10-binary.tar.gz"]],
            folders: &[],
            sizes,
            licence: Cow::Borrowed("not stated"),
            source: Cow::Borrowed("https://www.cs.toronto.edu/~kriz/cifar.html"),
            downloads: &[Download {
                file: "cifar-10-binary.tar.gz",
                folders: TORONTO,
                md5: "c32a1d4ab5d03f1284b67883e8d87530",
            }],
            home: Cow::Borrowed("cifar10"),
            megabytes: 170,
        },
        fit: Fit::Resize,
        full_scale: 255.0,
        normalise,
        augment,
        per_class: &[5000; 10],
        read: |info, paths| read(info, paths, 5, 1),
    }
}

/// As the published ResNet-18 zoo prepares it, with the 100 fine labels.
pub(super) static CIFAR100: Published = Published {
    info: Info {
        name: Cow::Borrowed("cifar100"),
        title: Cow::Borrowed("CIFAR-100 photographs, fine labels"),
        shape: SHAPE,
        classes: 100,
        built_in: false,
        files: &[&["cifar-100-binary", "cifar-100-binary.tar.gz"]],
        folders: &[],
        sizes: [40_000, 10_000, 10_000],
        licence: Cow::Borrowed("not stated"),
        source: Cow::Borrowed("https://www.cs.toronto.edu/~kriz/cifar.html"),
        downloads: &[Download {
            file: "cifar-100-binary.tar.gz",
            folders: TORONTO,
            md5: "03b5dce01913d631647c71ecec9e9cb8",
        }],
        home: Cow::Borrowed("cifar100"),
        megabytes: 169,
    },
    fit: Fit::Resize,
    full_scale: 255.0,
    normalise: &[[0.5071, 0.2675], [0.4867, 0.2565], [0.4408, 0.2761]],
    augment: Some(Augment::CropFlip { pad: 4 }),
    per_class: &[500; 100],
    read: |info, paths| read(info, paths, 1, 2),
};

/// The training images, in `batches` files, and the test images; records begin
/// with `label_bytes` labels, of which the last counts.
fn read(
    info: &Info,
    paths: &[PathBuf],
    batches: usize,
    label_bytes: usize,
) -> Result<[Labelled; 2]> {
    let [train, val, test] = info.sizes;
    let size = |images: usize| (images * (label_bytes + SHAPE.iter().product::<usize>())) as u64;
    let numbered: Vec<String> = (1..=batches).map(|n| format!("data_batch_{n}.bin")).collect();
    let mut wanted: Vec<(&str, u64)> = match batches {
        1 => vec![("train.bin", size(train + val))],
        _ => numbered.iter().map(|name| (name.as_str(), size((train + val) / batches))).collect(),
    };
    wanted.push((if batches == 1 { "test.bin" } else { "test_batch.bin" }, size(test)));
    let mut parts = members(&paths[0], &wanted)?.into_iter().zip(&wanted).map(|(bytes, member)| {
        let name = format!("{}: {}", paths[0].display(), member.0);
        records(&bytes, label_bytes, info.classes, &name)
    });
    let mut train = Labelled::none(SHAPE);
    for part in parts.by_ref().take(batches) {
        train.append(part?);
    }
    let test = parts.next().unwrap_or_else(|| Ok(Labelled::none(SHAPE)))?;
    Ok([train, test])
}

/// The records in `bytes`.
fn records(bytes: &[u8], label_bytes: usize, classes: usize, name: &str) -> Result<Labelled> {
    let mut part = Labelled { images: Images::none(SHAPE), labels: Vec::new() };
    part.images.pixels.reserve_exact(bytes.len());
    for record in bytes.chunks_exact(label_bytes + SHAPE.iter().product::<usize>()) {
        let (labels, pixels) = record.split_at(label_bytes);
        let label = labels[label_bytes - 1];
        if usize::from(label) >= classes {
            return Err(Error::corrupt(format!(
                "`{name}`: label `{label}` of image `{}` is out of range: expected one below \
                 `{classes}`",
                part.images.count
            ))
            .with_hint("use the binary version, as it is distributed"));
        }
        part.labels.push(label.into());
        part.images.pixels.extend_from_slice(pixels);
        part.images.count += 1;
    }
    Ok(part)
}

#[cfg(test)]
#[path = "cifar_tests.rs"]
mod tests;
