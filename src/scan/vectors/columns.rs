//! The columns of a table of vectors, and where in the files they come from.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::arch::{Layout, TensorSpec};
use crate::store::{values_field, weights_schema};

/// The columns that stand first in every table of vectors, and in its files:
/// `model_id` and `epoch`.
pub(super) const KEY_COLUMNS: [usize; 2] = [0, 1];

/// A table of vectors: its columns, and what they are made of.
#[derive(Debug, Clone)]
pub(in crate::scan) struct Columns {
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<Column>,
}

#[derive(Debug, Clone)]
pub(super) enum Column {
    /// `model_id` or `epoch`.
    Key(usize),
    /// A vector of tensors side by side.
    Vector(Arc<[Part]>),
}

/// A tensor as a part of a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) tensor: String,
    /// Its first value in the vector.
    pub(super) offset: usize,
    /// Its number of values.
    pub(super) width: usize,
}

impl Columns {
    /// `weights_<arch>`: each tensor a column.
    pub(in crate::scan) fn of_weights(layout: &Layout) -> Self {
        let column =
            |tensor: &TensorSpec| Column::Vector([Part { offset: 0, ..Part::of(tensor) }].into());
        Self::new(weights_schema(layout), layout.tensors().iter().map(column))
    }

    /// `vectors_<arch>`: all tensors as one vector, in the order of the layout.
    pub(in crate::scan) fn of_vectors(layout: &Layout) -> Self {
        let of_weights = weights_schema(layout);
        let length = i32::try_from(layout.size()).unwrap_or(i32::MAX);
        let vector = DataType::FixedSizeList(values_field(), length);
        let vector = Arc::new(Field::new("weights", vector, false));
        let fields =
            of_weights.fields()[..KEY_COLUMNS.len()].iter().map(Arc::clone).chain([vector]);
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Self::new(schema, [Column::Vector(layout.tensors().iter().map(Part::of).collect())])
    }

    fn new(schema: SchemaRef, vectors: impl IntoIterator<Item = Column>) -> Self {
        Self { schema, columns: KEY_COLUMNS.map(Column::Key).into_iter().chain(vectors).collect() }
    }

    /// The columns of the table.
    pub(in crate::scan) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The key columns alone.
    pub(super) fn keys(&self) -> Result<SchemaRef, ArrowError> {
        self.schema.project(&KEY_COLUMNS).map(Arc::new)
    }

    /// The tensors that `columns` are made of.
    pub(super) fn parts(columns: &[Column]) -> impl Iterator<Item = &Part> {
        columns.iter().flat_map(|column| match column {
            Column::Key(_) => &[],
            Column::Vector(parts) => &parts[..],
        })
    }
}

impl Part {
    fn of(tensor: &TensorSpec) -> Self {
        Self { tensor: tensor.name.clone(), offset: tensor.offset, width: tensor.size }
    }
}
