//! The tensors that features are about, one after the other: those of an
//! architecture by name, those of several by the position of their layer.
//!
//! Parameters only: running statistics of batch normalisation are left out.

use crate::arch::{Arch, TensorSpec};

/// The order of the two tensors of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    WeightFirst,
    BiasFirst,
    /// Weights only.
    NoBias,
}

/// A place for a tensor of each architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    /// The tensor's name; of several architectures `layer3.weight`.
    pub(super) name: String,
    /// The name of the tensor of each architecture, in order; `None` where the
    /// architecture has none.
    pub(super) tensors: Vec<Option<String>>,
}

/// A layer with parameters: a weight, or the factors of a batch normalisation, and a
/// bias, or its terms.
struct Layer<'a> {
    weight: &'a TensorSpec,
    bias: Option<&'a TensorSpec>,
}

/// The layers of an architecture, in state-dict order.
fn layers(arch: &Arch) -> Vec<Layer<'_>> {
    let mut layers: Vec<Layer<'_>> = Vec::new();
    for tensor in arch.layout().tensors().iter().filter(|tensor| tensor.kind.is_parameter()) {
        match layers.last_mut() {
            Some(layer) if layer_of(&layer.weight.name) == layer_of(&tensor.name) => {
                layer.bias = Some(tensor);
            }
            _ => layers.push(Layer { weight: tensor, bias: None }),
        }
    }
    layers
}

/// `layer1.0.conv1` of `layer1.0.conv1.weight`.
pub(super) fn layer_of(tensor: &str) -> &str {
    tensor.rsplit_once('.').map_or(tensor, |(layer, _)| layer)
}

/// The slots of `archs`: one architecture has its own tensors; several have a weight
/// and a bias for each layer up to the most layers (Kofinas et al. 2024).
pub(super) fn slots(archs: &[Arch], order: Order) -> Vec<Slot> {
    let all: Vec<Vec<Layer<'_>>> = archs.iter().map(layers).collect();
    let depth = all.iter().map(Vec::len).max().unwrap_or(0);
    let mut slots = Vec::new();
    for position in 0..depth {
        let tensors = |of: fn(&Layer<'_>) -> Option<String>| -> Vec<Option<String>> {
            all.iter().map(|layers| layers.get(position).and_then(of)).collect()
        };
        let weights = tensors(|layer| Some(layer.weight.name.clone()));
        let biases = tensors(|layer| layer.bias.map(|bias| bias.name.clone()));
        let weight = slot(weights, &format!("layer{}.weight", position + 1));
        let bias = slot(biases, &format!("layer{}.bias", position + 1));
        match order {
            Order::WeightFirst => slots.extend([weight, bias]),
            Order::BiasFirst => slots.extend([bias, weight]),
            Order::NoBias => slots.push(weight),
        }
    }
    slots.into_iter().flatten().collect()
}

/// A slot for `tensors`; of a single architecture, only if it has the tensor.
fn slot(tensors: Vec<Option<String>>, position: &str) -> Option<Slot> {
    let name = match tensors.as_slice() {
        [only] => only.clone()?,
        _ => position.to_owned(),
    };
    Some(Slot { name, tensors })
}
