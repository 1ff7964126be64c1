//! Which rows of a row group are wanted.

use std::collections::VecDeque;
use std::iter;
use std::ops::Range;

use arrow::array::{Array, BooleanArray, RecordBatch, UInt64Array};
use arrow::compute::{prep_null_mask_filter, take_record_batch};
use parquet::arrow::arrow_reader::RowSelection;

/// Rows of a row group: ranges in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selected(VecDeque<Range<usize>>);

impl Selected {
    /// The first `rows` rows.
    pub(super) fn first(rows: usize) -> Self {
        Self::of(iter::once(0..rows))
    }

    /// The rows for which `mask` holds; NULL does not.
    pub(super) fn by(mask: &BooleanArray) -> Self {
        let known;
        let mask = match mask.nulls() {
            None => mask,
            Some(_) => {
                known = prep_null_mask_filter(mask);
                &known
            }
        };
        Self::of(mask.values().set_slices().map(|(start, end)| start..end))
    }

    fn of(ranges: impl IntoIterator<Item = Range<usize>>) -> Self {
        Self(ranges.into_iter().filter(|range| !range.is_empty()).collect())
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Range::len).sum()
    }

    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.0.iter().cloned()
    }

    /// Takes the first rows away, `count` of them or all.
    pub(super) fn take(&mut self, mut count: usize) -> Self {
        let mut taken = VecDeque::new();
        while count > 0
            && let Some(range) = self.0.front_mut()
        {
            let end = range.end.min(range.start + count);
            count -= end - range.start;
            taken.push_back(range.start..end);
            if end == range.end {
                self.0.pop_front();
            } else {
                range.start = end;
            }
        }
        Self(taken)
    }

    /// These rows, then `later` ones.
    pub(super) fn chain(self, later: &Self) -> Self {
        Self(self.0.into_iter().chain(later.ranges()).collect())
    }

    /// Whether any row of `rows` is among them.
    pub(super) fn any_of(&self, rows: &Range<usize>) -> bool {
        let behind = self.0.partition_point(|range| range.end <= rows.start);
        self.0.get(behind).is_some_and(|range| range.start < rows.end)
    }

    /// These rows of a batch that holds the whole row group.
    pub(super) fn of_batch(&self, batch: &RecordBatch) -> arrow::error::Result<RecordBatch> {
        if let (1, Some(range)) = (self.0.len(), self.0.front()) {
            return Ok(batch.slice(range.start, range.len()));
        }
        let indices = self.ranges().flatten().map(|row| row as u64);
        take_record_batch(batch, &UInt64Array::from_iter_values(indices))
    }

    /// As the stock reader wants it, for a row group of `rows` rows.
    pub(super) fn to_selection(&self, rows: usize) -> RowSelection {
        RowSelection::from_consecutive_ranges(self.ranges(), rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(ranges: &[Range<usize>]) -> Selected {
        Selected::of(ranges.iter().cloned())
    }

    #[test]
    fn a_mask_becomes_ranges_and_null_is_not_wanted() {
        let mask = BooleanArray::from(vec![Some(true), Some(true), None, Some(false), Some(true)]);
        assert_eq!(Selected::by(&mask), selected(&[0..2, 4..5]));
        assert_eq!(Selected::by(&BooleanArray::from(vec![false; 3])), selected(&[]));
    }

    #[test]
    fn rows_are_taken_from_the_front() {
        let mut rows = selected(&[1..4, 6..8]);
        let mut take = |count| rows.take(count).ranges().flatten().collect::<Vec<_>>();
        assert_eq!([take(2), take(2), take(9), take(9)], [vec![1, 2], vec![3, 6], vec![7], vec![]]);
    }

    #[test]
    fn a_page_is_wanted_if_one_of_its_rows_is() {
        let rows = selected(&[2..4, 8..9]);
        let wanted = |page| rows.any_of(&page);
        assert_eq!(
            [0..2, 0..3, 3..8, 4..8, 8..20, 9..20].map(wanted),
            [false, true, true, false, true, false]
        );
    }
}
