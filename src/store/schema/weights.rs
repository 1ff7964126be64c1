//! Tables `weights_<arch>`.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::EPOCHS;
use crate::arch::{Layout, TensorSpec};

/// Version of the schema of every `weights_<arch>`.
#[cfg(test)]
pub(super) const VERSION: u32 = 1;

/// The element of a weight vector. Named `item` and nullable (though no value is
/// ever NULL): other names make some readers and functions fail.
pub(crate) fn values_field() -> FieldRef {
    Arc::new(Field::new("item", DataType::Float32, true))
}

/// The schema of `weights_<arch>`: keys, and one vector column per tensor.
pub(crate) fn weights_schema(layout: &Layout) -> SchemaRef {
    let epochs = EPOCHS.arrow();
    let keys = epochs.fields()[..2].iter().map(Arc::clone);
    let tensors = layout.tensors().iter().map(|tensor| Arc::new(tensor_field(tensor)));
    Arc::new(Schema::new(keys.chain(tensors).collect::<Vec<_>>()))
}

/// The shape is metadata rather than the `fixed_shape_tensor` extension type:
/// readers that know the extension no longer see a plain vector.
fn tensor_field(tensor: &TensorSpec) -> Field {
    let length = i32::try_from(tensor.size).unwrap_or(i32::MAX);
    Field::new(&tensor.name, DataType::FixedSizeList(values_field(), length), false)
        .with_metadata([("shape".to_owned(), format!("{:?}", tensor.shape))].into())
}

/// The schema for people, as it stands in `schemas/`.
#[cfg(test)]
pub(super) fn markdown() -> String {
    let arch = crate::arch::Arch::by_name("cnn_s").unwrap();
    let mut text = format!(
        "# `weights_<arch>`, version {VERSION}\n\n\
         One table per architecture, one row per state, one column per tensor of its layout \
         (table `tensors`), named as in the state dict and flattened in C order. Sorted by \
         (`epoch`, `model_id`) within a file. Metadata `shape` of a column is the tensor's shape.\n\n\
         As an example, `weights_{}`:\n\n| column | type | null | shape |\n|---|---|---|---|\n",
        arch.name()
    );
    for field in weights_schema(arch.layout()).fields() {
        let (data_type, shape) = match field.data_type() {
            DataType::FixedSizeList(item, length) => (
                format!("FixedSizeList<{}>[{length}]", item.data_type()),
                field.metadata()["shape"].as_str(),
            ),
            scalar => (scalar.to_string(), ""),
        };
        let null = if field.is_nullable() { "yes" } else { "no" };
        text.push_str(&format!("| `{}` | {data_type} | {null} | {shape} |\n", field.name()));
    }
    text
}
