//! `learning_curve_v1`.

use async_trait::async_trait;

use super::call::Call;
use super::hyper::of_archs;
use super::query::{count, no_states};
use super::set::{FeatureSet, Frame, Parameter, quoted};
use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::sql::Session;

const METRICS: [&str; 6] =
    ["train_loss", "train_acc", "val_loss", "val_acc", "test_loss", "test_acc"];

/// What its number is.
const CURVE: &str = "the last epoch of the curve, 0 or more, that the store has";

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
        Some(Parameter { about: CURVE, default: 5 })
    }

    async fn frame(&self, session: &Session, call: &Call) -> Result<Frame> {
        let last = call.number;
        let stored = count(session, "SELECT coalesce(max(epoch), -1) FROM epochs").await?;
        if stored < 0 {
            return Err(no_states());
        }
        // A column for each metric of each epoch: of a slip of the pen they would fill the memory.
        if i64::from(last) > stored {
            let message = format!("`{}` got `{last}`: expected {CURVE}", self.name());
            return Err(Error::invalid(message)
                .with_hint(format!("the last epoch in the store is `{stored}`")));
        }
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
