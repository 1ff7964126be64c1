//! Bilinear resizing of 8-bit image planes, with a filter against aliasing.
//!
//! Owns the arithmetic of Pillow's `Image.resize(size, BILINEAR)`, to the bit:
//! it is what torchvision's `Resize` did to the images of the published zoos.
//! (Pillow 13 may do columns before rows, for images that are not square.) Knows
//! nothing of data sets, channels or normalisation.

/// Coefficients are integers, scaled by two to this power: an image byte and a
/// sum of coefficients near one then fit an `i32`, with two bits to spare.
const PRECISION: u32 = 32 - 8 - 2;

/// Resizes planes of one size to another, larger or smaller.
#[derive(Debug, Clone)]
pub(super) struct Resample {
    from: [usize; 2],
    rows: Option<Vec<Window>>,
    columns: Option<Vec<Window>>,
}

/// The source pixels that one target pixel is made of.
#[derive(Debug, Clone)]
struct Window {
    first: usize,
    weights: Vec<i32>,
}

impl Resample {
    /// From planes of `from` = `[height, width]` pixels, not empty, to planes of
    /// `to`.
    pub(super) fn new(from: [usize; 2], to: [usize; 2]) -> Self {
        // An axis that keeps its length has no pass.
        let axis = |axis: usize| (from[axis] != to[axis]).then(|| windows(from[axis], to[axis]));
        Self { from, rows: axis(0), columns: axis(1) }
    }

    /// The resized `plane` (C order): first every row, then every column, each
    /// rounded to bytes.
    pub(super) fn resize(&self, plane: &[u8]) -> Vec<u8> {
        let [height, mut width] = self.from;
        let mut plane = plane.to_vec();
        if let Some(columns) = &self.columns {
            plane = plane
                .chunks_exact(width)
                .flat_map(|row| columns.iter().map(|window| window.blend(|x| row[x])))
                .collect();
            width = columns.len();
        }
        if let Some(rows) = &self.rows {
            debug_assert_eq!(plane.len(), height * width);
            plane = rows
                .iter()
                .flat_map(|window| {
                    let plane = &plane;
                    (0..width).map(move |x| window.blend(|y| plane[y * width + x]))
                })
                .collect();
        }
        plane
    }
}

impl Window {
    fn blend(&self, pixel: impl Fn(usize) -> u8) -> u8 {
        // Starting at one half rounds to nearest.
        let mut sum = 1 << (PRECISION - 1);
        for (offset, weight) in self.weights.iter().enumerate() {
            sum += i32::from(pixel(self.first + offset)) * weight;
        }
        (sum >> PRECISION).clamp(0, 255) as u8
    }
}

/// A triangle over each target pixel's centre, as wide as two target pixels, or
/// two source pixels where the image grows (Pillow's `precompute_coeffs` and
/// `normalize_coeffs_8bpc`).
fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    // The triangle's half width, in source pixels.
    let support = scale.max(1.0);
    (0..to)
        .map(|target| {
            let centre = (target as f64 + 0.5) * scale;
            // Casts truncate, and stop at zero.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            let weights: Vec<f64> = (first..end)
                .map(|x| ((x as f64 - centre + 0.5) * (1.0 / support)).abs())
                .map(|distance| if distance < 1.0 { 1.0 - distance } else { 0.0 })
                .collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: f64| (weight / sum * f64::from(1 << PRECISION) + 0.5) as i32;
            Window { first, weights: weights.into_iter().map(fixed).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `python/make_dataset_fixtures.py`.
    const PILLOW: &str = include_str!("../../tests/fixtures/dataset/pillow.json");

    /// The image both sides make: bytes of a linear congruential generator.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn equals_pillow_to_the_bit() {
        let fixture: serde_json::Value = serde_json::from_str(PILLOW).unwrap();
        let cases = fixture["resize"].as_array().unwrap();
        assert_eq!(cases.len(), 9);
        for case in cases {
            let size =
                |key: &str| -> [usize; 2] { serde_json::from_value(case[key].clone()).unwrap() };
            let (from, to) = (size("from"), size("to"));
            let expected: Vec<u8> = serde_json::from_value(case["pixels"].clone()).unwrap();
            let ours = Resample::new(from, to).resize(&noise(from[0] * from[1]));
            assert_eq!(ours, expected, "{from:?} to {to:?}");
        }
    }

    #[test]
    fn a_flat_image_stays_flat() {
        for grey in [0, 1, 77, 254, 255] {
            let resized = Resample::new([16, 9], [28, 4]).resize(&[grey; 144]);
            assert_eq!(resized, [grey; 28 * 4]);
        }
    }
}
