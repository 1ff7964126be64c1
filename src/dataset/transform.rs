//! From bytes to what a network takes.
//!
//! Owns scaling, enlargement, normalisation and the copying of grey into
//! channels. Knows neither files nor which image belongs to which split.

use super::Split;
use super::idx::Images;
use super::resize::Bilinear;
use crate::error::{Error, Result};

/// Turns grey images into normalised input of one shape.
#[derive(Debug, Clone)]
pub(super) struct Transform {
    resize: Option<Bilinear>,
    /// Pixels of the target plane.
    plane: usize,
    channels: usize,
    full_scale: f32,
    mean: f32,
    std: f32,
}

impl Transform {
    /// For images of `from` = `[height, width]` pixels between 0 and
    /// `full_scale`, shown to networks as `input` = `[channels, height, width]`;
    /// `mean` and `std` are those of pixels between 0 and 1.
    pub(super) fn new(
        from: [usize; 2],
        input: [usize; 3],
        full_scale: f32,
        [mean, std]: [f32; 2],
    ) -> Result<Self> {
        let [channels, height, width] = input;
        if channels != 1 && channels != 3 {
            return Err(Error::invalid(format!(
                "cannot show grey images as `{channels}` channels: expected `1` or `3`"
            ))
            .with_hint("choose an architecture with one or three input channels"));
        }
        let to = [height, width];
        // The identity is skipped, not computed: it would only cost time.
        let resize = if from == to { None } else { Some(Bilinear::new(from, to)?) };
        Ok(Self { resize, plane: height * width, channels, full_scale, mean, std })
    }

    /// The same, normalising with the mean and (population) standard deviation
    /// of the chosen images as they look after scaling and enlargement.
    pub(super) fn measured_on(mut self, images: &Images, chosen: &[u32]) -> Self {
        let mut plane = Vec::with_capacity(self.plane);
        let (mut sum, mut squares) = (0.0f64, 0.0f64);
        for index in chosen {
            plane.clear();
            self.append_plane(images.image(*index as usize), &mut plane);
            for pixel in plane.iter().map(|pixel| f64::from(*pixel)) {
                sum += pixel;
                squares += pixel * pixel;
            }
        }
        let n = (chosen.len() * self.plane).max(1) as f64;
        let mean = sum / n;
        let variance = (squares / n - mean * mean).max(0.0);
        self.mean = mean as f32;
        // Images that are all alike have nothing to scale.
        self.std = if variance > 0.0 { variance.sqrt() as f32 } else { 1.0 };
        self
    }

    /// The mean and standard deviation in use, of pixels between 0 and 1.
    #[cfg(test)]
    pub(super) fn statistics(&self) -> [f32; 2] {
        [self.mean, self.std]
    }

    /// What a black pixel becomes, per channel.
    pub(super) fn black(&self) -> Vec<f32> {
        vec![(0.0 - self.mean) / self.std; self.channels]
    }

    /// The chosen images in the given order, with their labels.
    pub(super) fn split(&self, images: &Images, labels: &[u8], chosen: &[u32]) -> Split {
        let mut split = Split {
            images: Vec::with_capacity(chosen.len() * self.plane * self.channels),
            labels: Vec::with_capacity(chosen.len()),
        };
        for index in chosen.iter().map(|index| *index as usize) {
            let start = split.images.len();
            self.append_plane(images.image(index), &mut split.images);
            for pixel in &mut split.images[start..] {
                *pixel = (*pixel - self.mean) / self.std;
            }
            for _ in 1..self.channels {
                split.images.extend_from_within(start..start + self.plane);
            }
            split.labels.push(labels[index].into());
        }
        split
    }

    /// One image, scaled to [0, 1] and enlarged, not normalised.
    fn append_plane(&self, image: &[u8], out: &mut Vec<f32>) {
        // A division, as torchvision's ToTensor has it: multiplying by the
        // reciprocal differs in the last bit.
        let scaled = image.iter().map(|pixel| f32::from(*pixel) / self.full_scale);
        match &self.resize {
            None => out.extend(scaled),
            Some(resize) => resize.append(&scaled.collect::<Vec<_>>(), out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Images {
        Images { count: 2, height: 1, width: 2, pixels: vec![0, 255, 51, 102] }
    }

    #[test]
    fn normalises_as_torchvision_does() {
        let transform = Transform::new([1, 2], [1, 1, 2], 255.0, [0.1307, 0.3081]).unwrap();
        let split = transform.split(&images(), &[7, 3], &[1, 0]);
        assert_eq!(split.labels, [3, 7]);
        // ToTensor and Normalize of torchvision, to the bit.
        assert_eq!(split.images[2..], [-0.424_212_96, 2.821_486_7]);
        assert!((split.images[0] - (0.2 - 0.1307) / 0.3081).abs() < 1e-6);
    }

    #[test]
    fn grey_is_copied_into_every_channel() {
        let transform = Transform::new([1, 2], [3, 2, 4], 255.0, [0.5, 0.5]).unwrap();
        let split = transform.split(&images(), &[0, 1], &[0, 1]);
        assert_eq!(split.images.len(), 2 * 3 * 2 * 4);
        for image in split.images.chunks(3 * 8) {
            assert_eq!(image[..8], image[8..16]);
            assert_eq!(image[..8], image[16..]);
        }
        assert_eq!(split.images[..4], [-1.0, -0.5, 0.5, 1.0]);
    }

    #[test]
    fn measures_only_the_chosen_images() {
        let transform = Transform::new([1, 2], [1, 1, 2], 255.0, [0.0, 1.0]).unwrap();
        assert_eq!(transform.clone().measured_on(&images(), &[0]).statistics(), [0.5, 0.5]);
        let [mean, std] = transform.clone().measured_on(&images(), &[1]).statistics();
        assert!((mean - 0.3).abs() < 1e-6 && (std - 0.1).abs() < 1e-6);
        assert_eq!(transform.measured_on(&images(), &[]).statistics(), [0.0, 1.0]);
    }

    #[test]
    fn odd_channel_counts_are_refused() {
        for channels in [0, 2, 4] {
            let error = Transform::new([1, 2], [channels, 1, 2], 255.0, [0.0, 1.0]).unwrap_err();
            assert!(error.to_string().contains(&format!("`{channels}` channels")), "{error}");
        }
    }
}
