//! Tests of adding data sets, and of loading what was added.

use std::fs;

use super::*;
use crate::dataset::{self, load};

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dataset");
    fs::read(folder.join(name)).unwrap()
}

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Cats are grey, dogs are in colour.
fn pictures(root: &Path) {
    let (grey, colour) = (fixture("grey.png"), fixture("colour.png"));
    for path in ["train/cat/1.png", "train/cat/2.png", "test/cat/a.PNG"] {
        put(root, path, &grey);
    }
    for path in ["train/dog/1.png", "test/dog/no-extension", "val/dog/1.png"] {
        put(root, path, &colour);
    }
    put(root, "train/dog/.DS_Store", b"hidden");
}

fn arrays(root: &Path) {
    let pixels: Vec<u8> = (0..3 * 4 * 5).collect();
    npy::write(&root.join("train_images.npy"), "|u1", &[3, 4, 5], &pixels).unwrap();
    npy::write(&root.join("train_labels.npy"), "|u1", &[3], &[0, 2, 1]).unwrap();
    npy::write(&root.join("test_images.npy"), "|u1", &[1, 4, 5], &pixels[..20]).unwrap();
    npy::write(&root.join("test_labels.npy"), "|u1", &[1], &[2]).unwrap();
}

fn error(root: &Path) -> String {
    let data = tempfile::tempdir().unwrap();
    let error = add("pets", root, data.path()).unwrap_err();
    assert!(!error.to_string().contains('\n'), "{error}");
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 0, "nothing is left behind");
    error.to_string().replace(&root.display().to_string(), "DIR")
}

#[test]
fn folders_of_images() {
    let (from, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    pictures(from.path());
    let info = add("pets", from.path(), &data.path().join("new")).unwrap();
    let data = data.path().join("new");
    assert_eq!((info.sizes, info.classes, info.shape), ([3, 1, 2], 2, [3, 8, 8]));
    assert_eq!(dataset::added(&data).unwrap(), std::slice::from_ref(&info));
    assert_eq!(dataset::info("pets", Some(&data)).unwrap(), info);
    assert_eq!(dataset::locate(&info, &data), Some(data.join("pets")));

    let pets = load("pets", [3, 8, 8], Some(&data)).unwrap();
    assert_eq!((pets.name.as_str(), pets.classes, pets.augment), ("pets", 2, None));
    assert_eq!(pets.train.labels, [0, 0, 1], "classes are numbered by name");
    assert_eq!(pets.val.unwrap().labels, [1]);
    assert_eq!(pets.test.labels, [0, 1]);
    // Each channel has mean 0 and variance 1 over the training images.
    for channel in 0..3 {
        let pixels: Vec<f64> = pets
            .train
            .images
            .chunks(192)
            .flat_map(|image| image[channel * 64..][..64].iter().map(|pixel| f64::from(*pixel)))
            .collect();
        let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
        let variance = pixels.iter().map(|pixel| pixel * pixel).sum::<f64>() / pixels.len() as f64;
        assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "{mean} {variance}");
    }
    assert_eq!(load("pets", [3, 28, 28], Some(&data)).unwrap().test.images.len(), 2 * 3 * 784);
    let error = load("pets", [1, 8, 8], Some(&data)).unwrap_err();
    assert!(error.to_string().starts_with("dataset `pets`: cannot show colour images as `1`"));

    let error = add("pets", from.path(), &data).unwrap_err();
    assert!(error.to_string().ends_with("pets` is there already"), "{error}");
    assert!(load("cats", [3, 8, 8], Some(&data)).unwrap_err().to_string().ends_with("`pets`"));
}

