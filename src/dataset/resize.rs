//! Bilinear enlargement of one image plane.
//!
//! Owns the arithmetic of PyTorch's
//! `interpolate(mode="bilinear", align_corners=False, antialias=False)`. Knows
//! nothing of data sets, channels or normalisation.

use crate::error::{Error, Result};

/// Enlarges planes of one size to another.
#[derive(Debug, Clone)]
pub(super) struct Bilinear {
    rows: Vec<Tap>,
    columns: Vec<Tap>,
    width: usize,
}

/// The two source positions that one target position lies between.
#[derive(Debug, Clone, Copy)]
struct Tap {
    low: usize,
    high: usize,
    /// How much of the value comes from `high`, in [0, 1).
    weight: f64,
}

impl Bilinear {
    /// From planes of `from` = `[height, width]` pixels to planes of `to`.
    ///
    /// Refuses to shrink: without a filter against aliasing two taps skip pixels,
    /// and published zoos never shrink the data sets there are.
    pub(super) fn new(from: [usize; 2], to: [usize; 2]) -> Result<Self> {
        if from.contains(&0) || to[0] < from[0] || to[1] < from[1] {
            return Err(Error::invalid(format!(
                "cannot resize images of `{}x{}` pixels to `{}x{}`: they can only be enlarged",
                from[0], from[1], to[0], to[1]
            ))
            .with_hint("choose an architecture with a larger input"));
        }
        Ok(Self { rows: taps(from[0], to[0]), columns: taps(from[1], to[1]), width: from[1] })
    }

    /// Appends the enlarged `plane` (C order) to `out`, rounding once per pixel.
    pub(super) fn append(&self, plane: &[f32], out: &mut Vec<f32>) {
        for row in &self.rows {
            let low = &plane[row.low * self.width..][..self.width];
            let high = &plane[row.high * self.width..][..self.width];
            out.extend(self.columns.iter().map(|column| {
                let across = |line: &[f32]| {
                    blend(line[column.low].into(), line[column.high].into(), column.weight)
                };
                blend(across(low), across(high), row.weight) as f32
            }));
        }
    }
}

/// A blend of two equal values is that value, whatever the weight: flat regions
/// (the background) stay exactly what they are.
fn blend(low: f64, high: f64, weight: f64) -> f64 {
    low + (high - low) * weight
}

/// Pixel centres lie at half-integers (`align_corners=False`); beyond the outer
/// centres the border value continues.
fn taps(from: usize, to: usize) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    (0..to)
        .map(|target| {
            let position = ((target as f64 + 0.5) * scale - 0.5).max(0.0);
            // The minimum guards the last index against rounding.
            let low = (position as usize).min(from - 1);
            Tap { low, high: (low + 1).min(from - 1), weight: position - low as f64 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    const TORCH: &str = include_str!("../../tests/fixtures/dataset/resize_bilinear_torch.json");

    fn enlarge(plane: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
        let mut out = Vec::new();
        Bilinear::new(from, to).unwrap().append(plane, &mut out);
        out
    }

    fn floats(value: &serde_json::Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    }

    #[test]
    fn equals_torch() {
        let fixture: serde_json::Value = serde_json::from_str(TORCH).unwrap();
        let cases = fixture["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 5);
        for case in cases {
            let [from, to] = ["from", "to"].map(|key| {
                let size = floats(&case[key]);
                [size[0] as usize, size[1] as usize]
            });
            let input: Vec<f32> = floats(&case["input"]).iter().map(|x| *x as f32).collect();
            let ours = enlarge(&input, from, to);
            let double = floats(&case["float64"]);
            let single = floats(&case["float32"]);
            assert_eq!(ours.len(), to[0] * to[1]);
            for (index, value) in ours.iter().enumerate() {
                // Half a unit in the last place of f32 near 1, with a margin.
                let off = (f64::from(*value) - double[index]).abs();
                assert!(off < 6.5e-8, "{from:?} to {to:?}, pixel {index}: {off:e} from float64");
                // torch rounds its coordinates to f32 when the image is f32.
                let off = (f64::from(*value) - single[index]).abs();
                assert!(off < 2e-6, "{from:?} to {to:?}, pixel {index}: {off:e} from float32");
            }
        }
    }

    #[test]
    fn a_flat_image_stays_flat_and_an_equal_size_is_the_identity() {
        assert!(enlarge(&[0.1307; 64], [8, 8], [28, 28]).iter().all(|x| *x == 0.1307));
        let image: Vec<f32> = (0..12).map(|x| x as f32 / 7.0).collect();
        assert_eq!(enlarge(&image, [3, 4], [3, 4]), image);
        assert_eq!(enlarge(&[0.5], [1, 1], [2, 3]), [0.5; 6]);
    }

    #[test]
    fn a_ramp_is_interpolated_between_pixel_centres() {
        assert_eq!(enlarge(&[0.0, 1.0], [1, 2], [1, 4]), [0.0, 0.25, 0.75, 1.0]);
    }

    #[test]
    fn shrinking_is_refused() {
        let error = Bilinear::new([28, 28], [32, 8]).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(
            error.to_string(),
            "cannot resize images of `28x28` pixels to `32x8`: they can only be enlarged"
        );
        assert!(error.hint().is_some());
        assert!(Bilinear::new([0, 8], [8, 8]).is_err());
    }
}
