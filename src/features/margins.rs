//! `margins_v1`.

use async_trait::async_trait;

use super::call::Call;
use super::responses;
use super::set::{FeatureSet, Frame, Parameter};
use crate::arch::Arch;
use crate::error::Result;
use crate::sql::Session;
use crate::train::Boundary;

/// The margin signature of a network on images of the training part of its own data
/// set, at the input of each convolution, linear layer and residual block, the images
/// first. The margin of an image is its [distance](Boundary::distances) from the boundary
/// over the square root of the [variance](Boundary::variance) of the inputs; of the
/// positive margins these five numbers:
///
/// * `lower` Q1 − 1.5 (Q3 − Q1), but not below the smallest margin,
/// * `q1`, `q2`, `q3` the quartiles, interpolated as numpy's default,
/// * `upper` Q3 + 1.5 (Q3 − Q1), but not above the largest margin.
///
/// NULL if no margin is positive, or if all images look the same at the input. They are no logarithms: those of Jiang et al. follow by
/// `ln`. Their code divides the normaliser by the number of values of the input,
/// which adds a constant to the logarithm.
pub(super) struct Margins;

const SIGNATURE: [&str; 5] = ["lower", "q1", "q2", "q3", "upper"];

#[async_trait]
impl FeatureSet for Margins {
    fn name(&self) -> &'static str {
        "margins_v1"
    }

    fn about(&self) -> &'static str {
        "quartiles and fences of the normalised margins of training images, at the input of each layer"
    }

    fn source(&self) -> &'static str {
        "Jiang et al. 2019, Predicting the Generalization Gap with Margin Distributions, arXiv 1810.00113"
    }

    fn dimension(&self, arch: &Arch) -> Option<usize> {
        Some(columns(arch).len())
    }

    fn parameter(&self) -> Option<Parameter> {
        Some(responses::IMAGES)
    }

    async fn frame(&self, _session: &Session, call: &Call) -> Result<Frame> {
        responses::frame(self.name(), call, "network_margins", false, columns)
    }
}

/// The name of each feature, and the weight of its layer.
fn columns(arch: &Arch) -> Vec<(String, Option<String>)> {
    let steps = arch.layers().iter().filter_map(|layer| layer.step_name());
    steps
        .flat_map(|step| {
            let tensor = format!("{step}.weight");
            let tensors = arch.layout().tensors();
            let tensor = tensors.iter().any(|known| known.name == tensor).then_some(tensor);
            SIGNATURE.map(|name| (format!("{step}.{name}"), tensor.clone()))
        })
        .collect()
}

/// The five numbers of a layer.
pub(super) fn signature(boundary: &Boundary) -> [Option<f64>; 5] {
    let normaliser = boundary.variance.sqrt();
    if normaliser.is_nan() || boundary.distances.iter().any(|distance| distance.is_nan()) {
        return [Some(f64::NAN); 5];
    }
    if normaliser == 0.0 {
        return [None; 5];
    }
    let margins = boundary.distances.iter().map(|distance| distance / normaliser);
    let mut margins: Vec<f64> = margins.filter(|margin| *margin > 0.0).collect();
    margins.sort_unstable_by(f64::total_cmp);
    let (Some(smallest), Some(largest)) = (margins.first(), margins.last()) else {
        return [None; 5];
    };
    let [q1, q2, q3] = [0.25, 0.5, 0.75].map(|fraction| quantile(&margins, fraction));
    let reach = 1.5 * (q3 - q1);
    [(q1 - reach).max(*smallest), q1, q2, q3, (q3 + reach).min(*largest)].map(Some)
}

/// Of values in ascending order, of which there is one, by numpy's rule `linear`.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let place = fraction * (sorted.len() - 1) as f64;
    let (below, part) = (place as usize, place.fract());
    let above = sorted.get(below + 1).unwrap_or(&sorted[below]);
    sorted[below] + part * (above - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(distances: &[f64], variance: f64) -> [Option<f64>; 5] {
        signature(&Boundary { distances: distances.to_vec(), variance })
    }

    /// Halved: 1, 2, 3, 4, 20 have quartiles 2, 3, 4, and fences -1 and 7.
    #[test]
    fn quartiles_and_fences_of_positive_margins() {
        let found = of(&[2.0, -5.0, 40.0, 4.0, 8.0, 6.0, 0.0], 4.0);
        assert_eq!(found, [1.0, 2.0, 3.0, 4.0, 7.0].map(Some));
    }

    #[test]
    fn none_positive_and_not_a_number() {
        assert_eq!(of(&[-1.0], 1.0), [None; 5]);
        assert_eq!(of(&[1.0], 0.0), [None; 5], "a dead layer");
        assert!(of(&[f64::NAN, 1.0], 1.0)[2].unwrap().is_nan());
        assert_eq!(of(&[3.0], 9.0), [Some(1.0); 5]);
    }
}
