//! Random changes of training images, as torchvision makes them.
//!
//! Owns what is drawn for an image, in which order, and what becomes of it. Which
//! images are changed how, the data set says.

use super::stream::Stream;
use crate::dataset::{Augment, Dataset};

/// What happens to one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Cut out of the image framed by `pad` black pixels, then mirrored.
    Crop {
        /// Width of the frame.
        pad: usize,
        /// First row, counted in the framed image.
        top: usize,
        /// First column, counted in the framed image.
        left: usize,
        /// Whether left and right are swapped.
        flip: bool,
    },
    /// Mirrored, then turned about its centre.
    Turn {
        /// Whether left and right are swapped.
        flip: bool,
        /// Counterclockwise, in degrees.
        angle: f32,
    },
}

impl Change {
    /// Draws what happens to the next image: row, column and mirror of a crop;
    /// mirror and angle of a rotation.
    pub fn draw(augment: Augment, stream: &mut Stream) -> Self {
        match augment {
            Augment::CropFlip { pad } => Self::Crop {
                pad,
                top: stream.below(2 * pad + 1),
                left: stream.below(2 * pad + 1),
                flip: stream.uniform() < 0.5,
            },
            Augment::FlipRotate { degrees } => Self::Turn {
                flip: stream.uniform() < 0.5,
                angle: degrees * (2.0 * stream.uniform() - 1.0),
            },
        }
    }

    /// Appends what becomes of one channel of an image of `width` columns; pixels
    /// it lacks are `black`.
    pub fn append(&self, plane: &[f32], width: usize, black: f32, out: &mut Vec<f32>) {
        let height = plane.len() / width.max(1);
        let pixel = |row: isize, column: isize| {
            let inside = |at: isize, side| usize::try_from(at).ok().filter(|at| *at < side);
            let at = inside(row, height).zip(inside(column, width));
            at.map_or(black, |(row, column)| plane[row * width + column])
        };
        let mirrored = |column: isize| width as isize - 1 - column;
        let places = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
        match *self {
            Self::Crop { pad, top, left, flip } => {
                let down = top as isize - pad as isize;
                let right = left as isize - pad as isize;
                out.extend(places.map(|(row, column)| {
                    let (row, column) = (row as isize, column as isize);
                    pixel(row + down, if flip { mirrored(column) } else { column } + right)
                }));
            }
            Self::Turn { flip, angle } => {
                let turn = Turn::new(angle, height, width);
                out.extend(places.map(|place| {
                    let (row, column) = turn.source(place);
                    pixel(row, if flip { mirrored(column) } else { column })
                }));
            }
        }
    }
}

/// Appends the training images at `indices`, `[C, H, W]` each and changed as the data
/// set asks, with the next draws; nothing if it asks for nothing.
pub(super) fn append_augmented(
    dataset: &Dataset,
    indices: &[u32],
    stream: &mut Stream,
    out: &mut Vec<f32>,
) {
    let Dataset { train, augment: Some(augment), black, .. } = dataset else { return };
    let [channels, height, width] = dataset.shape;
    let size = channels * height * width;
    for index in indices {
        let change = Change::draw(*augment, stream);
        let image = &train.images[*index as usize * size..][..size];
        for (plane, black) in image.chunks_exact(height * width).zip(black) {
            change.append(plane, width, *black, out);
        }
    }
}

/// Where the pixels of a turned image come from: in the arithmetic of
/// `torchvision.transforms.functional.rotate` on tensors, in `f32` as there, so
/// that the nearest pixel is the same.
struct Turn {
    sides: [f32; 2],
    /// What a row and a column contribute to the source's row and column, on the
    /// scale where an image reaches from -1 to 1.
    row: [f32; 2],
    column: [f32; 2],
}

impl Turn {
    fn new(angle: f32, height: usize, width: usize) -> Self {
        let (sin, cos) = (-f64::from(angle)).to_radians().sin_cos();
        let sides = [height as f32, width as f32];
        let scaled = |x: f64, side: usize| x as f32 / (0.5 * sides[side]);
        Self {
            sides,
            row: [scaled(cos, 0), scaled(sin, 1)],
            column: [scaled(-sin, 0), scaled(cos, 1)],
        }
    }

    /// The row and column that belong at `place`; possibly outside the image.
    fn source(&self, (row, column): (usize, usize)) -> (isize, isize) {
        let [height, width] = self.sides;
        let (down, right) = (row as f32 + 0.5 - 0.5 * height, column as f32 + 0.5 - 0.5 * width);
        let nearest = |axis: usize| {
            let at = right * self.column[axis] + down * self.row[axis];
            (((at + 1.0) * self.sides[axis] - 1.0) / 2.0).round_ties_even() as isize
        };
        (nearest(0), nearest(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Purpose;

    #[derive(serde::Deserialize)]
    struct Fixture {
        crops: Vec<Crop>,
        rotations: Vec<Rotation>,
    }

    #[derive(serde::Deserialize)]
    struct Crop {
        height: usize,
        width: usize,
        pad: usize,
        top: usize,
        left: usize,
        flip: bool,
        out: Vec<f32>,
    }

    #[derive(serde::Deserialize)]
    struct Rotation {
        height: usize,
        width: usize,
        flip: bool,
        angle: f32,
        out: Vec<f32>,
    }

    /// The change of an image with the pixels 1, 2, 3, …, and 0 for black.
    fn changed(change: Change, height: usize, width: usize) -> Vec<f32> {
        let plane: Vec<f32> = (1..=height * width).map(|pixel| pixel as f32).collect();
        let mut out = Vec::new();
        change.append(&plane, width, 0.0, &mut out);
        out
    }

    #[test]
    fn agrees_with_torchvision() {
        let text = include_str!("../../tests/fixtures/dataset/augment_torchvision.json");
        let fixture: Fixture = serde_json::from_str(text).unwrap();
        for Crop { height, width, pad, top, left, flip, out } in fixture.crops {
            let change = Change::Crop { pad, top, left, flip };
            assert_eq!(changed(change, height, width), out, "{change:?}");
        }
        for Rotation { height, width, flip, angle, out } in fixture.rotations {
            let change = Change::Turn { flip, angle };
            assert_eq!(changed(change, height, width), out, "{change:?}");
        }
    }

    #[test]
    fn every_crop_and_mirror_is_about_equally_likely() {
        let mut stream = Stream::new(1, Purpose::Augment);
        let (mut places, mut flips) = ([[0; 3]; 3], 0);
        for _ in 0..9000 {
            let change = Change::draw(Augment::CropFlip { pad: 1 }, &mut stream);
            let Change::Crop { pad: 1, top, left, flip } = change else { panic!("{change:?}") };
            places[top][left] += 1;
            flips += usize::from(flip);
        }
        // 1000 expected each, standard deviation 30; 4500 mirrored, deviation 47.
        assert!(places.iter().flatten().all(|count| (850..1150).contains(count)), "{places:?}");
        assert!((4250..4750).contains(&flips), "{flips}");
    }

    #[test]
    fn angles_stay_in_their_range() {
        let mut stream = Stream::new(1, Purpose::Augment);
        let angles: Vec<f32> = (0..1000)
            .map(|_| match Change::draw(Augment::FlipRotate { degrees: 20.0 }, &mut stream) {
                Change::Turn { angle, .. } => angle,
                crop => panic!("{crop:?}"),
            })
            .collect();
        assert!(angles.iter().all(|angle| angle.abs() <= 20.0));
        assert!(angles.iter().any(|angle| *angle < -15.0));
        assert!(angles.iter().any(|angle| *angle > 15.0));
    }
}
