//! The record of a forward pass, and its reversal.

use candle_core::{Result, Tensor};

/// Gradients by the position of their tensor in the layout, each
/// `[members, …]`.
pub(super) type Gradients = Vec<Option<Tensor>>;

/// What a step does on the way back: takes the gradient of its output, notes
/// those of its parameters, and returns that of its input, if anyone wants it.
type Back<'a> = Box<dyn FnOnce(Tensor, &mut Gradients) -> Result<Option<Tensor>> + 'a>;

/// The steps of a forward pass in order: each took what the one before it gave.
pub(super) struct Tape<'a> {
    recording: bool,
    steps: Vec<Back<'a>>,
}

impl<'a> Tape<'a> {
    /// A tape that keeps what [`Self::backward`] needs.
    pub(super) fn recording() -> Self {
        Self { recording: true, steps: Vec::new() }
    }

    /// A tape that keeps nothing.
    pub(super) fn off() -> Self {
        Self { recording: false, steps: Vec::new() }
    }

    /// A tape for a part of the network, which keeps as much as this one.
    pub(super) fn branch(&self) -> Self {
        Self { recording: self.recording, steps: Vec::new() }
    }

    /// Notes a step that has parameters, or ends the pass.
    pub(super) fn push(
        &mut self,
        back: impl FnOnce(Tensor, &mut Gradients) -> Result<Option<Tensor>> + 'a,
    ) {
        if self.recording {
            self.steps.push(Box::new(back));
        }
    }

    /// Notes a step without parameters.
    pub(super) fn push_plain(&mut self, back: impl FnOnce(Tensor) -> Result<Tensor> + 'a) {
        self.push(move |gradient, _| back(gradient).map(Some));
    }

    /// Notes the gradients of all parameters, given that of the last output;
    /// returns that of the first input, if it was asked for.
    pub(super) fn backward(
        self,
        gradient: Tensor,
        gradients: &mut Gradients,
    ) -> Result<Option<Tensor>> {
        let mut gradient = Some(gradient);
        for back in self.steps.into_iter().rev() {
            let Some(above) = gradient else { break };
            gradient = back(above, gradients)?;
        }
        Ok(gradient)
    }
}
