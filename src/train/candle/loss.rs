//! Mean cross-entropy of a batch, and the accuracy that goes with it.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result, Shape, Tensor, bail};

use super::element::{Element, storage, values, with_element};
use crate::train::Metrics;

/// Loss and accuracy summed over batches.
#[derive(Debug, Default)]
pub(super) struct Tally {
    loss: f64,
    correct: usize,
    images: usize,
}

impl Tally {
    /// Adds a batch: its mean `loss`, and how many of its images are `correct`.
    pub(super) fn add(&mut self, loss: &Tensor, correct: usize, images: usize) -> Result<()> {
        self.loss += loss.to_dtype(DType::F64)?.to_scalar::<f64>()? * images as f64;
        self.correct += correct;
        self.images += images;
        Ok(())
    }

    /// The means over all images so far; NaN if there were none.
    pub(super) fn metrics(&self) -> Metrics {
        let images = self.images as f64;
        Metrics { loss: self.loss / images, accuracy: self.correct as f64 / images }
    }
}

/// How many images' largest logit is their label's.
pub(super) fn correct(logits: &Tensor, labels: &[u32]) -> Result<usize> {
    let logits = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let pairs = logits.iter().zip(labels);
    Ok(pairs.filter(|(logits, label)| argmax(logits) == **label as usize).count())
}

/// Index of the first maximum; NaN counts as the largest value, as in PyTorch,
/// so that an image whose logits are all NaN is taken for class 0.
pub(in crate::train) fn argmax(logits: &[f64]) -> usize {
    let mut best = 0;
    for (at, logit) in logits.iter().enumerate() {
        if !logits[best].is_nan() && (*logit > logits[best] || logit.is_nan()) {
            best = at;
        }
    }
    best
}

/// `log softmax` of each image's logits.
fn log_softmax<T: Element>(logits: &[T], classes: usize) -> impl Iterator<Item = Vec<T>> {
    logits.chunks_exact(classes).map(|logits| {
        let larger = |x: T, y: &T| if *y > x { *y } else { x };
        // NaN never wins a comparison, but comes back with the sum below.
        let largest = logits.iter().fold(T::from_f64(f64::NEG_INFINITY), larger);
        let sum = logits.iter().fold(T::zero(), |sum, x| sum + (*x - largest).exp());
        let log_sum = sum.ln();
        logits.iter().map(|x| *x - largest - log_sum).collect()
    })
}

/// The mean over the batch of `-log softmax(logits)[label]`, a scalar; has the
/// labels.
pub(super) struct CrossEntropy(pub(super) Vec<u32>);

impl CrossEntropy {
    /// The number of classes, once it is sure that every label is one.
    fn classes(&self, layout: &Layout) -> Result<usize> {
        let (images, classes) = layout.shape().dims2()?;
        if images != self.0.len() || self.0.iter().any(|label| *label as usize >= classes) {
            bail!("labels do not fit logits {:?}", layout.dims());
        }
        Ok(classes)
    }

    fn forward<T: Element>(&self, logits: &[T], classes: usize) -> T {
        let rows = log_softmax(logits, classes).zip(&self.0);
        let sum = rows.fold(T::zero(), |sum, (row, label)| sum - row[*label as usize]);
        sum / T::from_f64(self.0.len() as f64)
    }

    /// `(softmax - one hot) / N`, times the gradient of the loss.
    fn backward<T: Element>(&self, logits: &[T], classes: usize, gradient: T) -> Vec<T> {
        let scale = gradient / T::from_f64(self.0.len() as f64);
        let mut out = Vec::with_capacity(logits.len());
        for (row, label) in log_softmax(logits, classes).zip(&self.0) {
            out.extend(row.iter().enumerate().map(|(class, log)| {
                let hot = if class == *label as usize { T::one() } else { T::zero() };
                (log.exp() - hot) * scale
            }));
        }
        out
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let classes = self.classes(layout)?;
        with_element!(logits.dtype(), T => {
            let loss = self.forward(values::<T>(logits, layout)?, classes);
            Ok((storage(vec![loss]), Shape::from(())))
        })
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        logits.apply_op2_no_bwd(gradient, &LogitsGradient(self)).map(Some)
    }
}

/// The gradient of the logits, from the logits and the loss's gradient.
struct LogitsGradient<'a>(&'a CrossEntropy);

impl CustomOp2 for LogitsGradient<'_> {
    fn name(&self) -> &'static str {
        "cross_entropy_logits_gradient"
    }

    fn cpu_fwd(
        &self,
        logits: &CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let classes = self.0.classes(layout)?;
        with_element!(logits.dtype(), T => {
            let &[gradient] = values::<T>(gradient, gradient_layout)? else {
                bail!("expected one loss, not {:?}", gradient_layout.dims())
            };
            let out = self.0.backward(values(logits, layout)?, classes, gradient);
            Ok((storage(out), layout.shape().clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::candle::fixtures::{self, Summary, WEIGHTS};
    use candle_core::{Device, Var};

    #[derive(serde::Deserialize)]
    struct Case {
        batch: usize,
        loss: f64,
        gradient: Summary,
    }

    #[test]
    fn agrees_with_pytorch() {
        for case in fixtures::cases::<Case>("cross_entropy") {
            let logits = (fixtures::values(WEIGHTS, &[case.batch, 10]) * 8.0).unwrap();
            let logits = Var::from_tensor(&logits).unwrap();
            let loss = logits.apply_op1(CrossEntropy(fixtures::labels(case.batch))).unwrap();
            assert!((loss.to_scalar::<f64>().unwrap() - case.loss).abs() < 1e-12);
            let gradients = loss.backward().unwrap();
            case.gradient.check(gradients.get(&logits).unwrap(), 1e-12, "gradient");
        }
    }

    #[test]
    fn a_nan_logit_makes_the_loss_nan_and_counts_as_the_maximum() {
        let nan = f32::NAN;
        let logits = Tensor::new(&[[1f32, nan, 2.], [nan, nan, nan]], &Device::Cpu).unwrap();
        let labels = [1, 2];
        let loss = logits.apply_op1(CrossEntropy(labels.to_vec())).unwrap();
        assert!(loss.to_scalar::<f32>().unwrap().is_nan());
        assert_eq!(correct(&logits, &labels).unwrap(), 1);
    }

    #[test]
    fn batches_weigh_by_their_size() {
        let mut tally = Tally::default();
        for (loss, correct, images) in [(3.0, 1, 3), (1.0, 0, 1)] {
            tally.add(&Tensor::new(loss, &Device::Cpu).unwrap(), correct, images).unwrap();
        }
        assert_eq!(tally.metrics(), Metrics { loss: 2.5, accuracy: 0.25 });
    }

    #[test]
    fn a_label_beyond_the_classes_is_an_error() {
        let logits = Tensor::zeros((1, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(logits.apply_op1(CrossEntropy(vec![2])).is_err());
        assert!(logits.apply_op1(CrossEntropy(vec![0, 1])).is_err());
    }
}
