//! The forward pass: a walk over the layers of an architecture.

use candle_core::{Result, Tensor, Var, bail};

use super::activation::Activate;
use super::conv::Conv2d;
use super::dropout::Dropout;
use super::flatten::Flatten;
use super::linear::Linear;
use super::pool::MaxPool2d;
use super::tape::Tape;
use crate::arch::Layer;
use crate::zoo::Activation;

/// What is random in a pass in training.
pub(super) struct Noise<'a> {
    /// Probability that an element is dropped.
    pub(super) rate: f64,
    /// The next draw, uniform in [0, 1).
    pub(super) draw: &'a mut dyn FnMut() -> f32,
}

/// The logits `[N, classes]` of `images` `[C, N, H, W]`; dropout only with
/// `noise`. `parameters` are weight and bias of each layer that has them, in the
/// order of the layers.
pub(super) fn logits(
    layers: &[Layer],
    activation: Activation,
    parameters: &[Var],
    images: &Tensor,
    tape: &mut Tape,
    mut noise: Option<Noise<'_>>,
) -> Result<Tensor> {
    let mut parameters = parameters.chunks_exact(2);
    let mut x = images.clone();
    for (i, layer) in layers.iter().enumerate() {
        x = match layer {
            Layer::Conv2d { .. } | Layer::Linear { .. } => {
                let Some([weight, bias]) = parameters.next() else {
                    bail!("fewer parameters than layers want")
                };
                match layer {
                    Layer::Conv2d { .. } => {
                        tape.apply_with(x, weight, bias, Conv2d { input_gradient: i > 0 })?
                    }
                    _ => tape.apply_with(x, weight, bias, Linear)?,
                }
            }
            Layer::MaxPool2d => tape.apply(x, MaxPool2d)?,
            Layer::Activation => tape.apply(x, Activate(activation))?,
            Layer::Dropout => match &mut noise {
                Some(Noise { rate, draw }) if *rate > 0.0 => {
                    let dropout = Dropout::new(x.shape(), *rate, draw)?;
                    tape.apply(x, dropout)?
                }
                _ => x,
            },
            Layer::Flatten => tape.apply(x, Flatten)?,
        };
    }
    Ok(x)
}
