//! Features in bins: a byte each.

use std::ops::Range;

use rayon::prelude::*;

use super::super::matrix::Matrix;

/// Bins of a feature at most, that of missing values among them.
pub(super) const BINS: usize = 255;

/// Features that one thread reads at a time: of a row in single precision, a cache line.
const BLOCK: usize = 16;

/// The bins of each feature.
#[derive(Debug, Clone)]
pub(super) struct Bins(Vec<Scale>);

/// The bins of one feature.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    /// A value belongs to the bin of the first bound that is not less than it.
    bounds: Vec<f64>,
    /// Whether the last bin is that of missing values.
    has_missing: bool,
}

/// States in bins, feature by feature.
#[derive(Debug, Clone)]
pub(super) struct Binned {
    rows: usize,
    values: Vec<u8>,
}

impl Bins {
    /// Bins of about the same number of the states `rows`. Equal values are together; a feature
    /// of few values has a bin for each, and one of which states lack some has a bin for these.
    pub(super) fn new(features: &Matrix, rows: &[usize]) -> Self {
        let of_block = |block: Range<usize>| {
            features.features(block, rows).into_iter().map(|values| Scale::of(values, BINS))
        };
        let blocks: Vec<_> = blocks(features.columns()).into_par_iter().map(of_block).collect();
        Self(blocks.into_iter().flatten().collect())
    }

    /// Number of features.
    pub(super) fn features(&self) -> usize {
        self.0.len()
    }

    /// The bins of a feature.
    pub(super) fn of_feature(&self, feature: usize) -> &Scale {
        &self.0[feature]
    }

    /// The states `rows` in these bins.
    pub(super) fn of(&self, features: &Matrix, rows: &[usize]) -> Binned {
        let mut values = vec![0; rows.len() * self.features()];
        let places = values.par_chunks_mut((rows.len() * BLOCK).max(1));
        places.zip(blocks(self.features())).for_each(|(places, block)| {
            let columns = features.features(block.clone(), rows);
            let places = places.chunks_mut(rows.len());
            for ((scale, values), places) in self.0[block].iter().zip(columns).zip(places) {
                places.iter_mut().zip(values).for_each(|(bin, value)| *bin = scale.bin(value));
            }
        });
        Binned { rows: rows.len(), values }
    }
}

impl Scale {
    /// At most `most` bins of values, among which missing ones are NaN.
    fn of(mut values: Vec<f64>, most: usize) -> Self {
        let all = values.len();
        values.retain(|value| !value.is_nan());
        let has_missing = values.len() < all;
        values.sort_unstable_by(f64::total_cmp);
        Self { bounds: bounds(&values, most - usize::from(has_missing)), has_missing }
    }

    /// Number of bins.
    pub(super) fn bins(&self) -> usize {
        self.bounds.len() + 1 + usize::from(self.has_missing)
    }

    /// The bin of missing values.
    pub(super) fn missing(&self) -> Option<u8> {
        self.has_missing.then(|| (self.bounds.len() + 1) as u8)
    }

    fn bin(&self, value: f64) -> u8 {
        match (value.is_nan(), self.missing()) {
            (true, Some(missing)) => missing,
            // As LightGBM has it where no state that was learnt from lacked the feature.
            (true, None) => self.bin(0.0),
            (false, _) => self.bounds.partition_point(|bound| *bound < value) as u8,
        }
    }
}

impl Binned {
    /// Number of states.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The bins of a feature.
    pub(super) fn feature(&self, feature: usize) -> &[u8] {
        &self.values[feature * self.rows..][..self.rows]
    }
}

/// So many features, some at a time.
fn blocks(features: usize) -> Vec<Range<usize>> {
    (0..features).step_by(BLOCK).map(|start| start..features.min(start + BLOCK)).collect()
}

/// The bounds between at most `most` bins of sorted values: half way between two that differ.
fn bounds(sorted: &[f64], most: usize) -> Vec<f64> {
    let groups: Vec<&[f64]> = sorted.chunk_by(|a, b| a == b).collect();
    let mut bounds = Vec::new();
    let (mut in_bin, mut left) = (0, sorted.len());
    for pair in groups.windows(2) {
        in_bin += pair[0].len();
        let bins_left = most - bounds.len();
        // What is left is shared evenly among the bins left, unless each value has one.
        let is_full = groups.len() <= most || in_bin * bins_left >= left;
        if is_full && bins_left > 1 {
            bounds.push(pair[0][0] + (pair[1][0] - pair[0][0]) / 2.0);
            left -= in_bin;
            in_bin = 0;
        }
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_a_bin_each_and_many_share_them_evenly() {
        assert_eq!(bounds(&[1.0, 1.0, 2.0, 4.0], BINS), [1.5, 3.0]);
        assert_eq!(bounds(&[5.0; 9], BINS), [0.0; 0]);
        let many: Vec<f64> = (0..10_000).map(f64::from).collect();
        let bounds = bounds(&many, BINS);
        assert_eq!(bounds.len(), BINS - 1);
        let ends = bounds.iter().copied().chain([10_000.0]);
        let mut begin = 0.0;
        for end in ends {
            assert!((38.0..=41.0).contains(&(end - begin).round()), "{begin} {end}");
            begin = end;
        }
    }

    #[test]
    fn values_that_were_not_seen_find_a_bin() {
        let values = vec![1.0, 2.0, 4.0, -9.0, 2.9, 99.0];
        let features = Matrix::new(vec!["a".to_owned()], 6, values).unwrap();
        let bins = Bins::new(&features, &[0, 1, 2]);
        assert_eq!(bins.of(&features, &[0, 1, 2, 3, 4, 5]).feature(0), [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn missing_values_have_a_bin_of_their_own() {
        let values = [[1.0, -1.0], [f64::NAN, 1.0], [3.0, 2.0], [f64::NAN, f64::NAN]].concat();
        let features = Matrix::new(vec!["a".to_owned(), "b".to_owned()], 4, values).unwrap();
        let bins = Bins::new(&features, &[0, 1, 2]);
        let binned = bins.of(&features, &[0, 1, 2, 3]);
        assert_eq!(binned.feature(0), [0, 2, 1, 2]);
        assert_eq!(bins.of_feature(0).missing(), Some(2));
        assert_eq!(binned.feature(1), [0, 1, 2, 0], "none was missing: as 0, where -1 and 1 meet");
        let many: Vec<f64> = (0..999).map(f64::from).chain([f64::NAN]).collect();
        assert_eq!(Scale::of(many, BINS).bins(), BINS);
    }
}
