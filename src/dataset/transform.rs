//! From bytes to what a network takes.
//!
//! Owns grey, crop, size, scaling, normalisation and the copying of grey into
//! channels. Knows neither files nor which image belongs to which split.

use super::Split;
use super::images::{Images, Labelled};
use super::resample::Resample;
use super::resize::Bilinear;
use crate::error::{Error, Result};

/// How images come to the size a network takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Enlarged as `interpolate` of PyTorch does it, in floats.
    Enlarge,
    /// Resized as Pillow does it, in bytes.
    Resize,
    /// The middle is cut out.
    Crop,
}

/// What is done with the images of a data set, whatever network takes them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preparation<'a> {
    /// Channels, height and width of the images as they are read.
    pub(super) shape: [usize; 3],
    /// How they come to another size.
    pub(super) fit: Fit,
    /// The byte that counts as 1.
    pub(super) full_scale: f32,
    /// Mean and standard deviation of scaled pixels: one pair for all channels,
    /// or one for each.
    pub(super) normalise: &'a [[f32; 2]],
}

/// Turns images into normalised input of one shape.
#[derive(Debug, Clone)]
pub(super) struct Transform {
    /// Pixels of a plane as it is read.
    source_plane: usize,
    /// Colour becomes grey before anything else.
    to_grey: bool,
    size: Size,
    /// Pixels of the target plane.
    plane: usize,
    /// How often a grey image is shown.
    copies: usize,
    full_scale: f32,
    /// Mean and standard deviation for each plane there is after `size`.
    normalise: Vec<[f32; 2]>,
}

/// From one size of planes to another.
#[derive(Debug, Clone)]
enum Size {
    Same,
    Enlarge(Bilinear),
    Resize(Resample),
    /// The part of `size` from `corner` of planes `width` pixels wide.
    Crop {
        corner: [usize; 2],
        size: [usize; 2],
        width: usize,
    },
}

impl Transform {
    /// For images shown to networks as `input` = `[channels, height, width]`.
    pub(super) fn new(preparation: Preparation<'_>, input: [usize; 3]) -> Result<Self> {
        let Preparation { shape: [source_channels, ..], normalise, .. } = preparation;
        let [channels, height, width] = input;
        let to_grey = source_channels == 3 && channels == 1;
        // Statistics of colours say nothing of grey.
        let allowed: &[usize] = if normalise.len() > 1 { &[3] } else { &[1, 3] };
        if !allowed.contains(&channels) {
            let colour = if source_channels == 1 { "grey" } else { "colour" };
            let allowed: Vec<String> = allowed.iter().map(|n| format!("`{n}`")).collect();
            return Err(Error::invalid(format!(
                "cannot show {colour} images as `{channels}` channels: expected {}",
                allowed.join(" or ")
            ))
            .with_hint(match allowed.len() {
                1 => "choose an architecture with three input channels",
                _ => "choose an architecture with one or three input channels",
            }));
        }
        let planes = source_channels.min(channels);
        let [_, source_height, source_width] = preparation.shape;
        Ok(Self {
            source_plane: source_height * source_width,
            to_grey,
            size: Size::new(preparation.fit, [source_height, source_width], [height, width])?,
            plane: height * width,
            copies: channels / planes,
            full_scale: preparation.full_scale,
            normalise: (0..planes).map(|plane| normalise[plane % normalise.len()]).collect(),
        })
    }

