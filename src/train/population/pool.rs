//! Maximum of 2x2 windows, stride 2; an odd last row or column is dropped.
//!
//! candle's own has a wrong backward pass. Ties and NaN are PyTorch's: the first
//! of equals gets the gradient, and NaN is the largest of all.

use candle_core::{Device, Result, Tensor};

use super::activation::zeros_like;
use super::tape::Tape;
use super::window::{NOWHERE, places};

/// A pooling with its tables on the device.
pub(super) struct MaxPool {
    /// For each corner of a window (row by row), the input position it has there.
    corners: [Tensor; 4],
    /// For each input position, its window, or [`NOWHERE`].
    windows: Tensor,
    /// For each input position, which corner of its window it is.
    corner: Tensor,
}

impl MaxPool {
    /// Pooling of planes of `height` times `width`.
    pub(super) fn new(height: usize, width: usize, device: &Device) -> Result<Self> {
        let (rows, columns) = (height / 2, width / 2);
        let corner = |y: usize, x: usize| {
            let at = |(row, column)| ((2 * row + y) * width + 2 * column + x) as u32;
            Tensor::new(places(rows, columns).map(at).collect::<Vec<u32>>(), device)
        };
        let window = |(y, x)| match (y / 2, x / 2) {
            (row, column) if row < rows && column < columns => (row * columns + column) as u32,
            _ => NOWHERE,
        };
        let windows: Vec<u32> = places(height, width).map(window).collect();
        let which: Vec<u8> =
            places(height, width).map(|(y, x)| (y % 2 * 2 + x % 2) as u8).collect();
        Ok(Self {
            corners: [corner(0, 0)?, corner(0, 1)?, corner(1, 0)?, corner(1, 1)?],
            windows: Tensor::new(windows, device)?,
            corner: Tensor::new(which, device)?.reshape((1, height * width, 1))?,
        })
    }

    /// `x` `[M, C, S, N]` to `[M, C, P, N]`.
    pub(super) fn forward<'a>(&'a self, x: &Tensor, tape: &mut Tape<'a>) -> Result<Tensor> {
        let (members, channels, positions, images) = x.dims4()?;
        let planes = x.reshape((members * channels, positions, images))?;
        let [a, b, c, d] = &self.corners;
        let at = |corner: &Tensor| planes.index_select(corner, 1);
        let (upper, upper_corner) = larger(&at(a)?, &at(b)?)?;
        let (lower, lower_corner) = larger(&at(c)?, &at(d)?)?;
        let (out, below) = larger(&upper, &lower)?;
        tape.push_plain(move |gradient| {
            // Corners 0 and 1 are above, 2 and 3 below.
            let winner = below.where_cond(&lower_corner.affine(1.0, 2.0)?, &upper_corner)?;
            let gradient = gradient.reshape((members * channels, (), images))?;
            let gradient = gradient.index_select(&self.windows, 1)?;
            let won = winner.index_select(&self.windows, 1)?.broadcast_eq(&self.corner)?;
            let gradient = won.where_cond(&gradient, &zeros_like(&gradient)?)?;
            gradient.reshape((members, channels, positions, images))
        });
        out.reshape((members, channels, (), images))
    }
}

/// The larger of `x` and `y`, which comes after it, and where that is `y`.
fn larger(x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    let second = (y.gt(x)? + y.ne(y)?)?;
    Ok((second.where_cond(y, x)?, second))
}
