//! What is kept of the paths of models: the vectors that later ones are compared with.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;

use super::super::functions::{Measure, Place, Vectors};

/// What is asked of the paths through one vector.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) vector: Arc<dyn PhysicalExpr>,
    /// Each with the name of its function, and which of the new columns it is.
    pub(super) measures: Vec<(usize, &'static str, Measure)>,
}

/// The paths of models, as far as rows have come.
#[derive(Debug)]
pub(super) struct Tracks {
    /// The rows with the measures.
    schema: SchemaRef,
    /// The columns `model_id` and `epoch`.
    keys: [usize; 2],
    asked: Arc<[Asked]>,
    /// For each vector that is asked for, those of the models.
    of_models: Vec<HashMap<i64, Track>>,
}

/// The path of one model.
#[derive(Debug, Default)]
struct Track {
    begun: bool,
    first: Kept,
    /// As many vectors as are looked at, the nearest last.
    before: Vec<Kept>,
}

/// A vector, in memory that is used again; or NULL.
#[derive(Debug, Default)]
struct Kept {
    values: Vec<f32>,
    valid: bool,
}

/// Where a row is.
struct Row {
    model_id: i64,
    epoch: i64,
    batch: usize,
    row: usize,
}

impl Tracks {
    pub(super) fn new(schema: SchemaRef, keys: [usize; 2], asked: Arc<[Asked]>) -> Self {
        let of_models = asked.iter().map(|_| HashMap::new()).collect();
        Self { schema, keys, asked, of_models }
    }

    /// Adds the measures to `batches`, whose rows may stand in any order, but must all be
    /// of later epochs of their models than the rows of batches before.
    pub(super) fn measure(&mut self, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>> {
        let rows = rows(batches, self.keys)?;
        let count = self.asked.iter().map(|asked| asked.measures.len()).sum();
        let nothing = |batch: &RecordBatch| vec![vec![None; batch.num_rows()]; count];
        let mut measured: Vec<Vec<Vec<Option<f64>>>> = batches.iter().map(nothing).collect();
        for (asked, tracks) in self.asked.iter().zip(&mut self.of_models) {
            let array =
                |batch: &RecordBatch| asked.vector.evaluate(batch)?.into_array(batch.num_rows());
            let arrays = batches.iter().map(array).collect::<Result<Vec<ArrayRef>>>()?;
            let name = asked.measures.first().map_or("", |(_, name, _)| name);
            let vectors = arrays.iter().map(|array| Vectors::of(name, array));
            let vectors = vectors.collect::<Result<Vec<_>>>()?;
            for Row { model_id, batch, row, .. } in &rows {
                let track = tracks.entry(*model_id).or_default();
                track.go_on(&asked.measures, vectors[*batch].get(*row), |column, value| {
                    measured[*batch][column][*row] = value;
                })?;
            }
        }
        let with_measures = |(batch, measured): (&RecordBatch, Vec<Vec<Option<f64>>>)| {
            let mut columns = batch.columns().to_vec();
            let measured = measured.into_iter().map(Float64Array::from);
            columns.extend(measured.map(|values| Arc::new(values) as ArrayRef));
            Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
        };
        batches.iter().zip(measured).map(with_measures).collect()
    }
}

/// The rows of `batches` in the order of epochs.
fn rows(batches: &[RecordBatch], keys: [usize; 2]) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (batch, of_batch) in batches.iter().enumerate() {
        let [Some(models), Some(epochs)] =
            keys.map(|key| of_batch.column(key).as_primitive_opt::<Int64Type>())
        else {
            return Err(exec_datafusion_err!("the keys of states are no integers"));
        };
        let keys = models.values().iter().zip(epochs.values()).enumerate();
        rows.extend(keys.map(|(row, (&model_id, &epoch))| Row { model_id, epoch, batch, row }));
    }
    // Nothing moves if they are: files are sorted.
    rows.sort_by_key(|row| row.epoch);
    Ok(rows)
}

