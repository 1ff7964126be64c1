//! Tests of Tiny ImageNet on small folders and archives in the official layout.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::DeflateEncoder};

use super::*;

const COLOUR: &[u8] = include_bytes!("../../tests/fixtures/dataset/colour.jpg");
const GREY: &[u8] = include_bytes!("../../tests/fixtures/dataset/grey.jpg");

fn small() -> Published {
    let info = Info { classes: 2, sizes: [4, 0, 2], ..TINY_IMAGENET.info.clone() };
    Published { info, per_class: &[2, 2], ..TINY_IMAGENET.clone() }
}

/// Two classes, listed in the wrong order; n02 has a grey image.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("wnids.txt", b"n02\nn01\n".to_vec()),
        ("train/n01/images/n01_0.JPEG", COLOUR.to_vec()),
        ("train/n01/images/n01_1.JPEG", COLOUR.to_vec()),
        ("train/n02/images/n02_0.JPEG", COLOUR.to_vec()),
        ("train/n02/images/n02_1.JPEG", GREY.to_vec()),
        (
            "val/val_annotations.txt",
            b"val_0.JPEG\tn02\t0\t0\t62\t63\nval_1.JPEG\tn01\t5\t5\t60\t60\n".to_vec(),
        ),
        ("val/images/val_0.JPEG", GREY.to_vec()),
        ("val/images/val_1.JPEG", COLOUR.to_vec()),
    ]
}

fn write_folder(root: &Path, files: &[(&str, Vec<u8>)]) {
    for (path, bytes) in files {
        let path = root.join("tiny-imagenet-200").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A zip archive, written by hand since the zip crate is built without deflate:
/// local headers and data, then the central directory, then its end.
fn write_zip(path: &Path, files: &[(&str, Vec<u8>)]) {
    let (mut local, mut central) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let name = format!("{TOP}{name}");
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        let packed = encoder.finish().unwrap();
        let offset = local.len() as u32;
        // Version, flags, method 8, time, date; checksum; sizes; lengths of name
        // and extra field.
        let mut common = [20_u16, 0, 8, 0, 33].map(u16::to_le_bytes).concat();
        for word in [crc32fast::hash(bytes), packed.len() as u32, bytes.len() as u32] {
            common.extend(word.to_le_bytes());
        }
        common.extend([name.len() as u16, 0].map(u16::to_le_bytes).concat());
        local.extend([b"PK\x03\x04", &common[..], name.as_bytes(), &packed].concat());
        let rest = [&[0; 10][..], &offset.to_le_bytes()].concat();
        central.extend([b"PK\x01\x02\x14\x00", &common[..], &rest, name.as_bytes()].concat());
    }
    let count = files.len() as u16;
    let mut end = b"PK\x05\x06".to_vec();
    end.extend([0, 0, count, count].map(u16::to_le_bytes).concat());
    end.extend([central.len() as u32, local.len() as u32].map(u32::to_le_bytes).concat());
    end.extend([0, 0]);
    File::create(path).unwrap().write_all(&[local, central, end].concat()).unwrap();
}

fn error(root: &Path) -> String {
    let error = small().load([3, 64, 64], Some(root)).unwrap_err();
    assert!(error.hint().is_some() && !error.to_string().contains('\n'), "{error}");
    error.to_string().replace(&root.display().to_string(), "DIR")
}

#[test]
fn reads_the_folder_and_the_archive_alike() {
    let root = tempfile::tempdir().unwrap();
    write_zip(&root.path().join("tiny-imagenet-200.zip"), &files());
    let packed = small().load([3, 64, 64], Some(root.path())).unwrap();
    write_folder(root.path(), &files());
    let data = small().load([3, 64, 64], Some(root.path())).unwrap();
    assert_eq!(data, packed);

    assert_eq!((data.train.len(), data.val, data.test.len()), (4, None, 2));
    assert_eq!(data.test.labels, [1, 0], "classes are numbered in the order of their names");
    assert_eq!(data.augment, Some(Augment::FlipRotate { degrees: 20.0 }));
    let (grey, colour) = data.test.images.split_at(3 * 4096);
    let byte = |value: f32, [mean, std]: [f32; 2]| value * std + mean;
    let statistics = TINY_IMAGENET.normalise;
    let (red, blue) = (byte(grey[0], statistics[0]), byte(grey[8192], statistics[2]));
    assert!((red - blue).abs() < 1e-3, "grey is shown in colour");
    assert!((byte(colour[0], statistics[0]) - byte(colour[8192], statistics[2])).abs() > 1.0);
    // Bytes, not fractions: -255 * 0.485 / (255 * 0.229).
    assert!((data.black[0] + 0.485 / 0.229).abs() < 1e-6);
}

#[test]
fn wrong_folders_are_named_with_what_was_expected() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("tiny-imagenet-200")).unwrap();
    assert_eq!(error(root.path()), "`DIR/tiny-imagenet-200/wnids.txt` is missing");
    write_folder(root.path(), &files());
    let place = root.path().join("tiny-imagenet-200");
    let image = place.join("train/n02/images/n02_1.JPEG");
    fs::write(&image, &GREY[..500]).unwrap();
    assert!(
        error(root.path())
            .starts_with("`DIR/tiny-imagenet-200/train/n02/images/n02_1.JPEG`: damaged image")
    );
    fs::remove_file(&image).unwrap();
    assert_eq!(
        error(root.path()),
        "`DIR/tiny-imagenet-200/train/n02/images/n02_1.JPEG` is missing"
    );
    fs::write(&image, include_bytes!("../../tests/fixtures/dataset/colour.png")).unwrap();
    assert!(error(root.path()).ends_with("an image of `8x8` pixels, expected `64x64`"));
    fs::write(&image, COLOUR).unwrap();
    fs::write(place.join("val/val_annotations.txt"), "val_0.JPEG\tn99\n").unwrap();
    assert!(
        error(root.path())
            .contains("`val_0.JPEG\tn99` does not name an image and one of the classes")
    );
    fs::write(place.join("wnids.txt"), "n01\n").unwrap();
    assert_eq!(error(root.path()), "`DIR/tiny-imagenet-200/wnids.txt`: `1` classes, expected `2`");
}

#[test]
fn damaged_archives_are_named() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("tiny-imagenet-200.zip");
    write_zip(&path, &files());
    let whole = fs::read(&path).unwrap();
    for len in [0, 3, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..len]).unwrap();
        assert_eq!(error(root.path()), "`DIR/tiny-imagenet-200.zip`: not a whole `.zip` archive");
    }
    // A byte of the first member's data, after its header and name.
    let mut flipped = whole.clone();
    flipped[30 + TOP.len() + "wnids.txt".len() + 3] ^= 1;
    fs::write(&path, flipped).unwrap();
    assert!(
        error(root.path())
            .starts_with("`DIR/tiny-imagenet-200.zip: tiny-imagenet-200/wnids.txt`: damaged")
    );
    write_zip(&path, &files()[..2]);
    assert_eq!(
        error(root.path()),
        "`DIR/tiny-imagenet-200.zip: tiny-imagenet-200/train/n01/images/n01_1.JPEG` is missing"
    );
}
