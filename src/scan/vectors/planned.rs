//! A scan of vectors as it stands in a plan.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;

use super::columns::KEY_COLUMNS;
use super::source::VectorSource;

/// A scan of vectors: what can be asked of its files one by one.
#[derive(Debug, Clone)]
pub(crate) struct VectorScan {
    config: FileScanConfig,
    source: VectorSource,
}

impl VectorScan {
    /// The scan that `plan` is, if it is one that reads all rows.
    pub(crate) fn of(plan: &Arc<dyn ExecutionPlan>) -> Option<Self> {
        let scan = plan.downcast_ref::<DataSourceExec>()?;
        let (config, source) = scan.downcast_to_file_source::<VectorSource>()?;
        let all = config.limit.is_none();
        all.then(|| Self { config: config.clone(), source: source.clone() })
    }

    /// Whether these columns of the result are `model_id` and `epoch`.
    pub(crate) fn keys_are(&self, columns: [usize; 2]) -> bool {
        columns.map(|column| self.source.column(column)) == KEY_COLUMNS.map(Some)
    }

    /// The same scan, of `model_id` and `epoch` alone.
    pub(crate) fn of_keys(&self) -> Self {
        Self { source: self.source.of_keys(), ..self.clone() }
    }

    /// The files, whole ones, into whatever parts they were dealt.
    pub(crate) fn files(&self) -> Vec<PartitionedFile> {
        let mut seen = HashSet::new();
        let parts = self.config.file_groups.iter().flat_map(FileGroup::iter);
        parts
            .filter(|part| seen.insert(&part.object_meta.location))
            .map(|part| PartitionedFile { range: None, ..part.clone() })
            .collect()
    }

    /// The same scan of `files`, one after the other.
    pub(crate) fn over(&self, files: Vec<PartitionedFile>) -> Arc<dyn ExecutionPlan> {
        let config = FileScanConfigBuilder::from(self.config.clone())
            .with_source(Arc::new(self.source.clone()))
            .with_file_groups(vec![files.into()])
            .with_preserve_order(true)
            .build();
        DataSourceExec::from_data_source(config)
    }
}
