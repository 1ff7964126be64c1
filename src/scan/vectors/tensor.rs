//! The vectors of one tensor in one row group, page by page.

use parquet::basic::{Compression, LogicalType, Type};
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::buffers::Buffers;
use super::frame;
use super::input::FileBytes;
use super::page::{PageShape, Values, VectorPage};
use super::selected::Selected;

/// A column of the file: what is known of its pages before they are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf {
    /// Which of the file's columns of values.
    pub(super) index: usize,
    /// Values of a vector.
    width: usize,
    /// The definition level of a value.
    defined: u8,
}

impl Leaf {
    /// The column named `tensor`, if it is a list of floats, one deep.
    pub(super) fn find(schema: &SchemaDescriptor, tensor: &str, width: usize) -> Option<Self> {
        let roots = schema.root_schema().get_fields();
        let root = roots.iter().position(|field| field.name() == tensor)?;
        let mut leaves =
            (0..schema.num_columns()).filter(|&leaf| schema.get_column_root_idx(leaf) == root);
        let (index, None) = (leaves.next()?, leaves.next()) else { return None };
        let column: &ColumnDescriptor = &schema.column(index);
        let plain_floats = column.physical_type() == Type::FLOAT
            && column.logical_type_ref().is_none_or(|logical| *logical == LogicalType::Unknown);
        let defined = u8::try_from(column.max_def_level()).ok()?;
        (plain_floats && column.max_rep_level() == 1).then_some(Self { index, width, defined })
    }
}

/// Reads vectors from front to back.
pub(super) struct TensorReader {
    shape: PageShape,
    pages: SerializedPageReader<FileBytes>,
    /// Where pages are decompressed to, if zstd compressed them.
    zstd: Option<Buffers<u8>>,
    /// The page at hand, and its first row.
    page: Option<(VectorPage, usize)>,
    /// The first row of the page after it.
    next_row: usize,
    /// Rows of the row group.
    rows: usize,
}

impl TensorReader {
    pub(super) fn new(
        bytes: &FileBytes,
        file: &ParquetMetaData,
        group: usize,
        leaf: Leaf,
        all: bool,
        buffers: &Buffers<u8>,
    ) -> Result<Self> {
        let metadata = file.row_group(group);
        let column = metadata.column(leaf.index);
        let (start, length) = column.byte_range();
        let bytes = if all { bytes.ahead(start..start + length) } else { bytes.clone() };
        let index = file.offset_index().and_then(|index| index.get(group)?.get(leaf.index));
        let locations = index.map(|index| index.page_locations().clone());
        let rows = usize::try_from(metadata.num_rows())?;
        let zstd = matches!(column.compression(), Compression::ZSTD(_)).then(|| buffers.clone());
        let stored = zstd.as_ref().map(|_| as_stored(column)).transpose()?;
        let column = stored.as_ref().unwrap_or(column);
        let pages = SerializedPageReader::new(bytes.into(), column, rows, locations)?;
        let shape = PageShape::new(leaf.width, leaf.defined);
        Ok(Self { shape, pages, zstd, page: None, next_row: 0, rows })
    }

    /// Copies the vectors of `rows`, which come after all that were read before, to
    /// `into`, each `stride` values after the one before it. Says no if a page is
    /// not one of whole vectors without NULLs.
    pub(super) fn read(
        &mut self,
        rows: &Selected,
        into: &mut [f32],
        stride: usize,
    ) -> Result<bool> {
        let mut at = 0;
        for mut range in rows.ranges() {
            while !range.is_empty() {
                if range.start >= self.next_row && !self.turn_to(range.start)? {
                    return Ok(false);
                }
                let Some((page, first)) = &self.page else { return Ok(false) };
                let end = range.end.min(self.next_row);
                page.copy(range.start - first..end - first, &mut into[at..], stride);
                at += (end - range.start) * stride;
                range.start = end;
                // A page may be as large as a tensor, and there is one for each.
                if end == self.next_row {
                    self.page = None;
                }
            }
        }
        Ok(true)
    }

    /// Turns to the page that holds `row`, which lies ahead. Pages before it are
    /// not even decompressed.
    fn turn_to(&mut self, row: usize) -> Result<bool> {
        // The room of the old page serves for the next.
        self.page = None;
        let rows = loop {
            let Some(rows) = self.pages.peek_next_page()?.and_then(|page| page.num_rows) else {
                return Ok(false);
            };
            if rows > self.rows - self.next_row {
                return Ok(false);
            }
            if self.next_row + rows > row {
                break rows;
            }
            self.pages.skip_next_page()?;
            self.next_row += rows;
        };
        let Some(page) = self.pages.get_next_page()? else { return Ok(false) };
        let compressed = matches!(page, Page::DataPageV2 { is_compressed: true, .. });
        let values = |bytes, count, split| match &self.zstd {
            Some(buffers) if compressed => frame::values(bytes, count, split, buffers),
            _ => Values::stored(bytes, count, split),
        };
        let Some(page) = VectorPage::of(&page, &mut self.shape, values) else { return Ok(false) };
        // By that index pages were skipped, by the stock reader too.
        if page.rows() != rows {
            let message = format!("a page of {} rows has {rows} in its index", page.rows());
            return Err(ParquetError::General(message));
        }
        self.page = Some((page, self.next_row));
        self.next_row += rows;
        Ok(true)
    }
}

/// The same column, of which the reader of pages gives the bytes as they are: its decompressor
/// is made anew for every column, and copies what is stored as it is.
fn as_stored(column: &ColumnChunkMetaData) -> Result<ColumnChunkMetaData> {
    column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()
}
