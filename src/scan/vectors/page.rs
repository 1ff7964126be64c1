//! One data page of vectors: whether it is what the fast path takes, and how its
//! values come to their places.
//!
//! Parquet has no fixed-size lists. A column of vectors of `width` floats is a
//! repeated column: each value has a repetition level (0 begins a row, 1 goes on
//! with it) and a definition level (how much of it is there), both as runs. Every
//! reader spends most of its time on making levels into offsets. Of a page of
//! whole vectors without NULLs the levels are known beforehand, so here they are
//! only compared with what they must be, run by run, and the values copied.
//!
//! Nothing is taken on trust: what is not exactly as expected is no such page, and
//! the stock reader decides whether it is unusual or malformed.

use std::ops::Range;

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page;
use pulp::Arch;

/// Bytes of a value.
const VALUE: usize = size_of::<f32>();

/// What the pages of a column must be.
#[derive(Debug)]
pub(super) struct PageShape {
    /// Values of a vector.
    width: usize,
    /// The definition level of a value that is not NULL.
    defined: u8,
    /// The rows of the last page, and its levels: most pages have the same.
    last: Option<(usize, [Vec<u8>; 2])>,
}

impl PageShape {
    /// Pages of vectors of `width` values, which have the definition level `defined`.
    pub(super) fn new(width: usize, defined: u8) -> Self {
        Self { width, defined, last: None }
    }

    /// Whether these are the repetition levels and the definition levels of `rows` vectors.
    fn has(&mut self, rows: usize, levels: [&[u8]; 2]) -> bool {
        if self.last.as_ref().is_some_and(|(known, last)| *known == rows && *last == levels) {
            return true;
        }
        let count = rows * self.width;
        let [repetition, definition] = levels;
        let right = begins_a_row_every(self.width, count, repetition)
            && all_are(self.defined, count, definition);
        if right {
            self.last = Some((rows, levels.map(<[u8]>::to_vec)));
        }
        right
    }
}

/// The values of a page.
pub(super) enum Values {
    /// One after the other.
    Plain(Bytes),
    /// BYTE_STREAM_SPLIT: the lowest byte of every value, the second of every one, and so on.
    Split([Bytes; VALUE]),
}

impl Values {
    /// What `bytes` are, in one piece: `count` values.
    pub(super) fn stored(bytes: Bytes, count: usize, split: bool) -> Option<Self> {
        if bytes.len() != count.checked_mul(VALUE)? {
            return None;
        }
        Some(if split { Self::Split(streams(&bytes, count)) } else { Self::Plain(bytes) })
    }
}

/// `bytes` as streams of so many bytes.
pub(super) fn streams(bytes: &Bytes, count: usize) -> [Bytes; VALUE] {
    [0, 1, 2, 3].map(|stream| bytes.slice(stream * count..(stream + 1) * count))
}

/// Whole vectors, none of them and nothing in them NULL.
pub(super) struct VectorPage {
    values: Values,
    rows: usize,
    width: usize,
}

impl VectorPage {
    /// The vectors in `page`, if it has this `shape`; `None` if it is another kind of page.
    /// `values` makes so many values of what is stored, split or not.
    pub(super) fn of(
        page: &Page,
        shape: &mut PageShape,
        values: impl FnOnce(Bytes, usize, bool) -> Option<Values>,
    ) -> Option<Self> {
        let Page::DataPageV2 {
            buf,
            num_values,
            encoding,
            num_nulls: 0,
            num_rows,
            def_levels_byte_len,
            rep_levels_byte_len,
            ..
        } = page
        else {
            return None;
        };
        let split = match encoding {
            Encoding::PLAIN => false,
            Encoding::BYTE_STREAM_SPLIT => true,
            _ => return None,
        };
        let width = shape.width;
        let rows = usize::try_from(*num_rows).ok()?;
        let count = usize::try_from(*num_values).ok()?;
        if width == 0 || rows.checked_mul(width) != Some(count) {
            return None;
        }
        let repetition = usize::try_from(*rep_levels_byte_len).ok()?;
        let definition = usize::try_from(*def_levels_byte_len).ok()?;
        let levels = repetition.checked_add(definition)?;
        if !shape.has(rows, [buf.get(..repetition)?, buf.get(repetition..levels)?]) {
            return None;
        }
        let values = values(buf.slice(levels..), count, split)?;
        Some(Self { values, rows, width })
    }

    /// Number of vectors.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Copies the vectors of `rows` to `into`, each `stride` values after the one
    /// before it. `rows` must be rows of the page, and `into` have their room.
    pub(super) fn copy(&self, rows: Range<usize>, into: &mut [f32], stride: usize) {
        // Wide registers, where there are some, join bytes several times as fast. What is not
        // inlined is compiled for every processor.
        Arch::new().dispatch(
            #[inline(always)]
            || self.copy_with(rows, into, stride),
        );
    }

