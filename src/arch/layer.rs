//! One layer of a network.

/// A step of the forward pass. Activation and dropout carry no parameters of
/// their own: which activation and which rate are hyperparameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layer {
    /// Square convolution, stride 1, no padding, with bias.
    /// Weight `[out_channels, in_channels, kernel, kernel]`.
    Conv2d {
        /// Channels in.
        in_channels: usize,
        /// Channels out.
        out_channels: usize,
        /// Side of the kernel.
        kernel: usize,
    },
    /// 2x2 maximum, stride 2; an odd last row or column is dropped.
    MaxPool2d,
    /// The model's activation, element by element.
    Activation,
    /// Dropout at the model's rate, in training only.
    Dropout,
    /// `[N, C, H, W]` to `[N, C*H*W]`.
    Flatten,
    /// Weight `[out_features, in_features]`, with bias.
    Linear {
        /// Features in.
        in_features: usize,
        /// Features out.
        out_features: usize,
    },
}

impl Layer {
    /// The shape of the weight tensor, if the layer has one; the bias is its
    /// first dimension.
    pub fn weight_shape(&self) -> Option<Vec<usize>> {
        match *self {
            Self::Conv2d { in_channels, out_channels, kernel } => {
                Some(vec![out_channels, in_channels, kernel, kernel])
            }
            Self::Linear { in_features, out_features } => Some(vec![out_features, in_features]),
            Self::MaxPool2d | Self::Activation | Self::Dropout | Self::Flatten => None,
        }
    }
}
