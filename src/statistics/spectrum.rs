//! The spectrum of a weight matrix: norms, ranks, and the power law of its tail.
//!
//! Definitions are those of `WeightWatcher` (C. H. Martin, T. Peng, M. W. Mahoney,
//! *Predicting trends in the quality of state-of-the-art neural networks without
//! access to training or testing data*, Nature Communications 12, 2021): the
//! eigenvalues of a matrix are the squares of its singular values, and those of
//! a convolution are pooled over the `kh * kw` matrices `[out, in]` that its kernel
//! positions are.

use std::fmt;

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::{Mat, MatMut, Par};

use super::power_law::PowerLaw;

/// An eigenvalue up to here is noise to the fit of the power law.
const NOISE: f64 = 1e-5;

/// A power law is not fitted to fewer eigenvalues.
const MIN_FITTED: usize = 10;

/// What the spectrum of a weight matrix or convolution says about it. `None` is for
/// what it has not: a matrix of zeros has no logarithms and no ranks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Spectrum {
    /// `log10` of the sum of the eigenvalues, which is the squared Frobenius norm.
    pub(crate) log_norm: Option<f64>,
    /// `log10` of the largest eigenvalue, which is the squared spectral norm.
    pub(crate) log_spectral_norm: Option<f64>,
    /// The sum of the eigenvalues over the largest.
    pub(crate) stable_rank: Option<f64>,
    /// `-sum p ln p / ln rank` of the eigenvalues' shares `p`; none for rank 1.
    pub(crate) entropy: Option<f64>,
    /// The exponent of the power law of the tail; none of fewer than 10 eigenvalues
    /// above `1e-5`.
    pub(crate) alpha: Option<f64>,
    /// The eigenvalue where the tail begins.
    pub(crate) xmin: Option<f64>,
    /// The Kolmogorov-Smirnov distance of the tail from its power law.
    pub(crate) distance: Option<f64>,
    /// `alpha` times `log_spectral_norm`.
    pub(crate) alpha_hat: Option<f64>,
    /// How many eigenvalues there are.
    pub(crate) eigenvalues: usize,
    /// How many of them exceed `1e-5`, and the power law was looked for in.
    pub(crate) fitted: usize,
}

impl Spectrum {
    /// Names of the numbers, in the order of [`Self::numbers`]; `D` as in the literature.
    pub(crate) const NUMBERS: [&str; 8] = [
        "log_norm",
        "log_spectral_norm",
        "stable_rank",
        "entropy",
        "alpha",
        "xmin",
        "D",
        "alpha_hat",
    ];

    /// Names of the counts, in the order of [`Self::counts`].
    pub(crate) const COUNTS: [&str; 2] = ["eigenvalues", "fitted"];

    /// Everything but the counts.
    pub(crate) fn numbers(&self) -> [Option<f64>; 8] {
        let Self { log_norm, log_spectral_norm, stable_rank, entropy, .. } = *self;
        let Self { alpha, xmin, distance, alpha_hat, .. } = *self;
        [log_norm, log_spectral_norm, stable_rank, entropy, alpha, xmin, distance, alpha_hat]
    }

    /// The counts.
    pub(crate) fn counts(&self) -> [usize; 2] {
        [self.eigenvalues, self.fitted]
    }

    /// Of eigenvalues in ascending order, pooled of matrices with `longer` rows or
    /// columns, whichever are more.
    fn of(eigenvalues: &[f64], longer: usize) -> Self {
        let noise = eigenvalues.partition_point(|value| *value <= NOISE);
        let tail = &eigenvalues[noise..];
        let counts = Self { eigenvalues: eigenvalues.len(), fitted: tail.len(), ..Self::default() };
        let sum: f64 = eigenvalues.iter().sum();
        let Some(largest) = eigenvalues.last().copied().filter(|largest| *largest > 0.0) else {
            return counts;
        };
        let log_spectral_norm = largest.log10();
        let law = if tail.len() < MIN_FITTED { None } else { PowerLaw::of(tail) };
        Self {
            log_norm: Some(sum.log10()),
            log_spectral_norm: Some(log_spectral_norm),
            stable_rank: Some(sum / largest),
            entropy: entropy(eigenvalues, sum, longer),
            alpha: law.map(|law| law.alpha),
            xmin: law.map(|law| law.xmin),
            distance: law.map(|law| law.distance),
            alpha_hat: law.map(|law| law.alpha * log_spectral_norm),
            ..counts
        }
    }

