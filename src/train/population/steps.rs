//! The layers of an architecture, prepared on a device, and the forward pass.

use candle_core::{Device, Result, Tensor};

use super::activation::activate;
use super::conv::Conv;
use super::dropout::{Draws, Dropout};
use super::linear::Linear;
use super::pool::MaxPool;
use super::tape::Tape;
use super::window::Window;
use crate::arch::{Arch, Layer};
use crate::zoo::Activation;

/// A layer with what it needs on the device.
enum Step {
    Conv(Conv),
    MaxPool(MaxPool),
    Activation,
    Dropout,
    Flatten,
    Linear(Linear),
}

/// The layers of an architecture, in the order of the forward pass.
pub(super) struct Steps(Vec<Step>);

/// What a forward pass needs besides images.
pub(super) struct Pass<'a> {
    pub(super) activation: Activation,
    /// The parameters of all members, in the order of the layout.
    pub(super) parameters: &'a [Tensor],
    pub(super) dropout: &'a Dropout,
}

impl Steps {
    /// Prepares the layers of `arch`.
    pub(super) fn new(arch: &Arch, device: &Device) -> Result<Self> {
        let [_, mut height, mut width] = arch.input();
        let mut tensors = (0..arch.layout().tensors().len()).step_by(2);
        let mut next = || tensors.next().unwrap_or_default();
        let mut steps = Vec::with_capacity(arch.layers().len());
        for layer in arch.layers() {
            steps.push(match *layer {
                Layer::Conv2d { kernel, .. } => {
                    let window = Window { height, width, kernel };
                    (height, width) = window.out();
                    Step::Conv(Conv::new(window, next(), !steps.is_empty(), device)?)
                }
                Layer::MaxPool2d => {
                    let pool = MaxPool::new(height, width, device)?;
                    (height, width) = (height / 2, width / 2);
                    Step::MaxPool(pool)
                }
                Layer::Activation => Step::Activation,
                Layer::Dropout => Step::Dropout,
                Layer::Flatten => Step::Flatten,
                Layer::Linear { .. } => Step::Linear(Linear(next())),
            });
        }
        Ok(Self(steps))
    }

    /// The logits `[M, classes, N]` of `images` `[M, C, S, N]`; dropout only with
    /// `draws`.
    pub(super) fn logits<'a>(
        &'a self,
        images: Tensor,
        pass: &Pass<'_>,
        mut draws: Option<&mut Draws<'_>>,
        tape: &mut Tape<'a>,
    ) -> Result<Tensor> {
        let parameters =
            |weight: usize| (pass.parameters[weight].clone(), &pass.parameters[weight + 1]);
        let mut x = images;
        for step in &self.0 {
            x = match step {
                Step::Conv(conv) => {
                    let (weight, bias) = parameters(conv.weight);
                    conv.forward(x, weight, bias, tape)?
                }
                Step::MaxPool(pool) => pool.forward(&x, tape)?,
                Step::Activation => activate(pass.activation, x, tape)?,
                Step::Dropout => match &mut draws {
                    Some(draws) => pass.dropout.forward(x, draws, tape)?,
                    None => x,
                },
                Step::Flatten => flatten(&x, tape)?,
                Step::Linear(linear) => {
                    let (weight, bias) = parameters(linear.0);
                    linear.forward(&x, weight, bias, tape)?
                }
            };
        }
        let logits = x.squeeze(2)?;
        tape.push_plain(|gradient| gradient.unsqueeze(2));
        Ok(logits)
    }
}

/// `[M, C, S, N]` to `[M, C * S, 1, N]`: nothing moves.
fn flatten(x: &Tensor, tape: &mut Tape<'_>) -> Result<Tensor> {
    let (members, channels, positions, images) = x.dims4()?;
    tape.push_plain(move |gradient| gradient.reshape((members, channels, positions, images)));
    x.reshape((members, channels * positions, 1, images))
}
