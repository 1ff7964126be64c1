//! A data page as the bytes of a fuzzer: a header, then levels. Values follow from
//! their places, so that a fuzzer need not guess how many there must be.

use bytes::Bytes;
use parquet::basic::Encoding;
use parquet::column::page::Page;

/// Bytes before the levels.
const HEADER: usize = 16;

/// The numbers of a page that tell the truth are below these.
const MOST_ROWS: u32 = 40;
const MOST_VALUES: u32 = 300;

/// Whether values are split into streams of bytes.
const SPLIT: u8 = 1;
/// Whether values are encoded in another way.
const OTHER_ENCODING: u8 = 2;
/// Whether the page may say any numbers of itself.
const LIES: u8 = 4;

/// What a page is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Input {
    pub flags: u8,
    /// The definition level of a value.
    pub defined: u8,
    /// Values of a vector.
    pub width: u16,
    pub rows: u32,
    /// Bytes of the repetition levels.
    pub repetition: u32,
    /// Bytes that come after the values, or are missing there.
    pub extra: i8,
    /// Which rows are copied, and how far apart: a byte each.
    pub copied: [u8; 3],
    pub levels: Vec<u8>,
}

impl Input {
    /// A page of whole vectors with these levels.
    pub fn new(split: bool, defined: u8, width: u16, rows: u32, levels: [&[u8]; 2]) -> Self {
        Self {
            flags: if split { SPLIT } else { 0 },
            defined,
            width,
            rows,
            repetition: u32::try_from(levels[0].len()).unwrap_or(u32::MAX),
            copied: [0, u8::MAX, 0],
            levels: levels.concat(),
            ..Self::default()
        }
    }

    pub fn of(bytes: &[u8]) -> Option<Self> {
        let (header, levels) = bytes.split_first_chunk::<HEADER>()?;
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
        Some(Self {
            flags: header[0],
            defined: header[1],
            width: u16::from_le_bytes([header[2], header[3]]),
            rows: number(4),
            repetition: number(8),
            extra: i8::from_le_bytes([header[12]]),
            copied: [header[13], header[14], header[15]],
            levels: levels.to_vec(),
        })
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.flags, self.defined];
        bytes.extend(self.width.to_le_bytes());
        bytes.extend(self.rows.to_le_bytes());
        bytes.extend(self.repetition.to_le_bytes());
        bytes.extend(self.extra.to_le_bytes());
        bytes.extend(self.copied);
        bytes.extend(&self.levels);
        bytes
    }

    /// The page, and how many values a vector of it shall have.
    pub fn page(&self) -> (Page, usize) {
        let lies = self.flags & LIES != 0;
        let width = u32::from(self.width) % if lies { u32::MAX } else { MOST_VALUES };
        let num_rows = if lies { self.rows } else { self.rows % MOST_ROWS };
        let num_values = num_rows.wrapping_mul(width);
        let length = u32::try_from(self.levels.len()).unwrap_or(u32::MAX);
        let rep_levels_byte_len = if lies { self.repetition } else { self.repetition.min(length) };
        let mut buf = self.levels.clone();
        let room = num_values.min(MOST_ROWS * MOST_VALUES);
        let values = i64::from(4 * room) + i64::from(self.extra);
        // Neighbouring bytes differ, those of a value and those of its neighbours.
        buf.extend((0..values).map(|place| (place * 167 + place / 251) as u8));
        let encoding = match (self.flags & OTHER_ENCODING, self.flags & SPLIT) {
            (0, 0) => Encoding::PLAIN,
            (0, _) => Encoding::BYTE_STREAM_SPLIT,
            _ => Encoding::RLE_DICTIONARY,
        };
        let page = Page::DataPageV2 {
            buf: Bytes::from(buf),
            num_values,
            encoding,
            num_nulls: 0,
            num_rows,
            def_levels_byte_len: length.wrapping_sub(rep_levels_byte_len),
            rep_levels_byte_len,
            is_compressed: false,
            statistics: None,
        };
        (page, width as usize)
    }
}
