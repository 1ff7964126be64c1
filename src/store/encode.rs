//! Trained models as rows of tables, in their order.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    new_null_array,
};

use super::encoded::{Encoded, encode, narrow, rows_per_group};
use super::schema::{EPOCHS, MODELS, TENSORS, Table, values_field, weights_schema};
use super::weight_encoding::WeightEncoding;
use crate::arch::{Arch, Layout};
use crate::error::{Error, Result};
use crate::train::{Metrics, State, Trained};
use crate::zoo::Scheduler;

/// Weights of one file. A file is encoded, sent and verified
/// in memory, so this bounds memory however large a model is: a ResNet-18 of 61
/// states takes 31 files.
pub(super) const FILE_BYTES: usize = 96 << 20;

/// Table `models`, sorted by `model_id`.
pub(super) fn models(trained: &[&Trained]) -> Result<Encoded> {
    let mut rows = trained.to_vec();
    rows.sort_unstable_by_key(|trained| trained.model.id);
    let schema = MODELS.arrow();
    let columns = schema.fields().iter().map(|field| {
        let text = |value: fn(&Trained) -> &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| value(row))))
        };
        let float = |value: fn(&Trained) -> Option<f64>| -> ArrayRef {
            Arc::new(rows.iter().map(|row| value(row)).collect::<Float64Array>())
        };
        let int = |value: fn(&Trained) -> Result<i64>| -> Result<ArrayRef> {
            let values = rows.iter().map(|row| value(row)).collect::<Result<Vec<_>>>()?;
            Ok(Arc::new(Int64Array::from(values)))
        };
        Ok(match field.name().as_str() {
            "model_id" => int(|row| Ok(row.model.id))?,
            "zoo" => text(|row| &row.model.zoo),
            "name" => text(|row| &row.model.name),
            "dataset" => text(|row| &row.model.dataset),
            "arch" => text(|row| row.model.arch),
            "activation" => text(|row| row.model.hyper.activation.name()),
            "init" => text(|row| row.model.hyper.init.name()),
            "optimizer" => text(|row| row.model.hyper.optimizer.name()),
            "scheduler" => {
                let name = |row: &&&Trained| match row.model.hyper.scheduler {
                    Scheduler::Constant => None,
                    other => Some(other.name()),
                };
                Arc::new(StringArray::from_iter(rows.iter().map(|row| name(&row))))
            }
            "lr" => float(|row| Some(row.model.hyper.lr)),
            "weight_decay" => float(|row| Some(row.model.hyper.weight_decay)),
            "dropout" => float(|row| Some(row.model.hyper.dropout)),
            "momentum" => float(|row| row.model.hyper.momentum()),
            "batch_size" => int(|row| integer(row.model.hyper.batch_size))?,
            "epochs" => int(|row| integer(row.model.hyper.epochs))?,
            "seed" => int(|row| integer(row.model.hyper.seed))?,
            "origin" => text(|_| "trained"),
            "num_params" => {
                int(|row| integer(Arch::by_name(row.model.arch)?.layout().num_params()))?
            }
            "status" => text(|row| row.status().name()),
            _ => new_null_array(field.data_type(), rows.len()),
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let batch = record_batch(RecordBatch::try_new(Arc::clone(&schema), columns));
    narrow(&Table::Models, &schema, [batch])
}

/// Table `epochs`, sorted by (`epoch`, `model_id`).
pub(super) fn epochs(trained: &[&Trained]) -> Result<Encoded> {
    let rows = States::sorted(trained);
    let metric = |value: fn(&State) -> Option<f64>| -> ArrayRef {
        let finite = |state: &State| value(state).filter(|value| value.is_finite());
        Arc::new(rows.0.iter().map(|(_, state)| finite(state)).collect::<Float64Array>())
    };
    let val = |value: fn(Metrics) -> f64| -> ArrayRef {
        let finite = |state: &State| state.val.map(value).filter(|value| value.is_finite());
        Arc::new(rows.0.iter().map(|(_, state)| finite(state)).collect::<Float64Array>())
    };
    let schema = EPOCHS.arrow();
    let [model_id, epoch] = rows.keys()?;
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "model_id" => Arc::clone(&model_id),
        "epoch" => Arc::clone(&epoch),
        "train_loss" => metric(|state| Some(state.train.loss)),
        "train_acc" => metric(|state| Some(state.train.accuracy)),
        "val_loss" => val(|metrics| metrics.loss),
        "val_acc" => val(|metrics| metrics.accuracy),
        "test_loss" => metric(|state| Some(state.test.loss)),
        "test_acc" => metric(|state| Some(state.test.accuracy)),
        "seconds" => metric(|state| Some(state.seconds)),
        _ => new_null_array(field.data_type(), rows.0.len()),
    });
    let columns = columns.collect();
    let batch = record_batch(RecordBatch::try_new(Arc::clone(&schema), columns));
    narrow(&Table::Epochs, &schema, [batch])
}

