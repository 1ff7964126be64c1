//! Training a zoo: the same bytes whatever the number of threads, stopping,
//! divergence.

use std::num::NonZero;

use zoolake::Kind;
use zoolake::arch::Arch;
use zoolake::dataset::Dataset;
use zoolake::train::{
    CandleEngine, Engine, Network, Observer, Population, PopulationEngine, Runner, Sink, Status,
    Stop, Together, Trained, fastest,
};
use zoolake::zoo::{Hyper, Model, Zoo};

use crate::fixture::{Blind, Kept, small_spec, train};

/// Everything but the time it took.
fn timeless(mut trained: Vec<Trained>) -> Vec<Trained> {
    for state in trained.iter_mut().flat_map(|trained| &mut trained.states) {
        state.seconds = 0.0;
    }
    trained
}

#[test]
fn the_same_spec_gives_the_same_bytes_whatever_the_number_of_threads() {
    let zoo = Zoo::from_toml(&small_spec("threads", 3)).unwrap();
    let (one, three) = (timeless(train(&zoo, 1)), timeless(train(&zoo, 3)));
    assert_eq!(one, three);
    assert_ne!(one[0].states[1].weights, one[1].states[1].weights, "seeds differ");
    assert_ne!(one[0].states[0].weights, one[0].states[1].weights, "training moves weights");
}

#[test]
fn a_model_learns() {
    let spec = small_spec("learns", 1).replace("epochs = 1", "epochs = 8");
    let trained = train(&Zoo::from_toml(&spec).unwrap(), 1).remove(0);
    let accuracy: Vec<f64> = trained.states.iter().map(|state| state.test.accuracy).collect();
    assert_eq!(accuracy.len(), 9);
    assert!(accuracy[0] < 0.35 && accuracy[8] > 0.7, "{accuracy:?}");
    assert!(trained.states[8].val.is_some());
}

#[test]
fn a_diverging_model_is_recorded_and_not_hidden() {
    let spec = small_spec("diverges", 1)
        .replace("lr = 1e-3", "lr = 1e30")
        .replace("\"tanh\"", "\"relu\"")
        .replace("\"adam\"", "\"sgd\"");
    let trained = train(&Zoo::from_toml(&spec).unwrap(), 1).remove(0);
    assert_eq!(trained.status(), Status::Diverged);
    assert_eq!(trained.states.len(), 2);
}

/// Asks to stop when the first model has trained.
struct StopAfterFirst(Stop);

impl Observer for StopAfterFirst {
    fn epoch_finished(&self, _model: &Model, epoch: usize) {
        if epoch == 1 {
            self.0.request();
        }
    }
}

#[test]
fn a_stop_keeps_what_is_finished() {
    let zoo = Zoo::from_toml(&small_spec("stops", 5)).unwrap();
    let dataset = zoolake::dataset::load("digits", zoo.arch().input(), None).unwrap();
    let stop = Stop::default();
    let runner = Runner {
        engine: &CandleEngine::cpu(),
        arch: zoo.arch(),
        dataset: &dataset,
        jobs: NonZero::<usize>::MIN,
        workplace: None,
        observer: &StopAfterFirst(stop.clone()),
        stop: &stop,
    };
    let mut kept = Kept::default();
    let error = runner.run(&zoo.models(), &mut kept).unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert_eq!(kept.0.len(), 1);
    assert_eq!(kept.0[0].model, zoo.models()[0]);
}

#[test]
fn more_classes_than_logits_are_an_error_of_the_input() {
    let zoo = Zoo::from_toml(&small_spec("classes", 2)).unwrap();
    let dataset = zoolake::dataset::load("digits", zoo.arch().input(), None).unwrap();
    let dataset = Dataset { name: "letters".to_owned(), classes: 26, ..dataset };
    let (arch, stop, workplace) = (zoo.arch(), &Stop::default(), None);
    let engines: [Box<dyn Engine>; 3] =
        [fastest(arch), Box::new(CandleEngine::cpu()), Box::new(engine_of_two())];
    for engine in &engines {
        let (engine, jobs) = (engine.as_ref(), NonZero::<usize>::MIN);
        let (dataset, observer) = (&dataset, &Blind);
        let runner = Runner { engine, arch, dataset, jobs, workplace, observer, stop };
        let error = runner.run(&zoo.models(), &mut Kept::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        let expected = "data set `letters` has 26 classes, and `cnn_s` tells 10 apart";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(error.hint(), Some("choose `resnet18_c100`"));
    }
}

/// Fails in the worst way for one model, and trains the others with candle.
struct PanicsOnSeed2(CandleEngine);

impl Engine for PanicsOnSeed2 {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn network<'a>(
        &'a self,
        arch: &'a Arch,
        hyper: &'a Hyper,
        dataset: &'a Dataset,
        weights: &[f32],
    ) -> zoolake::Result<Box<dyn Network + 'a>> {
        assert_ne!(hyper.seed, 2, "a bug in the engine");
        self.0.network(arch, hyper, dataset, weights)
    }
}

#[test]
fn a_bug_in_one_model_costs_only_that_one() {
    let zoo = Zoo::from_toml(&small_spec("panics", 3)).unwrap();
    let dataset = zoolake::dataset::load("digits", zoo.arch().input(), None).unwrap();
    let runner = Runner {
        engine: &PanicsOnSeed2(CandleEngine::cpu()),
        arch: zoo.arch(),
        dataset: &dataset,
        jobs: NonZero::<usize>::MIN,
        workplace: None,
        observer: &Blind,
        stop: &Stop::default(),
    };
    let mut kept = Kept::default();
    let error = runner.run(&zoo.models(), &mut kept).unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    assert!(error.to_string().starts_with("model `panics/00001`: training panicked: "), "{error}");
    assert_eq!(kept.0.len(), 1, "what was finished reached the sink");
}

