//! Tests of CIFAR on small files in the official layout, and on a real batch
//! where `ZOOLAKE_TEST_DATA` names its folder.

use std::fs;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::dataset::tests::digest;
use crate::dataset::transform::{Preparation, Transform};
use crate::error::Kind;

const PIXELS: usize = 3 * 32 * 32;

fn small(published: &Published, sizes: [usize; 3], per_class: &'static [usize]) -> Published {
    let info = Info { sizes, ..published.info.clone() };
    Published { info, per_class, ..published.clone() }
}

/// CIFAR-10 with ten images per batch.
fn small10() -> Published {
    small(&CIFAR10, [42, 8, 10], &[5; 10])
}

/// Records of the images `numbers`: image n has the label n % 10, and its planes
/// are n, n + 1 and n + 2 everywhere.
fn batch(numbers: std::ops::Range<u8>) -> Vec<u8> {
    let record = |n: u8| {
        let planes = (0..3).flat_map(move |plane| std::iter::repeat_n(n + plane, 1024));
        std::iter::once(n % 10).chain(planes)
    };
    numbers.flat_map(record).collect()
}

fn files10() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> =
        (0..5).map(|n| (format!("data_batch_{}.bin", n + 1), batch(10 * n..10 * n + 10))).collect();
    files.push(("batches.meta.txt".to_owned(), b"airplane\n".to_vec()));
    files.push(("test_batch.bin".to_owned(), batch(100..110)));
    files
}

fn tar_gz(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let path = format!("cifar-10-batches-bin/{name}");
        archive.append_data(&mut header, path, &bytes[..]).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn write_archive(folder: &Path, bytes: &[u8]) {
    fs::write(folder.join("cifar-10-binary.tar.gz"), bytes).unwrap();
}

fn error(folder: &Path) -> String {
    let error = small10().load([3, 32, 32], Some(folder)).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    assert!(error.hint().is_some() && !error.to_string().contains('\n'), "{error}");
    error.to_string().replace(&folder.display().to_string(), "DIR")
}

#[test]
fn reads_the_archive_and_the_folder_alike() {
    let root = tempfile::tempdir().unwrap();
    write_archive(root.path(), &tar_gz(&files10()));
    let packed = small10().load([3, 32, 32], Some(root.path())).unwrap();
    assert_eq!([packed.train.len(), packed.val.as_ref().unwrap().len()], [42, 8]);
    assert_eq!(packed.test.labels, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let byte = |value: f32| (value * 0.5 + 0.5) * 255.0;
    let first = &packed.test.images[..PIXELS];
    assert_eq!([first[0], first[1024], first[2048]].map(byte), [100.0, 101.0, 102.0]);
    for (image, label) in packed.train.images.chunks(PIXELS).zip(&packed.train.labels) {
        assert_eq!(byte(image[0]).round() as u32 % 10, *label, "labels stay with their images");
    }

    let folder = root.path().join("cifar10/cifar-10-batches-bin");
    fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in files10() {
        fs::write(folder.join(name), bytes).unwrap();
    }
    assert_eq!(small10().load([3, 32, 32], Some(root.path())).unwrap(), packed);

    // Resized, and grey: 0.299 * 100 + 0.587 * 101 + 0.114 * 102 is 100.8.
    let grey = small10().load([1, 28, 28], Some(root.path())).unwrap();
    assert_eq!(grey.test.images.len(), 10 * 28 * 28);
    assert!((byte(grey.test.images[0]) - 101.0).abs() < 1e-4);
}

#[test]
fn the_two_protocols_differ_in_split_and_statistics() {
    let root = tempfile::tempdir().unwrap();
    write_archive(root.path(), &tar_gz(&files10()));
    let resnet = small(&CIFAR10_RESNET, [40, 10, 10], &[5; 10]);
    let data = resnet.load([3, 32, 32], Some(root.path())).unwrap();
    assert_eq!([data.train.len(), data.val.as_ref().unwrap().len()], [40, 10]);
    assert_eq!(data.augment, Some(Augment::CropFlip { pad: 4 }));
    // (100 - 125.3) / 63, and black before it.
    assert!((data.test.images[0] - (100.0 - 125.3) / 63.0).abs() < 1e-6);
    assert!((data.black[2] + 113.9 / 66.7).abs() < 1e-6);
    let error = resnet.load([1, 32, 32], Some(root.path())).unwrap_err();
    assert!(error.to_string().contains("as `1` channels: expected `3`"), "{error}");
}

#[test]
fn cifar_100_has_fine_labels() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cifar-100-binary");
    fs::create_dir(&folder).unwrap();
    let records = |count: u8| -> Vec<u8> {
        let record = |n: u8| [7, n].into_iter().chain(std::iter::repeat_n(n, PIXELS));
        (0..count).flat_map(record).collect()
    };
    fs::write(folder.join("train.bin"), records(100)).unwrap();
    fs::write(folder.join("test.bin"), records(3)).unwrap();
    let published = small(&CIFAR100, [90, 10, 3], &[1; 100]);
    let data = published.load([3, 32, 32], Some(root.path())).unwrap();
    assert_eq!((data.classes, data.test.labels), (100, vec![0, 1, 2]));
    assert!((data.test.images[2 * PIXELS] - (2.0 / 255.0 - 0.5071) / 0.2675).abs() < 1e-6);
}

#[test]
fn incomplete_and_wrong_archives_are_named_with_what_was_expected() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path();
    let whole = tar_gz(&files10());
    let mut partial = files10();
    partial.drain(1..5);
    write_archive(folder, &tar_gz(&partial));
    assert_eq!(
        error(folder),
        "`DIR/cifar-10-binary.tar.gz` is not complete: it has `2` of `6` files of images and lacks \
         `data_batch_2.bin`, `data_batch_3.bin`, `data_batch_4.bin`, `data_batch_5.bin`"
    );
    let mut short = files10();
    short[1].1.truncate(3073);
    write_archive(folder, &tar_gz(&short));
    assert_eq!(
        error(folder),
        "`DIR/cifar-10-binary.tar.gz: data_batch_2.bin`: expected `30730` bytes, got `3073`"
    );
    for len in [0, 1, 40, whole.len() / 2, whole.len() - 4] {
        write_archive(folder, &whole[..len]);
        let message = error(folder);
        assert!(message.starts_with("`DIR/cifar-10-binary.tar.gz`"), "{len}: {message}");
    }
    write_archive(folder, b"<!DOCTYPE html><title>404</title>");
    assert!(error(folder).contains("not a whole `.tar.gz` archive"), "{}", error(folder));
    let mut label = files10();
    label[0].1[3073] = 10;
    write_archive(folder, &tar_gz(&label));
    assert_eq!(
        error(folder),
        "`DIR/cifar-10-binary.tar.gz: data_batch_1.bin`: label `10` of image `1` is out of range: \
         expected one below `10`"
    );
    let empty = folder.join("cifar-10-batches-bin");
    fs::create_dir(&empty).unwrap();
    assert!(error(folder).starts_with("`DIR/cifar-10-batches-bin` is not complete: it has `0`"));
    for (name, bytes) in files10() {
        fs::write(empty.join(name), bytes).unwrap();
    }
    fs::write(empty.join("test_batch.bin"), b"x").unwrap();
    assert!(error(folder).ends_with("test_batch.bin`: expected `30730` bytes, got `1`"));
}

