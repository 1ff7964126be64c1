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

/// Which task of a SLURM job array this is, for `--shard auto`.
pub(super) const SLURM_ARRAY_TASK_ID: &str = "SLURM_ARRAY_TASK_ID";

/// How many tasks the array has.
pub(super) const SLURM_ARRAY_TASK_COUNT: &str = "SLURM_ARRAY_TASK_COUNT";

/// The first task of the array.
pub(super) const SLURM_ARRAY_TASK_MIN: &str = "SLURM_ARRAY_TASK_MIN";

/// The step from one task of the array to the next.
pub(super) const SLURM_ARRAY_TASK_STEP: &str = "SLURM_ARRAY_TASK_STEP";

/// Which pod of a Kubernetes indexed job this is, from 0, for `--shard auto/N`.
pub(super) const JOB_COMPLETION_INDEX: &str = "JOB_COMPLETION_INDEX";
