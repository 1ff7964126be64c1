//! Vectors of one length, side by side in the lanes of vector registers, sorted
//! by the comparisons of one network.
//!
//! The network is Batcher's bitonic sort (Knuth, *The Art of Computer Programming* 3, 5.3.4)
//! in the form in which a comparison always leaves the smaller value in front. Which values
//! are compared does not depend on them: what moves in one lane moves in none other. Values
//! behind the end of a vector count as the largest, so that the comparisons with them are
//! left out. The odd-even merge sort has 10 to 14 % fewer comparisons, but does not fall into
//! independent parts, which stay in registers and in the first-level cache, and are left out
//! where nobody asks for a value of theirs.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::lanes::side_by_side;

/// Vectors that are sorted together: the lanes of the widest register there is.
pub(super) const LANES: usize = 16;

/// Half of the rows that are held in registers at a time.
const HALF: usize = 8;

/// How far apart those eight rows lie that one pass over memory compares. What the last pass
/// leaves is sorted in registers.
const STRIDES: [usize; 3] = [128 * HALF, 16 * HALF, 2 * HALF];

/// Values of the longest vectors that can be sorted: a pass takes eight strides, and the last
/// merge is of two runs.
pub(super) const LONGEST: usize = 2 * 8 * STRIDES[0];

/// Sorts vectors side by side, in memory that serves one sort after the other.
#[derive(Debug, Default)]
pub(super) struct Sorter {
    values: Vec<f32>,
}

impl Sorter {
    /// Sorts vectors, at least so far that the values at `places` are where they belong. All
    /// have the same length, from 1 to [`LONGEST`], and no NaN.
    pub(super) fn sort(&mut self, vectors: &[&[f32]], places: &[usize]) -> Sorted<'_> {
        self.sort_with(vectors, places, |sort| Arch::new().dispatch(sort))
    }

    fn sort_with(
        &mut self,
        vectors: &[&[f32]],
        places: &[usize],
        dispatch: impl FnOnce(Sort<'_>) -> usize,
    ) -> Sorted<'_> {
        let length = vectors[0].len();
        debug_assert!((1..=LONGEST).contains(&length));
        self.values.resize(vectors.len().next_multiple_of(LANES) * length + LANES, 0.0);
        // No register shall lie in two cache lines.
        let start = self.values.as_ptr().align_offset(size_of::<[f32; LANES]>()).min(LANES);
        let values = &mut self.values[start..];
        let lanes = dispatch(Sort { vectors, length, places, values });
        Sorted { values, count: vectors.len(), length, lanes }
    }
}

/// Vectors that have been sorted as far as was asked for.
#[derive(Debug)]
pub(super) struct Sorted<'a> {
    values: &'a [f32],
    count: usize,
    length: usize,
    lanes: usize,
}

impl Sorted<'_> {
    /// The values at one of the places, a vector after the other.
    pub(super) fn at(&self, place: usize) -> impl Iterator<Item = f32> {
        let groups = self.values.chunks_exact(self.length * self.lanes);
        let values = groups.flat_map(move |rows| &rows[place * self.lanes..][..self.lanes]);
        values.take(self.count).copied()
    }
}

struct Sort<'a> {
    vectors: &'a [&'a [f32]],
    length: usize,
    places: &'a [usize],
    values: &'a mut [f32],
}

impl WithSimd for Sort<'_> {
    /// How many vectors a register has lanes for.
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        // A register holds a power of two of values; others do not occur.
        match S::F32_LANES {
            1 => self.sort::<S, 1>(simd),
            4 => self.sort::<S, 4>(simd),
            8 => self.sort::<S, 8>(simd),
            _ => self.sort::<S, LANES>(simd),
        }
        S::F32_LANES
    }
}

impl Sort<'_> {
    #[inline(always)]
    fn sort<S: Simd, const L: usize>(self, simd: S) {
        let groups = self.values.chunks_exact_mut(self.length * L);
        for (vectors, values) in self.vectors.chunks(L).zip(groups) {
            side_by_side::<L>(vectors, values.as_chunks_mut().0);
            Network { simd }.sort(S::as_mut_simd_f32s(values).0, self.places);
        }
    }
}

/// A network over rows of a value of each vector.
#[derive(Clone, Copy)]
struct Network<S> {
    simd: S,
}

impl<S: Simd> Network<S> {
    /// Merges sorted runs as soon as there are two, while they are in the cache. The last merge
    /// leaves parts without a place as they are.
    #[inline(always)]
    fn sort(self, rows: &mut [S::f32s], places: &[usize]) {
        let length = rows.len();
        let mut end = 0;
        while end < length {
            let start = end;
            end = length.min(start + 2 * HALF);
            self.in_registers(
                &mut rows[start..end],
                #[inline(always)]
                |left, right| self.sort_halves(left, right),
            );
            let mut run = 2 * HALF;
            while run < length && (end % (2 * run) == 0 || end == length) {
                let start = (end - 1) / (2 * run) * (2 * run);
                let places = (2 * run >= length).then_some(places);
                self.merge(&mut rows[start..end], run, places);
                run *= 2;
            }
        }
    }

