//! `zoolake demo`: a small zoo, trained and queried.

use clap::Args;

use super::ending::Ending;
use super::env_vars;
use super::output::Output;
use super::place::Cloud;
use super::progress::note;
use super::stdout::print;
use super::train::{Effort, Training, load};
use crate::dataset;
use crate::error::Result;
use crate::sql::{NamedQuery, Session};
use crate::store::WeightEncoding;
use crate::train::fastest;

/// Train a small zoo on built-in digits and query it
///
/// 48 convolutional networks on real handwritten digits (UCI Optical Recognition
/// of Handwritten Digits): four activations, four initialisations, three seeds.
/// Takes under a minute on two cores.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The store: a folder or URL; created if it is not there
    #[arg(short, long, value_name = "URL", env = env_vars::STORE, default_value = "./zoo-demo")]
    store: String,

    #[command(flatten)]
    cloud: Cloud,

    #[command(flatten)]
    effort: Effort,
}

const ZOO: &str = "digits_demo";

impl Demo {
    pub(super) async fn run(self) -> Result<()> {
        let ending = Ending::watch(self.effort.time_limit);
        let zoo = load(ZOO)?;
        let dataset = dataset::load(zoo.dataset(), zoo.arch().input(), None)?;
        let store = self.cloud.open_or_create(&self.store, WeightEncoding::default()).await?;
        let engine = fastest(zoo.arch());
        Training {
            zoo: &zoo,
            models: &zoo.models(),
            dataset: &dataset,
            engine: engine.as_ref(),
            store: &store,
            workplace: None,
            effort: &self.effort,
            ending,
        }
        .run()
        .await?;
        let session = Session::new(&store, &store.snapshot().await?).await?;
        for (title, query) in [
            (
                "Test accuracy after training, by activation and initialisation",
                "accuracy_by_activation_and_init",
            ),
            ("Weights of each tensor after training", "weight_statistics"),
        ] {
            print(&format!("\n{title}\n"))?;
            let query = NamedQuery::by_name(query)?;
            let parameters = query.bind(&[("zoo".to_owned(), ZOO.to_owned())])?;
            Output::table().write(session.sql_with(query.sql, parameters).await?).await?;
        }
        self.next_steps();
        Ok(())
    }

    fn next_steps(&self) {
        let store = quoted(&self.store);
        // As it was called: after `cargo run` it is not on the path.
        let called = std::env::args_os().next();
        let zoolake = called.map_or("zoolake".to_owned(), |path| quoted(&path.to_string_lossy()));
        note(&format!(
            "\nNext, try\n  \
             {zoolake} query distance_travelled --store {store}\n  \
             {zoolake} sql --store {store} 'SELECT name, epoch, test_acc FROM states ORDER BY test_acc DESC LIMIT 5'\n  \
             {zoolake} describe states --store {store}"
        ));
    }
}

/// For the shell: as it is if it is plain, in quotes otherwise.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
