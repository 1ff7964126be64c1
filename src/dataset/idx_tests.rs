//! Tests of the idx reader: good files in every wrapping, and every way a file
//! can be bad.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::error::Kind;

fn image_file() -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3];
    bytes.extend([10, 20, 30, 40, 50, 60]);
    bytes
}

fn label_file(labels: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 1, 0, 0, 0, labels.len() as u8];
    bytes.extend(labels);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The message of the error for `bytes`, checked to be one line with a hint.
fn images_error(bytes: &[u8]) -> String {
    message(parse_images(bytes, "f").unwrap_err())
}

fn message(error: Error) -> String {
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    assert!(error.hint().is_some(), "{error}");
    assert!(!error.to_string().contains('\n'), "{error}");
    error.to_string()
}

#[test]
fn reads_plain_and_gzip_alike() {
    let plain = parse_images(&image_file(), "f").unwrap();
    assert_eq!((plain.count, plain.shape), (2, [1, 1, 3]));
    assert_eq!(plain.image(1), [40, 50, 60]);
    assert_eq!(parse_images(&gzip(&image_file()), "f").unwrap(), plain);
    assert_eq!(parse_labels(&label_file(&[3, 9, 0]), "f", 10).unwrap(), [3, 9, 0]);
    assert!(parse_labels(&gzip(&label_file(&[])), "f", 10).unwrap().is_empty());
}

#[test]
fn reads_gzip_of_several_members() {
    let file = image_file();
    let members = [gzip(&file[..7]), gzip(&file[7..])].concat();
    assert_eq!(parse_images(&members, "f").unwrap(), parse_images(&file, "f").unwrap());
}

#[test]
fn reads_files_whatever_their_name_says() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, packed) = (folder.path().join("a.gz"), folder.path().join("b"));
    std::fs::write(&plain, image_file()).unwrap();
    std::fs::write(&packed, gzip(&image_file())).unwrap();
    assert_eq!(read_images(&plain).unwrap(), read_images(&packed).unwrap());
    std::fs::write(&plain, label_file(&[1])).unwrap();
    assert_eq!(read_labels(&plain, 2).unwrap(), [1]);
}

#[test]
fn a_wrong_magic_number() {
    let message = images_error(b"<!DOCTYPE html>not found");
    assert_eq!(
        message,
        "`f`: not an idx file of images: magic number is `3c21444f`, expected `00000803`"
    );
    let mut floats = image_file();
    floats[2] = 0x0d;
    assert!(images_error(&floats).contains("`00000d03`"));
    assert!(images_error(&gzip(b"PK\x03\x04")).contains("`504b0304`"));
}

#[test]
fn swapped_files() {
    let error = parse_images(&label_file(&[1, 2]), "f").unwrap_err();
    assert!(error.hint().unwrap().contains("swapped"));
    let error = parse_labels(&image_file(), "f", 10).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`f`: not an idx file of labels: magic number is `00000803`, expected `00000801`"
    );
    assert!(error.hint().unwrap().contains("swapped"));
}

#[test]
fn truncated_anywhere() {
    let file = image_file();
    for len in 0..file.len() {
        // The header is 16 bytes; before it is whole nothing more is known.
        let expected = if len < 16 { 16 } else { 22 };
        assert_eq!(
            images_error(&file[..len]),
            format!("`f`: truncated: expected `{expected}` bytes, got `{len}`")
        );
    }
}

#[test]
fn gzip_truncated_anywhere() {
    let packed = gzip(&image_file());
    for len in 2..packed.len() {
        let message = images_error(&packed[..len]);
        assert!(
            message.contains("truncated: expected") || message.contains("damaged compressed"),
            "{len}: {message}"
        );
    }
    // Cut in the data of a larger file, the bytes that did arrive are counted.
    let mut large = vec![0, 0, 8, 3, 0, 0, 0, 200, 0, 0, 0, 28, 0, 0, 0, 28];
    let mut state = 1u32;
    large.extend((0..200 * 28 * 28).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }));
    let packed = gzip(&large);
    let message = images_error(&packed[..packed.len() / 2]);
    let got = message.strip_prefix("`f`: truncated: expected `156816` bytes, got `").unwrap();
    let got: usize = got.strip_suffix('`').unwrap().parse().unwrap();
    assert!((40_000..100_000).contains(&got), "{message}");
}

#[test]
fn gzip_with_a_wrong_checksum_or_garbage() {
    let mut packed = gzip(&image_file());
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    assert!(images_error(&packed).starts_with("`f`: damaged compressed data"));

    let mut packed = gzip(&image_file());
    packed[10] ^= 0xff;
    assert!(images_error(&packed).starts_with("`f`: "));

    let mut packed = gzip(&image_file());
    packed.extend(b"garbage");
    assert!(images_error(&packed).starts_with("`f`: damaged compressed data"));
}

#[test]
fn trailing_bytes() {
    let mut file = image_file();
    file.extend([0; 5]);
    let expected = "`f`: `5` trailing bytes: its header says `22` bytes, it has `27`";
    assert_eq!(images_error(&file), expected);
    assert_eq!(images_error(&gzip(&file)), expected);
}

#[test]
fn dimensions_beyond_reason() {
    let mut file = image_file();
    file[4..16].fill(0xff);
    assert_eq!(
        images_error(&file),
        "`f`: impossible dimensions `4294967295 x 4294967295 x 4294967295`"
    );
    // Possible, but not there: nothing of that size is allocated.
    file[12..16].copy_from_slice(&[0, 0, 0, 1]);
    file[8..12].copy_from_slice(&[0, 0, 1, 0]);
    assert_eq!(images_error(&file), "`f`: truncated: expected `1099511627536` bytes, got `22`");
}

#[test]
fn a_label_out_of_range() {
    let error = parse_labels(&label_file(&[9, 0, 10, 11]), "f", 10).unwrap_err();
    assert_eq!(
        message(error),
        "`f`: label `10` of image `2` is out of range: expected one below `10`"
    );
}

#[test]
fn a_missing_file_and_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let error = read_images(&folder.path().join("absent")).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("absent`"));
    let error = read_images(folder.path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
    assert!(error.hint().is_some());
}
