//! The layout of a state: which tensors it has and where each one lies in the
//! flattened vector.

use super::layer::Layer;

/// What a tensor is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorKind {
    /// A weight matrix or a convolution kernel.
    Weight,
    /// A bias vector.
    Bias,
    /// The factors of a batch normalisation.
    Scale,
    /// The terms of a batch normalisation.
    Shift,
    /// The running means of a batch normalisation: followed, not trained.
    Mean,
    /// The running variances of a batch normalisation: followed, not trained.
    Variance,
}

impl TensorKind {
    /// `weight`, `bias`, `scale`, `shift` or `buffer`, as in the `kind` column of
    /// `tensors`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
            Self::Scale => "scale",
            Self::Shift => "shift",
            Self::Mean | Self::Variance => "buffer",
        }
    }

    /// Whether an optimiser moves it: a parameter, not a buffer.
    pub fn is_parameter(self) -> bool {
        !matches!(self, Self::Mean | Self::Variance)
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
    /// What it is for.
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
///
/// PyTorch's state dict also counts the batches each batch normalisation has
/// seen (`num_batches_tracked`): integers that a fixed momentum never reads, and
/// left out here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<TensorSpec>,
    size: usize,
}

impl Layout {
    /// The layout of `layers`.
    pub(super) fn of(layers: &[Layer]) -> Self {
        let mut layout = Self { tensors: Vec::new(), size: 0 };
        layout.append("", layers);
        layout
    }

    /// Adds the tensors of `layers`, whose names begin with `prefix`; the body of
    /// a residual block comes before its shortcut.
    fn append(&mut self, prefix: &str, layers: &[Layer]) {
        for layer in layers {
            if let Layer::Residual { name, body, shortcut } = layer {
                let prefix = format!("{prefix}{name}.");
                self.append(&prefix, body);
                self.append(&prefix, shortcut);
            }
            for (name, shape, kind) in layer.tensors() {
                let (offset, size) = (self.size, shape.iter().product());
                let name = format!("{prefix}{name}");
                self.tensors.push(TensorSpec { name, shape, offset, size, kind });
                self.size += size;
            }
        }
    }

    /// The tensors in state-dict order.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// Length of the flattened vector: parameters and running statistics.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The number of parameters, which is all that is trained.
    pub fn num_params(&self) -> usize {
        let parameters = self.tensors.iter().filter(|tensor| tensor.kind.is_parameter());
        parameters.map(|tensor| tensor.size).sum()
    }
}