impl Track {
    /// Says the measures of the next row, and keeps its vector.
    fn go_on(
        &mut self,
        measures: &[(usize, &'static str, Measure)],
        now: Option<&[f32]>,
        mut say: impl FnMut(usize, Option<f64>),
    ) -> Result<()> {
        let from_start = measures.iter().any(|(.., measure)| *measure == Measure::Start);
        if !self.begun && from_start {
            self.first.put(now);
        }
        self.begun = true;
        let before: Vec<_> = self.before.iter().map(Kept::get).collect();
        let place = Place { first: self.first.get(), before: &before, now };
        for (column, name, measure) in measures {
            say(*column, measure.of(name, place)?);
        }
        let depth = measures.iter().map(|(.., measure)| measure.rows_before()).max().unwrap_or(0);
        if self.before.len() < depth {
            self.before.push(Kept::default());
        } else if depth > 0 {
            self.before.rotate_left(1);
        }
        if let Some(last) = self.before.last_mut() {
            last.put(now);
        }
        Ok(())
    }
}

impl Kept {
    fn get(&self) -> Option<&[f32]> {
        self.valid.then_some(&self.values)
    }

    fn put(&mut self, vector: Option<&[f32]>) {
        self.valid = vector.is_some();
        self.values.clear();
        self.values.extend_from_slice(vector.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{FixedSizeListBuilder, Float32Builder, Int64Array};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::Column;
    use proptest::prelude::*;

    use super::*;

    type Vector = Option<[f32; 3]>;
    /// Three numbers by `model_id` and `epoch`.
    type Said = BTreeMap<(i64, i64), [Option<f64>; 3]>;

    const MEASURES: [Measure; 3] = [Measure::Turn, Measure::Start, Measure::Step];

    fn batch(rows: &[((i64, i64), Vector)]) -> RecordBatch {
        let mut vectors = FixedSizeListBuilder::new(Float32Builder::new(), 3);
        for (_, vector) in rows {
            vectors.values().append_slice(&vector.unwrap_or_default());
            vectors.append(vector.is_some());
        }
        let keys = |key: fn(&(i64, i64)) -> i64| -> ArrayRef {
            Arc::new(rows.iter().map(|(keys, _)| key(keys)).collect::<Int64Array>())
        };
        RecordBatch::try_from_iter_with_nullable([
            ("model_id", keys(|(model_id, _)| *model_id), false),
            ("epoch", keys(|(_, epoch)| *epoch), false),
            ("v", Arc::new(vectors.finish()), true),
        ])
        .unwrap()
    }

    fn tracks() -> Tracks {
        let mut fields = batch(&[]).schema().fields().to_vec();
        let number =
            |measure| Arc::new(Field::new(format!("{measure:?}"), DataType::Float64, true));
        fields.extend(MEASURES.map(number));
        let measures = MEASURES.into_iter().enumerate().map(|(column, m)| (column, "path", m));
        let vector = Arc::new(Column::new("v", 2));
        let asked = Asked { vector, measures: measures.collect() };
        Tracks::new(Arc::new(Schema::new(fields)), [0, 1], [asked].into())
    }

    fn said(batches: &[RecordBatch]) -> Said {
        let batch = concat_batches(&batches[0].schema(), batches).unwrap();
        let key =
            |column: usize, row: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
        let number = |column: usize, row: usize| {
            let numbers = batch.column(column).as_primitive::<arrow::datatypes::Float64Type>();
            numbers.iter().nth(row).unwrap()
        };
        (0..batch.num_rows())
            .map(|row| ((key(0, row), key(1, row)), [3, 4, 5].map(|column| number(column, row))))
            .collect()
    }

    /// Model by model, epoch by epoch.
    fn expected(rows: &[((i64, i64), Vector)]) -> Said {
        let sorted: BTreeMap<(i64, i64), Vector> = rows.iter().copied().collect();
        let of_row = |&(model_id, epoch): &(i64, i64)| {
            let path: Vec<Option<&[f32]>> = sorted
                .range((model_id, i64::MIN)..=(model_id, epoch))
                .map(|(_, vector)| vector.as_ref().map(|vector| &vector[..]))
                .collect();
            let (now, before) = path.split_last().unwrap();
            let place = Place { first: path[0], before, now: *now };
            MEASURES.map(|measure| measure.of("path", place).unwrap())
        };
        sorted.keys().map(|key| (*key, of_row(key))).collect()
    }

    proptest! {
        #[test]
        fn batch_by_batch_or_at_once_the_numbers_are_the_same(
            states in prop::collection::btree_map(
                (0_i64..6, -2_i64..5),
                prop::option::weighted(0.8, prop::array::uniform3(-1_f32..1.0)),
                1..40,
            ),
            order in any::<prop::sample::Index>(),
            length in 1_usize..9,
        ) {
            let mut rows: Vec<((i64, i64), Vector)> = states.into_iter().collect();
            let expected = expected(&rows);
            let batches = |rows: &[((i64, i64), Vector)]| rows.chunks(length).map(batch).collect::<Vec<_>>();
            let turns = order.index(rows.len());
            rows.rotate_left(turns);
            let unsorted = batches(&rows);
            rows.sort_by_key(|((_, epoch), _)| *epoch);
            let mut one_by_one = tracks();
            let sorted: Vec<RecordBatch> = batches(&rows)
                .iter()
                .flat_map(|batch| one_by_one.measure(std::slice::from_ref(batch)).unwrap())
                .collect();
            prop_assert_eq!(&said(&sorted), &expected);
            prop_assert_eq!(&said(&tracks().measure(&unsorted).unwrap()), &expected);
        }
    }
}
