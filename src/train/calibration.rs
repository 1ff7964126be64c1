//! What training costs on this machine, measured.

use std::collections::HashMap;
use std::num::NonZero;
use std::time::{Duration, Instant};

use super::engine::{Engine, Network, Population};
use super::init::initial_weights;
use super::stream::{Draws, Purpose, Stream};
use super::together::groups;
use crate::arch::Arch;
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::zoo::{Activation, Hyper, Model, Optimizer};

/// A measurement of less than this is repeated with twice the images, so that
/// the clock and the first access to memory do not count.
const LONG_ENOUGH: Duration = Duration::from_millis(5);

/// A measurement that takes longer than this is made once: what else the machine does hardly
/// counts then.
const LONG: Duration = Duration::from_secs(1);

/// Images to begin a measurement with: of a large network they take longer than
/// that already.
const FIRST_IMAGES: usize = 4;

/// What decides the cost of an image, apart from the machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Work {
    engine: &'static str,
    arch: &'static str,
    activation: Activation,
    optimizer: Optimizer,
    dropout: bool,
    batch_size: usize,
    /// Networks that train together.
    members: usize,
}

/// Seconds that an image takes with one thread, or one population, for each network.
#[derive(Debug, Clone, Copy)]
struct Cost {
    training: f64,
    evaluation: f64,
}

/// Estimates how long training takes, from short runs over random images. Every
/// kind of network is measured once, in some hundredths of a second; a large one
/// takes as long as some dozens of its images do.
#[derive(Debug, Default)]
pub struct Calibration {
    measured: HashMap<Work, Cost>,
}

impl Calibration {
    /// Seconds that it takes to train `models` of `arch` with `engine` on so many training,
    /// validation and test images, `jobs` threads or populations at a time.
    pub fn seconds(
        &mut self,
        engine: &dyn Engine,
        arch: &Arch,
        models: &[Model],
        [train, val, test]: [usize; 3],
        jobs: NonZero<usize>,
    ) -> Result<f64> {
        let mut ends = vec![0.0_f64; jobs.get()];
        for group in groups(engine, arch, models) {
            let Some(Model { hyper, .. }) = group.first() else { continue };
            let cost = self.cost(engine, arch, &group)?;
            let epochs = hyper.epochs as f64;
            // Epoch 0 evaluates the training images too.
            let evaluated = train as f64 + (epochs + 1.0) * (val + test) as f64;
            let seconds = epochs * train as f64 * cost.training + evaluated * cost.evaluation;
            if let Some(free) = ends.iter_mut().min_by(|a, b| f64::total_cmp(a, b)) {
                *free += seconds * group.len() as f64;
            }
        }
        Ok(ends.into_iter().fold(0.0, f64::max))
    }

    fn cost(&mut self, engine: &dyn Engine, arch: &Arch, group: &[&Model]) -> Result<Cost> {
        let hypers: Vec<&Hyper> = group.iter().map(|model| &model.hyper).collect();
        let work = Work {
            engine: engine.name(),
            arch: arch.name(),
            activation: hypers[0].activation,
            optimizer: hypers[0].optimizer,
            dropout: hypers[0].dropout > 0.0,
            batch_size: hypers[0].batch_size,
            members: hypers.len(),
        };
        if let Some(cost) = self.measured.get(&work) {
            return Ok(*cost);
        }
        let dataset = random_images(arch);
        let mut draws: Vec<Draws> = hypers.iter().map(|hyper| Draws::new(hyper.seed)).collect();
        let mut networks = Networks::new(engine, arch, hypers, &dataset)?;
        let members = work.members as f64;
        let cost = Cost {
            training: networks.training(&mut draws, work.batch_size)? / members,
            evaluation: networks.evaluation(&dataset.test)? / members,
        };
        self.measured.insert(work, cost);
        Ok(cost)
    }
}

