//! Convolution, as a batched matrix product over patches.
//!
//! candle's own has a backward pass that takes one thread per value on a GPU.
//! Here both ways are selections and products: the gradient of the input is
//! again a product over patches, of the output's gradient. Patches are made
//! anew for the backward pass, since they take `kernel²` times the memory of
//! what they are made of.

use candle_core::{Device, Result, Tensor};

use super::tape::Tape;
use super::window::Window;

/// A convolution by square windows, with its tables on the device.
pub(super) struct Conv {
    window: Window,
    seen: Tensor,
    /// Not there if the inputs are the images, whose gradient nobody wants.
    seen_by: Option<Tensor>,
    /// Position of the weight in the layout.
    weight: usize,
    /// Whether a bias follows it.
    bias: bool,
}

impl Conv {
    /// A convolution whose weight is the tensor `weight` of the layout, with the
    /// bias after it if there is one.
    pub(super) fn new(
        window: Window,
        weight: usize,
        bias: bool,
        input_gradient: bool,
        device: &Device,
    ) -> Result<Self> {
        let seen = Tensor::new(window.seen(), device)?;
        let seen_by = input_gradient.then(|| Tensor::new(window.seen_by(), device));
        Ok(Self { window, seen, seen_by: seen_by.transpose()?, weight, bias })
    }

    /// `x` `[M, C, S, N]` with a weight `[M, O, C, k, k]` and a bias `[M, O]` among
    /// the `tensors` of the layout: `[M, O, P, N]`.
    pub(super) fn forward<'a>(
        &'a self,
        x: Tensor,
        tensors: &[Tensor],
        tape: &mut Tape<'a>,
    ) -> Result<Tensor> {
        let weight = tensors[self.weight].clone();
        let (members, _, _, images) = x.dims4()?;
        let outputs = weight.dim(1)?;
        let mut out = weight.flatten_from(2)?.matmul(&self.patches(&x, &self.seen)?)?;
        if self.bias {
            out = out.broadcast_add(&tensors[self.weight + 1].unsqueeze(2)?)?;
        }
        tape.push(move |gradient, gradients| {
            let flat = gradient.flatten_from(2)?;
            let patches = self.patches(&x, &self.seen)?;
            gradients[self.weight] = Some(flat.matmul(&patches.transpose(1, 2)?)?);
            if self.bias {
                gradients[self.weight + 1] = Some(flat.sum(2)?);
            }
            let of_input = |seen_by| self.input_gradient(&gradient, &weight, seen_by);
            self.seen_by.as_ref().map(of_input).transpose()
        });
        out.reshape((members, outputs, self.window.out_positions(), images))
    }

    /// What a `table` selects for each place in the window: `x` `[M, C, S, N]` to
    /// `[M, C * k * k, P * N]`.
    fn patches(&self, x: &Tensor, table: &Tensor) -> Result<Tensor> {
        let (members, channels, positions, images) = x.dims4()?;
        let planes = x.reshape((members * channels, positions, images))?;
        let patch = channels * self.window.kernel * self.window.kernel;
        planes.index_select(table, 1)?.reshape((members, patch, ()))
    }

    /// The gradient of the input, `[M, C, S, N]`, from the output's.
    fn input_gradient(
        &self,
        gradient: &Tensor,
        weight: &Tensor,
        seen_by: &Tensor,
    ) -> Result<Tensor> {
        let (members, _, _, images) = gradient.dims4()?;
        let turned = weight.flatten_from(3)?.transpose(1, 2)?.contiguous()?;
        let turned = turned.flatten_from(2)?;
        let product = turned.matmul(&self.patches(gradient, seen_by)?)?;
        product.reshape((members, (), self.window.positions(), images))
    }
}
