//! What a store is asked for: requests by kind, and bytes.
//!
//! Owns the counter and the object store that keeps it. Counts what this program
//! asks for; what a client of a service repeats after a failure it does not see.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Names that a service puts into one answer to LIST: more take another request.
const LISTED_AT_ONCE: u64 = 1000;

/// How often a store was asked for what, and how many bytes came and went.
///
/// On a local disk and in memory these are the requests that a service would
/// have got in its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// Whole objects read.
    pub get: u64,
    /// Ranges of objects read.
    pub ranged_get: u64,
    /// Listings, one for each thousand names begun.
    pub list: u64,
    /// Questions for the size of an object.
    pub head: u64,
    /// Objects written under names of their own.
    pub put: u64,
    /// Objects written if there is none of that name: the requests that commit.
    pub put_create: u64,
    /// Objects removed.
    pub delete: u64,
    /// Bytes of objects received.
    pub bytes_read: u64,
    /// Bytes of objects sent.
    pub bytes_written: u64,
}

/// As `--io-stats` shows them, but for the bytes.
impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { get, ranged_get, list, head, put, put_create, delete, .. } = self;
        write!(
            f,
            "{get} GET, {ranged_get} ranged GET, {list} LIST, {head} HEAD, \
             {put} PUT, {put_create} PUT-create, {delete} DELETE"
        )
    }
}

/// Counts the requests made of a location: see [`super::Location::counted`].
/// Clones count together.
#[derive(Debug, Clone, Default)]
pub struct RequestCounter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    get: AtomicU64,
    ranged_get: AtomicU64,
    list: AtomicU64,
    head: AtomicU64,
    put: AtomicU64,
    put_create: AtomicU64,
    delete: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
}

impl RequestCounter {
    /// The requests so far.
    pub fn requests(&self) -> Requests {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Requests {
            get: count(&self.0.get),
            ranged_get: count(&self.0.ranged_get),
            list: count(&self.0.list),
            head: count(&self.0.head),
            put: count(&self.0.put),
            put_create: count(&self.0.put_create),
            delete: count(&self.0.delete),
            bytes_read: count(&self.0.bytes_read),
            bytes_written: count(&self.0.bytes_written),
        }
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

/// An object store whose requests are counted.
#[derive(Debug)]
pub(super) struct Counted {
    inner: Arc<dyn ObjectStore>,
    counter: RequestCounter,
}

impl Counted {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, counter: RequestCounter) -> Self {
        Self { inner, counter }
    }

    fn counts(&self) -> &Counts {
        &self.counter.0
    }

    /// Counts a listing, now and as its names come.
    fn listing(
        &self,
        names: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        add(&self.counts().list, 1);
        let (counter, mut seen) = (self.counter.clone(), 0);
        let names = names.inspect(move |_| {
            if seen == LISTED_AT_ONCE {
                add(&counter.0.list, 1);
                seen = 0;
            }
            seen += 1;
        });
        names.boxed()
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// `get_ranges` is left to its default, which asks for near ranges at once, as
/// the clients of services do, so that a local store tells what a service costs.
#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let create = matches!(options.mode, PutMode::Create);
        add(if create { &self.counts().put_create } else { &self.counts().put }, 1);
        add(&self.counts().bytes_written, payload.content_length() as u64);
        self.inner.put_opts(path, payload, options).await
    }

    /// Counts the beginning only: no object of a store is written in parts.
    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        add(&self.counts().put, 1);
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let kind = match options {
            GetOptions { head: true, .. } => &self.counts().head,
            GetOptions { range: Some(_), .. } => &self.counts().ranged_get,
            _ => &self.counts().get,
        };
        add(kind, 1);
        let head = options.head;
        let result = self.inner.get_opts(path, options).await?;
        if !head {
            add(&self.counts().bytes_read, result.range.end - result.range.start);
        }
        Ok(result)
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let counter = self.counter.clone();
        self.inner.delete_stream(paths.inspect(move |_| add(&counter.0.delete, 1)).boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let listed = self.inner.list_with_delimiter(prefix).await?;
        let names = (listed.objects.len() + listed.common_prefixes.len()) as u64;
        add(&self.counts().list, names.div_ceil(LISTED_AT_ONCE).max(1));
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        add(&self.counts().put, 1);
        self.inner.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    #[tokio::test]
    async fn every_kind_of_request_is_counted_once() {
        let counter = RequestCounter::default();
        let store = Counted::new(Arc::new(InMemory::new()), counter.clone());
        let path = Path::from("data/a");
        store.put(&path, "0123456789".into()).await.unwrap();
        store.put_opts(&path, "x".into(), PutMode::Create.into()).await.unwrap_err();
        store.get(&path).await.unwrap().bytes().await.unwrap();
        store.get_range(&path, 2..5).await.unwrap();
        // Near to each other: one request for the bytes from 0 to 9.
        store.get_ranges(&path, &[0..1, 8..9]).await.unwrap();
        store.head(&path).await.unwrap();
        store.list(None).try_collect::<Vec<_>>().await.unwrap();
        store.delete(&path).await.unwrap();
        let expected = Requests {
            get: 1,
            ranged_get: 2,
            list: 1,
            head: 1,
            put: 1,
            put_create: 1,
            delete: 1,
            bytes_read: 10 + 3 + 9,
            bytes_written: 10 + 1,
        };
        assert_eq!(counter.requests(), expected);
        assert_eq!(
            expected.to_string(),
            "1 GET, 2 ranged GET, 1 LIST, 1 HEAD, 1 PUT, 1 PUT-create, 1 DELETE"
        );
    }

    #[tokio::test]
    async fn a_listing_takes_a_request_for_each_thousand_names() {
        let counter = RequestCounter::default();
        let store = Counted::new(Arc::new(InMemory::new()), counter.clone());
        for number in 0..2001 {
            store.put(&Path::from(format!("data/{number}")), "".into()).await.unwrap();
            let listed = |expected| assert_eq!(counter.requests().list, expected, "{number}");
            if [999, 1000, 2000].contains(&number) {
                let before = counter.requests().list;
                store.list(None).try_collect::<Vec<_>>().await.unwrap();
                listed(before + (number as u64 + 1).div_ceil(1000));
            }
        }
    }
}