    /// Of `eigenvalues` that nobody knows, since a weight is not finite.
    fn unknown(eigenvalues: usize) -> Self {
        let nan = Some(f64::NAN);
        Self {
            log_norm: nan,
            log_spectral_norm: nan,
            stable_rank: nan,
            entropy: nan,
            alpha: nan,
            xmin: nan,
            distance: nan,
            alpha_hat: nan,
            eigenvalues,
            fitted: 0,
        }
    }
}

/// The Shannon entropy of the eigenvalues' shares of their `sum`, over its largest
/// value, the logarithm of the rank: of all matrices pooled, with numpy's tolerance
/// for one of them.
fn entropy(ascending: &[f64], sum: f64, longer: usize) -> Option<f64> {
    let largest = ascending.last()?.sqrt();
    let tolerance = largest * longer as f64 * f64::EPSILON;
    let rank = ascending.iter().filter(|value| value.sqrt() > tolerance).count();
    let shares = ascending.iter().map(|value| value / sum).filter(|share| *share > 0.0);
    let entropy: f64 = shares.map(|share| -share * share.ln()).sum();
    (rank > 1).then(|| entropy / (rank as f64).ln())
}

/// Makes spectra of tensors of one shape, in memory that is used again.
pub(crate) struct Spectra {
    /// Of one of the matrices, not fewer rows than columns.
    shape: (usize, usize),
    /// How many matrices are pooled.
    slices: usize,
    /// What every eigenvalue is multiplied by.
    scale: f64,
    /// Whether the rows of the matrices are the columns of the tensor.
    transposed: bool,
    matrix: Mat<f64>,
    singular: Vec<f64>,
    eigenvalues: Vec<f64>,
    memory: MemBuffer,
}

impl fmt::Debug for Spectra {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shape, slices, scale, .. } = self;
        write!(formatter, "Spectra of {slices} matrices {shape:?}, eigenvalues times {scale}")
    }
}

impl Spectra {
    /// Of tensors `[out, in]` or `[out, in, kh, kw]`, eigenvalues times `scale`. Others,
    /// a bias for one, are no matrices.
    pub(crate) fn new(shape: &[usize], scale: f64) -> Option<Self> {
        let (out, input, slices) = match *shape {
            [out, input] => (out, input, 1),
            [out, input, height, width] => (out, input, height * width),
            _ => return None,
        };
        let (rows, columns) = (out.max(input), out.min(input));
        let no = ComputeSvdVectors::No;
        let needed = svd_scratch::<f64>(rows, columns, no, no, Par::Seq, Default::default());
        Some(Self {
            shape: (rows, columns),
            slices,
            scale,
            transposed: out < input,
            matrix: Mat::zeros(rows, columns),
            singular: vec![0.0; columns],
            eigenvalues: Vec::with_capacity(slices * columns),
            memory: MemBuffer::new(needed),
        })
    }

    /// Values in a tensor of the shape.
    pub(crate) fn size(&self) -> usize {
        self.shape.0 * self.shape.1 * self.slices
    }

    /// The spectrum of a tensor of [`Self::size`] values in C order. Every number is NaN
    /// if a weight is not finite.
    pub(crate) fn of(&mut self, weights: &[f32]) -> Spectrum {
        debug_assert_eq!(weights.len(), self.size(), "values of a tensor");
        let (rows, columns) = self.shape;
        let finite = weights.iter().all(|weight| weight.is_finite());
        self.eigenvalues.clear();
        if !finite || !(0..self.slices).all(|slice| self.add(weights, slice)) {
            return Spectrum::unknown(self.slices * columns);
        }
        self.eigenvalues.sort_unstable_by(f64::total_cmp);
        Spectrum::of(&self.eigenvalues, rows)
    }

