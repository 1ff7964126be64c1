//! The gradient of a block's weights.
//!
//! A weight's gradient is the sum over all pixels and images of the product of
//! its input and the gradient of its output. A tile of a few output channels by a
//! row of taps stays in registers while the rows of both pass by; the sums stay
//! vectors until a batch is through, and only then are added across.

use super::convolution::even;
use super::lanes::Lanes;
use super::plan::Block;

/// Rows of the gradient of a convolution's output, channel by channel, each
/// followed by zeros.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) values: &'a [f32],
    /// Where the first row of the first channel begins.
    pub(super) at: usize,
    /// Numbers from a channel to the next.
    pub(super) channel: usize,
    /// Numbers from a row to the next.
    pub(super) pitch: usize,
    /// The row of the output that the first one is.
    pub(super) first: usize,
    /// How many there are.
    pub(super) count: usize,
}

/// Adds the share of `rows` to `sums`, one vector per weight in the order of the
/// weights; or sets it, if `fresh`.
///
/// # Safety
/// The rows of `input` have room for a vector beyond their end.
#[inline(always)]
pub(super) unsafe fn add<L: Lanes>(
    block: &Block,
    input: &[f32],
    rows: Rows<'_>,
    sums: &mut [f32],
    fresh: bool,
) {
    let (out, kernel) = (block.conv.channels, block.kernel);
    let width = even(kernel, MOST_TAPS);
    // Registers for the sums, a gradient of each channel, and one input.
    let height = even(out, ((L::REGISTERS - 1) / (width + 1)).min(L::TILE));
    let at_once = (CACHED / (height * rows.pitch)).max(1);
    for first in (0..out).step_by(height) {
        for row in (0..rows.count).step_by(at_once) {
            let strip = Rows {
                at: rows.at + first * rows.channel + row * rows.pitch,
                first: rows.first + row,
                count: at_once.min(rows.count - row),
                ..rows
            };
            for c in 0..block.input.channels {
                for y in 0..kernel {
                    for tap in (0..kernel).step_by(width) {
                        let weight = (first * block.input.channels + c) * kernel + y;
                        let tile = Tile {
                            input: block.input.row(c, strip.first + y) + tap * block.input.batch,
                            sums: (weight * kernel + tap) * L::WIDTH,
                            fresh: fresh && row == 0,
                        };
                        let size = [height.min(out - first), width.min(kernel - tap)];
                        tile.add::<L>(size, block, input, strip, sums);
                    }
                }
            }
        }
    }
}

/// Numbers of the gradient that pass again and again while they are in the
/// first-level cache: half of it.
const CACHED: usize = 4096;

/// Taps of a row in one tile.
const MOST_TAPS: usize = 5;

struct Tile {
    /// Where the input under the first tap begins.
    input: usize,
    /// Where the sums of the first weight lie.
    sums: usize,
    /// Whether there are no sums yet.
    fresh: bool,
}

impl Tile {
    /// Picks the loop for a tile of `size` = channels, taps.
    #[inline(always)]
    unsafe fn add<L: Lanes>(
        &self,
        size: [usize; 2],
        block: &Block,
        input: &[f32],
        rows: Rows<'_>,
        sums: &mut [f32],
    ) {
        macro_rules! one_of {
            ($($height:literal)*) => {
                match size {
                    $(
                        [$height, 1] => self.add_sized::<L, $height, 1>(block, input, rows, sums),
                        [$height, 2] => self.add_sized::<L, $height, 2>(block, input, rows, sums),
                        [$height, 3] => self.add_sized::<L, $height, 3>(block, input, rows, sums),
                        [$height, 4] => self.add_sized::<L, $height, 4>(block, input, rows, sums),
                        [$height, 5] => self.add_sized::<L, $height, 5>(block, input, rows, sums),
                    )*
                    _ => unreachable!("a tile is at most {} x {MOST_TAPS}", L::TILE),
                }
            };
        }
        if L::TILE == 8 {
            one_of!(1 2 3 4 5 6 7 8);
        } else {
            one_of!(1 2 3 4);
        }
    }

    #[inline(always)]
    unsafe fn add_sized<L: Lanes, const HEIGHT: usize, const WIDTH: usize>(
        &self,
        block: &Block,
        input: &[f32],
        rows: Rows<'_>,
        sums: &mut [f32],
    ) {
        let stride = block.fan_in() * L::WIDTH;
        let batch = block.input.batch;
        let mut tile = [[L::splat(0.0); WIDTH]; HEIGHT];
        if !self.fresh {
            for (o, tile) in tile.iter_mut().enumerate() {
                for (j, sum) in tile.iter_mut().enumerate() {
                    *sum = L::load(sums, self.sums + o * stride + j * L::WIDTH);
                }
            }
        }
        for y in 0..rows.count {
            let gradient = rows.at + y * rows.pitch;
            let x = self.input + y * block.input.pitch();
            for i in (0..block.conv.run()).step_by(L::WIDTH) {
                let mut g = [L::splat(0.0); HEIGHT];
                for (o, g) in g.iter_mut().enumerate() {
                    *g = L::load(rows.values, gradient + i + o * rows.channel);
                }
                for j in 0..WIDTH {
                    let x = L::load(input, x + i + j * batch);
                    for (tile, g) in tile.iter_mut().zip(g) {
                        tile[j] = L::fma(g, x, tile[j]);
                    }
                }
            }
        }
        for (o, tile) in tile.into_iter().enumerate() {
            for (j, sum) in tile.into_iter().enumerate() {
                L::store(sums, self.sums + o * stride + j * L::WIDTH, sum);
            }
        }
    }
}