    /// The same, normalising with the mean and (population) standard deviation
    /// of the chosen images as they look after scaling and sizing.
    pub(super) fn measured_on(mut self, images: &Images, chosen: &[u32]) -> Self {
        let mut sums = vec![[0.0_f64; 2]; self.normalise.len()];
        let mut planes = Vec::with_capacity(self.plane * sums.len());
        for index in chosen {
            planes.clear();
            self.append_planes(images.image(*index as usize), &mut planes);
            for ([sum, squares], plane) in sums.iter_mut().zip(planes.chunks_exact(self.plane)) {
                for pixel in plane.iter().map(|pixel| f64::from(*pixel)) {
                    *sum += pixel;
                    *squares += pixel * pixel;
                }
            }
        }
        let n = (chosen.len() * self.plane).max(1) as f64;
        for ([sum, squares], normalise) in sums.iter().zip(&mut self.normalise) {
            let mean = sum / n;
            let variance = (squares / n - mean * mean).max(0.0);
            // Images that are all alike have nothing to scale.
            *normalise = [mean as f32, if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 }];
        }
        self
    }

    /// The mean and standard deviation in use for each plane, of scaled pixels.
    pub(super) fn statistics(&self) -> &[[f32; 2]] {
        &self.normalise
    }

    /// What a black pixel becomes, per channel of the input.
    pub(super) fn black(&self) -> Vec<f32> {
        let black: Vec<f32> = self.normalise.iter().map(|[mean, std]| (0.0 - mean) / std).collect();
        black.repeat(self.copies)
    }

    /// The chosen images in the given order, with their labels.
    pub(super) fn split(&self, from: &Labelled, chosen: &[u32]) -> Split {
        let size = self.plane * self.normalise.len() * self.copies;
        let mut split = Split {
            images: Vec::with_capacity(chosen.len() * size),
            labels: Vec::with_capacity(chosen.len()),
        };
        for index in chosen.iter().map(|index| *index as usize) {
            let start = split.images.len();
            self.append_planes(from.images.image(index), &mut split.images);
            let planes = split.images[start..].chunks_exact_mut(self.plane);
            for (plane, [mean, std]) in planes.zip(&self.normalise) {
                for pixel in plane {
                    *pixel = (*pixel - mean) / std;
                }
            }
            let end = split.images.len();
            for _ in 1..self.copies {
                split.images.extend_from_within(start..end);
            }
            split.labels.push(from.labels[index]);
        }
        split
    }

    /// One image, grey if need be, scaled and sized, not normalised.
    fn append_planes(&self, image: &[u8], out: &mut Vec<f32>) {
        if self.to_grey {
            self.append_plane(&grey(image), out);
        } else {
            image.chunks_exact(self.source_plane).for_each(|plane| self.append_plane(plane, out));
        }
    }

    fn append_plane(&self, plane: &[u8], out: &mut Vec<f32>) {
        // A division, as torchvision's ToTensor has it: multiplying by the
        // reciprocal differs in the last bit.
        let scaled = |pixel: &u8| f32::from(*pixel) / self.full_scale;
        match &self.size {
            Size::Same => out.extend(plane.iter().map(scaled)),
            Size::Enlarge(resize) => {
                resize.append(&plane.iter().map(scaled).collect::<Vec<_>>(), out);
            }
            Size::Resize(resample) => out.extend(resample.resize(plane).iter().map(scaled)),
            Size::Crop { corner: [top, left], size: [rows, columns], width } => {
                for row in plane.chunks_exact(*width).skip(*top).take(*rows) {
                    out.extend(row[*left..left + columns].iter().map(scaled));
                }
            }
        }
    }
}

impl Size {
    fn new(fit: Fit, from: [usize; 2], to: [usize; 2]) -> Result<Self> {
        Ok(match fit {
            // The identity is skipped, not computed: it would only cost time.
            _ if from == to => Self::Same,
            Fit::Enlarge => Self::Enlarge(Bilinear::new(from, to)?),
            Fit::Resize => Self::Resize(Resample::new(from, to)),
            Fit::Crop if to[0] > from[0] || to[1] > from[1] => {
                return Err(Error::invalid(format!(
                    "cannot cut `{}x{}` pixels out of images of `{}x{}`",
                    to[0], to[1], from[0], from[1]
                ))
                .with_hint("choose an architecture with a smaller input"));
            }
            Fit::Crop => Self::Crop {
                corner: [margin(from[0] - to[0]), margin(from[1] - to[1])],
                size: to,
                width: from[1],
            },
        })
    }
}

/// Half of what is cut off, halves to the even side, as torchvision's
/// `center_crop` has it from Python's `round`.
fn margin(surplus: usize) -> usize {
    let half = surplus / 2;
    half + (surplus % 2) * (half % 2)
}