    /// Adds the eigenvalues of one of the matrices; says whether it found them.
    fn add(&mut self, weights: &[f32], slice: usize) -> bool {
        let Self { shape: (rows, columns), slices, scale, .. } = *self;
        let (row_step, column_step) =
            if self.transposed { (slices, rows * slices) } else { (columns * slices, slices) };
        for column in 0..columns {
            for row in 0..rows {
                let weight = weights[row * row_step + column * column_step + slice];
                self.matrix[(row, column)] = f64::from(weight);
            }
        }
        let found = if columns == 1 {
            // The length of a vector needs no decomposition.
            let squares = self.matrix.col_as_slice(0).iter().map(|weight| weight * weight);
            self.singular[0] = squares.sum::<f64>().sqrt();
            true
        } else {
            let singular = DiagMut::from_slice_mut(&mut self.singular);
            let stack = MemStack::new(&mut self.memory);
            let none = None::<MatMut<'_, f64>>;
            svd(self.matrix.as_ref(), singular, none, None, Par::Seq, stack, Default::default())
                .is_ok()
        };
        self.eigenvalues.extend(self.singular.iter().map(|value| value * value * scale));
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn spectrum(shape: &[usize], weights: &[f32]) -> Spectrum {
        Spectra::new(shape, 1.0).unwrap().of(weights)
    }

    fn close(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{found} {expected}");
    }

    /// The eigenvalues of [[3, 0], [4, 5]] are 45 and 5.
    #[test]
    fn of_a_matrix_by_hand() {
        let found = spectrum(&[2, 2], &[3.0, 0.0, 4.0, 5.0]);
        close(found.log_norm, 50.0_f64.log10());
        close(found.log_spectral_norm, 45.0_f64.log10());
        close(found.stable_rank, 50.0 / 45.0);
        close(found.entropy, -(0.9 * 0.9_f64.ln() + 0.1 * 0.1_f64.ln()) / 2.0_f64.ln());
        assert_eq!((found.alpha, found.eigenvalues, found.fitted), (None, 2, 2));
    }

    /// Two kernel positions of a convolution are two matrices; a tensor and its transpose
    /// have one spectrum; and `scale` moves logarithms only.
    #[test]
    fn convolutions_are_pooled() {
        let wide = spectrum(&[1, 2, 1, 2], &[3.0, 1.0, 4.0, 2.0]);
        let tall = spectrum(&[2, 1, 2, 1], &[3.0, 1.0, 4.0, 2.0]);
        assert_eq!(wide, tall);
        close(wide.log_norm, 30.0_f64.log10());
        close(wide.log_spectral_norm, 25.0_f64.log10());
        let halved = Spectra::new(&[1, 2, 1, 2], 0.5).unwrap().of(&[3.0, 1.0, 4.0, 2.0]);
        close(halved.log_norm, 15.0_f64.log10());
        assert_eq!(halved.stable_rank, wide.stable_rank);
    }

    #[test]
    fn zeros_ranks_and_what_is_not_finite() {
        let zero = Spectrum { eigenvalues: 2, ..Spectrum::default() };
        assert_eq!(spectrum(&[2, 3], &[0.0; 6]), zero);
        let rank_one = spectrum(&[2, 3], &[1.0; 6]);
        close(rank_one.stable_rank, 1.0);
        assert_eq!((rank_one.entropy, rank_one.fitted), (None, 1));
        for weight in [f32::NAN, f32::INFINITY] {
            let found = spectrum(&[2, 2], &[1.0, weight, 0.0, 1.0]);
            assert!(found.numbers().iter().all(|number| number.is_some_and(f64::is_nan)));
        }
        assert!(Spectra::new(&[8], 1.0).is_none());
    }

    #[derive(serde::Deserialize)]
    struct Case {
        tensor: String,
        /// Where its values stand in the file of weights; none if `large` makes them.
        offset: Option<usize>,
        shape: Vec<usize>,
        scale: f64,
        expected: HashMap<String, f64>,
    }

    /// As in `python/make_spectrum_fixture.py`.
    fn large(size: usize) -> Vec<f32> {
        let value = |i: u64| (i * i % 10_007 * 7_919 % 10_007) as f64 / 5_003.5 - 1.0;
        (0..size as u64).map(|i| value(i).powi(3) as f32).collect()
    }

    #[test]
    fn agrees_with_weightwatcher() {
        let bytes = include_bytes!("../../tests/fixtures/spectrum/weights.f32");
        let weights: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let json = include_str!("../../tests/fixtures/spectrum/spectra.json");
        let cases: Vec<Case> = serde_json::from_str(json).unwrap();
        assert_eq!(cases.len(), 19);
        for Case { tensor, offset, shape, scale, expected } in cases {
            let mut spectra = Spectra::new(&shape, scale).unwrap();
            let size = spectra.size();
            let found = match offset {
                Some(offset) => spectra.of(&weights[offset..offset + size]),
                None => spectra.of(&large(size)),
            };
            for (name, found) in Spectrum::NUMBERS.iter().zip(found.numbers()) {
                let (found, expected) = (found.unwrap(), expected[*name]);
                let error = (found - expected).abs() / expected.abs().max(1.0);
                assert!(error < 1e-7, "{tensor} {name}: {found} instead of {expected}");
            }
            assert_eq!(found.eigenvalues as f64, expected["eigenvalues"], "{tensor}");
        }
    }
}