    /// Merges two runs, the first of `run` rows: compares the last row of the first run with
    /// the first of the second, and so on outwards. Then nothing in the first `run` rows is
    /// larger than anything behind them, and both parts are bitonic.
    #[inline(always)]
    fn merge(self, rows: &mut [S::f32s], run: usize, places: Option<&[usize]>) {
        if rows.len() > run {
            let (left, right) = rows.split_at_mut(run);
            self.compare_mirrored(left, right);
            for (first, rows) in parts(rows, 0, run, places) {
                self.sort_bitonic(rows, first, places);
            }
        }
    }

    /// Sorts bitonic rows, of which the first is row `first`.
    #[inline(always)]
    fn sort_bitonic(self, rows: &mut [S::f32s], first: usize, places: Option<&[usize]>) {
        let [far, middle, near] = STRIDES;
        self.pass(rows, far);
        for (first, rows) in parts(rows, first, far, places) {
            self.pass(rows, middle);
            for (first, rows) in parts(rows, first, middle, places) {
                self.pass(rows, near);
                for (_, rows) in parts(rows, first, near, places) {
                    self.in_registers(
                        rows,
                        #[inline(always)]
                        |left, right| self.sort_bitonic_halves(left, right),
                    );
                }
            }
        }
    }

    /// Compares rows four strides apart, then two, then one.
    #[inline(always)]
    fn pass(self, rows: &mut [S::f32s], stride: usize) {
        // Most often there is nothing to compare, which costs a tenth of a sort to find below.
        if rows.len() <= stride {
            return;
        }
        let (whole, rest) = (rows.len() / stride, rows.len() % stride);
        for (count, range) in [(whole + 1, 0..rest), (whole, rest..stride)] {
            match count {
                2 => self.columns::<2>(rows, stride, range),
                3 => self.columns::<3>(rows, stride, range),
                4 => self.columns::<4>(rows, stride, range),
                5 => self.columns::<5>(rows, stride, range),
                6 => self.columns::<6>(rows, stride, range),
                7 => self.columns::<7>(rows, stride, range),
                8 => self.columns::<8>(rows, stride, range),
                _ => {}
            }
        }
    }

    /// A pass over the `N` rows that start at each of a range.
    #[inline(always)]
    fn columns<const N: usize>(self, rows: &mut [S::f32s], stride: usize, range: Range<usize>) {
        let mut rows = rows.chunks_mut(stride);
        let mut columns: [&mut [S::f32s]; N] =
            std::array::from_fn(|_| &mut rows.next().unwrap_or_default()[range.clone()]);
        // All are equally long, which the compiler sees in this way.
        let length = columns.iter().map(|column| column.len()).min().unwrap_or(0);
        for at in 0..length {
            let mut values: [S::f32s; N] = std::array::from_fn(|row| columns[row][at]);
            self.sort_bitonic_values(&mut values);
            for (column, value) in columns.iter_mut().zip(values) {
                column[at] = value;
            }
        }
    }

    /// Does something with both halves of up to sixteen rows; behind the last are infinite
    /// ones.
    #[inline(always)]
    fn in_registers(
        self,
        rows: &mut [S::f32s],
        change: impl Fn(&mut [S::f32s; HALF], &mut [S::f32s; HALF]),
    ) {
        if let ([left, right], []) = rows.as_chunks_mut() {
            let mut values = (*left, *right);
            change(&mut values.0, &mut values.1);
            (*left, *right) = values;
        } else {
            let mut values = [[self.simd.splat_f32s(f32::INFINITY); HALF]; 2];
            values.as_flattened_mut()[..rows.len()].copy_from_slice(rows);
            let [left, right] = &mut values;
            change(left, right);
            rows.copy_from_slice(&values.as_flattened()[..rows.len()]);
        }
    }

    #[inline(always)]
    fn sort_halves(self, left: &mut [S::f32s; HALF], right: &mut [S::f32s; HALF]) {
        self.sort_values(left);
        self.sort_values(right);
        self.compare_mirrored(left, right);
        self.sort_bitonic_values(left);
        self.sort_bitonic_values(right);
    }

    #[inline(always)]
    fn sort_bitonic_halves(self, left: &mut [S::f32s; HALF], right: &mut [S::f32s; HALF]) {
        for (low, high) in left.iter_mut().zip(&mut *right) {
            [*low, *high] = self.ordered(*low, *high);
        }
        self.sort_bitonic_values(left);
        self.sort_bitonic_values(right);
    }

