//! What features must not tell: the target itself.

use super::states::States;
use super::target::Target;
use crate::error::{Error, Result};
use crate::features;

/// The features of the comparator that knows how models were trained.
pub(super) const HYPER: &str = "hyper";

const LEARNING_CURVE: &str = "learning_curve_v1";

/// Columns of `states` that a learning curve is of, or that follow from it.
const METRICS: [&str; 7] =
    ["train_loss", "train_acc", "val_loss", "val_acc", "test_loss", "test_acc", "ggap"];

/// Whether a hyperparameter is the target itself, as a number or as one of its classes, or says
/// it: only one optimiser has a momentum. Such features are left out.
pub(super) fn tells(set: &str, feature: &str, target: &str) -> bool {
    let is = feature.split('=').next() == Some(target);
    set == HYPER && (is || (feature, target) == ("momentum", "optimizer"))
}

/// Fails if `set` is a learning curve that reaches a state's own epoch, and so holds `target`
/// of it, or that a state is too early to have.
pub(super) fn expect_later_states(set: &str, states: &States, target: &Target) -> Result<()> {
    let (parsed, number) = features::parse(set)?;
    let default = parsed.parameter().map_or(0, |parameter| parameter.default);
    if parsed.name() != LEARNING_CURVE {
        return Ok(());
    }
    let last = number.unwrap_or(i64::from(default));
    let name = target.name.as_str();
    let holds = METRICS.contains(&name);
    let first = if holds { last + 1 } else { last };
    let early = states.epochs.iter().filter(|epoch| **epoch < first).count();
    if early == 0 {
        return Ok(());
    }
    let message = match holds {
        true => format!(
            "`{set}` holds `{name}` up to epoch {last}, and `{early}` states are not later than that"
        ),
        false => format!("`{set}` ends at epoch {last}, and `{early}` states are earlier"),
    };
    let newest = states.epochs.iter().copied().max().unwrap_or(0);
    let shorter = format!("`{LEARNING_CURVE}(0)`");
    Err(Error::invalid(message).with_hint(match newest {
        _ if first <= newest => {
            format!("choose later ones with `--epoch {first}..{newest}`, or a shorter curve")
        }
        1.. if holds => format!("choose {shorter} with `--epoch 1..{newest}`"),
        0 if holds => "choose another set: nothing comes before epoch 0".to_owned(),
        _ => format!("choose a curve that ends earlier, such as {shorter}"),
    }))
}
