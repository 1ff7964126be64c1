//! `spectral_v1`, and as `WeightWatcher` scales convolutions `spectral_halved_v1`.

use async_trait::async_trait;

use super::call::Call;
use super::set::{Column, FeatureSet, Frame, literal, quoted};
use super::slots::{Order, Slot, slots};
use crate::arch::{Arch, TensorKind, TensorSpec};
use crate::error::Result;
use crate::sql::Session;

/// What `vector_spectrum` says of every weight matrix and convolution, layer by layer:
/// NULL where a power law is not fitted, with the counts that say why. Several
/// architectures have a common frame: the features of a layer that a state lacks are 0.
#[derive(Debug)]
pub(super) struct Spectral {
    name: &'static str,
    about: &'static str,
    /// What the eigenvalues of convolutions are multiplied by.
    convolution: f64,
}

/// The eigenvalues are those of the matrices.
pub(super) const SET: Spectral = Spectral {
    name: "spectral_v1",
    about: "log norm, log spectral norm, stable rank, entropy, power law of the eigenvalues of each weight",
    convolution: 1.0,
};

/// `WeightWatcher` does so unless it is told `conv2d_norm=False`.
pub(super) const HALVED: Spectral = Spectral {
    name: "spectral_halved_v1",
    about: "the same with the eigenvalues of convolutions halved, as WeightWatcher has them by default",
    convolution: 0.5,
};

/// Fields of the spectrum.
const FEATURES: [&str; 10] = [
    "log_norm",
    "log_spectral_norm",
    "stable_rank",
    "entropy",
    "alpha",
    "xmin",
    "D",
    "alpha_hat",
    "eigenvalues",
    "fitted",
];

#[async_trait]
impl FeatureSet for Spectral {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn source(&self) -> &'static str {
        "Martin, Peng & Mahoney 2021, Nature Communications 12, arXiv 2002.06716, and WeightWatcher"
    }

    fn dimension(&self, arch: &Arch) -> Option<usize> {
        Some(matrices(std::slice::from_ref(arch)).len() * FEATURES.len())
    }

    async fn frame(&self, _session: &Session, call: &Call) -> Result<Frame> {
        let slots = matrices(&call.archs);
        let columns = slots.iter().flat_map(|slot| {
            FEATURES.map(|feature| Column {
                name: format!("{}.{feature}", slot.name),
                tensor: Some(slot.name.clone()),
            })
        });
        let archs = call.archs.iter().enumerate();
        let selects = archs.map(|(place, arch)| self.select(arch, place, &slots));
        let query = selects.collect::<Vec<_>>().join(" UNION ALL ");
        Ok(Frame { columns: columns.collect(), query })
    }
}

impl Spectral {
    /// The features of the states of `arch`, the architecture at `place` of the slots.
    fn select(&self, arch: &Arch, place: usize, slots: &[Slot]) -> String {
        let (mut spectra, mut features) = (String::new(), String::new());
        for slot in slots {
            let tensor = matrix(arch, slot.tensors[place].as_deref());
            if let Some(tensor) = tensor {
                spectra += &format!(", {} AS {}", self.spectrum(tensor), quoted(&slot.name));
            }
            for feature in FEATURES {
                let value = match tensor {
                    Some(_) => format!("CAST({}['{feature}'] AS double)", quoted(&slot.name)),
                    None => "0.0".to_owned(),
                };
                let name = quoted(&format!("{}.{feature}", slot.name));
                features += &format!(", {value} AS {name}");
            }
        }
        let table = arch.name();
        format!(
            "SELECT model_id, epoch{features} \
             FROM (SELECT model_id, epoch{spectra} FROM weights_{table})"
        )
    }

    fn spectrum(&self, tensor: &TensorSpec) -> String {
        let scale = if tensor.shape.len() == 4 { self.convolution } else { 1.0 };
        let (vector, shape) = (quoted(&tensor.name), literal(&format!("{:?}", tensor.shape)));
        format!("vector_spectrum({vector}, {shape}, {scale:?})")
    }
}

/// The tensor called `name`, if it is a weight matrix or a convolution.
fn matrix<'a>(arch: &'a Arch, name: Option<&str>) -> Option<&'a TensorSpec> {
    let mut tensors = arch.layout().tensors().iter();
    tensors.find(|tensor| Some(tensor.name.as_str()) == name && tensor.kind == TensorKind::Weight)
}

/// The slots where at least one of `archs` has a matrix.
fn matrices(archs: &[Arch]) -> Vec<Slot> {
    let mut slots = slots(archs, Order::NoBias);
    slots.retain(|slot| {
        let mut tensors = archs.iter().zip(&slot.tensors);
        tensors.any(|(arch, name)| matrix(arch, name.as_deref()).is_some())
    });
    slots
}
