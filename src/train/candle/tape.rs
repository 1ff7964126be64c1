//! The record of a forward pass, and its reversal.
//!
//! Not candle's own `Tensor::backward`: that starts every gradient from zeros to
//! add to it, which a chain of layers does not need, and adds on a thread pool
//! once a tensor has 64 Ki values (0.11.1), while every core already trains a
//! model of its own.

use candle_core::backprop::GradStore;
use candle_core::{CustomOp1, CustomOp2, CustomOp3, Result, Tensor, bail};

use super::residual;

/// The operations of a forward pass, in order: each takes what the one before
/// it gave.
pub(super) struct Tape {
    recording: bool,
    steps: Vec<Step>,
    /// Numbers of marked steps, ascending.
    marks: Vec<usize>,
}

struct Step {
    operation: Operation,
    input: Tensor,
    output: Tensor,
}

enum Operation {
    Plain(Box<dyn CustomOp1>),
    WithWeight { operation: Box<dyn CustomOp2>, weight: Tensor },
    WithParameters { operation: Box<dyn CustomOp3>, weight: Tensor, bias: Tensor },
    Residual { body: Tape, shortcut: Tape },
}

impl Tape {
    /// A tape that keeps what [`Self::backward`] needs.
    pub(super) fn recording() -> Self {
        Self { recording: true, steps: Vec::new(), marks: Vec::new() }
    }

    /// A tape that keeps nothing.
    pub(super) fn off() -> Self {
        Self { recording: false, steps: Vec::new(), marks: Vec::new() }
    }

    /// An empty tape that records if this one does: for a part of the pass that is
    /// no chain.
    pub(super) fn branch(&self) -> Self {
        Self { recording: self.recording, steps: Vec::new(), marks: Vec::new() }
    }

    /// Marks the next step, for [`Self::input_gradients`].
    pub(super) fn mark(&mut self) {
        self.marks.push(self.steps.len());
    }

    fn record(&mut self, operation: Operation, input: Tensor, output: &Tensor) {
        self.steps.push(Step { operation, input, output: output.clone() });
    }

    /// Applies an operation without parameters.
    pub(super) fn apply(
        &mut self,
        input: Tensor,
        operation: impl CustomOp1 + 'static,
    ) -> Result<Tensor> {
        let output = input.apply_op1_no_bwd(&operation)?;
        if self.recording {
            self.record(Operation::Plain(Box::new(operation)), input, &output);
        }
        Ok(output)
    }

    /// Applies an operation that has a weight.
    pub(super) fn apply_with_weight(
        &mut self,
        input: Tensor,
        weight: &Tensor,
        operation: impl CustomOp2 + 'static,
    ) -> Result<Tensor> {
        let output = input.apply_op2_no_bwd(weight, &operation)?;
        if self.recording {
            let (operation, weight) = (Box::new(operation), weight.clone());
            self.record(Operation::WithWeight { operation, weight }, input, &output);
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
            self.record(Operation::WithParameters { operation, weight, bias }, input, &output);
        }
        Ok(output)
    }

    /// Joins the two ways that `input` went, each with its tape and what came out:
    /// `max(body + shortcut, 0)`.
    pub(super) fn join(
        &mut self,
        input: Tensor,
        (body, through): (Self, Tensor),
        (shortcut, around): (Self, Tensor),
    ) -> Result<Tensor> {
        let output = residual::join(&through, &around)?;
        if self.recording {
            self.record(Operation::Residual { body, shortcut }, input, &output);
        }
        Ok(output)
    }

    /// The gradients of all parameters, given that of the last output. An
    /// operation that returns none for its input ends the pass.
    pub(super) fn backward(self, gradient: Tensor) -> Result<GradStore> {
        let mut gradients = GradStore::default();
        self.reverse(gradient, &mut gradients)?;
        Ok(gradients)
    }

    /// The inputs of the marked steps with their gradients, first to last, given that of
    /// the last output.
    pub(super) fn input_gradients(mut self, gradient: Tensor) -> Result<Vec<(Tensor, Tensor)>> {
        let mut found = Vec::with_capacity(self.marks.len());
        let mut above = gradient;
        while let Some(mark) = self.marks.pop() {
            let steps = self.steps.split_off(mark);
            let Some(input) = steps.first().map(|step| step.input.clone()) else {
                bail!("a marked step was not recorded")
            };
            let tail = Self { recording: true, steps, marks: Vec::new() };
            let Some(below) = tail.reverse(above, &mut GradStore::default())? else {
                bail!("an operation has no gradient of its input")
            };
            found.push((input, below.clone()));
            above = below;
        }
        found.reverse();
        Ok(found)
    }

    /// The gradient of the first input; those of parameters go to `gradients`.
    fn reverse(self, gradient: Tensor, gradients: &mut GradStore) -> Result<Option<Tensor>> {
        let mut gradient = Some(gradient);
        for Step { operation, input, output } in self.steps.into_iter().rev() {
            let Some(above) = gradient else { break };
            gradient = match operation {
                Operation::Plain(operation) => operation.bwd(&input, &output, &above)?,
                Operation::WithWeight { operation, weight } => {
                    let (below, for_weight) = operation.bwd(&input, &weight, &output, &above)?;
                    insert(gradients, &weight, for_weight);
                    below
                }
                Operation::WithParameters { operation, weight, bias } => {
                    let (below, for_weight, for_bias) =
                        operation.bwd(&input, &weight, &bias, &output, &above)?;
                    insert(gradients, &weight, for_weight);
                    insert(gradients, &bias, for_bias);
                    below
                }
                Operation::Residual { body, shortcut } => {
                    let above = residual::summand_gradient(&output, &above)?;
                    let body = body.reverse(above.clone(), gradients)?;
                    let shortcut = shortcut.reverse(above, gradients)?;
                    match (body, shortcut) {
                        (Some(body), Some(shortcut)) => Some(residual::sum(&body, &shortcut)?),
                        (one, other) => one.or(other),
                    }
                }
            };
        }
        Ok(gradient)
    }
}

fn insert(gradients: &mut GradStore, parameter: &Tensor, gradient: Option<Tensor>) {
    if let Some(gradient) = gradient {
        gradients.insert(parameter, gradient);
    }
}
