//! The parameter layout: which tensors a state has and where each one lies in
//! the flattened vector.

use super::layer::Layer;

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorKind {
    /// A weight matrix or a convolution kernel.
    Weight,
    /// A bias vector.
    Bias,
}

impl TensorKind {
    /// `weight` or `bias`, as in the `kind` column of `tensors`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
        }
    }
}

/// One tensor of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in the state dict, such as `conv1.weight`.
    pub name: String,
    /// Shape in C order.
    pub shape: Vec<usize>,
    /// Index of the first value in the flattened vector.
    pub offset: usize,
    /// Number of values.
    pub size: usize,
    /// Weight or bias.
    pub kind: TensorKind,
}

impl TensorSpec {
    /// Where the tensor lies in the flattened vector.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.size
    }

    /// Inputs to one output unit: the product of all dimensions but the first
    /// (PyTorch's `fan_in`).
    pub fn fan_in(&self) -> usize {
        self.shape[1..].iter().product()
    }
}

/// Tensor names, shapes and offsets of an architecture, in state-dict order:
/// layer by layer, weight before bias (spec of the published zoos, section 2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<TensorSpec>,
    num_params: usize,
}

impl Layout {
    /// The layout of `layers`: convolutions are called `conv1`, `conv2`, …, and
    /// linear layers `fc1`, `fc2`, ….
    pub(super) fn of(layers: &[Layer]) -> Self {
        let (mut convs, mut linears) = (0, 0);
        let mut layout = Self { tensors: Vec::new(), num_params: 0 };
        for layer in layers {
            let Some(shape) = layer.weight_shape() else { continue };
            let name = if let Layer::Conv2d { .. } = layer {
                convs += 1;
                format!("conv{convs}")
            } else {
                linears += 1;
                format!("fc{linears}")
            };
            let bias = vec![shape[0]];
            layout.push(format!("{name}.weight"), shape, TensorKind::Weight);
            layout.push(format!("{name}.bias"), bias, TensorKind::Bias);
        }
        layout
    }

    fn push(&mut self, name: String, shape: Vec<usize>, kind: TensorKind) {
        let size = shape.iter().product();
        self.tensors.push(TensorSpec { name, shape, offset: self.num_params, size, kind });
        self.num_params += size;
    }

    /// The tensors in state-dict order.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// Length of the flattened vector.
    pub fn num_params(&self) -> usize {
        self.num_params
    }
}
