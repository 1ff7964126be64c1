//! Vectors of one length, side by side in the lanes of vector registers, sorted
//! by the comparisons of one network.
//!
//! The network is Batcher's odd-even merge sort (Knuth, *The Art of Computer
//! Programming* 3, 5.2.2 and 5.3.4), whose comparisons do not depend on the
//! values: what moves in one lane moves in none other. Values behind the end of a
//! vector count as the largest, so that the comparisons with them are left out.

use pulp::{Arch, Simd, WithSimd};

/// Vectors that are sorted together: the lanes of the widest register that
/// `pulp` is compiled for.
pub(super) const LANES: usize = 8;

/// One value of each vector.
type Row = [f32; LANES];

/// Values that the first step of the sort holds in registers.
const BLOCK: usize = 8;

/// Sorts vectors side by side, in memory that serves one sort after the other.
#[derive(Debug, Default)]
pub(super) struct Sorter {
    values: Vec<f32>,
}

impl Sorter {
    /// Vectors of equal length, sorted: row by row the smallest value of each, the
    /// second smallest, and so on. There is no NaN.
    pub(super) fn sort(&mut self, vectors: [&[f32]; LANES]) -> &[Row] {
        let length = vectors[0].len();
        self.values.resize((length + 1) * LANES, 0.0);
        // No row shall lie in two cache lines.
        let start = self.values.as_ptr().align_offset(size_of::<Row>()).min(LANES);
        let (rows, _) = self.values[start..].as_chunks_mut();
        let rows = &mut rows[..length];
        Arch::new().dispatch(Sort { vectors, rows: &mut *rows });
        rows
    }
}

struct Sort<'a> {
    vectors: [&'a [f32]; LANES],
    rows: &'a mut [Row],
}

impl WithSimd for Sort<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        transpose(self.vectors, self.rows);
        let (registers, _) = S::as_mut_simd_f32s(self.rows.as_flattened_mut());
        // A register holds a power of two of values; others do not occur.
        match LANES / S::F32_LANES {
            1 => Network::<S, 1> { simd }.sort(registers.as_chunks_mut().0),
            2 => Network::<S, 2> { simd }.sort(registers.as_chunks_mut().0),
            4 => Network::<S, 4> { simd }.sort(registers.as_chunks_mut().0),
            _ => Network::<S, LANES> { simd }.sort(registers.as_chunks_mut().0),
        }
    }
}

/// Squares of eight by eight values become shuffles of registers.
#[inline(always)]
fn transpose(vectors: [&[f32]; LANES], rows: &mut [Row]) {
    let length = rows.len();
    let (squares, rest) = rows.as_chunks_mut::<LANES>();
    let columns: [(&[Row], &[f32]); LANES] =
        std::array::from_fn(|lane| vectors[lane][..length].as_chunks());
    for (at, square) in squares.iter_mut().enumerate() {
        let columns: [Row; LANES] = std::array::from_fn(|lane| columns[lane].0[at]);
        *square = std::array::from_fn(|row| std::array::from_fn(|lane| columns[lane][row]));
    }
    for (at, row) in rest.iter_mut().enumerate() {
        *row = std::array::from_fn(|lane| columns[lane].1[at]);
    }
}

/// A network over rows of `R` registers.
#[derive(Clone, Copy)]
struct Network<S, const R: usize> {
    simd: S,
}

impl<S: Simd, const R: usize> Network<S, R> {
    #[inline(always)]
    fn sort(self, rows: &mut [[S::f32s; R]]) {
        let (blocks, rest) = rows.as_chunks_mut();
        for block in blocks {
            self.block(block);
        }
        self.merge_all(rest, 1);
        self.merge_all(rows, BLOCK);
    }

    /// Sorts one block in registers, by the same network.
    #[inline(always)]
    fn block(self, rows: &mut [[S::f32s; R]; BLOCK]) {
        for register in 0..R {
            let mut values = [rows[0][register]; BLOCK];
            for (value, row) in values.iter_mut().zip(&*rows) {
                *value = row[register];
            }
            self.compare(&mut values, [(0, 1), (2, 3), (4, 5), (6, 7)]);
            self.compare(&mut values, [(0, 2), (1, 3), (4, 6), (5, 7)]);
            self.compare(&mut values, [(1, 2), (5, 6)]);
            self.compare(&mut values, [(0, 4), (1, 5), (2, 6), (3, 7)]);
            self.compare(&mut values, [(2, 4), (3, 5)]);
            self.compare(&mut values, [(1, 2), (3, 4), (5, 6)]);
            for (row, value) in rows.iter_mut().zip(values) {
                row[register] = value;
            }
        }
    }

