//! The forward pass: a walk over the layers of an architecture.

use candle_core::{Result, Tensor, Var, bail};

use super::activation::Activate;
use super::average::GlobalAverage;
use super::batch_norm::{BatchNorm, Statistics};
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

/// A pass through a network.
pub(super) struct Forward<'a, 'n> {
    activation: Activation,
    /// The tensors of the layers to come.
    tensors: &'a [Var],
    /// In training: dropout, and batches normalised by their own statistics.
    noise: Option<Noise<'n>>,
    /// Whether gradients are wanted of what layers see, images included, and not of
    /// their weights.
    of_inputs: bool,
}

impl<'a, 'n> Forward<'a, 'n> {
    /// A pass with the `tensors` of a state, in the order of the layout; in
    /// training if there is `noise`.
    pub(super) fn new(
        activation: Activation,
        tensors: &'a [Var],
        noise: Option<Noise<'n>>,
    ) -> Self {
        Self { activation, tensors, noise, of_inputs: false }
    }

    /// The same, to go back to the images, and not for gradients of weights.
    pub(super) fn for_inputs(self) -> Self {
        Self { of_inputs: true, ..self }
    }

    /// The logits `[N, classes]` of `images` `[C, N, H, W]`.
    pub(super) fn logits(
        mut self,
        layers: &[Layer],
        images: &Tensor,
        tape: &mut Tape,
    ) -> Result<Tensor> {
        self.walk(layers, images.clone(), tape, true)
    }

    /// The tensors of the next layer.
    fn take<const N: usize>(&mut self) -> Result<&'a [Var; N]> {
        let Some((tensors, rest)) = self.tensors.split_first_chunk() else {
            bail!("fewer tensors than layers want")
        };
        self.tensors = rest;
        Ok(tensors)
    }

    /// What `layers` make of `x`, which are the `images` themselves or come from a
    /// layer below.
    fn walk(
        &mut self,
        layers: &[Layer],
        mut x: Tensor,
        tape: &mut Tape,
        images: bool,
    ) -> Result<Tensor> {
        let mut layers = layers.iter().peekable();
        let mut input_gradient = !images || self.of_inputs;
        while let Some(layer) = layers.next() {
            if images && layer.step_name().is_some() {
                tape.mark();
            }
            x = match layer {
                Layer::Conv2d { stride, padding, bias, .. } => {
                    let (stride, padding) = (*stride, *padding);
                    let weight_gradient = !self.of_inputs;
                    let conv2d = Conv2d { stride, padding, input_gradient, weight_gradient };
                    if *bias {
                        let [weight, bias] = self.take()?;
                        tape.apply_with(x, weight, bias, conv2d)?
                    } else {
                        let [weight] = self.take()?;
                        tape.apply_with_weight(x, weight, conv2d)?
                    }
                }
                Layer::Linear { .. } => {
                    let [weight, bias] = self.take()?;
                    tape.apply_with(x, weight, bias, Linear)?
                }
                Layer::BatchNorm2d { .. } => {
                    let relu = layers.next_if_eq(&&Layer::Relu).is_some();
                    self.batch_norm(x, tape, relu)?
                }
                Layer::Residual { body, shortcut, .. } => {
                    let (mut through, mut around) = (tape.branch(), tape.branch());
                    let body = self.walk(body, x.clone(), &mut through, false)?;
                    let shortcut = self.walk(shortcut, x.clone(), &mut around, false)?;
                    tape.join(x, (through, body), (around, shortcut))?
                }
                Layer::MaxPool2d => tape.apply(x, MaxPool2d)?,
                Layer::GlobalAvgPool => tape.apply(x, GlobalAverage)?,
                Layer::Activation => tape.apply(x, Activate(self.activation))?,
                Layer::Relu => tape.apply(x, Activate(Activation::Relu))?,
                Layer::Dropout => match &mut self.noise {
                    Some(Noise { rate, draw }) if *rate > 0.0 => {
                        let dropout = Dropout::new(x.shape(), *rate, draw)?;
                        tape.apply(x, dropout)?
                    }
                    _ => x,
                },
                Layer::Flatten => tape.apply(x, Flatten)?,
            };
            input_gradient = true;
        }
        Ok(x)
    }

    /// In training by the statistics of the batch, which the running ones follow;
    /// otherwise by the running ones.
    fn batch_norm(&mut self, x: Tensor, tape: &mut Tape, relu: bool) -> Result<Tensor> {
        let [scale, shift, mean, variance] = self.take()?;
        let statistics = if self.noise.is_some() {
            let statistics = Statistics::of(&x)?;
            statistics.follow(x.elem_count() / x.dim(0)?.max(1), mean, variance)?;
            statistics
        } else {
            Statistics::running(mean, variance)?
        };
        tape.apply_with(x, scale, shift, BatchNorm { statistics, relu })
    }
}
