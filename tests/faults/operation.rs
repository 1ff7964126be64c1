//! What a writer does to a store. A further operation is a line of [`Operation`]
//! and one of each function.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use object_store::memory::InMemory;
use zoolake::arch::Arch;
use zoolake::store::{
    ColumnType, Location, PREDICTIONS, RESULTS, Simulation, Store, TableSchema, Writer,
};
use zoolake::train::Trained;
use zoolake::zoo::Model;
use zoolake::{Kind, Result};

use super::at_work::AtWork;
use super::service::at_once;
use crate::fixture::synthetic;

/// Something that can be done again if it failed, with the same result.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    /// Models are committed, of which others may have committed some.
    Commit(Range<usize>),
    /// Small files are merged.
    Compact,
    /// Every model of a zoo is dropped, if there is any.
    Drop(&'static str),
    /// The models of another store are copied, if there is one.
    Copy(Location),
    /// What a run of predictions about these models found is recorded.
    Record(Range<usize>),
    /// What no snapshot needs is removed, but for what those at work may need.
    Vacuum(AtWork),
}

/// Models that operations are about, with a state each.
pub(super) const MODELS: usize = 48;

/// Their zoos with the architecture of each: neighbours are of different ones.
pub(super) const ZOOS: [(&str, &str); 3] =
    [("grey", "cnn_s"), ("colour", "cnn_s_rgb"), ("other", "cnn_s")];

static TRAINED: LazyLock<Vec<Trained>> = LazyLock::new(|| {
    let of_zoo = |index: usize| {
        let (zoo, arch) = ZOOS[index % ZOOS.len()];
        let Trained { mut states, model } = synthetic(index as u32, 0);
        let size = Arch::by_name(arch).unwrap().layout().size();
        states[0].weights = vec![index as f32; size].into();
        Trained { states, model: Model::new(zoo, index, "digits", arch, model.hyper) }
    };
    (0..MODELS).map(of_zoo).collect()
});

/// The rows of a run about `models`: one of `results`, one of `predictions` for each. A run is
/// of one store: where a simulation has several, its name says which.
fn found(store: &Store, models: &Range<usize>) -> (RecordBatch, RecordBatch) {
    let place = store.location().to_string();
    let of = place.split_once(" of ").map_or("", |(_, store)| store);
    let run = format!("{of} {models:?}");
    let rows = |schema: &TableSchema, ids: &[i64]| {
        let column = |data_type| -> ArrayRef {
            match data_type {
                ColumnType::Int64 => Arc::new(Int64Array::from(ids.to_vec())),
                ColumnType::Float64 => Arc::new(Float64Array::from(vec![0.5; ids.len()])),
                ColumnType::Utf8 => Arc::new(StringArray::from(vec![run.as_str(); ids.len()])),
            }
        };
        let columns = schema.columns.iter().map(|described| column(described.data_type));
        RecordBatch::try_new(schema.arrow(), columns.collect()).unwrap()
    };
    (rows(&RESULTS, &[1]), rows(&PREDICTIONS, &ids(models)))
}

fn ids(models: &Range<usize>) -> Vec<i64> {
    TRAINED[models.clone()].iter().map(|trained| trained.model.id).collect()
}

/// A store on which this was done.
pub(super) fn after(operations: impl IntoIterator<Item = Operation>) -> InMemory {
    let _simulation = Simulation::begin(0);
    let objects = Arc::new(InMemory::new());
    let location = Location::from_objects("before", Arc::clone(&objects) as _);
    at_once(async {
        let store = Store::open_or_create(location).await.unwrap();
        let mut writer = store.writer().await.unwrap();
        for operation in operations {
            operation.run(&store, &mut writer).await.unwrap();
        }
    });
    objects.fork()
}

impl Operation {
    pub(super) async fn run(&self, store: &Store, writer: &mut Writer) -> Result<()> {
        match self {
            Self::Commit(models) => {
                writer.commit(&TRAINED[models.clone()], "train").await.map(drop)
            }
            Self::Compact => store.compact(&|_| ()).await.map(drop),
            Self::Drop(zoo) => match store.drop_zoo(zoo).await {
                Err(error) if error.kind() == Kind::Invalid => Ok(()),
                dropped => dropped.map(drop),
            },
            Self::Copy(from) => {
                let Some(source) = Store::open_if_any(from.clone()).await? else { return Ok(()) };
                let snapshot = source.snapshot().await?;
                source.copy_to(store, &snapshot, &|_| ()).await.map(drop)
            }
            Self::Record(models) => {
                let (results, predictions) = found(store, models);
                store.record("predict", &results, &predictions).await.map(drop)
            }
            Self::Vacuum(at_work) => {
                let garbage = store.garbage(at_work.older_than()).await?;
                store.vacuum(&garbage).await
            }
        }
    }

    /// Whether it is tried until it succeeds. What reads and writes the whole store
    /// takes more requests than go well in a row where it is rough.
    pub(super) fn insists(&self) -> bool {
        matches!(self, Self::Commit(_))
    }

    /// The models that have been committed, now or before, when it is done.
    pub(super) fn commits(&self) -> Vec<i64> {
        match self {
            Self::Commit(models) => ids(models),
            _ => Vec::new(),
        }
    }
}
