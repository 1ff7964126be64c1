//! The activations, with PyTorch's definitions.
//!
//! Put together from candle's plain functions, since its own `relu` loses NaN and
//! its `gelu_erf` does not give what the backward pass needs.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use candle_core::{Result, Tensor};
use candle_nn::ops::sigmoid;

use super::tape::Tape;
use crate::zoo::Activation;

/// Slope of `leaky_relu` below zero.
const LEAK: f64 = 0.01;

/// Every value of `x` through the activation.
pub(super) fn activate(activation: Activation, x: Tensor, tape: &mut Tape<'_>) -> Result<Tensor> {
    match activation {
        Activation::Tanh => {
            let y = x.tanh()?;
            let out = y.clone();
            tape.push_plain(move |gradient| gradient * y.sqr()?.affine(-1.0, 1.0)?);
            Ok(out)
        }
        Activation::Sigmoid => {
            let y = sigmoid(&x)?;
            let out = y.clone();
            tape.push_plain(move |gradient| (gradient * y.affine(-1.0, 1.0)?)? * y);
            Ok(out)
        }
        Activation::Relu => {
            // Comparisons are turned so that NaN goes through.
            let off = x.broadcast_le(&zero(&x)?)?;
            let out = off.where_cond(&zeros_like(&x)?, &x)?;
            tape.push_plain(move |gradient| off.where_cond(&zeros_like(&gradient)?, &gradient));
            Ok(out)
        }
        Activation::LeakyRelu => {
            let on = x.broadcast_gt(&zero(&x)?)?;
            let out = on.where_cond(&x, &x.affine(LEAK, 0.0)?)?;
            tape.push_plain(move |gradient| on.where_cond(&gradient, &gradient.affine(LEAK, 0.0)?));
            Ok(out)
        }
        Activation::Gelu => {
            // Distribution function and density of the standard normal.
            let cdf = x.affine(FRAC_1_SQRT_2, 0.0)?.erf()?.affine(0.5, 0.5)?;
            let out = (&x * &cdf)?;
            tape.push_plain(move |gradient| {
                let scale = 0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
                let pdf = x.sqr()?.affine(-0.5, 0.0)?.exp()?.affine(scale, 0.0)?;
                gradient * (cdf + (x * pdf)?)?
            });
            Ok(out)
        }
        Activation::Silu => {
            let s = sigmoid(&x)?;
            let out = (&x * &s)?;
            tape.push_plain(move |gradient| {
                gradient * ((x * s.affine(-1.0, 1.0)?)?.affine(1.0, 1.0)? * s)?
            });
            Ok(out)
        }
    }
}

/// Zero, of the type and on the device of `x`.
fn zero(x: &Tensor) -> Result<Tensor> {
    Tensor::zeros((), x.dtype(), x.device())
}

/// As many zeros as `x` has values, in the memory of one.
pub(super) fn zeros_like(x: &Tensor) -> Result<Tensor> {
    zero(x)?.broadcast_as(x.shape())
}
