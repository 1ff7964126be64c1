//! `learning_curve_v1`.

use async_trait::async_trait;

use super::call::Call;
use super::hyper::of_archs;
use super::set::{FeatureSet, Frame, Parameter, quoted};
use crate::arch::Arch;
use crate::error::Result;
use crate::sql::Session;

const METRICS: [&str; 6] =
    ["train_loss", "train_acc", "val_loss", "val_acc", "test_loss", "test_acc"];

/// The metrics of the first epochs, to tell from them what becomes of a model. A
/// state has them from the last of these epochs on: no row looks ahead.
pub(super) struct LearningCurve;

#[async_trait]
impl FeatureSet for LearningCurve {
    fn name(&self) -> &'static str {
        "learning_curve_v1"
    }

    fn about(&self) -> &'static str {
        "losses and accuracies of epochs 0 to k, for states from epoch k on; learning_curve_v1(10) sets k"
    }

    fn source(&self) -> &'static str {
        "zoolake; extrapolated in Domhan et al. 2015 (IJCAI) and Baker et al. 2017, arXiv 1705.10823"
    }

    fn dimension(&self, _arch: &Arch) -> Option<usize> {
        self.parameter().map(|k| METRICS.len() * (k.default as usize + 1))
    }

    fn of_weights(&self) -> bool {
        false
    }

    fn parameter(&self) -> Option<Parameter> {
        Some(Parameter { about: "the last epoch of the curve, 0 or more", default: 5 })
    }

    async fn frame(&self, _session: &Session, call: &Call) -> Result<Frame> {
        let last = call.number;
        let (mut names, mut metrics) = (Vec::new(), Vec::new());
        for epoch in 0..=last {
            for metric in METRICS {
                let name = format!("epoch{epoch}.{metric}");
                let value = format!("max(CASE WHEN epoch = {epoch} THEN {metric} END)");
                metrics.push(format!("{value} AS {}", quoted(&name)));
                names.push(name);
            }
        }
        let features: Vec<String> =
            names.iter().map(|name| format!("c.{}", quoted(name))).collect();
        let query = format!(
            "SELECT e.model_id, e.epoch, {} FROM epochs e \
             JOIN (SELECT model_id AS id, {} FROM epochs WHERE epoch <= {last} GROUP BY model_id) c \
             ON e.model_id = c.id WHERE e.epoch >= {last}{}",
            features.join(", "),
            metrics.join(", "),
            match of_archs(call).as_str() {
                "" => String::new(),
                condition =>
                    format!(" AND e.model_id IN (SELECT m.model_id FROM models m{condition})"),
            }
        );
        Ok(Frame::of_models(names, query))
    }
}
