//! The architectures of "Model Zoos: A Dataset of Diverse Populations of Neural
//! Network Models" (NeurIPS 2022), as its code defines them
//! (`code/model_definitions/def_net.py`). Its CNNs have stride 1, no padding,
//! biases everywhere, and pooling *before* the activation.

use std::sync::LazyLock;

use super::layer::Layer::{self, Activation, Dropout, Flatten, MaxPool2d};
use super::resnet::resnet18;
use super::{Arch, Layout};

const CLASSES: usize = 10;

/// Every architecture, smallest first; laid out once.
pub(super) fn all() -> &'static [Arch] {
    static ALL: LazyLock<[Arch; 6]> = LazyLock::new(|| {
        [
            cnn_s("cnn_s", "CNN(s): 3 convolutions, 2 linear layers, 28x28 grey", 1),
            cnn_s("cnn_s_rgb", "CNN(s): 3 convolutions, 2 linear layers, 28x28 colour", 3),
            cnn_m(),
            resnet18("resnet18_c10", "ResNet-18: 32x32 colour, 10 classes", 32, 10),
            resnet18("resnet18_c100", "ResNet-18: 32x32 colour, 100 classes", 32, 100),
            resnet18("resnet18_c200", "ResNet-18: 64x64 colour, 200 classes", 64, 200),
        ]
    });
    &*ALL
}

/// A convolution as they all are.
pub(crate) fn conv(
    name: &'static str,
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
) -> Layer {
    let (stride, padding, bias) = (1, 0, true);
    Layer::Conv2d { name, in_channels, out_channels, kernel, stride, padding, bias }
}

fn linear(name: &'static str, in_features: usize, out_features: usize) -> Layer {
    Layer::Linear { name, in_features, out_features }
}

fn arch(name: &'static str, title: &'static str, input: [usize; 3], layers: Vec<Layer>) -> Arch {
    let layout = Layout::of(&layers);
    Arch { name, title, input, classes: CLASSES, layers, layout }
}

/// Class `CNN`: the third block has neither pooling nor dropout.
fn cnn_s(name: &'static str, title: &'static str, channels: usize) -> Arch {
    let layers = vec![
        conv("conv1", channels, 8, 5), // 8 x 24 x 24
        MaxPool2d,                     // 8 x 12 x 12
        Activation,
        Dropout,
        conv("conv2", 8, 6, 5), // 6 x 8 x 8
        MaxPool2d,              // 6 x 4 x 4
        Activation,
        Dropout,
        conv("conv3", 6, 4, 2), // 4 x 3 x 3
        Activation,
        Flatten,
        linear("fc1", 36, 20),
        Activation,
        Dropout,
        linear("fc2", 20, CLASSES),
    ];
    arch(name, title, [channels, 28, 28], layers)
}

/// Class `CNN3`: dropout after every block; the second pooling drops an odd row
/// and column (13 to 6).
fn cnn_m() -> Arch {
    let layers = vec![
        conv("conv1", 3, 16, 3), // 16 x 30 x 30
        MaxPool2d,               // 16 x 15 x 15
        Activation,
        Dropout,
        conv("conv2", 16, 32, 3), // 32 x 13 x 13
        MaxPool2d,                // 32 x 6 x 6
        Activation,
        Dropout,
        conv("conv3", 32, 15, 3), // 15 x 4 x 4
        MaxPool2d,                // 15 x 2 x 2
        Activation,
        Dropout,
        Flatten,
        linear("fc1", 60, 20),
        Activation,
        Dropout,
        linear("fc2", 20, CLASSES),
    ];
    arch(
        "cnn_m",
        "CNN(m): 3 wider convolutions, 2 linear layers, 32x32 colour",
        [3, 32, 32],
        layers,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Totals and offsets of the specification, section 2.1, 2.2 and 2.5.
    #[test]
    fn layouts_match_the_published_index_dict() {
        let starts = |arch: &Arch| -> Vec<usize> {
            arch.layout().tensors().iter().step_by(2).map(|tensor| tensor.offset).collect()
        };
        let [small, rgb, medium, ..] = all() else { panic!("three CNNs") };
        assert_eq!(small.layout().num_params(), 2464);
        assert_eq!(rgb.layout().num_params(), 2864);
        assert_eq!(medium.layout().num_params(), 10_853);
        assert_eq!(starts(small), [0, 208, 1414, 1514, 2254]);
        assert_eq!(starts(medium), [0, 448, 5088, 9423, 10_643]);
    }

    /// Walks the shapes: each layer takes what the one before it gives.
    #[test]
    fn layers_fit_together() {
        for arch in all() {
            let shape = walk(arch.layers(), arch.input());
            assert_eq!(shape, [arch.classes(), 1, 1], "{}", arch.name());
        }
    }

    /// Channels, height and width after `layers`.
    fn walk(layers: &[Layer], shape: [usize; 3]) -> [usize; 3] {
        layers.iter().fold(shape, |[inputs, height, width], layer| match layer {
            Layer::Conv2d { in_channels, out_channels, kernel, stride, padding, .. } => {
                assert_eq!(inputs, *in_channels);
                let side = |side| (side + 2 * padding - kernel) / stride + 1;
                [*out_channels, side(height), side(width)]
            }
            Layer::Residual { body, shortcut, .. } => {
                let [through, around] =
                    [body, shortcut].map(|layers| walk(layers, [inputs, height, width]));
                assert_eq!(through, around);
                through
            }
            Layer::BatchNorm2d { channels, .. } => {
                assert_eq!(inputs, *channels);
                [inputs, height, width]
            }
            MaxPool2d => [inputs, height / 2, width / 2],
            Layer::GlobalAvgPool => [inputs, 1, 1],
            Flatten => [inputs * height * width, 1, 1],
            Layer::Linear { in_features, out_features, .. } => {
                assert_eq!(inputs, *in_features);
                [*out_features, 1, 1]
            }
            Activation | Layer::Relu | Dropout => [inputs, height, width],
        })
    }
}
