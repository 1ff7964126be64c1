//! `zoolake features`: feature sets.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use clap::Args;
use clap::error::ErrorKind;

use super::env_vars;
use super::output::Output;
use super::place::{Cloud, Place, PlaceAndTime};
use super::stdout::print;
use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::features::{self, Epochs, FeatureSet, Query};

/// Compute a feature set of stored states; without a name, list the sets
///
/// The columns are `model_id`, `epoch` and the features, the rows are ordered by epoch and model. In
/// SQL each set is a table function: `SELECT * FROM hsg_quintiles_v1('cnn_s')`.
#[derive(Debug, Args)]
pub(super) struct Features {
    /// The feature set, such as `hsg_quintiles_v1` or `learning_curve_v1(10)`
    set: Option<String>,

    /// Architectures, several for their common frame [default: the only one there is]
    #[arg(long, value_name = "ARCH", value_delimiter = ',')]
    arch: Vec<String>,

    /// Zoos [default: all]
    #[arg(long, value_name = "ZOO", value_delimiter = ',')]
    zoo: Vec<String>,

    /// Epochs: `last`, `all`, a number, or a range such as `21..25`
    #[arg(long, value_name = "EPOCHS", default_value_t)]
    epoch: Epochs,

    /// Features of these tensors only, or of all tensors of these layers
    #[arg(long, value_name = "TENSOR", value_delimiter = ',')]
    tensors: Vec<String>,

    /// Print the query instead of running it
    #[arg(long)]
    show: bool,

    /// The store: a folder, `s3://bucket/path`, `gs://bucket/path` or `az://container/path`
    #[arg(short, long, value_name = "URL", env = env_vars::STORE)]
    store: Option<String>,

    #[command(flatten)]
    cloud: Cloud,

    /// Read the store as it was after commit N
    #[arg(long, value_name = "N")]
    at: Option<u64>,

    #[command(flatten)]
    output: Output,
}

impl Features {
    pub(super) async fn run(self) -> Result<()> {
        let Some(set) = self.set else { return self.output.write(list()?.into()).await };
        features::parse(&set)?;
        let query = Query {
            set,
            archs: self.arch,
            zoos: self.zoo,
            epochs: self.epoch,
            tensors: self.tensors,
        };
        let Some(store) = self.store else {
            let message =
                format!("features `{}` need a store: name one with `--store`\n", query.set);
            clap::Error::raw(ErrorKind::MissingRequiredArgument, message).exit()
        };
        let place = PlaceAndTime { place: Place { store, cloud: self.cloud }, at: self.at };
        let session = place.session().await?;
        let sql = query.sql(&session).await?;
        if self.show {
            return print(&format!("{sql}\n"));
        }
        self.output.write(session.sql(&sql).await?).await
    }
}

/// Every set, with its number of features for each architecture.
fn list() -> Result<RecordBatch> {
    let sets = features::all();
    let text = |value: fn(&dyn FeatureSet) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(sets.iter().map(|set| value(*set))))
    };
    let mut columns = vec![("set", text(|set| set.name()))];
    for arch in Arch::all() {
        let dimension = |set: &&dyn FeatureSet| {
            set.dimension(arch).map(|count| i64::try_from(count).unwrap_or(i64::MAX))
        };
        let dimensions: Int64Array = sets.iter().map(dimension).collect();
        columns.push((arch.name(), Arc::new(dimensions)));
    }
    columns.extend([("features", text(|set| set.about())), ("source", text(|set| set.source()))]);
    RecordBatch::try_from_iter(columns)
        .map_err(|error| Error::internal("cannot list the feature sets").with_source(error))
}
