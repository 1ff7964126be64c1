//! How much memory a member of a population takes, from above.

use crate::arch::{Arch, Layer};

/// Bytes of a value.
const VALUE: usize = size_of::<f32>();

/// Bytes that training one member takes, with batches of `batch` images.
pub(super) fn training(arch: &Arch, batch: usize) -> usize {
    let activations = activations(arch);
    // Kept for the way back, and as much again for masks and gradients.
    let kept: usize = activations.iter().map(|layer| layer.values).sum();
    let parameters = arch.layout().num_params();
    // Weights, gradient, two moments, three hyperparameters, and what is between.
    (batch.max(1) * (3 * kept + working(&activations)) + 10 * parameters) * VALUE
}

/// Bytes that evaluating one image with one member takes.
pub(super) fn evaluating(arch: &Arch) -> usize {
    let activations = activations(arch);
    let largest = activations.iter().map(|layer| layer.values).max();
    (3 * largest.unwrap_or(0) + working(&activations)) * VALUE
}

/// Values of one image at one layer.
struct Values {
    /// Of the layer's output.
    values: usize,
    /// Of the patches it is computed from, on whichever way they are more.
    patches: usize,
}

/// The patches of one layer, twice: candle's selections are not in place.
fn working(layers: &[Values]) -> usize {
    2 * layers.iter().map(|layer| layer.patches).max().unwrap_or(0)
}

fn activations(arch: &Arch) -> Vec<Values> {
    let [mut channels, mut height, mut width] = arch.input();
    let layer = |(index, layer): (usize, &Layer)| {
        let mut patches = 0;
        match *layer {
            Layer::Conv2d { in_channels, out_channels, kernel } => {
                // Nobody wants the gradient of the images.
                let back = if index > 0 { out_channels } else { 0 };
                let back = back * kernel * kernel * height * width;
                (height, width) = (height + 1 - kernel, width + 1 - kernel);
                patches = back.max(in_channels * kernel * kernel * height * width);
                channels = out_channels;
            }
            Layer::MaxPool2d => (height, width) = (height / 2, width / 2),
            Layer::Flatten => (channels, height, width) = (channels * height * width, 1, 1),
            Layer::Linear { out_features, .. } => channels = out_features,
            Layer::Activation | Layer::Dropout => {}
        }
        Values { values: channels * height * width, patches }
    };
    arch.layers().iter().enumerate().map(layer).collect()
}