#[test]
fn a_damaged_byte_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let mut whole = tar_gz(&files10());
    let checksum = whole.len() - 6;
    whole[checksum] ^= 1;
    write_archive(root.path(), &whole);
    assert!(error(root.path()).contains("damaged compressed data"));
}

#[test]
fn swapped_batches_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let mut files = files10();
    files[0].1[0] = 1;
    write_archive(root.path(), &tar_gz(&files));
    let error = small10().load([3, 32, 32], Some(root.path())).unwrap_err();
    let message =
        "does not hold the training images of `cifar10`: `4` are of class `0`, expected `5`";
    assert!(error.to_string().ends_with(message), "{error}");
}

#[test]
fn a_real_batch() {
    let Some(folder) = crate::dataset::tests::real_data("cifar10") else { return };
    let path = folder.join("cifar10/cifar-10-binary.tar.gz");
    let size = (10_000 * 3073) as u64;
    let batch = members(&path, &[("data_batch_1.bin", size)]).unwrap().remove(0);
    let part = records(&batch, 1, 10, "data_batch_1.bin").unwrap();
    assert_eq!(part.images.count, 10_000);
    // Photographs: the mean of each channel is near that of the whole data set.
    for (channel, mean) in [125.3, 123.0, 113.9].into_iter().enumerate() {
        let pixels = part.images.pixels.chunks(1024).skip(channel).step_by(3).flatten();
        let sum: u64 = pixels.map(|pixel| u64::from(*pixel)).sum();
        let found = sum as f64 / (10_000.0 * 1024.0);
        assert!((found - mean).abs() < 2.0, "channel {channel}: {found}");
    }
    // Bytes after resizing: what Pillow makes of them.
    let bytes =
        Preparation { shape: SHAPE, fit: Fit::Resize, full_scale: 1.0, normalise: &[[0.0, 1.0]] };
    let all: Vec<u32> = (0..10_000).collect();
    let split = Transform::new(bytes, [3, 28, 28]).unwrap().split(&part, &all);
    assert_eq!(
        digest(&split.images),
        "fb31a5e8faaec495bb4d20d25a225f048ae4c2f7f1961a1ae82c511b806248fc"
    );
    if let Err(error) = CIFAR10.load([3, 32, 32], Some(&folder)) {
        let message = error.to_string();
        assert!(message.contains("is not complete") || message.contains("bytes, got"), "{message}");
    }
}
