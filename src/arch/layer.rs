//! One layer of a network.

use super::layout::TensorKind::{self, Bias, Mean, Scale, Shift, Variance, Weight};

/// A step of the forward pass. Layers with tensors carry their name in the state
/// dict. Activation and dropout carry no parameters of their own: which
/// activation and which rate are hyperparameters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer {
    /// Square convolution; zeros around the image.
    /// Weight `[out_channels, in_channels, kernel, kernel]`.
    Conv2d {
        /// Name in the state dict.
        name: &'static str,
        /// Channels in.
        in_channels: usize,
        /// Channels out.
        out_channels: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Pixels from one position of the kernel to the next.
        stride: usize,
        /// Rows and columns of zeros on each side.
        padding: usize,
        /// Whether it has a bias `[out_channels]`.
        bias: bool,
    },
    /// Batch normalisation with scale, shift and running statistics, one value
    /// per channel each: PyTorch's, momentum 0.1, ε = 1e-5.
    BatchNorm2d {
        /// Name in the state dict.
        name: &'static str,
        /// Channels.
        channels: usize,
    },
    /// `max(body(x) + shortcut(x), 0)`: the residual block of He et al. 2015.
    Residual {
        /// What the names of its layers begin with in the state dict.
        name: String,
        /// The layers that learn the residue.
        body: Vec<Layer>,
        /// The way around them: the identity if empty.
        shortcut: Vec<Layer>,
    },
    /// 2x2 maximum, stride 2; an odd last row or column is dropped.
    MaxPool2d,
    /// The mean of each channel: `[N, C, H, W]` to `[N, C]`.
    GlobalAvgPool,
    /// The model's activation, element by element.
    Activation,
    /// `max(x, 0)`, whatever the model's activation.
    Relu,
    /// Dropout at the model's rate, in training only.
    Dropout,
    /// `[N, C, H, W]` to `[N, C*H*W]`.
    Flatten,
    /// Weight `[out_features, in_features]`, with bias.
    Linear {
        /// Name in the state dict.
        name: &'static str,
        /// Features in.
        in_features: usize,
        /// Features out.
        out_features: usize,
    },
}

impl Layer {
    /// The name of a step from one hidden representation to the next: a convolution, a
    /// linear layer, or a residual block.
    pub fn step_name(&self) -> Option<&str> {
        match self {
            Self::Conv2d { name, .. } | Self::Linear { name, .. } => Some(name),
            Self::Residual { name, .. } => Some(name),
            Self::BatchNorm2d { .. }
            | Self::MaxPool2d
            | Self::GlobalAvgPool
            | Self::Activation
            | Self::Relu
            | Self::Dropout
            | Self::Flatten => None,
        }
    }

    /// The layer's own tensors in state-dict order: suffix of the name, shape,
    /// and kind. A residual block has none of its own.
    pub(super) fn tensors(&self) -> Vec<(String, Vec<usize>, TensorKind)> {
        let own = |name: &str, tensors: &[(&str, &[usize], TensorKind)]| {
            let tensor = |(suffix, shape, kind): &(&str, &[usize], TensorKind)| {
                (format!("{name}.{suffix}"), shape.to_vec(), *kind)
            };
            tensors.iter().map(tensor).collect()
        };
        match *self {
            Self::Conv2d { name, in_channels, out_channels, kernel, bias, .. } => {
                let weight = [out_channels, in_channels, kernel, kernel];
                let tensors = [("weight", &weight[..], Weight), ("bias", &[out_channels], Bias)];
                own(name, if bias { &tensors } else { &tensors[..1] })
            }
            Self::Linear { name, in_features, out_features } => own(
                name,
                &[
                    ("weight", &[out_features, in_features], Weight),
                    ("bias", &[out_features], Bias),
                ],
            ),
            Self::BatchNorm2d { name, channels } => own(
                name,
                &[
                    ("weight", &[channels], Scale),
                    ("bias", &[channels], Shift),
                    ("running_mean", &[channels], Mean),
                    ("running_var", &[channels], Variance),
                ],
            ),
            Self::Residual { .. }
            | Self::MaxPool2d
            | Self::GlobalAvgPool
            | Self::Activation
            | Self::Relu
            | Self::Dropout
            | Self::Flatten => Vec::new(),
        }
    }
}
