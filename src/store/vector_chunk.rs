//! The vectors of one tensor in one row group, as Parquet keeps them.
//!
//! Owns how pages of whole vectors are written; `scan::vectors` reads them, and so does any
//! reader of Parquet: only where pages and blocks of zstd end is special. The writer of the
//! `parquet` crate takes columns of every kind, spends most of its time on levels, which are
//! known beforehand here, and compresses a page as a whole. Here each byte of the floats is
//! compressed by itself: exponents, which have structure, do not mix with mantissas, which
//! have none and stay as they are. So pages can be small, and a state is read without
//! decoding many others (`docs/storage.md`).

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::ParamSwitch;

use super::weight_encoding::WeightEncoding;
use crate::error::Error;

/// Values of a page, in bytes; a longer vector has a page of its own.
const PAGE_BYTES: usize = 64 << 10;

/// Bytes of a value.
const VALUE: usize = size_of::<f32>();

/// From this length on a vector's repetition levels are shorter as runs than as bits.
const LONG: usize = 40;

/// Writes vectors, one chunk after the other.
pub(super) struct VectorWriter {
    encoding: Encoding,
    compression: Compression,
    /// If values are BYTE_STREAM_SPLIT, and not PLAIN.
    zstd: Option<Encoder<'static>>,
}

impl VectorWriter {
    /// Writes values as `weights` says.
    pub(super) fn new(weights: WeightEncoding) -> crate::error::Result<Self> {
        let (encoding, compression) = weights.in_parquet()?;
        let zstd = match compression {
            Compression::ZSTD(level) => Some(encoder(level)),
            _ => None,
        };
        let zstd = zstd.transpose().map_err(|error| Error::internal("zstd").with_source(error))?;
        Ok(Self { encoding, compression, zstd })
    }

    /// The chunk of `column` that holds `vectors` of `width` values, one after the other; and
    /// what is to be said of it in the footer.
    pub(super) fn chunk(
        &mut self,
        column: &ColumnDescPtr,
        width: usize,
        vectors: &[f32],
    ) -> Result<(Bytes, ColumnCloseResult)> {
        let defined = u8::try_from(column.max_def_level())?;
        let rows_of_page = (PAGE_BYTES / (VALUE * width)).max(1);
        let mut bytes = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut bytes);
        let mut index = OffsetIndexBuilder::new();
        let (mut written, mut uncompressed) = (0, 0);
        for values in vectors.chunks(rows_of_page * width) {
            let page = pages.write_page(self.page(values, width, defined)?)?;
            let size = i32::try_from(page.compressed_size)?;
            index.append_offset_and_size(i64::try_from(page.offset)?, size);
            index.append_row_count(i64::try_from(values.len() / width)?);
            written += page.bytes_written;
            uncompressed += page.uncompressed_size;
        }
        let metadata = ColumnChunkMetaData::builder(Arc::clone(column))
            .set_compression(self.compression)
            .set_encodings(vec![Encoding::RLE, self.encoding])
            .set_num_values(i64::try_from(vectors.len())?)
            .set_total_compressed_size(i64::try_from(written)?)
            .set_total_uncompressed_size(i64::try_from(uncompressed)?)
            .set_data_page_offset(0)
            .build()?;
        let closed = ColumnCloseResult {
            bytes_written: written,
            rows_written: u64::try_from(vectors.len() / width)?,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(index.build()),
        };
        Ok((bytes.into_inner()?.into(), closed))
    }

    /// A page of `values`, each of the definition level `defined`.
    fn page(&mut self, values: &[f32], width: usize, defined: u8) -> Result<CompressedPage> {
        let mut buf = repetition_levels(values.len() / width, width);
        let rep_levels_byte_len = u32::try_from(buf.len())?;
        put_run(&mut buf, values.len(), defined);
        let def_levels_byte_len = u32::try_from(buf.len())? - rep_levels_byte_len;
        let uncompressed = buf.len() + size_of_val(values);
        match &mut self.zstd {
            Some(zstd) => compress(zstd, &split(values), values.len(), &mut buf)?,
            None => buf.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        }
        let page = Page::DataPageV2 {
            buf: buf.into(),
            num_values: u32::try_from(values.len())?,
            encoding: self.encoding,
            num_nulls: 0,
            num_rows: u32::try_from(values.len() / width)?,
            def_levels_byte_len,
            rep_levels_byte_len,
            is_compressed: self.zstd.is_some(),
            statistics: None,
        };
        Ok(CompressedPage::new(page, uncompressed))
    }
}

/// An encoder that hardly looks for repetitions, other than of zeros: those that exponents
/// have are mostly chance, take longer to decode than their Huffman codes, and save little
/// room (`docs/storage.md`).
fn encoder(level: ZstdLevel) -> io::Result<Encoder<'static>> {
    let mut encoder = Encoder::new(level.compression_level())?;
    encoder.set_parameter(CParameter::MinMatch(7))?;
    encoder.set_parameter(CParameter::HashLog(7))?;
    // Steps of 64 bytes over what repeats nothing; zstd would then leave out Huffman codes too.
    encoder.set_parameter(CParameter::TargetLength(64))?;
    encoder.set_parameter(CParameter::LiteralCompressionMode(ParamSwitch::Enable))?;
    Ok(encoder)
}

/// BYTE_STREAM_SPLIT: first the lowest byte of every value, then the second of every one.
fn split(values: &[f32]) -> Vec<u8> {
    let mut streams = Vec::with_capacity(size_of_val(values));
    for byte in 0..VALUE {
        streams.extend(values.iter().map(|value| value.to_le_bytes()[byte]));
    }
    streams
}

/// Appends one frame of zstd, in which every `stream` bytes end a block.
pub(crate) fn compress(
    encoder: &mut Encoder<'_>,
    bytes: &[u8],
    stream: usize,
    into: &mut Vec<u8>,
) -> io::Result<()> {
    encoder.reinit()?;
    encoder.set_pledged_src_size(Some(bytes.len() as u64))?;
    let start = into.len();
    // What a frame may need, and a header for each block that ends early.
    into.reserve(zstd::zstd_safe::compress_bound(bytes.len()) + 4 * VALUE);
    let mut output = OutBuffer::around_pos(into, start);
    for stream in bytes.chunks(stream) {
        let mut input = InBuffer::around(stream);
        while input.pos() < stream.len() {
            encoder.run(&mut input, &mut output)?;
        }
        encoder.flush(&mut output)?;
    }
    match encoder.finish(&mut output, true)? {
        0 => Ok(()),
        more => Err(io::Error::other(format!("zstd has {more} bytes more than it may"))),
    }
}

/// The repetition levels of whole vectors: 0 begins each, 1 goes on with it. Encoded as
/// runs of bits, as the Parquet specification has them.
fn repetition_levels(rows: usize, width: usize) -> Vec<u8> {
    let mut levels = Vec::new();
    if width < LONG {
        let bytes = (rows * width).div_ceil(8);
        put_varint(&mut levels, bytes << 1 | 1);
        let packed = levels.len();
        levels.resize(packed + bytes, u8::MAX);
        for first in (0..rows * width).step_by(width) {
            levels[packed + first / 8] &= !(1 << (first % 8));
        }
    } else {
        for _ in 0..rows {
            put_run(&mut levels, 1, 0);
            put_run(&mut levels, width - 1, 1);
        }
    }
    levels
}

/// Appends a run of so many equal levels.
fn put_run(levels: &mut Vec<u8>, length: usize, level: u8) {
    put_varint(levels, length << 1);
    levels.push(level);
}

/// Appends a number as ULEB128.
fn put_varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}
