//! Several statistics of many vectors: each vector is summed and sorted once.

use super::moments::{Moments, Wanted};
use super::network::{LANES, LONGEST, Sorter};
use super::order::{Place, extremes, has_nan};
use super::select::Selection;
use super::statistic::Statistic;

/// Values up to which vectors are sorted side by side; order statistics of longer
/// ones are selected, one vector after the other.
const SORTED: usize = 8192;
const _: () = assert!(SORTED <= LONGEST);

/// Vectors side by side for which a sort is faster than selecting from each.
const COMPANY: usize = 5;

/// What to compute of vectors.
#[derive(Debug)]
pub(crate) struct Summary {
    statistics: Vec<Statistic>,
    moments: Wanted,
    /// Which columns are quantiles, and of which fraction.
    quantiles: Vec<(usize, f64)>,
}

impl Summary {
    /// These statistics.
    pub(crate) fn new(statistics: &[Statistic]) -> Self {
        let fractions = statistics.iter().map(|statistic| statistic.fraction()).enumerate();
        Self {
            statistics: statistics.to_vec(),
            moments: Wanted::by(statistics),
            quantiles: fractions
                .filter_map(|(column, fraction)| Some((column, fraction?)))
                .collect(),
        }
    }

    /// A column for each statistic, with a row for each vector: `None` where there
    /// is no vector, or where the vector has no such statistic.
    pub(crate) fn columns<'a>(
        &self,
        vectors: impl Iterator<Item = Option<&'a [f32]>>,
    ) -> Vec<Vec<Option<f64>>> {
        let mut columns = vec![Vec::new(); self.statistics.len()];
        let mut company = Company::default();
        for (row, vector) in vectors.enumerate() {
            let moments = vector.map(|vector| Moments::of(vector, self.moments));
            for (column, &statistic) in columns.iter_mut().zip(&self.statistics) {
                column.push(moments.as_ref().and_then(|moments| moments.get(statistic)));
            }
            if let Some(vector) = vector.filter(|vector| !vector.is_empty()) {
                self.order(row, vector, &mut company, &mut columns);
            }
        }
        company.sort(&self.quantiles, &mut columns);
        columns
    }

    /// Has the quantiles of a vector put into its row, perhaps when more vectors
    /// have come.
    fn order<'a>(
        &self,
        row: usize,
        vector: &'a [f32],
        company: &mut Company<'a>,
        columns: &mut [Vec<Option<f64>>],
    ) {
        if self.quantiles.is_empty() {
            return;
        }
        let ends = |&(_, fraction): &(usize, f64)| fraction == 0.0 || fraction == 1.0;
        if self.quantiles.iter().all(ends) {
            let [low, high] = extremes(vector);
            for &(column, fraction) in &self.quantiles {
                columns[column][row] = Some(if fraction == 0.0 { low } else { high });
            }
        } else if has_nan(vector) {
            for &(column, _) in &self.quantiles {
                columns[column][row] = Some(f64::NAN);
            }
        } else {
            if !company.takes(vector) {
                company.sort(&self.quantiles, columns);
            }
            company.waiting.push((row, vector));
        }
    }
}

/// Vectors of one length that wait for being sorted together.
#[derive(Debug, Default)]
struct Company<'a> {
    waiting: Vec<(usize, &'a [f32])>,
    sorter: Sorter,
    selection: Selection,
}

impl<'a> Company<'a> {
    fn takes(&self, vector: &[f32]) -> bool {
        let length = self.waiting.first().map_or(vector.len(), |(_, first)| first.len());
        self.waiting.len() < LANES && length == vector.len()
    }

