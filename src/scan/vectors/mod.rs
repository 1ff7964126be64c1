//! The vector scan: populations of weights out of ordinary Parquet, at the speed of
//! memory.
//!
//! Owns how `weights_<arch>` and `vectors_<arch>` are read: which row groups and
//! pages hold what a query wants ([`keys`], [`opener`], [`file`]), how their bytes come here
//! ([`input`]), and how vectors come to their places ([`group`], [`tensor`],
//! [`page`], [`frame`]). Knows Parquet files and DataFusion's file scans; nothing of commits,
//! and nothing of what is computed with vectors.
//!
//! The way of a query: filters on the key columns, those that joins find while they
//! run too, leave out files and row groups; in a row group the keys are read first
//! and tell which rows are wanted; of the tensors only the pages with such rows are
//! read, and their values copied into the vectors of a batch, each tensor at its
//! offset. Where a file is not as zoolake writes it, the stock reader of the
//! `parquet` crate does the rest of the row group: the rows are the same.

mod buffers;
mod columns;
mod file;
mod frame;
mod group;
mod input;
mod keys;
mod opener;
mod page;
mod planned;
mod selected;
mod source;
mod tensor;
#[cfg(test)]
mod tests;

pub(super) use columns::Columns;
pub(super) use file::Footer;
pub(super) use keys::KeyFilters;
pub(crate) use planned::VectorScan;
pub(crate) use source::BATCH_BYTES;
pub(super) use source::VectorSource;
