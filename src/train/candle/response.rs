//! What a network that is no longer trained makes of images: logits, and how far
//! images are from where the prediction changes.

use candle_core::{D, DType, Device, Tensor, Var};

use super::batch::Batch;
use super::failed;
use super::forward::Forward;
use super::network::{EVALUATION_BATCH, variables};
use super::tape::Tape;
use crate::arch::Arch;
use crate::dataset::Split;
use crate::error::Result;
use crate::train::Boundary;
use crate::zoo::Activation;

/// A network with fixed weights.
pub(in crate::train) struct Response<'a> {
    arch: &'a Arch,
    activation: Activation,
    tensors: Vec<Var>,
    dtype: DType,
}

impl<'a> Response<'a> {
    /// A network with the `weights` of a state, that computes in `dtype`.
    pub(in crate::train) fn new(
        arch: &'a Arch,
        activation: Activation,
        weights: &[f32],
        dtype: DType,
    ) -> Result<Self> {
        Ok(Self { arch, activation, tensors: variables(arch.layout(), weights, dtype)?, dtype })
    }

    /// The logits `[N, classes]` of the images of `split`.
    pub(in crate::train) fn logits(&self, split: &Split) -> Result<Vec<f32>> {
        let mut logits = Vec::with_capacity(split.len() * self.arch.classes());
        for batch in self.batches(split) {
            let forward = Forward::new(self.activation, &self.tensors, None);
            let found = forward
                .logits(self.arch.layers(), &batch?.images, &mut Tape::off())
                .and_then(|logits| logits.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>());
            logits.extend(found.map_err(failed("asking a network"))?);
        }
        Ok(logits)
    }

    /// The distances of the images of `split` from the boundary of their class, at
    /// each [step](crate::arch::Layer::step_name) of the network.
    pub(in crate::train) fn boundaries(&self, split: &Split) -> Result<Vec<Boundary>> {
        let steps = self.arch.layers().iter().filter(|layer| layer.step_name().is_some()).count();
        let mut boundaries: Vec<Found> = (0..steps).map(|_| Found::default()).collect();
        for batch in self.batches(split) {
            self.add(batch?, &mut boundaries).map_err(failed("measuring margins"))?;
        }
        Ok(boundaries.into_iter().map(|found| found.boundary(split.len())).collect())
    }

    fn batches(&self, split: &Split) -> impl Iterator<Item = Result<Batch>> {
        let images = split.len() as u32;
        (0..images).step_by(EVALUATION_BATCH).map(move |start| {
            let indices: Vec<u32> = (start..images.min(start + EVALUATION_BATCH as u32)).collect();
            Batch::gather(split, self.arch.input(), &indices, None, self.dtype)
        })
    }

    fn add(&self, batch: Batch, boundaries: &mut [Found]) -> candle_core::Result<()> {
        let mut tape = Tape::recording();
        let forward = Forward::new(self.activation, &self.tensors, None).for_inputs();
        let logits = forward.logits(self.arch.layers(), &batch.images, &mut tape)?;
        let (leads, directions) = leads(&logits, &batch.labels)?;
        let steps = tape.input_gradients(directions)?;
        for ((input, gradient), found) in steps.iter().zip(boundaries) {
            let gradients = per_image(gradient)?.sqr()?.sum(D::Minus1)?.to_vec1::<f64>()?;
            let distances = leads.iter().zip(gradients);
            // So that an image is finitely far away where nothing changes.
            found.distances.extend(distances.map(|(lead, square)| lead / (1e-6 + square).sqrt()));
            found.add_inputs(&per_image(input)?)?;
        }
        Ok(())
    }
}

