//! Which input position a window of a convolution sees where: the index tables
//! that patches are selected with.

/// In an index table: no position, so that a zero is selected. candle has this
/// meaning of the largest index on every device.
pub(super) const NOWHERE: u32 = u32::MAX;

/// A square window that slides over a plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Rows of the input.
    pub(super) height: usize,
    /// Columns of the input.
    pub(super) width: usize,
    /// Side of the window.
    pub(super) kernel: usize,
}

impl Window {
    /// Rows and columns of the output.
    pub(super) fn out(&self) -> (usize, usize) {
        (self.height + 1 - self.kernel, self.width + 1 - self.kernel)
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
    /// input position seen there.
    pub(super) fn seen(&self) -> Vec<u32> {
        let (height, width) = self.out();
        let at = |y: usize, x: usize| (y * self.width + x) as u32;
        let mut table = Vec::with_capacity(self.kernel * self.kernel * height * width);
        for (ky, kx) in places(self.kernel, self.kernel) {
            table.extend(places(height, width).map(|(y, x)| at(y + ky, x + kx)));
        }
        table
    }

    /// For each place in the window and each input position, in this order, the
    /// output position that sees it there, or [`NOWHERE`].
    pub(super) fn seen_by(&self) -> Vec<u32> {
        let (height, width) = self.out();
        let size = self.kernel * self.kernel * self.positions();
        let mut table = Vec::with_capacity(size);
        for (ky, kx) in places(self.kernel, self.kernel) {
            table.extend(places(self.height, self.width).map(|(y, x)| {
                match (y.checked_sub(ky), x.checked_sub(kx)) {
                    (Some(y), Some(x)) if y < height && x < width => (y * width + x) as u32,
                    _ => NOWHERE,
                }
            }));
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
        let window = Window { height: 2, width: 3, kernel: 2 };
        assert_eq!(window.out(), (1, 2));
        assert_eq!(window.seen(), [0, 1, 1, 2, 3, 4, 4, 5]);
        let no = NOWHERE;
        let seen_by = window.seen_by();
        assert_eq!(seen_by[..6], [0, 1, no, no, no, no]);
        assert_eq!(seen_by[6..12], [no, 0, 1, no, no, no]);
        assert_eq!(seen_by[18..], [no, no, no, no, 0, 1]);
    }
}
