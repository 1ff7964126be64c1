//! Published protocols by name.

use super::metric::Metric;
use super::predictor::Predictor;
use super::split::Splitting;
use crate::error::{Error, Result};
use crate::features::Epochs;

/// What states, split and predictors a prediction uses unless it is told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// 70/15/15 by model; standardised features.
    Standard,
    /// Schürholt et al., *Model Zoos* (2022), Table 2 (`benchmark_results.ipynb`): 70/15/15 by
    /// model, all chosen epochs pooled; ridge and softmax without standardisation.
    ModelzoosV1,
    /// Unterthiner et al. (2020), `dnn_predict_accuracy`: last epochs only, one half to learn
    /// from and the other one to be judged by. Theirs stops early on the test half; here a fifth
    /// of the first half is for that. Trees and the logit-linear predictor, with settings of
    /// this crate.
    UnterthinerV1,
    /// Zhou et al. (2023), `nfn`: last epochs only; the second half is the test part, of the
    /// first one a fifth is for validation. Their files of rows are of their zoos:
    /// [`Splitting::from_csv`] takes such a split as it is.
    NfnV1,
}

impl Protocol {
    const ALL: [Self; 4] = [Self::Standard, Self::ModelzoosV1, Self::UnterthinerV1, Self::NfnV1];

    /// The protocol called `name`.
    ///
    /// # Errors
    /// `Invalid` with the names there are.
    pub fn by_name(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|protocol| protocol.name() == name);
        found.ok_or_else(|| Error::not_allowed("protocol", name, &Self::ALL.map(Self::name)))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::ModelzoosV1 => "modelzoos_v1",
            Self::UnterthinerV1 => "unterthiner_v1",
            Self::NfnV1 => "nfn_v1",
        }
    }

    /// How it splits.
    pub fn splitting(self) -> Splitting {
        match self {
            Self::Standard | Self::ModelzoosV1 => Splitting::Random([70, 15, 15]),
            Self::UnterthinerV1 | Self::NfnV1 => Splitting::Random([40, 10, 50]),
        }
    }

    /// Which epochs it is about.
    pub fn epochs(self) -> Epochs {
        match self {
            Self::Standard | Self::ModelzoosV1 => Epochs::All,
            Self::UnterthinerV1 | Self::NfnV1 => Epochs::Last,
        }
    }

    /// Its features.
    pub fn features(self) -> &'static [&'static str] {
        match self {
            Self::Standard | Self::ModelzoosV1 => &["weights", "hsg_quintiles_v1"],
            Self::UnterthinerV1 => &["weights", "unterthiner_v1"],
            Self::NfnV1 => &["nfn_statnn_v1"],
        }
    }

    /// Its predictors, of which those are taken that suit a target.
    pub fn predictors(self) -> &'static [Predictor] {
        match self {
            Self::Standard => &[Predictor::Probe, Predictor::Gbt],
            Self::ModelzoosV1 => &[Predictor::Probe],
            Self::UnterthinerV1 => &[Predictor::Gbt, Predictor::LogitLinear],
            Self::NfnV1 => &[Predictor::StatNn],
        }
    }

    /// What predictions of numbers are scored by: the first of their metrics.
    pub(super) fn score(self) -> Metric {
        match self {
            Self::Standard | Self::ModelzoosV1 | Self::UnterthinerV1 => Metric::R2,
            Self::NfnV1 => Metric::Tau,
        }
    }

    /// Whether ridge and softmax see features as they are, with a penalised intercept, as in
    /// the code of the zoo paper.
    pub fn is_unscaled(self) -> bool {
        self == Self::ModelzoosV1
    }
}
