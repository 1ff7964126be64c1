//! Every environment variable the command line reads.
//!
//! Beside these, `AWS_*`, `GOOGLE_*` and `AZURE_*` configure object stores, by
//! the names the cloud vendors' own tools use: see [`crate::store::CloudOptions`].

/// The store, if `--store` is not given.
pub(super) const STORE: &str = "ZOOLAKE_STORE";

/// The folder of data files, if `--data` is not given.
pub(super) const DATA: &str = "ZOOLAKE_DATA";

/// The folder of models half trained, if `--work` is not given.
pub(super) const WORK: &str = "ZOOLAKE_WORK";

/// URL of an S3-compatible service, if `--endpoint-url` is not given.
pub(super) const ENDPOINT_URL: &str = "AWS_ENDPOINT_URL";
