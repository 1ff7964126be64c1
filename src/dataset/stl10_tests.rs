//! Tests of STL-10 on small files in the official layout.

use std::fs;
use std::path::Path;

use super::*;

fn small() -> Published {
    let info = Info { sizes: [8, 2, 3], ..STL10.info.clone() };
    Published { info, per_class: &[1; 10], ..STL10.clone() }
}

/// Images whose red, green and blue at (row, column) are the column, the row and
/// the number of the image; stored column by column.
fn images(count: u8) -> Vec<u8> {
    let image = |n: u8| {
        let plane = move |value: fn(u8, u8, u8) -> u8| {
            (0..96).flat_map(move |column| (0..96).map(move |row| value(row, column, n)))
        };
        plane(|_, column, _| column).chain(plane(|row, _, _| row)).chain(plane(|_, _, n| n))
    };
    (0..count).flat_map(image).collect()
}

fn write_all(root: &Path) -> PathBuf {
    let folder = root.join("stl10_binary");
    fs::create_dir_all(&folder).unwrap();
    let labels: Vec<u8> = (1..=10).collect();
    fs::write(folder.join("train_X.bin"), images(10)).unwrap();
    fs::write(folder.join("train_y.bin"), &labels).unwrap();
    fs::write(folder.join("test_X.bin"), images(3)).unwrap();
    fs::write(folder.join("test_y.bin"), [10, 1, 7]).unwrap();
    folder
}

#[test]
fn planes_are_stored_column_by_column_and_labels_from_one() {
    let root = tempfile::tempdir().unwrap();
    write_all(root.path());
    let data = small().load([3, 96, 96], Some(root.path())).unwrap();
    assert_eq!(data.test.labels, [9, 0, 6]);
    let byte = |value: f32| ((value * 0.5 + 0.5) * 255.0).round();
    let image = &data.test.images[2 * 3 * 96 * 96..];
    let at =
        |plane: usize, row: usize, column: usize| byte(image[plane * 9216 + row * 96 + column]);
    assert_eq!([at(0, 5, 90), at(1, 5, 90), at(2, 5, 90)], [90.0, 5.0, 2.0]);
    for input in [[3, 28, 28], [3, 32, 32]] {
        let data = small().load(input, Some(root.path())).unwrap();
        assert_eq!([data.train.len(), data.val.unwrap().len(), data.test.len()], [8, 2, 3]);
        assert_eq!(data.test.images.len(), 3 * input.iter().product::<usize>());
        // Columns grow to the right, rows to the bottom.
        let image = &data.test.images;
        assert!(image[0] < image[1] && image[0] == image[input[1]]);
    }
}

#[test]
fn wrong_files_are_named_with_what_was_expected() {
    let root = tempfile::tempdir().unwrap();
    let folder = write_all(root.path());
    let error = || {
        let error = small().load([3, 28, 28], Some(root.path())).unwrap_err();
        assert!(error.hint().is_some());
        error.to_string().replace(&folder.display().to_string(), "DIR")
    };
    fs::write(folder.join("test_y.bin"), [0, 1, 7]).unwrap();
    assert_eq!(
        error(),
        "`DIR: test_y.bin`: label `0` of image `0` is out of range: expected `1` to `10`"
    );
    fs::write(folder.join("test_y.bin"), [10, 1, 7]).unwrap();
    // Swapped.
    fs::write(folder.join("test_X.bin"), images(10)).unwrap();
    fs::write(folder.join("train_X.bin"), images(3)).unwrap();
    assert_eq!(error(), "`DIR/train_X.bin`: expected `276480` bytes, got `82944`");
    fs::remove_file(folder.join("test_X.bin")).unwrap();
    assert!(error().ends_with("lacks `test_X.bin`"), "{}", error());
}
