//! Values that zstd compressed: one frame, by RFC 8878 a row of blocks.
//!
//! Where zoolake writes weights (`store::vector_chunk`) each byte of the floats has a block of
//! its own, and mantissas, which do not compress, are in theirs as they are. Of such a frame
//! only the block of the exponents is decoded, and the others are taken where they lie. Any
//! other frame is decoded whole.

use std::cell::RefCell;

use bytes::Bytes;
use zstd::zstd_safe::{DCtx, MAGICNUMBER, get_frame_content_size};

use super::buffers::Buffers;
use super::page::{Values, streams};

/// Kinds of blocks.
const RAW: u32 = 0;
const COMPRESSED: u32 = 2;

thread_local! {
    /// What decodes, and room for a frame that is put together.
    static DECODER: RefCell<(DCtx<'static>, Vec<u8>)> = RefCell::default();
}

/// The `count` values that `frame` holds, split or not; `None` if it does not.
pub(super) fn values(
    frame: Bytes,
    count: usize,
    split: bool,
    buffers: &Buffers<u8>,
) -> Option<Values> {
    let size = count.checked_mul(size_of::<f32>())?;
    if split && let Some(streams) = blocks(&frame, count, size, buffers) {
        return Some(Values::Split(streams));
    }
    let decoded = DECODER.with_borrow_mut(|(decoder, _)| decode(decoder, &frame, size, buffers))?;
    Some(if split { Values::Split(streams(&decoded, count)) } else { Values::Plain(decoded) })
}

/// The streams of `count` bytes that make up a frame of `size`, if each is a block of its own
/// and at most one of them compressed: it has no other to refer to.
fn blocks(frame: &Bytes, count: usize, size: usize, buffers: &Buffers<u8>) -> Option<[Bytes; 4]> {
    let mut at = first_block(frame, size)?;
    let (mut streams, mut compressed) = (Vec::with_capacity(4), false);
    let mut last = false;
    while !last {
        let header = frame.get(at..at + 3)?;
        let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
        last = header & 1 == 1;
        let start = at + 3;
        at = start + usize::try_from(header >> 3).ok()?;
        let block = frame.get(start..at)?;
        match header >> 1 & 3 {
            // An empty one ends a frame that was flushed.
            RAW if block.is_empty() => {}
            RAW if block.len() == count => streams.push(frame.slice(start..at)),
            COMPRESSED if !compressed => {
                compressed = true;
                streams.push(block_alone(block, count, buffers)?);
            }
            _ => return None,
        }
    }
    if at == frame.len() { streams.try_into().ok() } else { None }
}

/// Where the first block is in a frame of `size` bytes that says so, with neither a dictionary
/// nor a checksum.
fn first_block(frame: &[u8], size: usize) -> Option<usize> {
    if get_frame_content_size(frame).ok()?? != size as u64 {
        return None;
    }
    let descriptor = frame.get(4)?;
    let single_segment = descriptor >> 5 & 1;
    let bytes_of_size = match descriptor >> 6 {
        0 => usize::from(single_segment),
        power => 1 << power,
    };
    let bytes_of_window = usize::from(1 - single_segment);
    (descriptor & 0b1_1111 == 0).then_some(5 + bytes_of_window + bytes_of_size)
}

/// What a compressed block of `length` bytes holds that refers to nothing before it.
fn block_alone(block: &[u8], length: usize, buffers: &Buffers<u8>) -> Option<Bytes> {
    DECODER.with_borrow_mut(|(decoder, frame)| {
        frame.clear();
        frame.extend(MAGICNUMBER.to_le_bytes());
        // A single segment, whose size has four bytes.
        frame.push(0b1010_0000);
        frame.extend(u32::try_from(length).ok()?.to_le_bytes());
        let header = u32::try_from(block.len()).ok()? << 3 | COMPRESSED << 1 | 1;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
        decode(decoder, frame, length, buffers)
    })
}

/// The `length` bytes that `frame` holds.
fn decode(
    decoder: &mut DCtx<'_>,
    frame: &[u8],
    length: usize,
    buffers: &Buffers<u8>,
) -> Option<Bytes> {
    let mut room = buffers.lend(length);
    let decoded = decoder.decompress(room.as_mut(), frame).ok()?;
    (decoded == length).then(|| room.into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zstd::stream::raw::{CParameter, Encoder};

    use super::*;
    use crate::store::compress;

    /// One frame, as files have it; each piece of so many bytes ends a block.
    fn frame(bytes: &[u8], piece: usize, checksum: bool) -> Bytes {
        let mut encoder = Encoder::new(1).unwrap();
        encoder.set_parameter(CParameter::ChecksumFlag(checksum)).unwrap();
        let mut frame = Vec::new();
        compress(&mut encoder, bytes, piece, &mut frame).unwrap();
        frame.into()
    }

    /// Streams as floats have them: noise, a few values, the same value, or another stream.
    fn streams_of(kinds: [u8; 4], count: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut bytes: Vec<u8> = Vec::new();
        for kind in kinds {
            match kind {
                0 => bytes.extend((0..count).map(|_| noise())),
                1 => bytes.extend((0..count).map(|_| noise() & noise() & noise())),
                2 => bytes.extend((0..count).map(|_| 7)),
                _ => bytes.extend_from_within(..count.min(bytes.len())),
            }
        }
        bytes.resize(4 * count, 0);
        bytes
    }

    /// What is found, as it was before compression.
    fn found(frame: &Bytes, count: usize, split: bool) -> Option<Vec<u8>> {
        match values(frame.clone(), count, split, &Buffers::default())? {
            Values::Plain(values) => Some(values.to_vec()),
            Values::Split(streams) => Some(streams.concat()),
        }
    }

    #[test]
    fn mantissas_are_taken_where_they_lie() {
        let bytes = streams_of([0, 0, 0, 1], 10_000);
        let frame = frame(&bytes, 10_000, false);
        let streams = blocks(&frame, 10_000, 40_000, &Buffers::default()).unwrap();
        assert_eq!(streams.concat(), bytes);
        for stream in &streams[..3] {
            assert!(frame.as_ptr_range().contains(&stream.as_ptr()), "copied");
        }
    }

    #[test]
    fn a_block_that_refers_to_another_is_decoded_with_it() {
        for kinds in [[0, 0, 3, 1], [1, 1, 3, 3], [0, 3, 0, 0]] {
            let bytes = streams_of(kinds, 10_000);
            assert_eq!(
                found(&frame(&bytes, 10_000, false), 10_000, true),
                Some(bytes),
                "{kinds:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_frame_holds_what_it_decodes_to(
            kinds: [u8; 4],
            count in 0_usize..3000,
            (whole, checksum, split) in any::<(bool, bool, bool)>(),
            damage in prop::option::of((any::<prop::sample::Index>(), 1_u8..)),
            cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let bytes = streams_of(kinds.map(|kind| kind % 4), count);
            let piece = if whole { bytes.len() } else { count };
            let mut frame = frame(&bytes, piece.max(1), checksum).to_vec();
            if let Some((at, bits)) = damage {
                *at.get_mut(&mut frame) ^= bits;
            }
            if let Some(cut) = cut {
                frame.truncate(cut.index(frame.len()));
            }
            let mut decoded = vec![0; bytes.len()];
            let length = zstd::bulk::decompress_to_buffer(&frame, &mut decoded).ok();
            let decoded = (length == Some(bytes.len())).then_some(decoded);
            let found = found(&frame.into(), count, split);
            prop_assert_eq!(&found, &decoded);
            if damage.is_none() && cut.is_none() {
                prop_assert_eq!(found, Some(bytes));
            }
        }
    }
}