    /// Puts the quantiles of those that wait into their rows, and lets them go.
    fn sort(&mut self, quantiles: &[(usize, f64)], columns: &mut [Vec<Option<f64>>]) {
        let Some(&(_, last)) = self.waiting.last() else { return };
        let place = |&(column, fraction): &(usize, f64)| (column, Place::of(fraction, last.len()));
        let quantiles: Vec<(usize, Place)> = quantiles.iter().map(place).collect();
        let mut places: Vec<usize> =
            quantiles.iter().flat_map(|(_, place)| [place.below, place.above]).collect();
        places.sort_unstable();
        places.dedup();
        if self.waiting.len() < COMPANY || last.len() > SORTED {
            for &(row, vector) in &self.waiting {
                self.selection.of(vector, &places);
                let value = |place| self.selection.at(place);
                for &(column, place) in &quantiles {
                    columns[column][row] =
                        Some(place.between(value(place.below), value(place.above)));
                }
            }
        } else {
            let vectors: Vec<&[f32]> = self.waiting.iter().map(|&(_, vector)| vector).collect();
            let sorted = self.sorter.sort(&vectors, &places);
            for (column, place) in quantiles {
                let values = sorted.at(place.below).zip(sorted.at(place.above));
                for (&(row, _), (low, high)) in self.waiting.iter().zip(values) {
                    columns[column][row] = Some(place.between(low, high));
                }
            }
        }
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use rand::seq::IndexedRandom;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const FRACTIONS: [f64; 9] = [0.0, 0.01, 0.25, 1.0 / 3.0, 0.5, 0.75, 0.9, 0.99, 1.0];

    /// The definition: sort, look up, interpolate.
    fn reference(vector: &[f32]) -> Vec<Option<f64>> {
        let mut sorted = vector.to_vec();
        sorted.sort_by(f32::total_cmp);
        let quantile = |fraction| {
            let place = Place::of(fraction, sorted.len());
            let value = place.between(sorted[place.below], sorted[place.above]);
            if vector.iter().any(|value| value.is_nan()) { f64::NAN } else { value }
        };
        FRACTIONS.map(|fraction| (!vector.is_empty()).then(|| quantile(fraction))).to_vec()
    }

    /// The bits of each number; one pattern for every NaN.
    fn bits(numbers: &[Option<f64>]) -> Vec<Option<u64>> {
        let bits = |number: f64| if number.is_nan() { u64::MAX } else { number.to_bits() };
        numbers.iter().map(|number| number.map(bits)).collect()
    }

    fn random_vector(random: &mut ChaCha8Rng, length: usize) -> Vec<f32> {
        const RARE: [f32; 6] =
            [f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, f32::MIN_POSITIVE / 2.0, f32::MAX];
        let kind = random.random_range(0..8);
        let mut vector: Vec<f32> = (0..length)
            .map(|_| match kind {
                0 => (random.random_range(-3..3) as f32) * 0.5,
                1 => f32::from_bits(random.random_range(0..0x7f80_0000)),
                2 => *RARE.choose(random).unwrap(),
                _ => random.random_range(-1.0..1.0),
            })
            .collect();
        if kind == 3 && length > 0 {
            let nan = if random.random() { f32::NAN } else { -f32::NAN };
            vector[random.random_range(0..length)] = nan;
        }
        vector
    }

    /// Alone, in company, in large company, and among vectors of other lengths: the
    /// same bits as from a full sort.
    #[test]
    fn quantiles_are_those_of_a_full_sort() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let summary = Summary::new(&FRACTIONS.map(Statistic::Quantile));
        for length in (0..70).chain((70..=1500).step_by(37)).chain([SORTED, SORTED + 1, 5000]) {
            for company in [1, COMPANY, LANES, LANES + 1] {
                let mut vectors: Vec<_> =
                    (0..company).map(|_| random_vector(&mut random, length)).collect();
                if company > LANES {
                    vectors.insert(2, random_vector(&mut random, length / 2));
                }
                let columns = summary.columns(vectors.iter().map(|vector| Some(vector.as_slice())));
                for (row, vector) in vectors.iter().enumerate() {
                    let found: Vec<_> = columns.iter().map(|column| column[row]).collect();
                    assert_eq!(bits(&found), bits(&reference(vector)), "{length} {company}");
                }
            }
        }
    }

    /// Each statistic has the same bits alone and among all others.
    #[test]
    fn statistics_do_not_depend_on_each_other() {
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let mut vectors: Vec<_> =
            (0..60).map(|length| Some(random_vector(&mut random, length / 2))).collect();
        vectors.insert(5, None);
        let columns = |statistics: &[Statistic]| {
            Summary::new(statistics).columns(vectors.iter().map(|vector| vector.as_deref()))
        };
        for (&statistic, together) in Statistic::USUAL.iter().zip(columns(&Statistic::USUAL)) {
            let alone = columns(&[statistic]);
            assert_eq!(bits(&alone[0]), bits(&together), "{statistic}");
            assert_eq!(alone[0][5], None);
        }
    }
}
