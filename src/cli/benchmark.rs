//! `zoolake benchmark`: the table of the zoo paper, of one's own zoo.

use clap::Args;

use super::progress::note;
use super::study::Study;
use crate::error::{Error, Result};
use crate::predict::{Protocol, States};

/// What the zoo paper predicts: numbers, then classes.
const TARGETS: [&str; 9] = [
    "test_acc",
    "ggap",
    "epoch",
    "lr",
    "weight_decay",
    "dropout",
    "activation",
    "init",
    "optimizer",
];

/// Compute the published table of a zoo: every target from every feature set
///
/// Targets are test accuracy, generalisation gap, epoch, learning rate, weight decay, dropout,
/// activation, initialisation and optimiser, as far as they vary in the zoo; features are weights and
/// their quintiles; the protocol is `modelzoos_v1` (Schürholt et al., Model Zoos, 2022, Table 2).
/// Models that diverged are left out: their weights are no numbers. Otherwise as `zoolake predict`.
#[derive(Debug, Args)]
pub(super) struct Benchmark {
    /// The zoo
    zoo: String,

    #[command(flatten)]
    study: Study,
}

impl Benchmark {
    pub(super) async fn run(self) -> Result<()> {
        let protocol = Protocol::ModelzoosV1;
        let zoos = [self.zoo];
        let selection = self.study.selection(protocol, &zoos, &[], Some("status = 'ok'"));
        let splitting = self.study.splitting(protocol, &[])?;
        let session = self.study.session().await?;
        let targets = TARGETS.map(str::to_owned);
        let (varying, constant) =
            States::varying(&session, &selection, &targets, &splitting).await?;
        if varying.is_empty() {
            let message = format!("no target varies in zoo `{}`: nothing to predict", zoos[0]);
            return Err(Error::invalid(message).with_hint("choose more models, or another zoo"));
        }
        if !constant.is_empty() {
            note(&format!("left out, since they do not vary: {}", constant.join(", ")));
        }
        self.study.run(&session, &varying, selection, splitting, protocol).await
    }
}