    #[inline(always)]
    fn copy_with(&self, rows: Range<usize>, into: &mut [f32], stride: usize) {
        if stride == self.width {
            self.decode(rows.start * self.width..rows.end * self.width, into);
        } else {
            for (row, vector) in rows.zip(into.chunks_mut(stride)) {
                self.decode(row * self.width..(row + 1) * self.width, vector);
            }
        }
    }

    /// Decodes the values of `range` to the front of `into`.
    #[inline(always)]
    fn decode(&self, range: Range<usize>, into: &mut [f32]) {
        match &self.values {
            Values::Plain(values) => {
                let (values, _) = values[range.start * VALUE..range.end * VALUE].as_chunks();
                for (value, bytes) in into.iter_mut().zip(values) {
                    *value = f32::from_le_bytes(*bytes);
                }
            }
            Values::Split(streams) => {
                let stream = |byte: usize| streams[byte][range.clone()].iter();
                let streams = stream(0).zip(stream(1)).zip(stream(2).zip(stream(3)));
                for (value, ((&a, &b), (&c, &d))) in into.iter_mut().zip(streams) {
                    *value = f32::from_le_bytes([a, b, c, d]);
                }
            }
        }
    }
}

/// Whether these are the repetition levels of `count` values in rows of `width`.
fn begins_a_row_every(width: usize, count: usize, levels: &[u8]) -> bool {
    let next_row = |at: usize| at.next_multiple_of(width);
    each_run(1, count, levels, |at, run| match run {
        Run::Same { level: 0, length } => length == 1 && next_row(at) == at || width == 1,
        Run::Same { level, length } => level == 1 && next_row(at) >= at + length,
        Run::Packed(bytes) => {
            let mut row = next_row(at);
            bytes.iter().zip((at..).step_by(8)).all(|(&byte, at)| {
                let mut expected = u8::MAX;
                while row < at + 8 {
                    expected &= !(1 << (row - at));
                    row += width;
                }
                (byte ^ expected) & first_bits(count - at) == 0
            })
        }
    })
}

/// Whether all of `count` definition levels are `level`, which is 1, 2 or 3: a
/// list alone has the first, and what may be NULL adds one.
fn all_are(level: u8, count: usize, levels: &[u8]) -> bool {
    let (bits, packed) = match level {
        1 => (1, u8::MAX),
        2 => (2, 0b1010_1010),
        3 => (2, u8::MAX),
        _ => return false,
    };
    each_run(bits, count, levels, |at, run| match run {
        Run::Same { level: found, .. } => found == level,
        Run::Packed(bytes) => bytes
            .iter()
            .zip((at..).step_by(8 / bits))
            .all(|(&byte, at)| (byte ^ packed) & first_bits(bits * count.saturating_sub(at)) == 0),
    })
}

/// A byte with so many bits set, from the lowest: what lies behind the last level
/// only fills a byte up.
fn first_bits(count: usize) -> u8 {
    if count < 8 { (1 << count) - 1 } else { u8::MAX }
}

/// A run of levels.
enum Run<'a> {
    /// The same level so many times.
    Same { level: u8, length: usize },
    /// Levels one by one, in groups of eight, the first in the lowest bits.
    Packed(&'a [u8]),
}

