//! The record of a forward pass, and its reversal.
//!
//! Not candle's own `Tensor::backward`: that starts every gradient from zeros to
//! add to it, which a chain of layers does not need, and adds on a thread pool
//! once a tensor has 64 Ki values (0.11.1), while every core already trains a
//! model of its own.

use candle_core::backprop::GradStore;
use candle_core::{CustomOp1, CustomOp3, Result, Tensor};

/// The operations of a forward pass, in order: each takes what the one before
/// it gave.
pub(super) struct Tape {
    recording: bool,
    steps: Vec<Step>,
}

struct Step {
    operation: Operation,
    input: Tensor,
    output: Tensor,
}

enum Operation {
    Plain(Box<dyn CustomOp1>),
    WithParameters { operation: Box<dyn CustomOp3>, weight: Tensor, bias: Tensor },
}

impl Tape {
    /// A tape that keeps what [`Self::backward`] needs.
    pub(super) fn recording() -> Self {
        Self { recording: true, steps: Vec::new() }
    }

    /// A tape that keeps nothing.
    pub(super) fn off() -> Self {
        Self { recording: false, steps: Vec::new() }
    }

    /// Applies an operation without parameters.
    pub(super) fn apply(
        &mut self,
        input: Tensor,
        operation: impl CustomOp1 + 'static,
    ) -> Result<Tensor> {
        let output = input.apply_op1_no_bwd(&operation)?;
        if self.recording {
            let (operation, output) = (Operation::Plain(Box::new(operation)), output.clone());
            self.steps.push(Step { operation, input, output });
        }
        Ok(output)
    }

    /// Applies an operation that has a weight and a bias.
    pub(super) fn apply_with(
        &mut self,
        input: Tensor,
        weight: &Tensor,
        bias: &Tensor,
        operation: impl CustomOp3 + 'static,
    ) -> Result<Tensor> {
        let output = input.apply_op3_no_bwd(weight, bias, &operation)?;
        if self.recording {
            let (weight, bias) = (weight.clone(), bias.clone());
            let operation = Box::new(operation);
            let operation = Operation::WithParameters { operation, weight, bias };
            self.steps.push(Step { operation, input, output: output.clone() });
        }
        Ok(output)
    }

    /// The gradients of all parameters, given that of the last output. An
    /// operation that returns none for its input ends the pass.
    pub(super) fn backward(self, gradient: Tensor) -> Result<GradStore> {
        let mut gradients = GradStore::default();
        let mut gradient = Some(gradient);
        for Step { operation, input, output } in self.steps.into_iter().rev() {
            let Some(above) = gradient else { break };
            gradient = match operation {
                Operation::Plain(operation) => operation.bwd(&input, &output, &above)?,
                Operation::WithParameters { operation, weight, bias } => {
                    let (below, for_weight, for_bias) =
                        operation.bwd(&input, &weight, &bias, &output, &above)?;
                    for (parameter, gradient) in [(weight, for_weight), (bias, for_bias)] {
                        if let Some(gradient) = gradient {
                            gradients.insert(&parameter, gradient);
                        }
                    }
                    below
                }
            };
        }
        Ok(gradients)
    }
}