#[test]
fn arrays_and_what_was_added_itself() {
    let (from, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    arrays(from.path());
    let info = add("steps", from.path(), data.path()).unwrap();
    assert_eq!((info.sizes, info.classes, info.shape), ([3, 0, 1], 3, [1, 4, 5]));
    let steps = load("steps", [1, 4, 5], Some(data.path())).unwrap();
    assert_eq!((steps.train.labels.as_slice(), &steps.val), (&[0, 2, 1][..], &None));
    let [mean, std] = [29.5, (3599.0_f32 / 12.0).sqrt()];
    assert!((steps.train.images[7] - (7.0 - mean) / std).abs() < 1e-5);
    // The folder of a data set is itself arrays to add.
    add("again", &data.path().join("steps"), data.path()).unwrap();
    let again = load("again", [1, 4, 5], Some(data.path())).unwrap();
    assert_eq!(again.train, steps.train);
}

#[test]
fn bad_images_are_named() {
    let root = tempfile::tempdir().unwrap();
    let from = root.path();
    assert_eq!(error(from), "found neither `train/` nor `train_images.npy` in `DIR`");
    assert!(error(&from.join("absent")).ends_with("`DIR`, which is not a folder"));
    fs::create_dir(from.join("train")).unwrap();
    assert_eq!(error(from), "`DIR/train` has no images");
    pictures(from);
    put(from, "train/cat/3.webp", b"RIFF");
    assert_eq!(error(from), "`DIR/train/cat/3.webp`: neither JPEG nor PNG");
    put(from, "train/cat/3.webp", &fixture("colour.jpg"));
    assert_eq!(
        error(from),
        "`DIR/train/cat/3.webp` has `64x64` pixels, but `DIR/train/cat/1.png` has `8x8`"
    );
    fs::remove_file(from.join("train/cat/3.webp")).unwrap();
    put(from, "test/bird/1.png", &fixture("grey.png"));
    assert_eq!(error(from), "`DIR/test/bird` is not a class of the training images");
    fs::remove_dir_all(from.join("test")).unwrap();
    assert_eq!(error(from), "no folder `DIR/test`");
    put(from, "train/1.png", &fixture("grey.png"));
    assert_eq!(error(from), "`DIR/train/1.png` is a file, expected a folder of images");
}

#[test]
fn bad_arrays_are_named() {
    let root = tempfile::tempdir().unwrap();
    let from = root.path();
    arrays(from);
    let write = |name: &str, shape: &[usize], values: &[u8]| {
        npy::write(&from.join(name), "|u1", shape, values).unwrap();
    };
    write("test_labels.npy", &[1], &[3]);
    assert_eq!(
        error(from),
        "`test_labels.npy` has the label `3`, expected `0` to `2`, the classes of the training images"
    );
    write("test_labels.npy", &[2], &[0, 1]);
    assert!(error(from).contains("an array of the shape `[2]`, expected `[1]`, one label"));
    write("test_images.npy", &[0, 4, 5], &[]);
    write("test_labels.npy", &[0], &[]);
    assert_eq!(error(from), "`DIR/test_images.npy`: no images");
    write("test_images.npy", &[1, 5, 4], &[0; 20]);
    write("test_labels.npy", &[1], &[0]);
    assert_eq!(
        error(from),
        "images of `test` have the shape `[1, 5, 4]`, those of `train` have `[1, 4, 5]`"
    );
    write("test_images.npy", &[1, 4, 5, 2], &[0; 40]);
    assert!(error(from).contains("expected `[N, H, W]` or `[N, H, W, C]`"));
    fs::remove_file(from.join("test_images.npy")).unwrap();
    assert_eq!(error(from), "no file `DIR/test_images.npy`");
}

#[test]
fn names_are_checked() {
    let (from, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    arrays(from.path());
    for name in ["", "a b", "../x", ".hidden", "a/b"] {
        let error = add(name, from.path(), data.path()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("dataset `{name}`: expected")), "{error}");
    }
    for name in ["mnist", "digits", "cifar10"] {
        let error = add(name, from.path(), data.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("data set `{name}` comes with zoolake"));
    }
}

#[test]
fn a_folder_that_was_changed_is_refused() {
    let (from, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    arrays(from.path());
    add("steps", from.path(), data.path()).unwrap();
    let folder = data.path().join("steps");
    let error = || {
        let error = load("steps", [1, 4, 5], Some(data.path())).unwrap_err();
        error.to_string().replace(&folder.display().to_string(), "DIR")
    };
    npy::write(&folder.join("train_labels.npy"), "|u1", &[3], &[0, 9, 1]).unwrap();
    assert_eq!(error(), "`DIR`: label `9` of `train` has no class");
    npy::write(&folder.join("train_images.npy"), "|u1", &[3, 2, 2], &[0; 12]).unwrap();
    assert!(error().starts_with("`DIR`: `train` has `3` images of `[1, 2, 2]`, expected `3` of"));
    fs::remove_file(folder.join("test_labels.npy")).unwrap();
    arrays(&folder);
    fs::remove_file(folder.join("test_labels.npy")).unwrap();
    assert_eq!(error(), "no file `DIR/test_labels.npy`");
    let description = fs::read_to_string(folder.join(DESCRIPTION)).unwrap();
    let write = |from: &str, to: &str| {
        assert!(description.contains(from));
        fs::write(folder.join(DESCRIPTION), description.replace(from, to)).unwrap();
    };
    write("    1,\n    4", "    2,\n    4");
    assert_eq!(error(), "`DIR`: `zoolake-dataset.json` has neither one nor three channels");
    write("    4,\n    5", "    0,\n    5");
    assert_eq!(error(), "`DIR`: `zoolake-dataset.json` has no usable `shape`");
    write("\"format\": 1", "\"format\": 1, \"unknown\": true");
    assert_eq!(error(), "no file `DIR/test_labels.npy`");
    fs::write(folder.join(DESCRIPTION), "{\"format\": 2}").unwrap();
    assert!(error().contains("has format `2`, newer than this program knows"));
    fs::write(folder.join(DESCRIPTION), "{\"form").unwrap();
    assert!(error().starts_with("`DIR`: `zoolake-dataset.json` cannot be read: "));
}
