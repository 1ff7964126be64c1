//! `activations_v1`.

use async_trait::async_trait;

use super::call::Call;
use super::responses::{self, PROBES};
use super::set::{FeatureSet, Frame, Parameter};
use crate::arch::Arch;
use crate::error::Result;
use crate::sql::Session;
use crate::statistics::{Statistic, Summary};

/// What a network answers to images of the training part of its own data set, without
/// their labels. Of logits `z` with `p = softmax(z)`, over the images:
///
/// * `logit0.mean`, `logit0.stddev` (ddof 0), …: of each class,
/// * `lead.q0`, `lead.q25`, … `lead.q100`: quantiles of the largest logit less the second,
/// * `confidence` the mean of the largest `p`, `entropy` the mean of `-Σ p ln p`,
/// * `variety` the entropy of the mean `p`: `ln classes` if all are predicted alike,
/// * `probes` the logits of the first 32 images, image by image.
pub(super) struct Activations;

const LEADS: [(&str, f64); 5] =
    [("q0", 0.0), ("q25", 0.25), ("q50", 0.5), ("q75", 0.75), ("q100", 1.0)];

#[async_trait]
impl FeatureSet for Activations {
    fn name(&self) -> &'static str {
        "activations_v1"
    }

    fn about(&self) -> &'static str {
        "statistics of the logits on training images, and the logits of 32 of them"
    }

    fn source(&self) -> &'static str {
        "zoolake; probe responses as in Kahana et al. 2024, ProbeGen, arXiv 2410.10811, on images"
    }

    fn dimension(&self, arch: &Arch) -> Option<usize> {
        let classes = arch.classes();
        Some(names(classes).len() + PROBES * classes)
    }

    fn parameter(&self) -> Option<Parameter> {
        Some(responses::IMAGES)
    }

    async fn frame(&self, _session: &Session, call: &Call) -> Result<Frame> {
        responses::frame(self.name(), call, "network_activations", true, |arch| {
            names(arch.classes()).into_iter().map(|name| (name, None)).collect()
        })
    }
}

/// Names of the numbers of [`statistics`].
fn names(classes: usize) -> Vec<String> {
    let logits = (0..classes)
        .flat_map(|class| ["mean", "stddev"].map(|name| format!("logit{class}.{name}")));
    let leads = LEADS.map(|(name, _)| format!("lead.{name}"));
    let rest = ["confidence", "entropy", "variety"].map(str::to_owned);
    logits.chain(leads).chain(rest).collect()
}

/// The features of logits `[N, classes]` but for the probes.
pub(super) fn statistics(logits: &[f32], classes: usize) -> Vec<Option<f64>> {
    let moments = Summary::new(&[Statistic::Mean, Statistic::Deviation]);
    let column = |class: usize| -> Vec<f32> {
        logits.iter().skip(class).step_by(classes).copied().collect()
    };
    let columns: Vec<Vec<f32>> = (0..classes).map(column).collect();
    let of_classes = moments.columns(columns.iter().map(|column| Some(column.as_slice())));
    let mut found: Vec<Option<f64>> =
        (0..classes).flat_map(|class| of_classes.iter().map(move |column| column[class])).collect();
    let rows: Vec<Row> = logits.chunks_exact(classes).map(Row::of).collect();
    let leads: Vec<f32> = rows.iter().map(|row| row.lead).collect();
    let quantiles = LEADS.map(|(_, fraction)| Statistic::Quantile(fraction));
    let leads = Summary::new(&quantiles).columns([Some(leads.as_slice())].into_iter());
    found.extend(leads.into_iter().flatten());
    let mean =
        |number: &dyn Fn(&Row) -> f64| rows.iter().map(number).sum::<f64>() / rows.len() as f64;
    let shares = (0..classes).map(|class| mean(&|row| row.shares[class]));
    let variety = entropy(shares);
    found.extend([
        Some(mean(&|row| row.confidence)),
        Some(mean(&|row| entropy(row.shares.iter().copied()))),
        Some(variety),
    ]);
    found
}

/// What is said of the logits of an image: NaN if a logit is NaN or infinitely large.
struct Row {
    /// The largest less the second.
    lead: f32,
    /// Their softmax.
    shares: Vec<f64>,
    /// The largest of the softmax.
    confidence: f64,
}

impl Row {
    fn of(logits: &[f32]) -> Self {
        let [first, second] =
            logits.iter().fold([f32::NEG_INFINITY; 2], |[first, second], &logit| {
                if logit > first { [logit, first] } else { [first, second.max(logit)] }
            });
        let powers: Vec<f64> =
            logits.iter().map(|logit| (f64::from(*logit) - f64::from(first)).exp()).collect();
        let sum: f64 = powers.iter().sum();
        Self {
            lead: if sum.is_nan() { f32::NAN } else { first - second },
            shares: powers.into_iter().map(|power| power / sum).collect(),
            confidence: 1.0 / sum,
        }
    }
}

/// In nats; a share of 0 adds nothing.
fn entropy(shares: impl Iterator<Item = f64>) -> f64 {
    shares.map(|share| if share == 0.0 { 0.0 } else { -share * share.ln() }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of two classes: softmax of (ln 3, 0) is (3/4, 1/4).
    #[test]
    fn of_two_images_by_hand() {
        let three = 3.0_f64.ln();
        let found = statistics(&[three as f32, 0.0, 0.0, three as f32], 2);
        let half = three / 2.0;
        let own = -(0.75 * 0.75_f64.ln() + 0.25 * 0.25_f64.ln());
        let of_class = [half, half, half, half];
        let expected = [&of_class[..], &[three; 5], &[0.75, own, 2.0_f64.ln()]].concat();
        assert_eq!(found.len(), names(2).len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found.unwrap() - expected).abs() < 1e-7, "{found:?} {expected}");
        }
    }

    /// Of one class of one image, with either sign: processors make both.
    #[test]
    fn a_diverged_network_has_nan() {
        for nan in [f32::NAN, -f32::NAN, f32::INFINITY] {
            let found = statistics(&[nan, 1.0, 0.5, 2.0, 3.0, 4.0], 3);
            for (name, found) in names(3).iter().zip(found) {
                let of_another_class = name.starts_with("logit1") || name.starts_with("logit2");
                let finite = found.unwrap().is_finite();
                assert_eq!(finite, of_another_class, "{name}: {found:?}");
            }
        }
    }
}