    #[inline(always)]
    fn compare<const N: usize>(self, values: &mut [S::f32s; BLOCK], pairs: [(usize, usize); N]) {
        for (low, high) in pairs {
            let (a, b) = (values[low], values[high]);
            values[low] = self.simd.min_f32s(a, b);
            values[high] = self.simd.max_f32s(a, b);
        }
    }

    /// Sorts rows whose runs of `run` rows are sorted.
    #[inline(always)]
    fn merge_all(self, rows: &mut [[S::f32s; R]], mut run: usize) {
        while run < rows.len() {
            for pair in rows.chunks_mut(2 * run) {
                self.merge(pair, run);
            }
            run *= 2;
        }
    }

    /// Merges two runs, the first of `run` rows: compares rows `run` apart, then
    /// those half as far apart except in the first and the last half, and so on
    /// to neighbours. Two distances are done for one pass over memory.
    #[inline(always)]
    fn merge(self, rows: &mut [[S::f32s; R]], run: usize) {
        if rows.len() <= run {
            return;
        }
        let even = run.trailing_zeros() % 2 == 1;
        let mut distance = if even {
            self.first_two(rows, run / 2);
            run / 4
        } else {
            self.first(rows, run);
            run / 2
        };
        while distance > 0 {
            self.next_two(rows, distance / 2);
            distance /= 4;
        }
    }

    /// Compares rows `run` apart.
    #[inline(always)]
    fn first(self, rows: &mut [[S::f32s; R]], run: usize) {
        let (left, right) = rows.split_at_mut(run);
        for (low, high) in left.iter_mut().zip(right) {
            [*low, *high] = self.ordered(*low, *high);
        }
    }

    /// Compares rows `2 half` apart, then the second half with the third.
    #[inline(always)]
    fn first_two(self, rows: &mut [[S::f32s; R]], half: usize) {
        for a in 0..half.min(rows.len() - 2 * half) {
            let [b, c, d] = [a + half, a + 2 * half, a + 3 * half];
            let [first, third] = self.ordered(rows[a], rows[c]);
            let mut second = rows[b];
            if d < rows.len() {
                [second, rows[d]] = self.ordered(second, rows[d]);
            }
            rows[a] = first;
            [rows[b], rows[c]] = self.ordered(second, third);
        }
    }

    /// Compares rows `2 half` apart, in halves 2 and 4, 3 and 5, 6 and 8, 7 and 9
    /// …, then rows `half` apart, in halves 1 and 2, 3 and 4, 5 and 6 …
    #[inline(always)]
    fn next_two(self, rows: &mut [[S::f32s; R]], half: usize) {
        let length = rows.len();
        for first in half..length.min(2 * half) {
            let mut a = first;
            let mut carried = rows[a];
            while a + 4 * half < length {
                let [b, c, d, e] = [a + half, a + 2 * half, a + 3 * half, a + 4 * half];
                let [second, fourth] = self.ordered(rows[b], rows[d]);
                let [third, fifth] = self.ordered(rows[c], rows[e]);
                [rows[a], rows[b]] = self.ordered(carried, second);
                [rows[c], rows[d]] = self.ordered(third, fourth);
                (a, carried) = (e, fifth);
            }
            let [b, c, d] = [a + half, a + 2 * half, a + 3 * half];
            if b < length {
                let mut second = rows[b];
                if d < length {
                    let fourth;
                    [second, fourth] = self.ordered(second, rows[d]);
                    [rows[c], rows[d]] = self.ordered(rows[c], fourth);
                }
                [carried, rows[b]] = self.ordered(carried, second);
            }
            rows[a] = carried;
        }
    }

    /// The smaller and the larger value of each lane.
    #[inline(always)]
    fn ordered(self, a: [S::f32s; R], b: [S::f32s; R]) -> [[S::f32s; R]; 2] {
        let (mut low, mut high) = (a, b);
        for register in 0..R {
            low[register] = self.simd.min_f32s(a[register], b[register]);
            high[register] = self.simd.max_f32s(a[register], b[register]);
        }
        [low, high]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A network that sorts all zeros and ones sorts everything (Knuth's
    /// zero-one principle): every one for short vectors, eight at a time.
    #[test]
    fn all_zeros_and_ones_are_sorted() {
        let mut sorter = Sorter::default();
        for length in 0..=16 {
            for first in (0_u32..1 << length).step_by(LANES) {
                let vectors: [Vec<f32>; LANES] = std::array::from_fn(|lane| {
                    let bits = first + lane as u32;
                    (0..length).map(|at| (bits >> at & 1) as f32).collect()
                });
                let rows = sorter.sort(std::array::from_fn(|lane| vectors[lane].as_slice()));
                for (lane, mut vector) in vectors.into_iter().enumerate() {
                    vector.sort_by(f32::total_cmp);
                    let sorted: Vec<f32> = rows.iter().map(|row| row[lane]).collect();
                    assert_eq!(sorted, vector);
                }
            }
        }
    }
}
