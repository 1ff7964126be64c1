//! What columns the tables have: names, types and meanings.
//!
//! One file per table. `schemas/` holds the same in Markdown; a test keeps the
//! two together. Changes are additive only: old files stay readable.

mod epochs;
mod models;
mod predictions;
mod results;
mod table;
mod tensors;
mod weights;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

pub use epochs::EPOCHS;
pub use models::MODELS;
pub use predictions::PREDICTIONS;
pub use results::RESULTS;
pub use table::Table;
pub use tensors::TENSORS;
pub(crate) use weights::{values_field, weights_schema};

/// One column of a stored table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: &'static str,
    /// Arrow type.
    pub data_type: ColumnType,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Meaning, with unit and range.
    pub doc: &'static str,
}

/// The Arrow types of scalar columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// 64-bit signed integer.
    Int64,
    /// 64-bit float; hyperparameters too, so that `1e-3` is 0.001.
    Float64,
    /// UTF-8 text.
    Utf8,
}

impl ColumnType {
    fn arrow(self) -> DataType {
        match self {
            Self::Int64 => DataType::Int64,
            Self::Float64 => DataType::Float64,
            Self::Utf8 => DataType::Utf8,
        }
    }
}

/// The schema of a stored table whose columns are scalars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSchema {
    /// Table name.
    pub name: &'static str,
    /// Version of the schema.
    pub version: u32,
    /// What a row is.
    pub doc: &'static str,
    /// Columns in order.
    pub columns: &'static [Column],
}

impl TableSchema {
    /// The Arrow schema; each field carries its meaning as metadata `description`.
    pub fn arrow(&self) -> SchemaRef {
        let field = |column: &Column| {
            Field::new(column.name, column.data_type.arrow(), column.nullable)
                .with_metadata([("description".to_owned(), column.doc.to_owned())].into())
        };
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// The schema for people, as it stands in `schemas/`.
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# `{}`, version {}\n\n{}\n\n| column | type | null | meaning |\n|---|---|---|---|\n",
            self.name, self.version, self.doc
        );
        for Column { name, data_type, nullable, doc } in self.columns {
            let null = if *nullable { "yes" } else { "no" };
            text.push_str(&format!("| `{name}` | {data_type:?} | {null} | {doc} |\n"));
        }
        text
    }
}

/// Bytes of one row in memory: eight for a scalar, a text included, four for each
/// value of a vector; one if there is no column.
pub(crate) fn row_bytes(schema: &Schema) -> usize {
    let bytes = |data_type: &DataType| match data_type {
        DataType::FixedSizeList(_, length) => usize::try_from(*length).unwrap_or(0) * 4,
        _ => 8,
    };
    schema.fields().iter().map(|field| bytes(field.data_type())).sum::<usize>().max(1)
}

/// How many rows so many bytes hold: one at least.
pub(crate) fn rows_in(bytes: usize, schema: &Schema) -> usize {
    (bytes / row_bytes(schema)).max(1)
}

/// A column that is never NULL.
const fn required(name: &'static str, data_type: ColumnType, doc: &'static str) -> Column {
    Column { name, data_type, nullable: false, doc }
}

/// A column that may be NULL.
const fn optional(name: &'static str, data_type: ColumnType, doc: &'static str) -> Column {
    Column { name, data_type, nullable: true, doc }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_SCHEMAS=1 cargo test --release schemas` rewrites the files.
    #[test]
    fn schemas_folder_matches_the_code() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        let texts = [&MODELS, &EPOCHS, &TENSORS, &RESULTS, &PREDICTIONS]
            .map(|schema| (format!("{}.v{}.md", schema.name, schema.version), schema.markdown()))
            .into_iter()
            .chain([(format!("weights.v{}.md", weights::VERSION), weights::markdown())]);
        for (name, text) in texts {
            let path = folder.join(&name);
            if std::env::var_os("UPDATE_SCHEMAS").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            let stored = std::fs::read_to_string(&path).unwrap();
            assert_eq!(stored, text, "schemas/{name} differs: run with UPDATE_SCHEMAS=1");
        }
    }
}
