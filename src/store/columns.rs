//! A few columns of a stored file, without the rest of it: the footer and the
//! byte ranges of these columns are all that is asked for.

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::types::SchemaDescriptor;

use super::log::DataFile;
use super::{Location, failure};
use crate::error::{Error, Result, panicked};

/// What is read from the end of a file at first: mostly the whole footer.
const FOOTER_BYTES: usize = 64 << 10;

/// The columns of `file` called `names`, those it has.
pub(super) async fn read_columns(
    location: &Location,
    file: &DataFile,
    names: &[&str],
) -> Result<Vec<RecordBatch>> {
    let read = async {
        let objects = Arc::clone(location.objects());
        let path = Path::from(file.path.as_str());
        let object = Object { objects, path, bytes: file.bytes };
        let builder = ParquetRecordBatchStreamBuilder::new(object).await?;
        let columns = projection(builder.schema(), builder.parquet_schema(), names);
        builder.with_projection(columns).build()?.try_collect().await
    };
    // Damaged bytes make the reader panic here and there.
    let read = AssertUnwindSafe(read).catch_unwind().await.unwrap_or_else(|panic| {
        let panic = panicked("the Parquet reader", panic.as_ref());
        Err(ParquetError::General(panic.to_string()))
    });
    read.map_err(|error| unreadable(location, file, error))
}

/// The columns called `names`, those that are there.
pub(super) fn projection(
    schema: &Schema,
    parquet: &SchemaDescriptor,
    names: &[&str],
) -> ProjectionMask {
    let roots = names.iter().filter_map(|name| schema.index_of(name).ok());
    ProjectionMask::roots(parquet, roots.collect::<Vec<_>>())
}

/// What a failure to read `file` means.
pub(super) fn unreadable(location: &Location, file: &DataFile, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) if source.is::<object_store::Error>() => {
            let path = Path::from(file.path.as_str());
            match source.downcast::<object_store::Error>() {
                Ok(error) => failure::read(location, &path, *error),
                Err(source) => Error::internal("a failed read").with_source(source),
            }
        }
        error => Error::corrupt(format!("`{}` cannot be read: {error}", file.path))
            .with_hint(failure::VERIFY)
            .with_source(error),
    }
}

/// A stored file as the Parquet reader sees it.
struct Object {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    bytes: u64,
}

impl AsyncFileReader for Object {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        self.objects.get_range(&self.path, range).map_err(external).boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.objects.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let reader = ParquetMetaDataReader::new()
            .with_arrow_reader_options(options)
            .with_prefetch_hint(Some(FOOTER_BYTES));
        let bytes = self.bytes;
        async move { reader.load_and_finish(self, bytes).await.map(Arc::new) }.boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
