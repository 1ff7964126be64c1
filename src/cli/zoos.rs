//! `zoolake zoos`: the zoos that ship with zoolake.

use std::num::NonZero;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use clap::Args;

use super::output::Output;
use super::train::cores;
use crate::dataset;
use crate::error::{Error, Result};
use crate::train::{Calibration, fastest};
use crate::zoo::{Zoo, published};

/// List the zoos that can be trained by name
///
/// `zoolake train NAME` trains one. `models` is the size of the grid, `states` counts every model
/// at every epoch and before training, `weights_bytes` is the size of their weights as float32,
/// before compression.
#[derive(Debug, Args)]
pub(super) struct Zoos {
    /// Add the hours that training takes on this machine, by a short measurement
    #[arg(long)]
    estimate: bool,

    /// Models to train at the same time, for the estimate [default: one per core]
    #[arg(short, long, value_name = "N", requires = "estimate")]
    jobs: Option<NonZero<usize>>,

    #[command(flatten)]
    output: Output,
}

impl Zoos {
    pub(super) async fn run(self) -> Result<()> {
        let zoos: Vec<Zoo> = published().iter().map(|zoo| zoo.zoo()).collect::<Result<_>>()?;
        let text = |value: fn(&Zoo) -> &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(zoos.iter().map(value)))
        };
        let count = |value: fn(&Zoo) -> usize| -> ArrayRef {
            let counts = zoos.iter().map(|zoo| i64::try_from(value(zoo)).unwrap_or(i64::MAX));
            Arc::new(Int64Array::from_iter_values(counts))
        };
        let mut columns = vec![
            ("name", text(Zoo::name)),
            ("dataset", text(Zoo::dataset)),
            ("arch", text(|zoo| zoo.arch().name())),
            ("models", count(num_models)),
            ("epochs", count(Zoo::epochs)),
            ("states", count(num_states)),
            ("weights_bytes", count(|zoo| num_states(zoo) * zoo.arch().layout().size() * 4)),
        ];
        if self.estimate {
            let jobs = self.jobs.unwrap_or_else(cores);
            let hours = tokio::task::block_in_place(|| hours(&zoos, jobs))?;
            columns.push(("hours", Arc::new(Float64Array::from(hours))));
        }
        let batch = RecordBatch::try_from_iter(columns)
            .map_err(|error| Error::internal("cannot list the zoos").with_source(error))?;
        self.output.write(batch.into()).await
    }
}

fn num_models(zoo: &Zoo) -> usize {
    zoo.grid().len().unwrap_or(0)
}

fn num_states(zoo: &Zoo) -> usize {
    num_models(zoo) * (zoo.epochs() + 1)
}

/// Hours that each zoo takes.
fn hours(zoos: &[Zoo], jobs: NonZero<usize>) -> Result<Vec<f64>> {
    let mut calibration = Calibration::default();
    let hours = |zoo: &Zoo| {
        let (engine, info) = (fastest(zoo.arch()), dataset::info(zoo.dataset(), None)?);
        let models = zoo.models();
        let seconds =
            calibration.seconds(engine.as_ref(), zoo.arch(), &models, info.sizes, jobs)?;
        Ok(seconds / 3600.0)
    };
    zoos.iter().map(hours).collect()
}
