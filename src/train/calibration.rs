//! What training costs on this machine, measured.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::engine::{Engine, Network};
use super::init::initial_weights;
use super::kernel::FlushToZero;
use super::stream::{Draws, Purpose, Stream};
use crate::arch::Arch;
use crate::dataset::{Dataset, Split};
use crate::error::Result;
use crate::zoo::{Activation, Hyper, Model, Optimizer};

/// A measurement of less than this is repeated with twice the images, so that
/// the clock and the first access to memory do not count.
const LONG_ENOUGH: Duration = Duration::from_millis(5);

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
}

/// Seconds per image on one thread.
#[derive(Debug, Clone, Copy)]
struct Cost {
    training: f64,
    evaluation: f64,
}

/// Estimates how long training takes, from short runs over random images. Every
/// kind of network is measured once, in some hundredths of a second; a large one
/// takes as long as four of its images do.
#[derive(Debug, Default)]
pub struct Calibration {
    measured: HashMap<Work, Cost>,
}

impl Calibration {
    /// Seconds that one thread with `engine` takes to train `models` of `arch` on
    /// so many training, validation and test images.
    pub fn seconds(
        &mut self,
        engine: &dyn Engine,
        arch: &Arch,
        models: &[Model],
        [train, val, test]: [usize; 3],
    ) -> Result<f64> {
        let mut seconds = 0.0;
        for Model { hyper, .. } in models {
            let cost = self.cost(engine, arch, hyper)?;
            let epochs = hyper.epochs as f64;
            // Epoch 0 evaluates the training images too.
            let evaluated = train as f64 + (epochs + 1.0) * (val + test) as f64;
            seconds += epochs * train as f64 * cost.training + evaluated * cost.evaluation;
        }
        Ok(seconds)
    }

    fn cost(&mut self, engine: &dyn Engine, arch: &Arch, hyper: &Hyper) -> Result<Cost> {
        let work = Work {
            engine: engine.name(),
            arch: arch.name(),
            activation: hyper.activation,
            optimizer: hyper.optimizer,
            dropout: hyper.dropout > 0.0,
            batch_size: hyper.batch_size,
        };
        if let Some(cost) = self.measured.get(&work) {
            return Ok(*cost);
        }
        // As in training.
        let _tiny_is_zero = FlushToZero::on();
        let dataset = random_images(arch);
        let weights = initial_weights(arch.layout(), hyper);
        let mut network = engine.network(arch, hyper, &dataset, &weights)?;
        let cost = Cost {
            training: training(network.as_mut(), hyper)?,
            evaluation: evaluation(network.as_ref(), &dataset.test)?,
        };
        self.measured.insert(work, cost);
        Ok(cost)
    }
}

/// Seconds per image of training in batches.
fn training(network: &mut dyn Network, hyper: &Hyper) -> Result<f64> {
    let mut draws = Draws::new(hyper.seed);
    // Whole batches once there is one.
    let more = |images: usize| match images < hyper.batch_size {
        true => (images * 2).min(hyper.batch_size),
        false => images * 2,
    };
    per_image(FIRST_IMAGES.min(hyper.batch_size), more, |images| {
        let order: Vec<u32> = (0..images).map(|image| (image % FIRST_IMAGES) as u32).collect();
        network.train_epoch(&order, &mut draws, &|| Ok(())).map(drop)
    })
}

/// Seconds per image of evaluation.
fn evaluation(network: &dyn Network, few: &Split) -> Result<f64> {
    per_image(
        FIRST_IMAGES,
        |images| images * 2,
        |images| {
            let times = images / FIRST_IMAGES;
            let many = Split { images: few.images.repeat(times), labels: few.labels.repeat(times) };
            network.evaluate(&many).map(drop)
        },
    )
}

/// Runs with ever more images, until that takes long enough to tell; then twice
/// more, unless that would take long, since what else the machine does only
/// ever adds time.
fn per_image(
    first: usize,
    more: impl Fn(usize) -> usize,
    mut run: impl FnMut(usize) -> Result<()>,
) -> Result<f64> {
    let mut images = first;
    loop {
        let took = timed(&mut run, images)?;
        if took >= LONG_ENOUGH {
            let mut fastest = took;
            for _ in 0..if took < LONG_ENOUGH * 10 { 2 } else { 0 } {
                fastest = fastest.min(timed(&mut run, images)?);
            }
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
    use crate::train::CandleEngine;
    use crate::zoo::published;

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
        assert!(runs.get() <= 4 + 2, "1, 2, 4 and 8 images, and those twice more");
    }

    #[test]
    fn twice_the_models_take_twice_the_time_and_every_kind_is_measured_once() {
        let zoo = published().iter().find(|zoo| zoo.name == "digits_demo").unwrap();
        let zoo = zoo.zoo().unwrap();
        let engine = CandleEngine::cpu();
        let mut calibration = Calibration::default();
        let mut seconds = |models: &[Model], images| {
            calibration.seconds(&engine, zoo.arch(), models, images).unwrap()
        };
        let models = zoo.models();
        let once = seconds(&models, [100, 0, 50]);
        assert!(once > 0.0 && once.is_finite());
        let twice = seconds(&[models.clone(), models].concat(), [100, 0, 50]);
        assert!((twice / once - 2.0).abs() < 1e-9, "measured once: the ratio is exact");
        assert_eq!(calibration.measured.len(), 4, "one per activation");
    }
}
