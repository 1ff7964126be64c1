//! How much memory passes through the layers of a network.

use crate::arch::{Arch, Layer};

/// Bytes of a value.
const VALUE: usize = size_of::<f32>();

/// Bytes of the outputs of all layers of a network in training, with batches of `batch` images:
/// what an engine of single networks keeps for the way back, and some more.
pub fn activation_bytes(arch: &Arch, batch: usize) -> usize {
    batch.max(1) * Tally::of(arch).kept * VALUE
}

/// Bytes that training one member of a population takes, with batches of `batch` images, from
/// above.
pub(super) fn training(arch: &Arch, batch: usize) -> usize {
    let tally = Tally::of(arch);
    // Activations are kept for the way back, with as much again for masks and for
    // gradients. Of a state there are weights, gradient, two moments, three
    // hyperparameters, and what is between.
    (batch.max(1) * (3 * tally.kept + 2 * tally.patches) + 10 * arch.layout().size()) * VALUE
}

/// Bytes that evaluating one image with one member of a population takes, from above.
pub(super) fn evaluating(arch: &Arch) -> usize {
    let tally = Tally::of(arch);
    (3 * tally.largest + 2 * tally.patches) * VALUE
}

/// Values of one image on its way through a network.
struct Tally {
    channels: usize,
    height: usize,
    width: usize,
    /// Outputs of all layers.
    kept: usize,
    /// The largest of these.
    largest: usize,
    /// Patches of a convolution, of the one and the way where they are most.
    patches: usize,
}

impl Tally {
    fn of(arch: &Arch) -> Self {
        let [channels, height, width] = arch.input();
        let mut tally = Self { channels, height, width, kept: 0, largest: 0, patches: 0 };
        tally.add(arch.layers());
        tally
    }

    fn add(&mut self, layers: &[Layer]) {
        for layer in layers {
            match *layer {
                Layer::Conv2d { in_channels, out_channels, kernel, stride, padding, .. } => {
                    // Nobody wants the gradient of the images.
                    let back = if self.kept == 0 { 0 } else { out_channels };
                    let back = back * self.height * self.width;
                    let out = |side: usize| (side + 2 * padding - kernel) / stride + 1;
                    (self.height, self.width) = (out(self.height), out(self.width));
                    let forth = in_channels * self.height * self.width;
                    self.patches = self.patches.max(kernel * kernel * back.max(forth));
                    self.channels = out_channels;
                }
                Layer::Residual { ref body, ref shortcut, .. } => {
                    let (channels, height, width) = (self.channels, self.height, self.width);
                    self.add(shortcut);
                    (self.channels, self.height, self.width) = (channels, height, width);
                    self.add(body);
                }
                Layer::MaxPool2d => (self.height, self.width) = (self.height / 2, self.width / 2),
                Layer::GlobalAvgPool => (self.height, self.width) = (1, 1),
                Layer::Flatten => {
                    self.channels *= self.height * self.width;
                    (self.height, self.width) = (1, 1);
                }
                Layer::Linear { out_features, .. } => self.channels = out_features,
                Layer::BatchNorm2d { .. } | Layer::Activation | Layer::Relu | Layer::Dropout => {}
            }
            let values = self.channels * self.height * self.width;
            self.kept += values;
            self.largest = self.largest.max(values);
        }
    }
}
