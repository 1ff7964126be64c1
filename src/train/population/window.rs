//! Which input position a window of a convolution sees where: the index tables
//! that patches are selected with.

/// In an index table: no position, so that a zero is selected. candle has this
/// meaning of the largest index on every device.
pub(super) const NOWHERE: u32 = u32::MAX;

/// A square window that slides over a plane framed by zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Rows of the input.
    pub(super) height: usize,
    /// Columns of the input.
    pub(super) width: usize,
    /// Side of the window.
    pub(super) kernel: usize,
    /// From one position of the window to the next.
    pub(super) stride: usize,
    /// Width of the frame.
    pub(super) padding: usize,
}

impl Window {
    /// Rows and columns of the output.
    pub(super) fn out(&self) -> (usize, usize) {
        let out = |side: usize| (side + 2 * self.padding - self.kernel) / self.stride + 1;
        (out(self.height), out(self.width))
    }

    /// Positions of the input.
    pub(super) fn positions(&self) -> usize {
        self.height * self.width
    }

    /// Positions of the output.
    pub(super) fn out_positions(&self) -> usize {
        let (height, width) = self.out();
        height * width
    }

    /// For each place in the window and each output position, in this order, the
    /// input position seen there, or [`NOWHERE`] in the frame.
    pub(super) fn seen(&self) -> Vec<u32> {
        let (height, width) = self.out();
        let at = |out: usize, place: usize, side: usize| {
            (out * self.stride + place).checked_sub(self.padding).filter(|at| *at < side)
        };
        self.table(height, width, |(ky, kx), (y, x)| {
            let (y, x) = (at(y, ky, self.height)?, at(x, kx, self.width)?);
            Some(y * self.width + x)
        })
    }

    /// For each place in the window and each input position, in this order, the
    /// output position that sees it there, or [`NOWHERE`].
    pub(super) fn seen_by(&self) -> Vec<u32> {
        let (height, width) = self.out();
        let at = |input: usize, place: usize, side: usize| {
            let steps = (input + self.padding).checked_sub(place)?;
            let out = steps / self.stride;
            (steps.is_multiple_of(self.stride) && out < side).then_some(out)
        };
        self.table(self.height, self.width, |(ky, kx), (y, x)| {
            let (y, x) = (at(y, ky, height)?, at(x, kx, width)?);
            Some(y * width + x)
        })
    }

    /// What `entry` says of each place in the window and each position of a plane.
    fn table(
        &self,
        height: usize,
        width: usize,
        entry: impl Fn((usize, usize), (usize, usize)) -> Option<usize>,
    ) -> Vec<u32> {
        let mut table = Vec::with_capacity(self.kernel * self.kernel * height * width);
        for place in places(self.kernel, self.kernel) {
            let entries = places(height, width).map(|position| entry(place, position));
            table.extend(entries.map(|entry| entry.map_or(NOWHERE, |at| at as u32)));
        }
        table
    }
}

/// Rows and columns of a plane, row by row.
pub(super) fn places(height: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_two_on_a_plane_of_two_by_three() {
        let window = Window { height: 2, width: 3, kernel: 2, stride: 1, padding: 0 };
        assert_eq!(window.out(), (1, 2));
        assert_eq!(window.seen(), [0, 1, 1, 2, 3, 4, 4, 5]);
        let no = NOWHERE;
        let seen_by = window.seen_by();
        assert_eq!(seen_by[..6], [0, 1, no, no, no, no]);
        assert_eq!(seen_by[6..12], [no, 0, 1, no, no, no]);
        assert_eq!(seen_by[18..], [no, no, no, no, 0, 1]);
    }

    #[test]
    fn a_window_of_three_skips_over_a_framed_plane_of_three_by_three() {
        let window = Window { height: 3, width: 3, kernel: 3, stride: 2, padding: 1 };
        assert_eq!(window.out(), (2, 2));
        let (no, seen, seen_by) = (NOWHERE, window.seen(), window.seen_by());
        assert_eq!(seen[..4], [no, no, no, 4]);
        assert_eq!(seen[16..20], [0, 2, 6, 8]);
        assert_eq!(seen_by[..9], [no, no, no, no, 3, no, no, no, no]);
        assert_eq!(seen_by[36..45], [0, no, 1, no, no, no, 2, no, 3]);
    }
}