/// Whether `levels` are runs of exactly `count` levels of `bits` bits, and each of
/// them, which begins with level number `at`, is as `expected`. The encoding is the
/// RLE / bit-packing hybrid of the Parquet specification.
fn each_run(
    bits: usize,
    count: usize,
    mut levels: &[u8],
    expected: impl Fn(usize, Run<'_>) -> bool,
) -> bool {
    let mut at = 0;
    while at < count {
        let Some(header) = take_varint(&mut levels) else { return false };
        let length = header >> 1;
        let run = if header & 1 == 0 {
            let Some((&level, rest)) = levels.split_first() else { return false };
            levels = rest;
            if length == 0 || length > count - at {
                return false;
            }
            (Run::Same { level, length }, length)
        } else {
            let bytes = length.checked_mul(bits).and_then(|bytes| levels.split_at_checked(bytes));
            let Some((bytes, rest)) = bytes else { return false };
            levels = rest;
            // The last group may be longer than the page; whole groups may not.
            if length == 0 || 8 * (length - 1) >= count - at {
                return false;
            }
            (Run::Packed(bytes), 8 * length)
        };
        if !expected(at, run.0) {
            return false;
        }
        at += run.1;
    }
    levels.is_empty()
}

/// Takes a ULEB128 number of up to 32 bits.
fn take_varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return u32::try_from(number).ok().and_then(|number| number.try_into().ok());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Levels as runs that end at `cuts`, each packed or not; a packed one takes
    /// whole groups of eight, the last of them filled up with ones.
    fn encode(bits: usize, levels: &[u8], cuts: &[(usize, bool)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut at = 0;
        let mut cuts = cuts.iter().cycle();
        while at < levels.len() {
            let &(length, packed) = cuts.next().unwrap();
            let same = levels[at..].iter().take_while(|&&level| level == levels[at]).count();
            if packed {
                let groups = length.div_ceil(8).min((levels.len() - at).div_ceil(8));
                put_varint(&mut bytes, 2 * groups + 1);
                let level = |index| levels.get(at + index).copied().unwrap_or(u8::MAX);
                for first in (0..8 * groups).step_by(8 / bits) {
                    let of_byte =
                        (0..8 / bits).map(|k| (level(first + k) & first_bits(bits)) << (bits * k));
                    bytes.push(of_byte.fold(0, |byte, level| byte | level));
                }
                at += 8 * groups;
            } else {
                let length = length.min(same);
                put_varint(&mut bytes, 2 * length);
                bytes.push(levels[at]);
                at += length;
            }
        }
        bytes
    }

    fn put_varint(bytes: &mut Vec<u8>, mut number: usize) {
        while number >= 0x80 {
            bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }

    fn cuts() -> impl Strategy<Value = Vec<(usize, bool)>> {
        prop::collection::vec((1_usize..400, any::<bool>()), 1..8)
    }

    proptest! {
        #[test]
        fn repetition_levels_are_right_if_each_of_them_is(
            width in 1_usize..70,
            rows in 0_usize..30,
            cuts in cuts(),
            wrong in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut levels: Vec<u8> =
                (0..rows * width).map(|place| u8::from(place % width != 0)).collect();
            let wrong = wrong.filter(|_| rows > 0);
            if let Some(wrong) = wrong {
                levels[wrong.index(rows * width)] ^= 1;
            }
            let bytes = encode(1, &levels, &cuts);
            prop_assert_eq!(begins_a_row_every(width, levels.len(), &bytes), wrong.is_none());
        }

        #[test]
        fn definition_levels_are_right_if_each_of_them_is(
            level in 1_u8..=3,
            count in 0_usize..900,
            cuts in cuts(),
            wrong in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut levels = vec![level; count];
            let wrong = wrong.filter(|_| count > 0);
            if let Some(wrong) = wrong {
                levels[wrong.index(count)] -= 1;
            }
            let bytes = encode(if level == 1 { 1 } else { 2 }, &levels, &cuts);
            prop_assert_eq!(all_are(level, count, &bytes), wrong.is_none());
        }

        #[test]
        fn levels_may_be_anything(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            width in 1_usize..70,
            count in 0_usize..5000,
            level: u8,
        ) {
            begins_a_row_every(width, count, &bytes);
            all_are(level, count, &bytes);
        }
    }

    proptest! {
        #[test]
        fn a_page_may_be_anything(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            split: bool,
            (num_rows, width) in (0_u32..9, 0_usize..9),
            extra in 0_u32..2,
            (def_levels_byte_len, rep_levels_byte_len) in (0_u32..9, 0_u32..9),
        ) {
            let page = Page::DataPageV2 {
                num_values: num_rows * width as u32 + extra,
                encoding: if split { Encoding::BYTE_STREAM_SPLIT } else { Encoding::PLAIN },
                num_nulls: 0,
                num_rows,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed: false,
                statistics: None,
                buf: bytes.into(),
            };
            if let Some(page) = VectorPage::of(&page, &mut PageShape::new(width, 2), Values::stored) {
                let mut values = vec![0.0; page.rows() * (width + 1)];
                page.copy(0..page.rows(), &mut values, width + 1);
            }
        }
    }

    #[test]
    fn levels_of_the_last_page_are_right_for_as_many_rows_alone() {
        // No list of floats is defined at level 0: without rows there is nothing to compare.
        assert!(!PageShape::new(4, 0).has(0, [&[], &[]]));
        let mut shape = PageShape::new(4, 2);
        // Twelve values in rows of four: one run, packed; all of them are there.
        let (repetition, definition) = ([5, 0b1110_1110, 0b1110], [24, 2]);
        for _ in 0..2 {
            assert!(shape.has(3, [&repetition, &definition]));
            assert!(!shape.has(2, [&repetition, &definition]));
            assert!(!shape.has(3, [&[5, 0b1110_1110, 0b1101], &definition]));
            assert!(!shape.has(3, [&repetition, &[24, 1]]));
        }
    }

    #[test]
    fn levels_that_are_missing_or_too_many_are_not_right() {
        // Twelve values in rows of four: each run once, packed.
        assert!(begins_a_row_every(4, 12, &[5, 0b1110_1110, 0b1110]));
        assert!(!begins_a_row_every(4, 12, &[3, 0b1110_1110]));
        assert!(!begins_a_row_every(4, 12, &[5, 0b1110_1110, 0b1110, 2, 0]));
        assert!(!begins_a_row_every(4, 12, &[0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]));
    }
}
