//! Tests of USPS on small files in both official layouts, and on the real ones
//! where `ZOOLAKE_TEST_DATA` names their folder.

use std::fs;
use std::io::Write;

use bzip2::{Compression, write::BzEncoder};

use super::*;
use crate::dataset::folder;
use crate::dataset::tests::digest;
use crate::dataset::transform::{Preparation, Transform};

fn info() -> Info {
    Info { sizes: [8, 2, 3], ..USPS.info.clone() }
}

fn small() -> Published {
    Published { info: info(), per_class: &[1; 10], ..USPS.clone() }
}

/// Images of digits 0, 1, … with values that step from -1 to 1.
fn esl(count: usize) -> String {
    let image = |digit: usize| {
        let values: Vec<String> =
            (0..256).map(|pixel| format!("{:.4}", pixel as f32 / 127.5 - 1.0)).collect();
        format!("{digit}.0000 {} \n", values.join(" "))
    };
    (0..count).map(|n| image(n % 10)).collect()
}

fn libsvm(count: usize) -> String {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let label: f32 = words.next().unwrap().parse().unwrap();
        let values: String =
            words.enumerate().map(|(index, value)| format!(" {}:{value}", index + 1)).collect();
        format!("{}{values}\n", label + 1.0)
    };
    esl(count).lines().map(line).collect()
}

fn bzip2(text: &str) -> Vec<u8> {
    let mut encoder = BzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn both_layouts_are_read_alike() {
    let root = tempfile::tempdir().unwrap();
    let usps = root.path().join("usps");
    fs::create_dir(&usps).unwrap();
    fs::write(root.path().join("zip.train"), esl(10)).unwrap();
    fs::write(root.path().join("zip.test"), esl(3)).unwrap();
    let esl = small().load([1, 28, 28], Some(root.path())).unwrap();
    assert_eq!([esl.train.len(), esl.val.as_ref().unwrap().len(), esl.test.len()], [8, 2, 3]);
    assert_eq!(esl.test.labels, [0, 1, 2]);
    fs::write(usps.join("usps.bz2"), bzip2(&libsvm(10))).unwrap();
    fs::write(usps.join("usps.t.bz2"), bzip2(&libsvm(3))).unwrap();
    assert_eq!(small().load([1, 28, 28], Some(root.path())).unwrap(), esl);
}

#[test]
fn values_become_bytes_as_torchvision_makes_them() {
    let text = "3 -1.0 1.0 0.0 -0.631 0.862 0.297".to_owned() + &" -1".repeat(250);
    let part = parse(text.as_bytes(), &info(), "f").unwrap();
    // ((x + 1) / 2 * 255) truncated: 127.5, 47.0475, 237.405, 165.3675.
    assert_eq!(part.images.pixels[..7], [0, 255, 127, 47, 237, 165, 0]);
    assert_eq!(part.labels, [3]);
}

#[test]
fn wrong_lines_are_named_with_what_was_expected() {
    let error = |text: &str| {
        let error = parse(text.as_bytes(), &info(), "f").unwrap_err();
        assert!(error.hint().is_some());
        error.to_string()
    };
    let good = esl(2);
    assert_eq!(error(&good[..good.len() - 20]), "`f`: line `2`: `254` grey values, expected `256`");
    assert_eq!(error("<html>"), "`f`: line `1`: label `<html>` is not a digit's");
    assert_eq!(
        error(&good.replacen("0.0000", "10.0", 1)),
        "`f`: line `1`: label `10.0` is not a digit's"
    );
    assert_eq!(
        error(&good.replacen("-1.0000", "7.5", 1)),
        "`f`: line `1`: `7.5` is not a grey value in [-1, 1]"
    );
    assert_eq!(
        error(&libsvm(1).replacen(" 2:", " 3:", 1)),
        "`f`: line `1`: `3:-0.9922` in place `2`"
    );
    assert_eq!(
        error(&libsvm(1).replacen("1 ", "0 ", 1)),
        "`f`: line `1`: label `0` is not a digit's"
    );
}

#[test]
fn swapped_and_damaged_files_are_named() {
    let root = tempfile::tempdir().unwrap();
    let error = || {
        let error = small().load([1, 28, 28], Some(root.path())).unwrap_err();
        error.to_string().replace(&root.path().display().to_string(), "DIR")
    };
    fs::write(root.path().join("usps.bz2"), bzip2(&libsvm(3))).unwrap();
    assert_eq!(
        error(),
        "data set `usps`: no file `usps.t.bz2` or `usps.t` or `zip.test.gz` or `zip.test` in `DIR`"
    );
    fs::write(root.path().join("usps.t.bz2"), bzip2(&libsvm(10))).unwrap();
    assert_eq!(error(), "`DIR/usps.bz2`: `3` images, expected `10`");
    let whole = bzip2(&libsvm(10));
    fs::write(root.path().join("usps.bz2"), &whole[..whole.len() / 2]).unwrap();
    assert!(error().starts_with("`DIR/usps.bz2`: damaged compressed data"), "{}", error());
    fs::write(root.path().join("usps.bz2"), "").unwrap();
    assert_eq!(error(), "`DIR/usps.bz2`: `0` images, expected `10`");
}

#[test]
fn the_real_usps() {
    let Some(folder) = crate::dataset::tests::real_data("usps") else { return };
    let data = USPS.load([1, 28, 28], Some(&folder)).unwrap();
    let val = data.val.as_ref().unwrap();
    assert_eq!([data.train.len(), val.len(), data.test.len()], USPS.info.sizes);

    // Bytes after resizing, of all test images: what Pillow makes of them.
    let read = (USPS.read)(&USPS.info, &folder::find(&USPS.info, Some(&folder)).unwrap());
    let [_, test] = read.unwrap();
    let bytes = Preparation {
        shape: [1, 16, 16],
        fit: Fit::Resize,
        full_scale: 1.0,
        normalise: &[[0.0, 1.0]],
    };
    let all: Vec<u32> = (0..2007).collect();
    let split = Transform::new(bytes, [1, 28, 28]).unwrap().split(&test, &all);
    assert_eq!(
        digest(&split.images),
        "0310a388bb3fdfd318a29c7165b0ab9d3e80fd0911d343e332b2aee193145eda"
    );
}
