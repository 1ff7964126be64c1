//! Where the two ways through a residual block meet, and where their gradients
//! do.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::element::{Element, storage, values, with_element, zip_into};

/// A value from the two at one place.
trait Rule {
    const NAME: &'static str;

    fn apply<T: Element>(a: T, b: T) -> T;
}

/// `max(a + b, 0)`.
struct AddRelu;

impl Rule for AddRelu {
    const NAME: &'static str = "add_relu";

    fn apply<T: Element>(a: T, b: T) -> T {
        let sum = a + b;
        // The comparison is turned so that NaN goes through.
        if sum <= T::zero() { T::zero() } else { sum }
    }
}

/// The gradient of both summands, from the output and its gradient.
struct SummandGradient;

impl Rule for SummandGradient {
    const NAME: &'static str = "add_relu_gradient";

    fn apply<T: Element>(out: T, gradient: T) -> T {
        if out <= T::zero() { T::zero() } else { gradient }
    }
}

/// The gradient of what went both ways.
struct Sum;

impl Rule for Sum {
    const NAME: &'static str = "sum";

    fn apply<T: Element>(a: T, b: T) -> T {
        a + b
    }
}

/// Applies a rule to the values of two tensors of one shape.
struct Elementwise<R>(R);

impl<R: Rule + Send + Sync> CustomOp2 for Elementwise<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        if a_layout.shape() != b_layout.shape() {
            bail!("{:?} and {:?} do not fit", a_layout.dims(), b_layout.dims());
        }
        with_element!(a.dtype(), T => {
            let mut out = vec![T::default(); a_layout.shape().elem_count()];
            zip_into(&mut out, values::<T>(a, a_layout)?, values(b, b_layout)?, R::apply);
            Ok((storage(out), a_layout.shape().clone()))
        })
    }
}

/// `max(a + b, 0)`.
pub(super) fn join(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.apply_op2_no_bwd(b, &Elementwise(AddRelu))
}

/// The gradient of both summands of [`join`], from its output and the gradient of
/// that.
pub(super) fn summand_gradient(out: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    out.apply_op2_no_bwd(gradient, &Elementwise(SummandGradient))
}

/// `a + b`, on this thread alone.
pub(super) fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.apply_op2_no_bwd(b, &Elementwise(Sum))
}