/// Red, green and blue planes as one grey plane: ITU-R 601-2 luma in 16-bit
/// fixed point, as Pillow's `convert("L")` computes it.
fn grey(image: &[u8]) -> Vec<u8> {
    let (red, rest) = image.split_at(image.len() / 3);
    let (green, blue) = rest.split_at(red.len());
    let luma = |((r, g), b): ((&u8, &u8), &u8)| {
        let [r, g, b] = [r, g, b].map(|byte| u32::from(*byte));
        ((r * 19_595 + g * 38_470 + b * 7_471 + 0x8000) >> 16) as u8
    };
    red.iter().zip(green).zip(blue).map(luma).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> Labelled {
        let pixels = vec![0, 255, 51, 102];
        Labelled { images: Images { count: 2, shape: [1, 1, 2], pixels }, labels: vec![7, 3] }
    }

    fn transform(normalise: [f32; 2], input: [usize; 3]) -> Result<Transform> {
        let preparation = Preparation {
            shape: [1, 1, 2],
            fit: Fit::Enlarge,
            full_scale: 255.0,
            normalise: &[normalise],
        };
        Transform::new(preparation, input)
    }

    fn colour(fit: Fit, shape: [usize; 3], input: [usize; 3]) -> Result<Transform> {
        let normalise = [[0.5, 0.5]];
        Transform::new(Preparation { shape, fit, full_scale: 255.0, normalise: &normalise }, input)
    }

    #[test]
    fn normalises_as_torchvision_does() {
        let transform = transform([0.1307, 0.3081], [1, 1, 2]).unwrap();
        let split = transform.split(&two(), &[1, 0]);
        assert_eq!(split.labels, [3, 7]);
        // ToTensor and Normalize of torchvision, to the bit.
        assert_eq!(split.images[2..], [-0.424_212_96, 2.821_486_7]);
        assert!((split.images[0] - (0.2 - 0.1307) / 0.3081).abs() < 1e-6);
        assert_eq!(transform.black(), [split.images[2]], "black is what a byte of 0 becomes");
    }

    #[test]
    fn grey_is_copied_into_every_channel() {
        let transform = transform([0.5, 0.5], [3, 2, 4]).unwrap();
        let split = transform.split(&two(), &[0, 1]);
        assert_eq!(split.images.len(), 2 * 3 * 2 * 4);
        for image in split.images.chunks(3 * 8) {
            assert_eq!(image[..8], image[8..16]);
            assert_eq!(image[..8], image[16..]);
        }
        assert_eq!(split.images[..4], [-1.0, -0.5, 0.5, 1.0]);
        assert_eq!(transform.black(), [-1.0; 3]);
    }

    #[test]
    fn measures_only_the_chosen_images() {
        let measured = |chosen: &[u32]| {
            let transform = transform([0.0, 1.0], [1, 1, 2]).unwrap();
            transform.measured_on(&two().images, chosen).statistics().to_vec()
        };
        assert_eq!(measured(&[0]), [[0.5, 0.5]]);
        let [mean, std] = measured(&[1])[0];
        assert!((mean - 0.3).abs() < 1e-6 && (std - 0.1).abs() < 1e-6);
        assert_eq!(measured(&[]), [[0.0, 1.0]]);
    }

    #[test]
    fn odd_channel_counts_are_refused() {
        for channels in [0, 2, 4] {
            let error = transform([0.0, 1.0], [channels, 1, 2]).unwrap_err();
            assert!(error.to_string().contains(&format!("`{channels}` channels")), "{error}");
        }
    }

    #[test]
    fn statistics_of_colours_are_not_applied_to_grey() {
        let preparation = Preparation {
            shape: [3, 1, 1],
            fit: Fit::Resize,
            full_scale: 255.0,
            normalise: &[[0.0, 1.0], [1.0, 1.0], [0.0, 0.5]],
        };
        let error = Transform::new(preparation, [1, 1, 1]).unwrap_err();
        assert_eq!(error.to_string(), "cannot show colour images as `1` channels: expected `3`");
        let transform = Transform::new(preparation, [3, 1, 1]).unwrap();
        let images = Images { count: 1, shape: [3, 1, 1], pixels: vec![255, 0, 255] };
        let split = transform.split(&Labelled { images, labels: vec![0] }, &[0]);
        assert_eq!(split.images, [1.0, -1.0, 2.0]);
        assert_eq!(transform.black(), [0.0, -1.0, 0.0]);
    }

    #[test]
    fn grey_is_pillows() {
        let fixture: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/fixtures/dataset/pillow.json")).unwrap();
        let bytes = |key: &str| -> Vec<u8> {
            serde_json::from_value(fixture["grey"][key].clone()).unwrap()
        };
        let image = [bytes("red"), bytes("green"), bytes("blue")].concat();
        assert_eq!(image.len(), 3 * 216);
        assert_eq!(grey(&image), bytes("grey"));
    }

    #[test]
    fn crops_the_middle() {
        assert_eq!([0, 1, 2, 3, 4, 5, 68].map(margin), [0, 0, 1, 2, 2, 2, 34]);
        let pixels: Vec<u8> = (0..20).collect();
        let images = Images { count: 1, shape: [1, 4, 5], pixels };
        let image = Labelled { images, labels: vec![0] };
        let split = colour(Fit::Crop, [1, 4, 5], [1, 2, 2]).unwrap().split(&image, &[0]);
        let bytes: Vec<f32> =
            split.images.iter().map(|x| (x * 0.5 + 0.5) * 255.0).map(f32::round).collect();
        // Three columns too many: 1.5 to the left, which rounds to 2.
        assert_eq!(bytes, [7.0, 8.0, 12.0, 13.0]);
        let error = colour(Fit::Crop, [3, 32, 32], [3, 64, 64]).unwrap_err();
        assert_eq!(error.to_string(), "cannot cut `64x64` pixels out of images of `32x32`");
    }
}
