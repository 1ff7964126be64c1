//! Linear layer: `x` times the transposed weight, plus bias.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::element::{Element, storage, values, with_element};
use super::matmul::{Matrix, add_product, add_product_transposed, transposed};

/// `x` `[N, I]` through a layer with a weight `[O, I]` and a bias `[O]`: `[N, O]`.
pub(super) struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (images, inputs) = x_layout.shape().dims2()?;
        let (outputs, in_features) = weight_layout.shape().dims2()?;
        if inputs != in_features {
            bail!("cannot put {inputs} features through a layer of {in_features}");
        }
        with_element!(x.dtype(), T => {
            let x = Matrix::new(values::<T>(x, x_layout)?, images, inputs);
            let weight = Matrix::new(values(weight, weight_layout)?, outputs, inputs);
            let mut out = values(bias, bias_layout)?.repeat(images);
            add_product_transposed(&mut out, outputs, x, weight);
            Ok((storage(out), (images, outputs).into()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let input = gradient.apply_op2_no_bwd(weight, &Product)?;
        let weight = gradient.apply_op2_no_bwd(x, &ProductOfTransposed)?;
        Ok((Some(input), Some(weight), Some(gradient.sum(0)?)))
    }
}

/// `a * b`.
struct Product;

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, depth) = a_layout.shape().dims2()?;
        let (_, columns) = b_layout.shape().dims2()?;
        with_element!(a.dtype(), T => {
            let (a, b) = (values::<T>(a, a_layout)?, values(b, b_layout)?);
            let out = product(a, b, rows, depth, columns);
            Ok((storage(out), (rows, columns).into()))
        })
    }
}

/// `transpose(a) * b`.
struct ProductOfTransposed;

impl CustomOp2 for ProductOfTransposed {
    fn name(&self) -> &'static str {
        "product_of_transposed"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        a_layout: &Layout,
        b: &CpuStorage,
        b_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (depth, rows) = a_layout.shape().dims2()?;
        let (_, columns) = b_layout.shape().dims2()?;
        with_element!(a.dtype(), T => {
            let a = transposed(values::<T>(a, a_layout)?, depth, rows);
            let out = product(&a, values(b, b_layout)?, rows, depth, columns);
            Ok((storage(out), (rows, columns).into()))
        })
    }
}

fn product<T: Element>(a: &[T], b: &[T], rows: usize, depth: usize, columns: usize) -> Vec<T> {
    let mut out = vec![T::zero(); rows * columns];
    add_product(&mut out, columns, Matrix::new(a, rows, depth), Matrix::new(b, depth, columns));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::candle::fixtures::{check_layer, inputs};

    #[test]
    fn agrees_with_pytorch() {
        check_layer("linear", inputs, |x| x[0].apply_op3(&x[1], &x[2], Linear));
    }
}
