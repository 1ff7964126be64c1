//! Initial weights.

use super::stream::{Purpose, Stream};
use crate::arch::{Layout, TensorKind};
use crate::zoo::{Hyper, Init};

/// Every bias starts here (specification of the published zoos, section 3.3).
const BIAS: f32 = 0.01;

/// The weights a model starts from, flattened in layout order. Kaiming bounds
/// use `fan_in` and gain √2 whatever the activation, as the published code does.
pub fn initial_weights(layout: &Layout, hyper: &Hyper) -> Vec<f32> {
    let mut stream = Stream::new(hyper.seed, Purpose::Init);
    let mut weights = Vec::with_capacity(layout.num_params());
    for tensor in layout.tensors() {
        let fan_in = tensor.fan_in() as f32;
        let draw = || match (tensor.kind, hyper.init) {
            (TensorKind::Bias, _) => BIAS,
            (TensorKind::Weight, Init::Uniform) => stream.uniform(),
            (TensorKind::Weight, Init::Normal) => stream.normal(),
            (TensorKind::Weight, Init::KaimingUniform) => {
                (6.0 / fan_in).sqrt() * (2.0 * stream.uniform() - 1.0)
            }
            (TensorKind::Weight, Init::KaimingNormal) => (2.0 / fan_in).sqrt() * stream.normal(),
        };
        weights.extend(std::iter::repeat_with(draw).take(tensor.size));
    }
    weights
}
