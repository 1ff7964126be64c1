//! The patches of images that a convolution looks at (im2col), a few channels of
//! a few images at a time, so that they stay in the cache.

use std::ops::Range;

use super::element::Element;
use super::tile::WIDTH;

/// What each position of a regular grid sees of a tensor of images `[C, N, H,
/// W]`: the pixel it stands on and some around it, zero outside the image.
#[derive(Debug, Clone)]
pub(super) struct Patches {
    pub(super) channels: usize,
    pub(super) images: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Rows and columns of positions per image.
    pub(super) grid: [usize; 2],
    /// Pixels from one position to the next; the first one stands on (0, 0).
    pub(super) step: usize,
    /// Where the pixels that a position sees are, seen from its own: rows, columns.
    pub(super) taps: Vec<[isize; 2]>,
}

impl Patches {
    /// Positions per image.
    pub(super) fn positions(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// How many neighbouring positions lie in one row of every image: what may be
    /// copied at once.
    fn run(&self) -> usize {
        let fits = |run: &usize| self.grid[1].is_multiple_of(*run);
        [WIDTH, 8, 4, 2].into_iter().find(fits).unwrap_or(1)
    }

    /// Zeros before the first row or column of an image.
    fn before(&self, axis: usize) -> usize {
        self.taps.iter().map(|tap| tap[axis].min(0).unsigned_abs()).max().unwrap_or(0)
    }

    /// Height of an image framed by the zeros that positions see, and its width
    /// divided by the step.
    fn frame(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let last = (self.grid[axis].max(1) - 1) * self.step;
            let beyond = self.taps.iter().map(|tap| tap[axis].max(0).unsigned_abs()).max();
            let side = [self.height, self.width][axis].max(last + beyond.unwrap_or(0) + 1);
            (self.before(axis) + side).div_ceil([1, self.step][axis])
        })
    }

    /// A place for framed copies of `channels` channels of `images` images.
    pub(super) fn frames<T: Element>(&self, channels: usize, images: usize) -> Frames<'_, T> {
        let [height, columns] = self.frame();
        let width = columns * self.step;
        let run = self.run();
        let positions = (0..images * self.positions()).step_by(run);
        let starts = positions.map(|position| {
            let (image, rest) = (position / self.positions(), position % self.positions());
            let (row, column) = (rest / self.grid[1], rest % self.grid[1]);
            (image * height + row * self.step) * width + column
        });
        let tap = |tap: &[isize; 2]| {
            let [row, column] =
                [0, 1].map(|axis| self.before(axis).saturating_add_signed(tap[axis]));
            row * width + column % self.step * columns + column / self.step
        };
        Frames {
            patches: self,
            values: vec![T::zero(); channels * images * height * width],
            plane: images * height * width,
            run,
            starts: starts.collect(),
            taps: self.taps.iter().map(tap).collect(),
        }
    }
}

/// Copies of some channels of some images, framed by zeros: `[C, N, H, step, W /
/// step]`. What neighbouring positions see lies side by side.
pub(super) struct Frames<'a, T> {
    patches: &'a Patches,
    values: Vec<T>,
    /// Values of one channel.
    plane: usize,
    run: usize,
    /// Where every [`Self::run`]th position stands in a channel.
    starts: Vec<usize>,
    /// Where a tap is, seen from a position's start.
    taps: Vec<usize>,
}

impl<T: Element> Frames<'_, T> {
    /// Copies `channels` of `images` of `x`; not more than there is place for.
    pub(super) fn fill(&mut self, x: &[T], channels: Range<usize>, images: Range<usize>) {
        let Patches { height, width, step, .. } = *self.patches;
        let [frame_height, columns] = self.patches.frame();
        let [above, left] = [0, 1].map(|axis| self.patches.before(axis));
        // For each rest of a column, its first pixel and where that goes.
        let rests = (0..step).map(|rest| {
            let first = (rest + step - left % step) % step;
            (first.min(width), rest * columns + (left + first) / step)
        });
        let rests: Vec<_> = rests.collect();
        let planes = self.values.chunks_exact_mut(self.plane);
        for (channel, plane) in channels.zip(planes) {
            let frames = plane.chunks_exact_mut(frame_height * columns * step);
            for (image, frame) in images.clone().zip(frames) {
                let start = (channel * self.patches.images + image) * height * width;
                let rows = x[start..start + height * width].chunks_exact(width);
                for (row, framed) in rows.zip(frame.chunks_exact_mut(columns * step).skip(above)) {
                    for (first, place) in &rests {
                        copy_every(step, &row[*first..], &mut framed[*place..]);
                    }
                }
            }
        }
    }

    /// The patches of `positions`, counted from the first image, in `channels`,
    /// counted from the first one: a row of `out` for each channel and tap. Rows lie
    /// `stride` apart; the rest stays as it is.
    pub(super) fn copy(
        &self,
        channels: Range<usize>,
        positions: Range<usize>,
        out: &mut [T],
        stride: usize,
    ) {
        let planes = &self.values[channels.start * self.plane..channels.end * self.plane];
        match self.run {
            WIDTH => self.copy_runs::<WIDTH>(planes, positions, out, stride),
            8 => self.copy_runs::<8>(planes, positions, out, stride),
            4 => self.copy_runs::<4>(planes, positions, out, stride),
            2 => self.copy_runs::<2>(planes, positions, out, stride),
            _ => self.copy_runs::<1>(planes, positions, out, stride),
        }
    }

    fn copy_runs<const RUN: usize>(
        &self,
        planes: &[T],
        positions: Range<usize>,
        out: &mut [T],
        stride: usize,
    ) {
        let starts = &self.starts[positions.start / RUN..positions.end / RUN];
        let planes = planes.chunks_exact(self.plane);
        let seen = planes.flat_map(|plane| self.taps.iter().map(move |tap| &plane[*tap..]));
        if let ([start], true) = (starts, stride == RUN) {
            // A single run per row: the compiler makes two instructions of it.
            for (seen, row) in seen.zip(out.as_chunks_mut::<RUN>().0) {
                row.copy_from_slice(&seen[*start..][..RUN]);
            }
            return;
        }
        for (seen, row) in seen.zip(out.chunks_mut(stride)) {
            for (run, start) in row.as_chunks_mut::<RUN>().0.iter_mut().zip(starts) {
                run.copy_from_slice(&seen[*start..][..RUN]);
            }
        }
    }
}

/// Copies every `step`-th value of `from`, the first one included.
fn copy_every<T: Copy>(step: usize, from: &[T], to: &mut [T]) {
    match step {
        1 => to[..from.len()].copy_from_slice(from),
        2 => {
            // As many at a time as the compiler makes vector instructions of.
            let (blocks, rest) = from.as_chunks::<8>();
            let (to, last) = to.split_at_mut(blocks.len() * 4);
            for (to, [a, _, b, _, c, _, d, _]) in to.as_chunks_mut::<4>().0.iter_mut().zip(blocks) {
                *to = [*a, *b, *c, *d];
            }
            last.iter_mut().zip(rest.iter().step_by(2)).for_each(|(to, value)| *to = *value);
        }
        _ => to.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, value)| *to = *value),
    }
}

/// `0..count` in ranges of `size`, the last one possibly smaller.
pub(super) fn blocks(count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(size.max(1)).map(move |start| start..count.min(start + size))
}
