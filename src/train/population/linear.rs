//! Linear layer, as a batched matrix product.

use candle_core::{Result, Tensor};

use super::tape::Tape;

/// A linear layer whose weight is the tensor at this position of the layout; the
/// bias follows it.
pub(super) struct Linear(pub(super) usize);

impl Linear {
    /// `x` `[M, I, 1, N]` with a weight `[M, O, I]` and a bias `[M, O]` among the
    /// `tensors` of the layout: `[M, O, 1, N]`.
    pub(super) fn forward<'a>(
        &'a self,
        x: &Tensor,
        tensors: &[Tensor],
        tape: &mut Tape<'a>,
    ) -> Result<Tensor> {
        let x = x.squeeze(2)?;
        let (weight, bias) = (tensors[self.0].clone(), &tensors[self.0 + 1]);
        let out = weight.matmul(&x)?.broadcast_add(&bias.unsqueeze(2)?)?;
        tape.push(move |gradient, gradients| {
            let gradient = gradient.squeeze(2)?;
            gradients[self.0] = Some(gradient.matmul(&x.transpose(1, 2)?)?);
            gradients[self.0 + 1] = Some(gradient.sum(2)?);
            let of_input = weight.transpose(1, 2)?.matmul(&gradient)?;
            Ok(Some(of_input.unsqueeze(2)?))
        });
        out.unsqueeze(2)
    }
}
