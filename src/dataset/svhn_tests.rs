//! Tests of SVHN on small files that scipy wrote in the official layout.

use std::fs;
use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

use super::*;

/// Three images; made by `python/make_dataset_fixtures.py`.
const MAT: &[u8] = include_bytes!("../../tests/fixtures/dataset/svhn.mat");
/// One image, not compressed, whose label is a double.
const PLAIN: &[u8] = include_bytes!("../../tests/fixtures/dataset/svhn_plain.mat");

fn small(sizes: [usize; 3]) -> Published {
    let info = Info { sizes, ..SVHN.info.clone() };
    Published { info, per_class: &[], ..SVHN.clone() }
}

fn folder(train: &[u8], test: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("train_32x32.mat"), train).unwrap();
    fs::write(folder.path().join("test_32x32.mat"), test).unwrap();
    folder
}

/// Byte number `index` of the generator that made the images.
fn noise(index: usize) -> u8 {
    let mut state = 1_u32;
    for _ in 0..=index {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    }
    (state >> 24) as u8
}

#[test]
fn reads_what_scipy_writes() {
    let data = folder(MAT, PLAIN);
    let train = part(&SVHN.info, &data.path().join("train_32x32.mat"), 3).unwrap();
    assert_eq!(train.labels, [1, 0, 5], "10 means zero");
    assert_eq!(train.images.shape, [3, 32, 32]);
    for (row, column, channel, image) in [(0, 0, 0, 0), (1, 0, 0, 0), (5, 17, 2, 1), (31, 30, 1, 2)]
    {
        // scipy was given the array in C order.
        let expected = noise(((row * 32 + column) * 3 + channel) * 3 + image);
        let found = train.images.image(image)[(channel * 32 + row) * 32 + column];
        assert_eq!(found, expected, "row {row}, column {column}, channel {channel}, image {image}");
    }
    let test = part(&SVHN.info, &data.path().join("test_32x32.mat"), 1).unwrap();
    assert_eq!((test.labels, test.images.image(0)), (vec![1], train.images.image(0)));
}

#[test]
fn is_shown_grey_and_cropped() {
    let data = folder(MAT, MAT);
    let cropped = small([2, 1, 3]).load([1, 28, 28], Some(data.path())).unwrap();
    assert_eq!([cropped.train.len(), cropped.val.unwrap().len(), cropped.test.len()], [2, 1, 3]);
    let whole = small([2, 1, 3]).load([1, 32, 32], Some(data.path())).unwrap();
    for row in 0..28 {
        let expected = &whole.test.images[(row + 2) * 32 + 2..][..28];
        assert_eq!(&cropped.test.images[row * 28..][..28], expected);
    }
    let colour = small([2, 1, 3]).load([3, 32, 32], Some(data.path())).unwrap();
    assert_eq!(colour.test.images.len(), 3 * 3 * 32 * 32);
    let error = small([2, 1, 3]).load([1, 64, 64], Some(data.path())).unwrap_err();
    assert!(error.to_string().starts_with("cannot cut `64x64` pixels"), "{error}");
}

fn error(train: &[u8]) -> String {
    let data = folder(train, MAT);
    let error = small([2, 1, 3]).load([1, 28, 28], Some(data.path())).unwrap_err();
    assert!(error.hint().is_some() && !error.to_string().contains('\n'), "{error}");
    error.to_string().replace(&data.path().display().to_string(), "DIR")
}

/// One variable, compressed, as a MATLAB file.
fn mat(matrix: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(&[&14_u32.to_le_bytes(), &(matrix.len() as u32).to_le_bytes(), matrix].concat())
        .unwrap();
    let packed = encoder.finish().unwrap();
    [&MAT[..128], &15_u32.to_le_bytes(), &(packed.len() as u32).to_le_bytes(), &packed].concat()
}

#[test]
fn wrong_files_are_named_with_what_was_expected() {
    let begins = "`DIR/train_32x32.mat`: ";
    assert_eq!(error(b""), format!("{begins}not a MATLAB file of version 5"));
    assert_eq!(error(&[b'x'; 500]), format!("{begins}not a MATLAB file of version 5"));
    assert_eq!(error(&MAT[..128]), format!("{begins}no variable `X`"));
    assert_eq!(error(PLAIN), format!("{begins}`1` images, expected `3`"));
    for len in (129..MAT.len()).step_by(37) {
        let message = error(&MAT[..len]);
        assert!(
            message.contains("truncated: expected") || message.contains("no variable `y`"),
            "{len}: {message}"
        );
    }
    let mut flipped = MAT.to_vec();
    flipped[5000] ^= 1;
    assert!(error(&flipped).contains("damaged compressed data"), "{}", error(&flipped));
}

#[test]
fn damaged_matrices_do_not_get_far() {
    let begins = "`DIR/train_32x32.mat`: ";
    assert_eq!(error(&mat(&[0; 20])), format!("{begins}a matrix that breaks off"));
    // A whole matrix: flags, dimensions, name (in its tag), data.
    let matrix = |dims: [u32; 2], data: &[u8]| {
        let mut bytes = Vec::new();
        for word in
            [6, 8, 9, 0, 5, 8, dims[0], dims[1], 1 | 1 << 16, b'X'.into(), 2, data.len() as u32]
        {
            bytes.extend(word.to_le_bytes());
        }
        [&bytes, data].concat()
    };
    assert!(
        error(&mat(&matrix([2, 3], &[0; 6])))
            .contains("`X` has the dimensions `[2, 3]`, expected `[32, 32, 3, 3]`")
    );
    assert_eq!(
        error(&mat(&matrix([2, 3], &[0; 7]))),
        format!("{begins}`X` has `7` values and the dimensions `[2, 3]`")
    );
    assert_eq!(
        error(&mat(&matrix([u32::MAX; 2], &[]))),
        format!("{begins}`X` has `0` values and the dimensions `[4294967295, 4294967295]`")
    );
    let good = matrix([2, 3], &[0; 6]);
    for len in 0..good.len() {
        assert!(error(&mat(&good[..len])).starts_with(begins));
    }
}
