//! Commits when requests fail: the n-th put fails, or succeeds without saying
//! so, for every n. Readers see the old state or the new one, never half.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use zoolake::Kind;
use zoolake::store::{Location, Store};

use crate::fixture::synthetics;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// The request fails and stores nothing.
    Refused,
    /// The request stores its object, and then fails.
    AcknowledgementLost,
}

/// An object store in memory whose `n`-th put goes wrong.
#[derive(Debug)]
struct Faulty {
    inner: InMemory,
    puts_left: AtomicUsize,
    fault: Fault,
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Faulty")
    }
}

impl Faulty {
    fn error() -> object_store::Error {
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        object_store::Error::Generic { store: "Faulty", source: io.into() }
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if self.puts_left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return self.inner.put_opts(path, payload, options).await;
        }
        if self.fault == Fault::AcknowledgementLost {
            self.inner.put_opts(path, payload, options).await?;
        }
        Err(Self::error())
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Commits two batches while the `n`-th put goes wrong, again after a failure,
/// and returns how many failures there were.
async fn commit_through(n: usize, fault: Fault) -> usize {
    let faulty = Faulty { inner: InMemory::new(), puts_left: AtomicUsize::new(n), fault };
    let location = Location::from_objects("faulty", Arc::new(faulty));
    let mut failures = 0;
    let store = loop {
        match Store::open_or_create(location.clone()).await {
            Ok(store) => break store,
            Err(error) => {
                assert_eq!(error.kind(), Kind::Unavailable);
                failures += 1;
            }
        }
    };
    let mut committed = 0;
    for batch in [synthetics(0..3), synthetics(2..5)] {
        loop {
            // A new writer, as in a process that was started again.
            let outcome = store.writer().await.unwrap().commit(&batch, "train").await;
            let models = store.snapshot().await.unwrap().num_models();
            let expected = if committed == 0 { 3 } else { 5 };
            assert!(models == committed || models == expected, "{models} models seen");
            match outcome {
                Ok(_) => {
                    assert_eq!(models, expected);
                    committed = expected;
                    break;
                }
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Unavailable);
                    assert!(error.to_string().contains("no storage space"), "{error}");
                    assert!(error.hint().unwrap().starts_with("free space there"));
                    failures += 1;
                }
            }
        }
    }
    let report = store.verify().await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.models, 5);
    failures
}

#[tokio::test]
async fn every_put_may_fail() {
    // Format, then per commit models, epochs, weights, entry; tensors once.
    const PUTS: usize = 1 + 5 + 4;
    for fault in [Fault::Refused, Fault::AcknowledgementLost] {
        for n in 1..=PUTS {
            let failures = commit_through(n, fault).await;
            // An entry or format that was stored after all is recognised as ours.
            let recognised = fault == Fault::AcknowledgementLost && [6, 10].contains(&n);
            assert_eq!(failures, usize::from(!recognised), "{fault:?} at put {n}");
        }
        assert_eq!(commit_through(PUTS + 1, fault).await, 0, "no more puts than thought");
    }
}