/// Table `weights_<arch>`, sorted by (`epoch`, `model_id`), in files of so many
/// bytes before compression, or of one row; encoded one by one as they are asked
/// for.
pub(super) fn weights<'a>(
    arch: &'a Arch,
    trained: &[&'a Trained],
    file_bytes: usize,
    encoding: WeightEncoding,
) -> impl Iterator<Item = Result<Encoded>> + use<'a> {
    let (table, layout) = (Table::Weights(arch.name().to_owned()), arch.layout());
    let row_bytes = layout.size() * size_of::<f32>();
    let of_file = States::sorted(trained).chunks(file_bytes / row_bytes.max(1));
    let schema = weights_schema(layout);
    of_file.into_iter().map(move |rows| {
        let groups = rows.chunks(rows_per_group(&schema));
        let batches = groups.into_iter().map(|rows| weights_batch(layout, &rows));
        encode(&table, &schema, encoding, batches)
    })
}

fn weights_batch(layout: &Layout, rows: &States<'_>) -> Result<RecordBatch> {
    let weights = rows.0.iter().map(|(_, state)| state.weights.read());
    let weights = weights.collect::<Result<Vec<_>>>()?;
    let mut columns = rows.keys()?.to_vec();
    for tensor in layout.tensors() {
        let mut values = Vec::with_capacity(weights.len() * tensor.size);
        for ((id, _), weights) in rows.0.iter().zip(&weights) {
            values.extend_from_slice(weights.get(tensor.range()).ok_or_else(|| {
                Error::internal(format!("model `{id}` lacks weights of `{}`", tensor.name))
            })?);
        }
        let length = i32::try_from(tensor.size)
            .map_err(|_| Error::invalid(format!("tensor `{}` is too large", tensor.name)))?;
        let values = Arc::new(Float32Array::from(values));
        let vectors = FixedSizeListArray::try_new(values_field(), length, values, None)
            .map_err(|error| Error::internal("cannot build a vector column").with_source(error))?;
        columns.push(Arc::new(vectors));
    }
    record_batch(RecordBatch::try_new(weights_schema(layout), columns))
}

/// Table `tensors`: the layout of one architecture.
pub(super) fn tensors(arch: &str, layout: &Layout) -> Result<Encoded> {
    let rows = layout.tensors();
    let text = |value: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..rows.len()).map(value)))
    };
    let int = |value: &dyn Fn(usize) -> usize| -> Result<ArrayRef> {
        let values = (0..rows.len()).map(|row| integer(value(row))).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Int64Array::from(values)))
    };
    let columns = vec![
        text(&|_| arch.to_owned()),
        text(&|row| rows[row].name.clone()),
        int(&|row| row)?,
        int(&|row| rows[row].offset)?,
        int(&|row| rows[row].size)?,
        text(&|row| format!("{:?}", rows[row].shape)),
        text(&|row| rows[row].kind.name().to_owned()),
    ];
    let schema = TENSORS.arrow();
    let batch = record_batch(RecordBatch::try_new(Arc::clone(&schema), columns));
    narrow(&Table::Tensors, &schema, [batch])
}

/// The states of some models in the order of the files.
struct States<'a>(Vec<(i64, &'a State)>);

impl<'a> States<'a> {
    fn sorted(trained: &[&'a Trained]) -> Self {
        let states = |trained: &&'a Trained| {
            let id = trained.model.id;
            let trained: &'a Trained = trained;
            trained.states.iter().map(move |state| (id, state))
        };
        let mut rows: Vec<_> = trained.iter().flat_map(states).collect();
        let by_key = |a: &(i64, &State), b: &(i64, &State)| -> Ordering {
            (a.1.epoch, a.0).cmp(&(b.1.epoch, b.0))
        };
        rows.sort_unstable_by(by_key);
        Self(rows)
    }

