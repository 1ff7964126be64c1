//! A reader of pages that goes the plain way: every level by itself, then every value,
//! by the letter of the Parquet specification and nothing else.

use parquet::basic::Encoding;
use parquet::column::page::Page;

/// The values of a page of vectors of `width` values, which have the definition level
/// `defined`, as bits; `None` if the page is anything else.
pub fn vectors(page: &Page, width: usize, defined: u8) -> Option<Vec<u32>> {
    let Page::DataPageV2 {
        buf,
        num_values,
        encoding,
        num_rows,
        def_levels_byte_len,
        rep_levels_byte_len,
        ..
    } = page
    else {
        return None;
    };
    let [rows, count, repetition, definition] =
        [num_rows, num_values, rep_levels_byte_len, def_levels_byte_len].map(|&n| u64::from(n));
    if width == 0 || rows * width as u64 != count || !(1..=3).contains(&defined) {
        return None;
    }
    let buf: &[u8] = buf;
    if (buf.len() as u64) < repetition + definition
        || buf.len() as u64 - repetition - definition != 4 * count
    {
        return None;
    }
    let (repetitions, rest) = buf.split_at(repetition as usize);
    let (definitions, values) = rest.split_at(definition as usize);
    let count = count as usize;
    let repetitions = levels(1, count, repetitions)?;
    let definitions = levels(if defined == 1 { 1 } else { 2 }, count, definitions)?;
    let as_expected = |place: usize| {
        repetitions[place] == u8::from(!place.is_multiple_of(width))
            && definitions[place] == defined
    };
    if !(0..count).all(as_expected) {
        return None;
    }
    let byte = |value: usize, byte: usize| match encoding {
        Encoding::PLAIN => Some(values[4 * value + byte]),
        Encoding::BYTE_STREAM_SPLIT => Some(values[byte * count + value]),
        _ => None,
    };
    let value = |value: usize| {
        let mut bits = 0;
        for place in 0..4 {
            bits += u32::from(byte(value, place)?) << (8 * place);
        }
        Some(bits)
    };
    match encoding {
        Encoding::PLAIN | Encoding::BYTE_STREAM_SPLIT => (0..count).map(value).collect(),
        _ => None,
    }
}

/// Exactly `count` levels of `bits` bits: runs of the RLE / bit-packing hybrid, of which
/// none is empty, and nothing behind them but what fills the last group of eight up.
fn levels(bits: u32, count: usize, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = bytes.iter().copied();
    let mut levels = Vec::new();
    while levels.len() < count {
        let header = varint(&mut bytes)?;
        let (length, packed) = (header / 2, header % 2 == 1);
        if length == 0 {
            return None;
        }
        if packed {
            for _ in 0..length {
                if levels.len() >= count {
                    return None;
                }
                let mut group: u32 = 0;
                for byte in 0..bits {
                    group |= u32::from(bytes.next()?) << (8 * byte);
                }
                levels.extend((0..8).map(|k| (group >> (k * bits) & ((1 << bits) - 1)) as u8));
            }
        } else {
            let level = bytes.next()?;
            for _ in 0..length {
                if levels.len() >= count {
                    return None;
                }
                levels.push(level);
            }
        }
    }
    levels.truncate(count);
    bytes.next().is_none().then_some(levels)
}

/// A ULEB128 number of up to 32 bits, in up to five bytes.
fn varint(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = 0;
    for place in 0..5 {
        let byte = bytes.next()?;
        number += u64::from(byte % 128) << (7 * place);
        if byte < 128 {
            return (number <= u64::from(u32::MAX)).then_some(number);
        }
    }
    None
}