/// What is measured: a network, or those of a population.
enum Networks<'a> {
    One(Box<dyn Network + 'a>),
    Several(Box<dyn Population + 'a>),
}

impl<'a> Networks<'a> {
    fn new(
        engine: &'a dyn Engine,
        arch: &'a Arch,
        hypers: Vec<&'a Hyper>,
        dataset: &'a Dataset,
    ) -> Result<Self> {
        let weights = |hyper: &&Hyper| initial_weights(arch.layout(), hyper);
        Ok(match (engine.together(), hypers.as_slice()) {
            (Some(together), [_, _, ..]) => {
                let weights: Vec<_> = hypers.iter().map(weights).collect();
                Self::Several(together.population(arch, hypers, dataset, &weights)?)
            }
            (_, [hyper, ..]) => Self::One(engine.network(arch, hyper, dataset, &weights(hyper))?),
            (_, []) => return Err(Error::internal("no network to measure")),
        })
    }

    /// Seconds per image of training in batches.
    fn training(&mut self, draws: &mut [Draws], batch_size: usize) -> Result<f64> {
        // Whole batches once there is one.
        let more = |images: usize| match images < batch_size {
            true => (images * 2).min(batch_size),
            false => images * 2,
        };
        let first = match self {
            Self::One(..) => FIRST_IMAGES.min(batch_size),
            // Of a population, a few images may take as long as a batch does.
            Self::Several(..) => batch_size,
        };
        per_image(first, more, |images| {
            let order: Vec<u32> = (0..images).map(|image| (image % FIRST_IMAGES) as u32).collect();
            match self {
                Self::One(network) => {
                    network.train_epoch(&order, &mut draws[0], &|| Ok(())).map(drop)
                }
                Self::Several(population) => {
                    let orders = vec![order.as_slice(); draws.len()];
                    population.train_epoch(&orders, draws, &|| Ok(())).map(drop)
                }
            }
        })
    }

    /// Seconds per image of evaluation.
    fn evaluation(&self, few: &Split) -> Result<f64> {
        let run = |images: usize| {
            let times = images / FIRST_IMAGES;
            let many = Split { images: few.images.repeat(times), labels: few.labels.repeat(times) };
            match self {
                Self::One(network) => network.evaluate(&many).map(drop),
                Self::Several(population) => population.evaluate(&many).map(drop),
            }
        };
        per_image(FIRST_IMAGES, |images| images * 2, run)
    }
}

/// Runs with ever more images, until that takes long enough to tell; each time thrice, if that
/// does not take long, since what else the machine does only ever adds time.
fn per_image(
    first: usize,
    more: impl Fn(usize) -> usize,
    mut run: impl FnMut(usize) -> Result<()>,
) -> Result<f64> {
    let mut images = first;
    loop {
        let mut fastest = timed(&mut run, images)?;
        for _ in 0..if fastest < LONG { 2 } else { 0 } {
            fastest = fastest.min(timed(&mut run, images)?);
        }
        if fastest >= LONG_ENOUGH {
            return Ok(fastest.as_secs_f64() / images as f64);
        }
        images = more(images);
    }
}

fn timed(run: &mut impl FnMut(usize) -> Result<()>, images: usize) -> Result<Duration> {
    let begun = Instant::now();
    run(images)?;
    Ok(begun.elapsed())
}

/// [`FIRST_IMAGES`] of normal noise, to train and to test on.
fn random_images(arch: &Arch) -> Dataset {
    let mut noise = Stream::new(0, Purpose::Init);
    let pixels = FIRST_IMAGES * arch.input().iter().product::<usize>();
    let split = Split {
        images: (0..pixels).map(|_| noise.normal()).collect(),
        labels: (0..FIRST_IMAGES).map(|image| (image % arch.classes()) as u32).collect(),
    };
    Dataset {
        name: "noise".to_owned(),
        shape: arch.input(),
        classes: arch.classes(),
        train: split.clone(),
        val: None,
        test: split,
        augment: None,
        black: vec![0.0; arch.input()[0]],
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::train::{CandleEngine, PopulationEngine};
    use crate::zoo::{Zoo, published};

    /// The clock is real, so only what does not depend on its pace is held.
    #[test]
    fn a_measurement_doubles_until_it_takes_long_enough() {
        let runs = Cell::new(0);
        let run = |images: usize| {
            runs.set(runs.get() + 1);
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(images as u64) {}
            Ok(())
        };
        let seconds = per_image(1, |images| images * 2, run).unwrap();
        assert!(seconds >= 0.001, "{seconds}");
        assert!(runs.get() <= 4 * 3, "1, 2, 4 and 8 images, thrice each");
    }

    /// Eight models in populations of three, three and two.
    #[test]
    fn populations_are_measured_together() {
        let spec = "name = \"p\"\ndataset = \"digits\"\narch = \"cnn_s\"\nepochs = 1\n\
            seeds = { from = 1, to = 8 }\n[hyper]\nactivation = \"tanh\"\n\
            init = \"normal\"\noptimizer = \"adam\"\nlr = 1e-3\n";
        let zoo = Zoo::from_toml(spec).unwrap();
        let engine = PopulationEngine::cpu().with_members(NonZero::new(3).unwrap());
        let mut calibration = Calibration::default();
        let mut seconds = |jobs| {
            let jobs = NonZero::new(jobs).unwrap();
            calibration.seconds(&engine, zoo.arch(), &zoo.models(), [100, 0, 50], jobs).unwrap()
        };
        let (alone, shared) = (seconds(1), seconds(2));
        assert!(0.0 < shared && shared < alone && alone <= 3.0 * shared, "{shared} of {alone}");
        assert_eq!(seconds(8), seconds(3), "there are three populations");
        assert!(calibration.measured.keys().all(|work| work.members > 1));
    }

    #[test]
    fn twice_the_models_take_twice_the_time_and_every_kind_is_measured_once() {
        let zoo = published().iter().find(|zoo| zoo.name == "digits_demo").unwrap();
        let zoo = zoo.zoo().unwrap();
        let engine = CandleEngine::cpu();
        let mut calibration = Calibration::default();
        let mut seconds = |models: &[Model], images| {
            let one = NonZero::<usize>::MIN;
            calibration.seconds(&engine, zoo.arch(), models, images, one).unwrap()
        };
        let models = zoo.models();
        let once = seconds(&models, [100, 0, 50]);
        assert!(once > 0.0 && once.is_finite());
        let twice = seconds(&[models.clone(), models].concat(), [100, 0, 50]);
        assert!((twice / once - 2.0).abs() < 1e-9, "measured once: the ratio is exact");
        assert_eq!(calibration.measured.len(), 4, "one per activation");
    }
}