/// Trains a zoo of two kinds of models in populations of at most `members`.
fn train_in_populations(
    zoo: &Zoo,
    engine: &dyn Engine,
    observer: &dyn Observer,
    stop: &Stop,
) -> (zoolake::Result<()>, Vec<Trained>) {
    let dataset = zoolake::dataset::load(zoo.dataset(), zoo.arch().input(), None).unwrap();
    let mut kept = Kept::default();
    let jobs = NonZero::<usize>::MIN;
    let (arch, dataset, workplace) = (zoo.arch(), &dataset, None);
    let runner = Runner { engine, arch, dataset, jobs, workplace, observer, stop };
    let outcome = runner.run(&zoo.models(), &mut kept);
    kept.0.sort_by_key(|trained| trained.model.id);
    (outcome, kept.0)
}

fn engine_of_two() -> PopulationEngine {
    PopulationEngine::cpu().with_members(NonZero::new(2).unwrap())
}

#[test]
fn populations_give_what_single_models_give() {
    let spec = small_spec("populations", 3).replace("\"tanh\"", "[\"tanh\", \"gelu\"]");
    let zoo = Zoo::from_toml(&spec).unwrap();
    let single = train(&zoo, 2);
    let (outcome, together) =
        train_in_populations(&zoo, &engine_of_two(), &Blind, &Stop::default());
    outcome.unwrap();
    assert_eq!(together.len(), 6);
    for (found, expected) in together.iter().zip(&single) {
        assert_eq!(found.model, expected.model);
        assert_eq!(found.states[0].weights, expected.states[0].weights);
        for (found, expected) in found.states.iter().zip(&expected.states) {
            assert!((found.test.loss - expected.test.loss).abs() < 1e-3, "{found:?}");
            assert!((found.val.unwrap().loss - expected.val.unwrap().loss).abs() < 1e-3);
            assert!((found.train.accuracy - expected.train.accuracy).abs() < 0.01);
        }
    }
}

#[test]
fn a_stop_keeps_finished_populations() {
    let zoo = Zoo::from_toml(&small_spec("stops", 5)).unwrap();
    let stop = Stop::default();
    let observer = StopAfterFirst(stop.clone());
    let (outcome, kept) = train_in_populations(&zoo, &engine_of_two(), &observer, &stop);
    assert_eq!(outcome.unwrap_err().kind(), Kind::Interrupted);
    assert_eq!(kept.len(), 2);
}

/// Counts models until the first tick.
#[derive(Default)]
struct BeforeTick {
    models: usize,
    ticked: bool,
}

impl Sink for BeforeTick {
    fn accept(&mut self, _trained: Trained) {
        self.models += usize::from(!self.ticked);
    }

    fn tick(&mut self) -> zoolake::Result<()> {
        self.ticked |= self.models > 0;
        Ok(())
    }
}

/// A tick may be the last, when time is up.
#[test]
fn a_population_reaches_the_sink_before_the_next_tick() {
    let zoo = Zoo::from_toml(&small_spec("whole", 3)).unwrap();
    let dataset = zoolake::dataset::load(zoo.dataset(), zoo.arch().input(), None).unwrap();
    let (engine, stop) = (PopulationEngine::cpu(), Stop::default());
    let runner = Runner {
        engine: &engine,
        arch: zoo.arch(),
        dataset: &dataset,
        jobs: NonZero::<usize>::MIN,
        workplace: None,
        observer: &Blind,
        stop: &stop,
    };
    let mut sink = BeforeTick::default();
    runner.run(&zoo.models(), &mut sink).unwrap();
    assert_eq!(sink.models, 3);
}

/// Fails in the worst way for one population.
struct PanicsOnSeed4(PopulationEngine);

impl Engine for PanicsOnSeed4 {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn network<'a>(
        &'a self,
        arch: &'a Arch,
        hyper: &'a Hyper,
        dataset: &'a Dataset,
        weights: &[f32],
    ) -> zoolake::Result<Box<dyn Network + 'a>> {
        self.0.network(arch, hyper, dataset, weights)
    }

    fn together(&self) -> Option<&dyn Together> {
        Some(self)
    }
}

impl Together for PanicsOnSeed4 {
    fn room(&self, arch: &Arch, hyper: &Hyper) -> NonZero<usize> {
        self.0.room(arch, hyper)
    }

    fn population<'a>(
        &'a self,
        arch: &'a Arch,
        hypers: Vec<&'a Hyper>,
        dataset: &'a Dataset,
        weights: &[Vec<f32>],
    ) -> zoolake::Result<Box<dyn Population + 'a>> {
        assert!(hypers.iter().all(|hyper| hyper.seed != 4), "a bug in the engine");
        self.0.population(arch, hypers, dataset, weights)
    }
}

#[test]
fn a_bug_in_one_population_costs_only_that_one() {
    let zoo = Zoo::from_toml(&small_spec("panics", 6)).unwrap();
    let engine = PanicsOnSeed4(engine_of_two());
    let (outcome, kept) = train_in_populations(&zoo, &engine, &Blind, &Stop::default());
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    let start = "model `panics/00002` and 1 more: training panicked: ";
    assert!(error.to_string().starts_with(start), "{error}");
    assert_eq!(kept.len(), 2, "what was finished reached the sink");
}
