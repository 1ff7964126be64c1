//! The layers of an architecture, prepared on a device, and the forward pass.

use candle_core::{Device, Result, Tensor};

use super::activation::activate;
use super::batch_norm::BatchNorm;
use super::conv::Conv;
use super::dropout::{Dropout, Uniforms};
use super::linear::Linear;
use super::pool::MaxPool;
use super::tape::Tape;
use super::window::Window;
use crate::arch::{Arch, Layer};
use crate::zoo::Activation;

/// A layer with what it needs on the device.
enum Step {
    Conv(Conv),
    BatchNorm(BatchNorm),
    /// `relu(body(x) + shortcut(x))`.
    Residual {
        body: Steps,
        shortcut: Steps,
    },
    MaxPool(MaxPool),
    GlobalAverage,
    Activation,
    Relu,
    Dropout,
    Flatten,
    Linear(Linear),
}

/// Layers in the order of the forward pass.
pub(super) struct Steps(Vec<Step>);

/// What is random or moves in a pass in training.
pub(super) struct Training<'a, 'd> {
    pub(super) draws: &'a mut Uniforms<'d>,
    /// By position in the layout: the running statistics after this batch.
    pub(super) followed: &'a mut [Option<Tensor>],
}

/// What a forward pass needs besides images.
pub(super) struct Pass<'a, 'd> {
    pub(super) activation: Activation,
    pub(super) dropout: &'a Dropout,
    /// Those of the layout, `[members, …]` each.
    pub(super) tensors: &'a [Tensor],
    /// In training: dropout, and batches normalised by their own statistics.
    pub(super) training: Option<Training<'a, 'd>>,
}

/// What is known while layers are prepared.
struct Preparation<'a> {
    device: &'a Device,
    height: usize,
    width: usize,
    /// Tensors of the layout that earlier layers have.
    tensors: usize,
    /// Whether the next layer takes the images themselves.
    first: bool,
}

impl Steps {
    /// Prepares the layers of `arch`.
    pub(super) fn new(arch: &Arch, device: &Device) -> Result<Self> {
        let [_, height, width] = arch.input();
        Preparation { device, height, width, tensors: 0, first: true }.steps(arch.layers())
    }

    /// The logits `[M, classes, N]` of `images` `[M, C, S, N]`.
    pub(super) fn logits<'a>(
        &'a self,
        images: Tensor,
        mut pass: Pass<'_, '_>,
        tape: &mut Tape<'a>,
    ) -> Result<Tensor> {
        let logits = self.walk(images, &mut pass, tape)?.squeeze(2)?;
        tape.push_plain(|gradient| gradient.unsqueeze(2));
        Ok(logits)
    }

    fn walk<'a>(
        &'a self,
        mut x: Tensor,
        pass: &mut Pass<'_, '_>,
        tape: &mut Tape<'a>,
    ) -> Result<Tensor> {
        for step in &self.0 {
            x = match (step, &mut pass.training) {
                (Step::Conv(conv), _) => conv.forward(x, pass.tensors, tape)?,
                (Step::BatchNorm(norm), Some(Training { followed, .. })) => {
                    norm.train(&x, pass.tensors, followed, tape)?
                }
                (Step::BatchNorm(norm), None) => norm.evaluate(&x, pass.tensors)?,
                (Step::Residual { body, shortcut }, _) => residual(body, shortcut, x, pass, tape)?,
                (Step::MaxPool(pool), _) => pool.forward(&x, tape)?,
                (Step::GlobalAverage, _) => global_average(&x, tape)?,
                (Step::Activation, _) => activate(pass.activation, x, tape)?,
                (Step::Relu, _) => activate(Activation::Relu, x, tape)?,
                (Step::Dropout, Some(Training { draws, .. })) => {
                    pass.dropout.forward(x, draws, tape)?
                }
                (Step::Dropout, None) => x,
                (Step::Flatten, _) => flatten(&x, tape)?,
                (Step::Linear(linear), _) => linear.forward(&x, pass.tensors, tape)?,
            };
        }
        Ok(x)
    }
}

impl Preparation<'_> {
    fn steps(&mut self, layers: &[Layer]) -> Result<Steps> {
        let mut steps = Vec::with_capacity(layers.len());
        for layer in layers {
            steps.push(self.step(layer)?);
            self.first = false;
        }
        Ok(Steps(steps))
    }

    fn step(&mut self, layer: &Layer) -> Result<Step> {
        let (height, width) = (self.height, self.width);
        Ok(match layer {
            &Layer::Conv2d { kernel, stride, padding, bias, .. } => {
                let window = Window { height, width, kernel, stride, padding };
                (self.height, self.width) = window.out();
                let weight = self.take(if bias { 2 } else { 1 });
                Step::Conv(Conv::new(window, weight, bias, !self.first, self.device)?)
            }
            Layer::BatchNorm2d { .. } => Step::BatchNorm(BatchNorm(self.take(4))),
            Layer::Residual { body, shortcut, .. } => {
                let body = self.steps(body)?;
                (self.height, self.width) = (height, width);
                Step::Residual { body, shortcut: self.steps(shortcut)? }
            }
            Layer::MaxPool2d => {
                (self.height, self.width) = (height / 2, width / 2);
                Step::MaxPool(MaxPool::new(height, width, self.device)?)
            }
            Layer::GlobalAvgPool => Step::GlobalAverage,
            Layer::Activation => Step::Activation,
            Layer::Relu => Step::Relu,
            Layer::Dropout => Step::Dropout,
            Layer::Flatten => Step::Flatten,
            Layer::Linear { .. } => Step::Linear(Linear(self.take(2))),
        })
    }

    /// The position of the first of `count` tensors that the next layer has.
    fn take(&mut self, count: usize) -> usize {
        self.tensors += count;
        self.tensors - count
    }
}

/// `relu(body(x) + shortcut(x))`.
fn residual<'a>(
    body: &'a Steps,
    shortcut: &'a Steps,
    x: Tensor,
    pass: &mut Pass<'_, '_>,
    tape: &mut Tape<'a>,
) -> Result<Tensor> {
    let (mut through, mut around) = (tape.branch(), tape.branch());
    let sum = (body.walk(x.clone(), pass, &mut through)? + shortcut.walk(x, pass, &mut around)?)?;
    tape.push(move |gradient, gradients| {
        let through = through.backward(gradient.clone(), gradients)?;
        let around = around.backward(gradient, gradients)?;
        through.zip(around).map(|(through, around)| through + around).transpose()
    });
    activate(Activation::Relu, sum, tape)
}

/// The mean of each channel: `[M, C, S, N]` to `[M, C, 1, N]`.
pub(super) fn global_average(x: &Tensor, tape: &mut Tape<'_>) -> Result<Tensor> {
    let shape = x.shape().clone();
    let share = 1.0 / x.dim(2)? as f64;
    tape.push_plain(move |gradient| {
        gradient.affine(share, 0.0)?.broadcast_as(&shape)?.contiguous()
    });
    x.mean_keepdim(2)
}

/// `[M, C, S, N]` to `[M, C * S, 1, N]`: nothing moves.
fn flatten(x: &Tensor, tape: &mut Tape<'_>) -> Result<Tensor> {
    let (members, channels, positions, images) = x.dims4()?;
    tape.push_plain(move |gradient| gradient.reshape((members, channels, positions, images)));
    x.reshape((members, channels * positions, 1, images))
}
