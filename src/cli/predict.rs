//! `zoolake predict`: properties of models from features of their states.

use clap::Args;

use super::study::Study;
use crate::error::Result;
use crate::predict::Protocol;

/// Predict properties of models from features of their states, and say how well
///
/// Whole models are dealt to a training, a validation and a test part; predictors are fitted to the
/// first, their hyperparameters chosen on the second, and the table is about the third. Beside what
/// is asked for it shows what has to be beaten: the mean (or the most frequent class), and the same
/// predictors from hyperparameters alone. Results are added to the store as rows of `results` and
/// `predictions`. `docs/prediction.md` has the definitions.
#[derive(Debug, Args)]
pub(super) struct Predict {
    /// What is predicted: columns of `states`, numbers or text, separated by commas
    #[arg(short, long, value_name = "COLUMN", value_delimiter = ',', default_value = "test_acc")]
    target: Vec<String>,

    /// Models of which zoos, separated by commas [default: all]
    #[arg(long, visible_alias = "train-zoo", value_name = "ZOO", value_delimiter = ',')]
    zoo: Vec<String>,

    /// Learn from `--train-zoo`, and judge by these zoos
    #[arg(
        long,
        value_name = "ZOO",
        value_delimiter = ',',
        requires = "zoo",
        conflicts_with_all = ["split_file", "stratify"]
    )]
    test_zoo: Vec<String>,

    /// Published ways to split, learn and judge: `standard`, `modelzoos_v1`, `unterthiner_v1`,
    /// `nfn_v1`
    #[arg(long, value_name = "NAME", default_value = "standard")]
    protocol: String,

    #[command(flatten)]
    study: Study,
}

impl Predict {
    pub(super) async fn run(self) -> Result<()> {
        let protocol = Protocol::by_name(&self.protocol)?;
        let selection = self.study.selection(protocol, &self.zoo, &self.test_zoo, None);
        let splitting = self.study.splitting(protocol, &self.test_zoo)?;
        let mut targets: Vec<String> = Vec::new();
        for target in self.target {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        let session = self.study.session().await?;
        self.study.run(&session, &targets, selection, splitting, protocol).await
    }
}
