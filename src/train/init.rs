//! Initial weights.

use super::stream::{Purpose, Stream};
use crate::arch::{Layout, TensorKind};
use crate::zoo::{Hyper, Init};

/// Every bias starts here (specification of the published zoos, section 3.3).
const BIAS: f32 = 0.01;

/// The state a model starts from, flattened in layout order. Kaiming bounds
/// use `fan_in` and gain √2 whatever the activation, as the published code does;
/// a batch normalisation starts as the identity.
pub fn initial_weights(layout: &Layout, hyper: &Hyper) -> Vec<f32> {
    let mut stream = Stream::new(hyper.seed, Purpose::Init);
    let mut weights = Vec::with_capacity(layout.size());
    for tensor in layout.tensors() {
        let fan_in = tensor.fan_in() as f32;
        let draw = || match (tensor.kind, hyper.init) {
            (TensorKind::Bias, _) => BIAS,
            (TensorKind::Scale | TensorKind::Variance, _) => 1.0,
            (TensorKind::Shift | TensorKind::Mean, _) => 0.0,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::zoo::{Activation, Optimizer, Scheduler};

    #[test]
    fn a_batch_normalisation_starts_as_the_identity() {
        let arch = Arch::narrow_resnet();
        let hyper = Hyper {
            activation: Activation::Relu,
            init: Init::KaimingUniform,
            optimizer: Optimizer::Sgd,
            scheduler: Scheduler::Constant,
            lr: 0.1,
            weight_decay: 0.0,
            dropout: 0.0,
            momentum: 0.9,
            batch_size: 1,
            epochs: 1,
            seed: 1,
        };
        let weights = initial_weights(arch.layout(), &hyper);
        assert_eq!(weights.len(), arch.layout().size());
        let starts = |name: &str| {
            let tensor = arch.layout().tensors().iter().find(|tensor| tensor.name == name).unwrap();
            weights[tensor.range()].to_vec()
        };
        assert_eq!(starts("bn1.weight"), [1.0; 4]);
        assert_eq!(starts("bn1.bias"), [0.0; 4]);
        assert_eq!(starts("bn1.running_mean"), [0.0; 4]);
        assert_eq!(starts("bn1.running_var"), [1.0; 4]);
        assert_eq!(starts("fc.bias"), [0.01; 10]);
        let bound = (6.0_f32 / 36.0).sqrt();
        let conv = starts("layer1.0.conv1.weight");
        assert!(conv.iter().all(|weight| weight.abs() <= bound));
        assert!(conv.iter().any(|weight| weight.abs() > 0.8 * bound));
    }
}
