//! Images from their own order into that of a batch.

use super::lanes::{Lanes, check, get, put};
use super::plan::Grid;

/// Copies images of `source` (`[N, C, H, W]`) into the rows of `grid`, side by
/// side: image `k` of the batch is that at `indices[k]`. Places of images beyond
/// the indices keep what they had.
///
/// # Safety
/// Every index is that of an image of `source`, and there are no more than the
/// grid has places.
#[inline(always)]
pub(super) unsafe fn images<L: Lanes>(
    source: &[f32],
    indices: &[u32],
    grid: &Grid,
    out: &mut [f32],
) {
    let (size, width) = (grid.image(), grid.width);
    for (group, indices) in indices.chunks(L::WIDTH).enumerate() {
        for row in 0..grid.channels * grid.height {
            let to = row * grid.pitch() + group * L::WIDTH;
            if width < L::WIDTH {
                for (k, index) in indices.iter().enumerate() {
                    let from = *index as usize * size + row * width;
                    for x in 0..width {
                        put(out, to + x * grid.batch + k, get(source, from + x));
                    }
                }
                continue;
            }
            let mut x = 0;
            loop {
                let mut rows: [&[f32]; 16] = [&[]; 16];
                for (row_of_image, index) in rows.iter_mut().zip(indices) {
                    let from = *index as usize * size + row * width + x;
                    check(source, from, L::WIDTH);
                    *row_of_image = source.get_unchecked(from..from + L::WIDTH);
                }
                let to = to + x * grid.batch;
                check(out, to, 0);
                let out = out.get_unchecked_mut(to..);
                L::interleave(&rows[..indices.len()], out, grid.batch);
                if x + L::WIDTH >= width {
                    break;
                }
                // The last vector ends with the row, over what is there already.
                x = (x + L::WIDTH).min(width - L::WIDTH);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::kernel::isa::{Isa, Kernel};

    /// Two images of `width` x 1 pixels from a source that has one.
    struct OneTooMany {
        width: usize,
    }

    impl Kernel for OneTooMany {
        type Output = ();

        #[inline(always)]
        unsafe fn run<L: Lanes>(self) {
            let grid = Grid { channels: 1, height: 1, width: self.width, batch: 2 };
            images::<L>(&vec![0.0; self.width], &[0, 1], &grid, &mut vec![0.0; grid.len()]);
        }
    }

    /// Narrower and wider than a vector: what a test build asserts holds here too, where
    /// positions come from data.
    #[test]
    fn an_image_that_is_not_there_is_noticed() {
        for isa in Isa::available() {
            for width in [3, 20] {
                let run = || unsafe { isa.run(OneTooMany { width }) };
                assert!(std::panic::catch_unwind(run).is_err(), "{isa:?} {width}");
            }
        }
    }
}
