//! The convolution, forward and, with its kernel turned round, backward.
//!
//! A tile of up to `TILE` output channels by three vectors stays in registers
//! while all inputs of all taps are added to it. Since the images of a batch lie
//! side by side, a tap one pixel to the right is the same row `batch` numbers
//! further: no columns are gathered, and every load is of neighbours.

use super::lanes::{Lanes, get, put};

/// What one row of results is computed from: the rows of the input under the
/// kernel.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) values: &'a [f32],
    /// Where the first row of the first channel begins.
    pub(super) at: usize,
    pub(super) channels: usize,
    /// Numbers from a channel to the next.
    pub(super) channel: usize,
    /// Numbers from a row to the next.
    pub(super) row: usize,
    /// Numbers from a pixel to the next.
    pub(super) pixel: usize,
    /// Side of the kernel.
    pub(super) kernel: usize,
    /// The first row of the kernel that lies over the input, and the first that
    /// does no longer.
    pub(super) rows: [usize; 2],
}

/// Where the results go.
pub(super) struct Results<'a> {
    pub(super) values: &'a mut [f32],
    /// The row of the first channel.
    pub(super) at: usize,
    pub(super) channels: usize,
    /// Numbers from a channel to the next.
    pub(super) channel: usize,
    /// Numbers in the row; up to a vector more is written.
    pub(super) run: usize,
}

/// Computes one row for all channels of `results`. `packed` are weights from
/// [`pack`] or [`pack_turned`], `bias` one number per channel, if there is one.
///
/// # Safety
/// Rows have room for a vector beyond their end.
#[inline(always)]
pub(super) unsafe fn row<L: Lanes>(
    window: Window<'_>,
    packed: &[f32],
    bias: Option<&[f32]>,
    results: &mut Results<'_>,
) {
    let taps = window.channels * window.kernel * window.kernel;
    let vectors = results.run.div_ceil(L::WIDTH);
    let (height, width) = (even(results.channels, L::TILE), even(vectors, 3));
    let mut first = 0;
    while first < results.channels {
        let rows = height.min(results.channels - first);
        let mut v = 0;
        while v < vectors {
            let columns = width.min(vectors - v);
            let tile = Tile { first, weights: first * taps, offset: v * L::WIDTH };
            macro_rules! one_of {
                ($($rows:literal)*) => {
                    match (rows, columns) {
                        $(
                            ($rows, 1) => tile.compute::<L, $rows, 1>(window, packed, bias, results),
                            ($rows, 2) => tile.compute::<L, $rows, 2>(window, packed, bias, results),
                            ($rows, 3) => tile.compute::<L, $rows, 3>(window, packed, bias, results),
                        )*
                        _ => unreachable!("a tile is at most {} x 3", L::TILE),
                    }
                };
            }
            if L::TILE == 8 {
                one_of!(1 2 3 4 5 6 7 8);
            } else {
                one_of!(1 2 3 4);
            }
            v += columns;
        }
        first += rows;
    }
}

/// The size of the parts if `n` is cut into as few parts of at most `most` as can
/// be, as evenly as can be.
#[inline(always)]
pub(super) fn even(n: usize, most: usize) -> usize {
    n.div_ceil(n.div_ceil(most))
}

struct Tile {
    /// The first output channel.
    first: usize,
    /// Where its packed weights begin.
    weights: usize,
    /// The first number of the row.
    offset: usize,
}

impl Tile {
    #[inline(always)]
    unsafe fn compute<L: Lanes, const ROWS: usize, const COLUMNS: usize>(
        &self,
        window: Window<'_>,
        packed: &[f32],
        bias: Option<&[f32]>,
        results: &mut Results<'_>,
    ) {
        let mut sums = [[L::splat(0.0); COLUMNS]; ROWS];
        if let Some(bias) = bias {
            for (o, sums) in sums.iter_mut().enumerate() {
                *sums = [L::splat(get(bias, self.first + o)); COLUMNS];
            }
        }
        let kernel = window.kernel;
        let [from, to] = window.rows;
        for c in 0..window.channels {
            let mut weight = self.weights + (c * kernel + from) * kernel * ROWS;
            let mut at = window.at + c * window.channel + self.offset;
            for _ in from..to {
                let mut tap = at;
                for _ in 0..kernel {
                    let mut x = [L::splat(0.0); COLUMNS];
                    for (j, x) in x.iter_mut().enumerate() {
                        *x = L::load(window.values, tap + j * L::WIDTH);
                    }
                    for (o, sums) in sums.iter_mut().enumerate() {
                        let w = L::splat(get(packed, weight + o));
                        for (sum, x) in sums.iter_mut().zip(x) {
                            *sum = L::fma(w, x, *sum);
                        }
                    }
                    weight += ROWS;
                    tap += window.pixel;
                }
                at += window.row;
            }
        }
        for (o, sums) in sums.into_iter().enumerate() {
            let at = results.at + (self.first + o) * results.channel + self.offset;
            for (j, sum) in sums.into_iter().enumerate() {
                L::store(results.values, at + j * L::WIDTH, sum);
            }
        }
    }
}

/// Lays out `weights` `[out, taps]` so that those of a tile's channels lie side
/// by side, tap by tap.
#[inline(always)]
pub(super) unsafe fn pack<L: Lanes>(weights: &[f32], out: usize, taps: usize, packed: &mut [f32]) {
    let height = even(out, L::TILE);
    let mut first = 0;
    while first < out {
        let rows = height.min(out - first);
        for o in 0..rows {
            for tap in 0..taps {
                put(packed, first * taps + tap * rows + o, get(weights, (first + o) * taps + tap));
            }
        }
        first += rows;
    }
}

/// The same for the way back: `weights` `[out, input, area]` with the roles of
/// channels swapped and each kernel turned round.
#[inline(always)]
pub(super) unsafe fn pack_turned<L: Lanes>(
    weights: &[f32],
    [out, input, area]: [usize; 3],
    packed: &mut [f32],
) {
    let height = even(input, L::TILE);
    let mut first = 0;
    while first < input {
        let rows = height.min(input - first);
        for o in 0..out {
            for tap in 0..area {
                for c in 0..rows {
                    let to = first * out * area + (o * area + tap) * rows + c;
                    let from = (o * input + first + c) * area + area - 1 - tap;
                    put(packed, to, get(weights, from));
                }
            }
        }
        first += rows;
    }
}