    /// The 19 comparisons that eight values need (Knuth, 5.3.4).
    #[inline(always)]
    fn sort_values(self, values: &mut [S::f32s; HALF]) {
        self.compare(values, [(0, 1), (2, 3), (4, 5), (6, 7)]);
        self.compare(values, [(0, 2), (1, 3), (4, 6), (5, 7)]);
        self.compare(values, [(1, 2), (5, 6)]);
        self.compare(values, [(0, 4), (1, 5), (2, 6), (3, 7)]);
        self.compare(values, [(2, 4), (3, 5)]);
        self.compare(values, [(1, 2), (3, 4), (5, 6)]);
    }

    /// Sorts the first of eight bitonic values.
    #[inline(always)]
    fn sort_bitonic_values<const N: usize>(self, values: &mut [S::f32s; N]) {
        self.compare(values, [(0, 4), (1, 5), (2, 6), (3, 7)]);
        self.compare(values, [(0, 2), (1, 3), (4, 6), (5, 7)]);
        self.compare(values, [(0, 1), (2, 3), (4, 5), (6, 7)]);
    }

    #[inline(always)]
    fn compare<const N: usize, const M: usize>(
        self,
        values: &mut [S::f32s; N],
        pairs: [(usize, usize); M],
    ) {
        for (low, high) in pairs {
            if high < N {
                [values[low], values[high]] = self.ordered(values[low], values[high]);
            }
        }
    }

    /// Compares rows that are equally far from where `left` ends and `right` begins.
    #[inline(always)]
    fn compare_mirrored(self, left: &mut [S::f32s], right: &mut [S::f32s]) {
        for (low, high) in left.iter_mut().rev().zip(right) {
            [*low, *high] = self.ordered(*low, *high);
        }
    }

    /// The smaller and the larger value of each lane.
    #[inline(always)]
    fn ordered(self, a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
        [self.simd.min_f32s(a, b), self.simd.max_f32s(a, b)]
    }
}

/// The parts of `length` rows in which there is a place, all if there are no places, each with
/// the number of its first row; `first` is that of the first of `rows`.
#[inline(always)]
fn parts<'a, T>(
    rows: &'a mut [T],
    first: usize,
    length: usize,
    places: Option<&'a [usize]>,
) -> impl Iterator<Item = (usize, &'a mut [T])> {
    let firsts = (first..).step_by(length);
    firsts.zip(rows.chunks_mut(length)).filter(move |(first, rows)| {
        let range = *first..first + rows.len();
        places.is_none_or(|places| places.iter().any(|place| range.contains(place)))
    })
}

#[cfg(test)]
mod tests {
    use pulp::{Scalar, Scalar128b, Scalar256b, Scalar512b};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Whatever the registers, the values at `places` are those of a full sort.
    fn check(vectors: &[Vec<f32>], places: &[usize]) {
        let slices: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let mut expected = vectors.to_vec();
        expected.iter_mut().for_each(|vector| vector.sort_by(f32::total_cmp));
        let check = |sorted: Sorted<'_>| {
            for &place in places {
                let found: Vec<f32> = sorted.at(place).collect();
                let expected: Vec<f32> = expected.iter().map(|vector| vector[place]).collect();
                assert_eq!(found, expected, "{place} of {}, {} lanes", sorted.length, sorted.lanes);
            }
        };
        let mut sorter = Sorter::default();
        check(sorter.sort(&slices, places));
        check(sorter.sort_with(&slices, places, |sort| Scalar.vectorize(sort)));
        check(sorter.sort_with(&slices, places, |sort| Scalar128b.vectorize(sort)));
        check(sorter.sort_with(&slices, places, |sort| Scalar256b.vectorize(sort)));
        check(sorter.sort_with(&slices, places, |sort| Scalar512b.vectorize(sort)));
    }

    /// A network that sorts all zeros and ones sorts everything (Knuth's zero-one
    /// principle): every one for vectors that stay in registers.
    #[test]
    fn all_zeros_and_ones_are_sorted() {
        for length in 1..=2 * HALF {
            let vectors: Vec<Vec<f32>> = (0_u32..1 << length)
                .map(|bits| (0..length).map(|at| (bits >> at & 1) as f32).collect())
                .collect();
            let places: Vec<usize> = (0..length).collect();
            check(&vectors, &places);
        }
    }

    /// Around powers of two, with every number of strides in a pass, and of fewer vectors than
    /// lanes or more.
    #[test]
    fn vectors_of_every_length_are_sorted() {
        let mut random = ChaCha8Rng::seed_from_u64(9);
        for length in (1..300).chain([511, 512, 700, 1023, 1025, 2049, 4100, 7000, 13_000, LONGEST])
        {
            let mut vector = || (0..length).map(|_| random.random_range(-1.0..1.0)).collect();
            let vectors: Vec<Vec<f32>> = (0..1 + length % (LANES + 3)).map(|_| vector()).collect();
            let places: Vec<usize> = (0..length).collect();
            check(&vectors, &places);
            check(&vectors, &[length / 4, length / 2]);
            check(&vectors, &[length - 1]);
        }
    }
}
