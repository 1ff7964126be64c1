//! Tests of MNIST and Fashion-MNIST on small files in the official layout, and
//! on the real ones where `ZOOLAKE_TEST_DATA` names their folder.

use std::fs;
use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::dataset::{Split, folder};
use crate::error::Kind;

const SIZES: [usize; 3] = [50, 10, 12];

fn small() -> Published {
    let info = Info { sizes: SIZES, ..MNIST.info.clone() };
    Published { info, per_class: &[6; 10], ..MNIST.clone() }
}

fn find(root: &Path) -> Vec<PathBuf> {
    folder::find(&small().info, Some(root)).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Image `i` is grey `i` everywhere, and its label is the last digit of `i`.
fn pair(count: u8, side: u8) -> [Vec<u8>; 2] {
    let mut images = vec![0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, side, 0, 0, 0, side];
    let size = usize::from(side) * usize::from(side);
    images.extend((0..count).flat_map(|image| std::iter::repeat_n(image, size)));
    let mut labels = vec![0, 0, 8, 1, 0, 0, 0, count];
    labels.extend((0..count).map(|image| image % 10));
    [images, labels]
}

fn write_all(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let files = pair(60, 28).into_iter().chain(pair(12, 28));
    for (names, bytes) in FILES.iter().zip(files) {
        fs::write(folder.join(names[1]), gzip(&bytes)).unwrap();
    }
}

#[test]
fn splits_the_training_file_and_takes_the_test_file_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path());
    let data = small().load([1, 28, 28], Some(folder.path())).unwrap();
    let val = data.val.as_ref().unwrap();
    assert_eq!([data.train.len(), val.len(), data.test.len()], SIZES);

    // An image's grey tells which one it was.
    let number = |pixel: f32| ((pixel * 0.3081 + 0.1307) * 255.0).round() as u32;
    let numbers = |split: &Split| -> Vec<u32> {
        split.images.chunks(784).map(|image| number(image[0])).collect()
    };
    for split in [&data.train, val, &data.test] {
        let expected: Vec<u32> = numbers(split).iter().map(|number| number % 10).collect();
        assert_eq!(split.labels, expected, "labels stay with their images");
    }
    let mut seen = [numbers(&data.train), numbers(val)].concat();
    assert_ne!(seen[..50], (0..50).collect::<Vec<_>>(), "the split is random");
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..60));
    assert!(numbers(&data.test).into_iter().eq(0..12));

    assert_eq!(data, small().load([1, 28, 28], Some(folder.path())).unwrap());
    let wide = small().load([3, 32, 32], Some(folder.path())).unwrap();
    assert_eq!(wide.test.images.len(), 12 * 3 * 32 * 32);
    assert_eq!(wide.train.labels, data.train.labels, "the split does not depend on the shape");
}

#[test]
fn a_folder_may_hold_both_data_sets_plain_or_packed() {
    let root = tempfile::tempdir().unwrap();
    for inner in ["mnist", "MNIST/raw", ""] {
        let folder = root.path().join(inner);
        write_all(&folder);
        let found = find(root.path());
        assert!(found.iter().all(|path| path.parent() == Some(&folder)), "{found:?}");
        let plain = folder.join(FILES[0][0]);
        fs::write(&plain, &pair(60, 28)[0]).unwrap();
        assert_eq!(find(root.path())[0], plain);
        assert!(small().load([1, 28, 28], Some(root.path())).is_ok());
        if !inner.is_empty() {
            fs::remove_dir_all(&folder).unwrap();
        }
    }
}

#[test]
fn missing_files_are_named_with_the_way_out() {
    let error = MNIST.load([1, 28, 28], None).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(
        error.to_string(),
        "data set `mnist` is not built in: it needs `train-images-idx3-ubyte` or \
         `train-images-idx3-ubyte.gz`, `train-labels-idx1-ubyte` or `train-labels-idx1-ubyte.gz`, \
         `t10k-images-idx3-ubyte` or `t10k-images-idx3-ubyte.gz`, `t10k-labels-idx1-ubyte` or \
         `t10k-labels-idx1-ubyte.gz`"
    );
    assert_eq!(
        error.hint().unwrap(),
        "`zoolake datasets fetch mnist` gets them; if you have them, pass `--data DIR` where they \
         are in `DIR/mnist`, `DIR/MNIST/raw` or `DIR`"
    );

    let folder = tempfile::tempdir().unwrap();
    let error = FASHION.load([1, 28, 28], Some(folder.path())).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().starts_with("data set `fashion_mnist`: found no `train-images"));
    assert!(error.to_string().contains(&folder.path().display().to_string()));

    write_all(folder.path());
    fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte.gz")).unwrap();
    let error = small().load([1, 28, 28], Some(folder.path())).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(
        error
            .to_string()
            .contains("no file `t10k-labels-idx1-ubyte` or `t10k-labels-idx1-ubyte.gz` in `")
    );
    assert!(error.hint().unwrap().contains("`--data DIR`"));
}

#[test]
fn files_of_another_data_set_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path());
    let error = MNIST.load([1, 28, 28], Some(folder.path())).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().ends_with("`60` images, expected `60000`"), "{error}");
    assert!(error.hint().is_some());

    let labels = folder.path().join("train-labels-idx1-ubyte.gz");
    fs::write(&labels, &pair(59, 28)[1]).unwrap();
    let error = small().load([1, 28, 28], Some(folder.path())).unwrap_err();
    assert!(error.to_string().ends_with("`59` labels, expected `60`"), "{error}");

    let images = folder.path().join("train-images-idx3-ubyte.gz");
    fs::write(&images, &pair(60, 8)[0]).unwrap();
    let error = small().load([1, 28, 28], Some(folder.path())).unwrap_err();
    assert!(error.to_string().ends_with("images of `8x8` pixels, expected `28x28`"), "{error}");
}

#[test]
fn the_two_data_sets_are_not_taken_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    write_all(folder.path());
    let swapped = Published { per_class: MNIST.per_class, ..small() };
    let error = swapped.load([1, 28, 28], Some(folder.path())).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let message = "does not hold the training images of `mnist`: `6` are of class `0`, expected \
                   `5923`";
    assert!(error.to_string().ends_with(message), "{error}");
    assert!(error.hint().unwrap().contains("`DIR/mnist`"));
}

#[test]
fn the_real_mnist() {
    let Some(folder) = crate::dataset::tests::real_data("mnist") else { return };
    let data = MNIST.load([1, 28, 28], Some(&folder)).unwrap();
    let val = data.val.as_ref().unwrap();
    for (split, size) in [&data.train, val, &data.test].into_iter().zip(MNIST.info.sizes) {
        assert_eq!((split.len(), split.images.len()), (size, size * 784));
        for class in 0..10 {
            let count = split.labels.iter().filter(|label| **label == class).count();
            let share = count as f64 / size as f64;
            assert!((0.08..0.13).contains(&share), "class {class}: {count} of {size}");
        }
    }
    let both = || data.train.images.iter().chain(&val.images).map(|pixel| f64::from(*pixel));
    let n = both().count() as f64;
    let mean = both().sum::<f64>() / n;
    let std = (both().map(|pixel| pixel * pixel).sum::<f64>() / n - mean * mean).sqrt();
    // The published constants are the rounded statistics of all 60,000.
    assert!(mean.abs() < 5e-4 && (std - 1.0).abs() < 5e-4, "{mean} {std}");
    let error = FASHION.load([1, 28, 28], Some(&folder.join("mnist"))).unwrap_err();
    assert!(error.to_string().contains("training images of `fashion_mnist`"), "{error}");
}
