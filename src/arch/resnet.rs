//! ResNet-18 (He et al. 2015) as the published zoos have it: torchvision's, for
//! small images. The first convolution is 3x3 with stride 1, and no pooling
//! follows it.

use super::layer::Layer::{self, BatchNorm2d, GlobalAvgPool, Relu, Residual};
use super::{Arch, Layout};

/// The network for images of `side` x `side` pixels in `classes` classes.
pub(super) fn resnet18(
    name: &'static str,
    title: &'static str,
    side: usize,
    classes: usize,
) -> Arch {
    resnet(name, title, side, [64, 128, 256, 512], classes)
}

/// Four stages of two blocks each; all but the first stage halve the image.
/// `channels` are those of the stages.
pub(super) fn resnet(
    name: &'static str,
    title: &'static str,
    side: usize,
    channels: [usize; 4],
    classes: usize,
) -> Arch {
    let mut layers = vec![
        conv("conv1", 3, channels[0], 3, 1),
        BatchNorm2d { name: "bn1", channels: channels[0] },
        Relu,
    ];
    let mut inputs = channels[0];
    for (stage, outputs) in channels.into_iter().enumerate() {
        let stride = if stage == 0 { 1 } else { 2 };
        layers.push(block(format!("layer{}.0", stage + 1), inputs, outputs, stride));
        layers.push(block(format!("layer{}.1", stage + 1), outputs, outputs, 1));
        inputs = outputs;
    }
    layers.extend([
        GlobalAvgPool,
        Layer::Linear { name: "fc", in_features: inputs, out_features: classes },
    ]);
    let layout = Layout::of(&layers);
    Arch { name, title, input: [3, side, side], classes, layers, layout }
}

/// torchvision's `BasicBlock`: the shortcut is a 1x1 convolution where the shape
/// changes.
fn block(name: String, inputs: usize, outputs: usize, stride: usize) -> Layer {
    let body = vec![
        conv("conv1", inputs, outputs, 3, stride),
        BatchNorm2d { name: "bn1", channels: outputs },
        Relu,
        conv("conv2", outputs, outputs, 3, 1),
        BatchNorm2d { name: "bn2", channels: outputs },
    ];
    let shortcut = if stride == 1 && inputs == outputs {
        Vec::new()
    } else {
        vec![
            conv("downsample.0", inputs, outputs, 1, stride),
            BatchNorm2d { name: "downsample.1", channels: outputs },
        ]
    };
    Residual { name, body, shortcut }
}

/// Without bias: a batch normalisation follows. A 3x3 kernel keeps the image's
/// size by a frame of zeros.
fn conv(
    name: &'static str,
    in_channels: usize,
    out_channels: usize,
    kernel: usize,
    stride: usize,
) -> Layer {
    let padding = kernel / 2;
    Layer::Conv2d { name, in_channels, out_channels, kernel, stride, padding, bias: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::TensorKind;

    /// Totals of the specification, section 2.3.
    #[test]
    fn sizes_are_the_published_ones() {
        for (classes, params) in [(10, 11_173_962), (100, 11_220_132), (200, 11_271_432)] {
            let arch = resnet18("resnet18", "", 32, classes);
            assert_eq!(arch.layout().num_params(), params);
            assert_eq!(arch.layout().size(), params + 9600);
        }
    }

    /// Names as torchvision's state dict has them, but for `num_batches_tracked`.
    #[test]
    fn names_stand_in_state_dict_order() {
        let arch = resnet18("resnet18", "", 32, 10);
        let tensors = arch.layout().tensors();
        let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names.len(), 20 + 20 * 4 + 2);
        let first =
            ["conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"];
        assert_eq!(names[..5], first);
        assert_eq!(names[5], "layer1.0.conv1.weight");
        let at = names.iter().position(|name| *name == "layer2.0.bn2.running_var").unwrap();
        let next = ["layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight"];
        assert_eq!(names[at + 1..at + 3], next);
        assert_eq!(names[at + 6], "layer2.1.conv1.weight");
        assert_eq!(names[100..], ["fc.weight", "fc.bias"]);
        assert_eq!(tensors[4].kind, TensorKind::Variance);
        assert_eq!(tensors[100].shape, [10, 512]);
    }
}
