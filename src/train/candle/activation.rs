//! The activations, element by element, with PyTorch's definitions.
//!
//! Not candle's: its backward passes (0.11.1) let a gradient through `relu` at
//! zero, stop NaN there, know six digits of 1/√2π in `gelu_erf`, and take half a
//! dozen passes over memory each.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp3, Layout, Result, Shape, Tensor};

use super::element::{Element, storage, values, with_element};
use crate::zoo::Activation;

/// Slope of `leaky_relu` below zero.
const LEAK: f64 = 0.01;

fn sigmoid<T: Element>(x: T) -> T {
    T::one() / (T::one() + (T::zero() - x).exp())
}

/// Distribution function of the standard normal.
fn normal_cdf<T: Element>(x: T) -> T {
    let root_half = T::from_f64(std::f64::consts::FRAC_1_SQRT_2);
    T::from_f64(0.5) * (T::one() + (x * root_half).erf())
}

/// Density of the standard normal.
fn normal_pdf<T: Element>(x: T) -> T {
    let scale =
        T::from_f64(0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2);
    scale * (T::from_f64(-0.5) * x * x).exp()
}

/// The value at each `x`.
fn forward<T: Element>(activation: Activation, x: &[T]) -> Vec<T> {
    let leak = T::from_f64(LEAK);
    match activation {
        Activation::Tanh => map(x, T::tanh),
        Activation::Sigmoid => map(x, sigmoid),
        // Comparisons are turned so that NaN goes through.
        Activation::Relu => map(x, |x| if x <= T::zero() { T::zero() } else { x }),
        Activation::Gelu => map(x, |x| x * normal_cdf(x)),
        Activation::LeakyRelu => map(x, |x| if x > T::zero() { x } else { leak * x }),
        Activation::Silu => map(x, |x| x * sigmoid(x)),
    }
}

/// The output's `gradient` times the derivative at each `x`, where the value is
/// `y`.
fn backward<T: Element>(activation: Activation, x: &[T], y: &[T], gradient: &[T]) -> Vec<T> {
    let (zero, one) = (T::zero(), T::one());
    let leak = T::from_f64(LEAK);
    match activation {
        Activation::Tanh => zip(y, gradient, |y, g| g * (one - y * y)),
        Activation::Sigmoid => zip(y, gradient, |y, g| g * (one - y) * y),
        Activation::Relu => zip(y, gradient, |y, g| if y <= zero { zero } else { g }),
        Activation::Gelu => zip(x, gradient, |x, g| g * (normal_cdf(x) + x * normal_pdf(x))),
        Activation::LeakyRelu => zip(x, gradient, |x, g| if x > zero { g } else { leak * g }),
        Activation::Silu => zip(x, gradient, |x, g| {
            let s = sigmoid(x);
            g * (s * (one + x * (one - s)))
        }),
    }
}

fn map<T: Copy>(x: &[T], f: impl Fn(T) -> T) -> Vec<T> {
    x.iter().map(|x| f(*x)).collect()
}

fn zip<T: Copy>(x: &[T], gradient: &[T], f: impl Fn(T, T) -> T) -> Vec<T> {
    x.iter().zip(gradient).map(|(x, gradient)| f(*x, *gradient)).collect()
}

/// Every value through the activation.
pub(super) struct Activate(pub(super) Activation);

impl CustomOp1 for Activate {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T => {
            let out = forward(self.0, values::<T>(x, layout)?);
            Ok((storage(out), layout.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        x.apply_op3_no_bwd(out, &gradient.contiguous()?, &InputGradient(self.0)).map(Some)
    }
}

/// The gradient of the input, from the input, the output and its gradient.
struct InputGradient(Activation);

impl CustomOp3 for InputGradient {
    fn name(&self) -> &'static str {
        "activation_input_gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        with_element!(x.dtype(), T => {
            let (x, y) = (values::<T>(x, x_layout)?, values(y, y_layout)?);
            let out = backward(self.0, x, y, values(gradient, gradient_layout)?);
            Ok((storage(out), x_layout.shape().clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::candle::fixtures::{WEIGHTS, check_layer, value};
    use candle_core::{Device, Var};

    /// Values in [-6, 6), zeros, and two far out.
    fn inputs(shapes: &[Vec<usize>]) -> Vec<Tensor> {
        let x = |i: usize| match i {
            1 => 40.0,
            2 => -40.0,
            _ if i.is_multiple_of(7) => 0.0,
            _ => 6.0 * value(WEIGHTS, i),
        };
        let tensor =
            |shape: &Vec<usize>| Tensor::from_iter((0..shape[0]).map(x), &Device::Cpu).unwrap();
        shapes.iter().map(tensor).collect()
    }

    #[test]
    fn every_activation_agrees_with_pytorch() {
        for activation in Activation::ALL {
            let run = |tensors: &[Var]| tensors[0].apply_op1(Activate(*activation));
            check_layer(activation.name(), inputs, run);
        }
    }

    #[test]
    fn nan_goes_through_every_activation() {
        for activation in Activation::ALL {
            let x = Tensor::new(&[f32::NAN], &Device::Cpu).unwrap();
            let y = x.apply_op1(Activate(*activation)).unwrap().to_vec1::<f32>().unwrap();
            assert!(y[0].is_nan(), "{}", activation.name());
        }
    }
}