/// By how much each image's label leads over the best other class, and which logits
/// that number is made of: 1 for the label, -1 for the other.
fn leads(logits: &Tensor, labels: &[u32]) -> candle_core::Result<(Vec<f64>, Tensor)> {
    let rows = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let mut leads = Vec::with_capacity(rows.len());
    let mut directions = vec![0.0; logits.elem_count()];
    let classes = logits.dim(D::Minus1)?;
    for ((row, label), direction) in rows.iter().zip(labels).zip(directions.chunks_mut(classes)) {
        let label = *label as usize;
        let others = row.iter().enumerate().filter(|(class, _)| *class != label);
        let best = others.max_by(|a, b| a.1.total_cmp(b.1));
        let (Some((other, logit)), Some(own)) = (best, row.get(label)) else {
            candle_core::bail!("no class beside `{label}`")
        };
        // No order of numbers shows a NaN of either sign.
        let known = row.iter().all(|logit| !logit.is_nan());
        leads.push(if known { own - logit } else { f64::NAN });
        (direction[label], direction[other]) = (1.0, -1.0);
    }
    let directions = Tensor::from_vec(directions, logits.shape(), &Device::Cpu)?;
    Ok((leads, directions.to_dtype(logits.dtype())?))
}

/// Values as `[N, …]` in `f64`: those between convolutions are `[C, N, H, W]`.
fn per_image(values: &Tensor) -> candle_core::Result<Tensor> {
    let values = if values.rank() == 4 { values.transpose(0, 1)? } else { values.clone() };
    values.contiguous()?.flatten_from(1)?.to_dtype(DType::F64)
}

/// What is known of a step after some batches.
#[derive(Default)]
struct Found {
    distances: Vec<f64>,
    /// Sum of each value of the input over images.
    sums: Vec<f64>,
    /// Sum of the squares of all values.
    squares: f64,
}

impl Found {
    fn add_inputs(&mut self, inputs: &Tensor) -> candle_core::Result<()> {
        self.squares += inputs.sqr()?.sum_all()?.to_scalar::<f64>()?;
        let sums = inputs.sum(0)?.to_vec1::<f64>()?;
        self.sums.resize(sums.len(), 0.0);
        self.sums.iter_mut().zip(sums).for_each(|(sum, more)| *sum += more);
        Ok(())
    }

    fn boundary(self, images: usize) -> Boundary {
        let n = images as f64;
        let of_means: f64 = self.sums.iter().map(|sum| (sum / n).powi(2)).sum();
        let variance = self.squares / n - of_means;
        // Rounding may leave less than nothing; what is no number stays none.
        let variance = if variance < 0.0 { 0.0 } else { variance };
        Boundary { distances: self.distances, variance }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::candle::fixtures::{cases, split, weights};

    #[derive(serde::Deserialize)]
    struct Case {
        arch: String,
        activation: String,
        images: usize,
        steps: Vec<Step>,
    }

    #[derive(serde::Deserialize)]
    struct Step {
        distances: Vec<f64>,
        variance: f64,
    }

    #[test]
    fn the_lead_of_a_diverged_network_is_unknown() {
        for nan in [f32::NAN, -f32::NAN] {
            let logits = [1.0, 2.0, 5.0, nan, 1.0, 3.0];
            let logits = Tensor::from_slice(&logits, (2, 3), &Device::Cpu).unwrap();
            let (leads, _) = leads(&logits, &[1, 2]).unwrap();
            assert!(leads[0] == -3.0 && leads[1].is_nan(), "{leads:?}");
        }
    }

    #[test]
    fn boundaries_are_those_of_autograd() {
        for Case { arch, activation, images, steps } in cases("boundaries") {
            let arch = match arch.as_str() {
                "resnet_narrow" => Arch::narrow_resnet(),
                name => Arch::by_name(name).unwrap(),
            };
            let activation = Activation::by_name(&activation).unwrap();
            let (split, weights) = (split(&arch, images), weights(&arch));
            for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 1e-4)] {
                let response = Response::new(&arch, activation, &weights, dtype).unwrap();
                let found = response.boundaries(&split).unwrap();
                assert_eq!(found.len(), steps.len(), "{}", arch.name());
                for (found, expected) in found.iter().zip(&steps) {
                    let found = found.distances.iter().chain([&found.variance]);
                    for (found, expected) in
                        found.zip(expected.distances.iter().chain([&expected.variance]))
                    {
                        let error = (found - expected).abs() / expected.abs().max(1e-2);
                        assert!(error < tolerance, "{dtype:?}: {found} instead of {expected}");
                    }
                }
            }
        }
    }
}
