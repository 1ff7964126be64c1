//! Features in bins: a byte each.

use rayon::prelude::*;

use super::super::matrix::Matrix;

/// Bins of a feature at most.
pub(super) const BINS: usize = 255;

/// Where the bins of each feature end.
#[derive(Debug, Clone)]
pub(super) struct Bins {
    /// Of each feature: a value belongs to the bin of the first bound that is not less than it.
    bounds: Vec<Vec<f64>>,
}

/// States in bins, feature by feature.
#[derive(Debug, Clone)]
pub(super) struct Binned {
    rows: usize,
    values: Vec<u8>,
}

impl Bins {
    /// Bins of about the same number of the states `rows`. Equal values are together; a feature
    /// of no more than 255 values has a bin for each.
    pub(super) fn new(features: &Matrix, rows: &[usize]) -> Self {
        let of_feature = |feature| {
            let mut values: Vec<f64> = features.column(feature, rows).collect();
            values.sort_unstable_by(f64::total_cmp);
            bounds(&values)
        };
        Self { bounds: (0..features.columns()).into_par_iter().map(of_feature).collect() }
    }

    /// Number of features.
    pub(super) fn features(&self) -> usize {
        self.bounds.len()
    }

    /// The states `rows` in these bins.
    pub(super) fn of(&self, features: &Matrix, rows: &[usize]) -> Binned {
        let of_feature = |(feature, bounds): (usize, &Vec<f64>)| -> Vec<u8> {
            let bin = |value: f64| bounds.partition_point(|bound| *bound < value) as u8;
            features.column(feature, rows).map(bin).collect()
        };
        let columns: Vec<Vec<u8>> = self.bounds.par_iter().enumerate().map(of_feature).collect();
        Binned { rows: rows.len(), values: columns.concat() }
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

/// The bounds between bins of sorted values: half way between two that differ.
fn bounds(sorted: &[f64]) -> Vec<f64> {
    let groups: Vec<&[f64]> = sorted.chunk_by(|a, b| a == b).collect();
    let mut bounds = Vec::new();
    let (mut in_bin, mut left) = (0, sorted.len());
    for pair in groups.windows(2) {
        in_bin += pair[0].len();
        let bins_left = BINS - bounds.len();
        // What is left is shared evenly among the bins left, unless each value has one.
        let is_full = groups.len() <= BINS || in_bin * bins_left >= left;
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
        assert_eq!(bounds(&[1.0, 1.0, 2.0, 4.0]), [1.5, 3.0]);
        assert_eq!(bounds(&[5.0; 9]), [0.0; 0]);
        let many: Vec<f64> = (0..10_000).map(f64::from).collect();
        let bounds = bounds(&many);
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
}
