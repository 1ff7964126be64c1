//! The data set that comes with zoolake: 1,797 handwritten digits.
//!
//! Owns the embedded files and their split. See `digits/ATTRIBUTION.md` for
//! source and licence.

use super::transform::Transform;
use super::{Dataset, Info, idx, split};
use crate::error::{Error, Result};

const IMAGES: &[u8] = include_bytes!("digits/digits-images-idx3-ubyte.gz");
const LABELS: &[u8] = include_bytes!("digits/digits-labels-idx1-ubyte.gz");
/// Pixels count the dark ones of a 4 x 4 block.
const FULL_SCALE: f32 = 16.0;

pub(super) const INFO: Info = Info {
    name: "digits",
    title: "Optical Recognition of Handwritten Digits, test part (8x8, built in)",
    shape: [1, 8, 8],
    classes: 10,
    built_in: true,
    files: &[],
    sizes: [1297, 200, 300],
    licence: "CC BY 4.0",
    source: "https://doi.org/10.24432/C50P49",
};

pub(super) fn load(input: [usize; 3]) -> Result<Dataset> {
    let embedded = |error: Error| Error::internal("embedded digits").with_source(error);
    let images = idx::parse_images(IMAGES, "digits images").map_err(embedded)?;
    let labels = idx::parse_labels(LABELS, "digits labels", INFO.classes).map_err(embedded)?;

    // The source lists the digits writer by writer; a random split mixes them.
    let [train, val, test] = split::random(images.count as u32, INFO.sizes, super::SPLIT_SEED);
    // What is measured is the enlarged image: enlarging smooths, so the standard
    // deviation of the 8x8 pixels would leave the input below unit variance.
    let size = [images.height, images.width];
    let transform =
        Transform::new(size, input, FULL_SCALE, [0.0, 1.0])?.measured_on(&images, &train);
    Ok(Dataset {
        name: INFO.name.to_owned(),
        shape: input,
        classes: INFO.classes,
        train: transform.split(&images, &labels, &train),
        val: Some(transform.split(&images, &labels, &val)),
        test: transform.split(&images, &labels, &test),
        augment: None,
        black: transform.black(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Split;

    fn per_class(split: &Split) -> [usize; 10] {
        let mut counts = [0; 10];
        split.labels.iter().for_each(|label| counts[*label as usize] += 1);
        counts
    }

    #[test]
    fn the_embedded_files_are_the_1797_digits() {
        let images = idx::parse_images(IMAGES, "images").unwrap();
        let labels = idx::parse_labels(LABELS, "labels", 10).unwrap();
        assert_eq!((images.count, images.height, images.width), (1797, 8, 8));
        assert_eq!(images.pixels.iter().max(), Some(&16));
        assert_eq!(labels[..12], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
        // The first row of the first digit, a zero, as scikit-learn prints it.
        assert_eq!(images.image(0)[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
        let mut counts = [0; 10];
        labels.iter().for_each(|label| counts[usize::from(*label)] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    }

    #[test]
    fn splits_have_the_stated_sizes_and_every_class_in_proportion() {
        let digits = load([1, 8, 8]).unwrap();
        let val = digits.val.as_ref().unwrap();
        for (split, size) in [&digits.train, val, &digits.test].into_iter().zip(INFO.sizes) {
            assert_eq!(split.len(), size);
            assert_eq!(split.images.len(), size * 64);
            for count in per_class(split) {
                // Four standard deviations of a random draw of classes of equal size.
                let off = (count as f64 - size as f64 / 10.0).abs();
                assert!(off < 4.0 * (size as f64 * 0.09).sqrt(), "{:?}", per_class(split));
            }
        }
    }

    #[test]
    fn loading_twice_gives_the_same() {
        assert_eq!(load([1, 28, 28]).unwrap(), load([1, 28, 28]).unwrap());
    }

    #[test]
    fn the_split_is_fixed_for_ever() {
        let digits = load([1, 8, 8]).unwrap();
        assert_eq!(digits.train.labels[..10], [6, 4, 5, 4, 8, 1, 5, 2, 0, 2]);
        assert_eq!(digits.test.labels[..10], [0, 6, 5, 6, 4, 1, 0, 5, 4, 5]);
    }

    #[test]
    fn training_images_have_zero_mean_and_unit_variance_at_every_size() {
        for input in [[1, 8, 8], [1, 28, 28], [3, 28, 28], [1, 32, 32], [3, 32, 32]] {
            let digits = load(input).unwrap();
            assert_eq!(digits.shape, input);
            let n = digits.train.images.len();
            assert_eq!(n, 1297 * input.iter().product::<usize>());
            let pixels = || digits.train.images.iter().map(|pixel| f64::from(*pixel));
            let mean = pixels().sum::<f64>() / n as f64;
            let variance = pixels().map(|pixel| (pixel - mean).powi(2)).sum::<f64>() / n as f64;
            assert!(mean.abs() < 1e-6, "{input:?}: mean {mean}");
            assert!((variance - 1.0).abs() < 1e-6, "{input:?}: variance {variance}");
            // Not measured on, so near but not at it.
            let test = &digits.test.images;
            let mean = test.iter().sum::<f32>() / test.len() as f32;
            assert!(mean.abs() < 0.05 && mean != 0.0, "{input:?}: test mean {mean}");
        }
    }

    #[test]
    fn the_statistics_of_the_training_pixels_are_known() {
        let images = idx::parse_images(IMAGES, "images").unwrap();
        let [train, _, _] = split::random(1797, INFO.sizes, crate::dataset::SPLIT_SEED);
        let transform = Transform::new([8, 8], [1, 8, 8], FULL_SCALE, [0.0, 1.0]).unwrap();
        let [mean, std] = transform.measured_on(&images, &train).statistics();
        assert!((mean - 0.304_804).abs() < 1e-5 && (std - 0.375_832).abs() < 1e-5, "{mean} {std}");
    }

    #[test]
    fn smaller_inputs_are_refused() {
        assert!(load([1, 7, 7]).unwrap_err().to_string().contains("`8x8`"));
    }
}
