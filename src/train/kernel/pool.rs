//! The maximum of 2 x 2 values, and its gradient, with PyTorch's rules: the first
//! of equal values wins, NaN wins over numbers.

use super::lanes::{Lanes, WIDEST};
use super::plan::Block;

/// Pools two rows of every channel into row `y` of `output`. `rows` holds them
/// channel by channel, `pitch` numbers each. If `TRAIN`, `winners` notes which of
/// the four won: 0 and 1 above, 2 and 3 below.
#[inline(always)]
pub(super) unsafe fn forward<L: Lanes, const TRAIN: bool>(
    block: &Block,
    y: usize,
    rows: &[f32],
    output: &mut [f32],
    winners: &mut [f32],
) {
    let (grid, pitch, batch) = (&block.output, block.conv.pitch(), block.output.batch);
    for c in 0..grid.channels {
        let (upper, lower) = (2 * c * pitch, (2 * c + 1) * pitch);
        for x in 0..grid.width {
            let to = grid.row(c, y) + x * batch;
            for i in (0..batch).step_by(L::WIDTH) {
                let left = 2 * x * batch + i;
                let right = left + batch;
                let (above, which) = later_if_larger::<L>(
                    (L::load(rows, upper + left), 0.0),
                    (L::load(rows, upper + right), 1.0),
                );
                let (below, which_below) = later_if_larger::<L>(
                    (L::load(rows, lower + left), 2.0),
                    (L::load(rows, lower + right), 3.0),
                );
                let larger = larger::<L>(below, above);
                L::store(output, to + i, L::select(larger, below, above));
                if TRAIN {
                    L::store(winners, to + i, L::select(larger, which_below, which));
                }
            }
        }
    }
}

/// The larger value and its place.
#[inline(always)]
unsafe fn later_if_larger<L: Lanes>(
    (first, first_place): (L::V, f32),
    (later, later_place): (L::V, f32),
) -> (L::V, L::V) {
    let larger = larger::<L>(later, first);
    let place = L::select(larger, L::splat(later_place), L::splat(first_place));
    (L::select(larger, later, first), place)
}

/// Where `later` takes the place of `first`.
#[inline(always)]
unsafe fn larger<L: Lanes>(later: L::V, first: L::V) -> L::Mask {
    L::or(L::greater(later, first), L::is_nan(later))
}

/// Writes the gradient of row `y` of the pooled values to the two rows it came
/// from, with zeros where a value did not win and behind the row. `to` is where
/// these rows begin in `out`, for the first channel; `channel` and `pitch` are
/// numbers from a channel and from a row to the next.
#[inline(always)]
pub(super) unsafe fn backward<L: Lanes>(
    block: &Block,
    y: usize,
    (gradient, winners): (&[f32], &[f32]),
    out: &mut [f32],
    to: usize,
    [channel, pitch]: [usize; 2],
) {
    let (grid, batch) = (&block.output, block.output.batch);
    for c in 0..grid.channels {
        let from = grid.row(c, y);
        let upper = to + c * channel;
        let lower = upper + pitch;
        for x in 0..grid.width {
            // A vector may reach into the next pixel, so left comes before right.
            for (side, codes) in [[0.0, 2.0], [1.0, 3.0]].into_iter().enumerate() {
                for i in (0..batch).step_by(L::WIDTH) {
                    let g = L::load(gradient, from + x * batch + i);
                    let winner = L::load(winners, from + x * batch + i);
                    let at = (2 * x + side) * batch + i;
                    let [above, below] = codes;
                    L::store(out, upper + at, won::<L>(winner, above, g));
                    L::store(out, lower + at, won::<L>(winner, below, g));
                }
            }
        }
        clear::<L>(out, upper + 2 * grid.width * batch);
        clear::<L>(out, lower + 2 * grid.width * batch);
    }
}

/// `g` where `winner` is `code`, otherwise zero.
#[inline(always)]
unsafe fn won<L: Lanes>(winner: L::V, code: f32, g: L::V) -> L::V {
    L::select(L::equal(winner, L::splat(code)), g, L::splat(0.0))
}

/// Zeros over whatever a last vector left behind the end of a row.
#[inline(always)]
pub(super) unsafe fn clear<L: Lanes>(values: &mut [f32], at: usize) {
    for i in (0..WIDEST).step_by(L::WIDTH) {
        L::store(values, at + i, L::splat(0.0));
    }
}