    /// The same rows in pieces of `size`, or of one.
    fn chunks(&self, size: usize) -> Vec<Self> {
        self.0.chunks(size.max(1)).map(|rows| Self(rows.to_vec())).collect()
    }

    fn keys(&self) -> Result<[ArrayRef; 2]> {
        let ids = self.0.iter().map(|(id, _)| *id);
        let epochs = self.0.iter().map(|(_, state)| integer(state.epoch));
        Ok([
            Arc::new(Int64Array::from_iter_values(ids)),
            Arc::new(Int64Array::from(epochs.collect::<Result<Vec<_>>>()?)),
        ])
    }
}

fn integer<T: Copy + std::fmt::Display + TryInto<i64>>(value: T) -> Result<i64> {
    value
        .try_into()
        .map_err(|_| Error::invalid(format!("`{value}` does not fit a 64-bit signed integer")))
}

fn record_batch(batch: arrow::error::Result<RecordBatch>) -> Result<RecordBatch> {
    batch.map_err(|error| {
        Error::internal(format!("rows do not fit their schema: {error}")).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zoo::{Activation, Hyper, Init, Model, Optimizer, Scheduler};
    use arrow::array::AsArray;
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Float32Type, Int64Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn trained(seed: u64, epochs: usize, layout: &Layout) -> Trained {
        let hyper = Hyper {
            activation: Activation::Tanh,
            init: Init::Uniform,
            optimizer: Optimizer::Adam,
            scheduler: Scheduler::Constant,
            lr: 1e-3,
            weight_decay: 0.0,
            dropout: 0.0,
            momentum: 0.0,
            batch_size: 10,
            epochs,
            seed,
        };
        let metrics = Metrics { loss: 1.0, accuracy: 0.5 };
        let states = (0..=epochs).map(|epoch| State {
            epoch,
            train: metrics,
            val: None,
            test: metrics,
            weights: vec![(10 * seed as usize + epoch) as f32; layout.size()].into(),
            seconds: 1.0,
        });
        let model = Model::new("files", 0, "digits", "cnn_s", hyper);
        Trained { model, states: states.collect() }
    }

    #[test]
    fn files_are_bounded_and_go_on_where_the_last_one_ended() {
        let arch = Arch::by_name("cnn_s").unwrap();
        let layout = arch.layout();
        let models = [trained(1, 6, layout), trained(2, 6, layout)];
        let all: Vec<&Trained> = models.iter().collect();
        let row_bytes = 4 * layout.size();
        let cases = [
            (4 * row_bytes, WeightEncoding::Split, vec![4, 4, 4, 2]),
            (1, WeightEncoding::Plain, vec![1; 14]),
        ];
        for (file_bytes, encoding, expected) in cases {
            let files: Vec<Encoded> =
                weights(&arch, &all, file_bytes, encoding).collect::<Result<_>>().unwrap();
            assert_eq!(files.iter().map(|file| file.rows).collect::<Vec<_>>(), expected);
            let mut keys = Vec::new();
            for file in files {
                let reader =
                    ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file.bytes))
                        .unwrap();
                let schema = Arc::clone(reader.schema());
                let batches: Vec<_> = reader.build().unwrap().map(|batch| batch.unwrap()).collect();
                let batch = concat_batches(&schema, &batches).unwrap();
                let ids = batch.column(0).as_primitive::<Int64Type>();
                let epochs = batch.column(1).as_primitive::<Int64Type>();
                let fc2 = batch.column_by_name("fc2.bias").unwrap().as_fixed_size_list();
                let (least, greatest) = file.epoch.unwrap();
                assert_eq!((epochs.value(0), epochs.value(file.rows - 1)), (least, greatest));
                for row in 0..file.rows {
                    keys.push((epochs.value(row), ids.value(row)));
                    let seed = if ids.value(row) == models[0].model.id { 10 } else { 20 };
                    let values = fc2.value(row);
                    let value = values.as_primitive::<Float32Type>().value(9);
                    assert_eq!(value, (seed + epochs.value(row)) as f32);
                }
            }
            assert_eq!(keys.len(), 14);
            assert!(keys.is_sorted());
        }
    }
}
