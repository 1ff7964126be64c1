//! Training into a store as `zoolake train` does it: a runner hands finished models to a
//! sink, which commits them.

use std::num::NonZero;
use std::sync::LazyLock;

use futures::executor::block_on;
use zoolake::Result;
use zoolake::dataset::{self, Dataset, Split};
use zoolake::store::{Location, Store, Writer};
use zoolake::train::{Isa, KernelEngine, Runner, Sink, Stop, Trained};
use zoolake::zoo::Zoo;

use crate::fixture::{Blind, small_spec};

/// Two models of one epoch.
static ZOO: LazyLock<Zoo> = LazyLock::new(|| Zoo::from_toml(&small_spec("tiny", 2)).unwrap());

/// The first digits of each split.
static DIGITS: LazyLock<Dataset> = LazyLock::new(|| {
    let digits = dataset::load("digits", ZOO.arch().input(), None).unwrap();
    let pixels: usize = digits.shape.iter().product();
    let first = |split: Split| Split {
        images: split.images[..10 * pixels].to_vec(),
        labels: split.labels[..10].to_vec(),
    };
    let (train, test) = (first(digits.train), first(digits.test));
    Dataset { train, val: digits.val.map(first), test, ..digits }
});

/// Trains what the store lacks of the zoo.
pub(super) async fn train(location: Location) -> Result<()> {
    let writer = Store::open(location).await?.writer().await?;
    let models = ZOO.models().into_iter();
    let missing: Vec<_> = models.filter(|model| !writer.snapshot().has_model(model.id)).collect();
    let runner = Runner {
        engine: &KernelEngine::new(Isa::PORTABLE),
        arch: ZOO.arch(),
        dataset: &DIGITS,
        jobs: NonZero::<usize>::MIN,
        workplace: None,
        observer: &Blind,
        stop: &Stop::default(),
    };
    let mut sink = Committing { writer, waiting: Vec::new() };
    let trained = runner.run(&missing, &mut sink);
    // What was finished is kept, whatever ended the run.
    sink.tick().and(trained)
}

/// Commits every model at once.
struct Committing {
    writer: Writer,
    waiting: Vec<Trained>,
}

impl Sink for Committing {
    fn accept(&mut self, mut trained: Trained) {
        // All that differs from run to run.
        trained.states.iter_mut().for_each(|state| state.seconds = 0.0);
        self.waiting.push(trained);
    }

    fn tick(&mut self) -> Result<()> {
        if !self.waiting.is_empty() {
            block_on(self.writer.commit(&self.waiting, "train"))?;
            self.waiting.clear();
        }
        Ok(())
    }
}
