//! What every engine promises.

use std::cell::Cell;

use super::candle::fixtures::{Trajectory, cases, dataset, go_on, hyper, weights};
use super::{CandleEngine, Draws, Engine, Isa, KernelEngine, PopulationEngine, initial_weights};
use crate::arch::Arch;
use crate::dataset::{Augment, Dataset};
use crate::error::Error;
use crate::zoo::{Activation, Hyper, Optimizer, Scheduler};

const CROP: Augment = Augment::CropFlip { pad: 2 };

/// Every engine on every instruction set.
fn engines() -> Vec<Box<dyn Engine>> {
    let mut engines: Vec<Box<dyn Engine>> =
        vec![Box::new(CandleEngine::cpu()), Box::new(PopulationEngine::cpu())];
    for isa in Isa::available() {
        engines.push(Box::new(KernelEngine::new(isa)));
    }
    engines
}

/// Those that know an architecture: the kernels leave some to the others.
fn engines_for(arch: &Arch) -> Vec<Box<dyn Engine>> {
    let mut engines = engines();
    engines.retain(|engine| KernelEngine::knows(arch) || !engine.name().starts_with("kernel"));
    engines
}

/// Weights and metrics, as bits, of two epochs on `order`.
fn train(engine: &dyn Engine, hyper: &Hyper, dataset: &Dataset, order: &[u32]) -> Vec<u64> {
    let arch = Arch::by_name("cnn_s").unwrap();
    let start = initial_weights(arch.layout(), hyper);
    let mut network = engine.network(&arch, hyper, dataset, &start).unwrap();
    let mut draws = Draws::new(hyper.seed);
    let mut bits = Vec::new();
    for _ in 0..2 {
        let train = network.train_epoch(order, &mut draws, &go_on).unwrap();
        let test = network.evaluate(&dataset.test).unwrap();
        let metrics = [train.loss, train.accuracy, test.loss, test.accuracy];
        bits.extend(metrics.map(f64::to_bits));
    }
    bits.extend(network.weights().unwrap().iter().map(|weight| u64::from(weight.to_bits())));
    bits
}

/// The first fifty losses of a training run, to 1e-5. Later, rounding may move the
/// maximum of a pooling window to another place, and with it a gradient: from there
/// on two `f32` runs part.
#[test]
fn the_first_losses_agree_with_pytorch() {
    for case in cases::<Trajectory>("trajectories") {
        let (arch, hyper) = (Arch::by_name(&case.arch).unwrap(), case.hyper());
        let dataset = dataset(&arch, 8 * case.batch);
        for engine in engines() {
            let mut network = engine.network(&arch, &hyper, &dataset, &weights(&arch)).unwrap();
            let mut draws = Draws::new(1);
            for (step, expected) in case.losses.iter().enumerate().take(50) {
                let order = case.batch(step);
                let loss = network.train_epoch(&order, &mut draws, &go_on).unwrap().loss;
                let error = (loss - expected).abs();
                assert!(error <= 1e-5, "{} {} {step}: {error:.1e}", engine.name(), case.arch);
            }
        }
    }
}

#[test]
fn training_replays_bit_for_bit_beside_others() {
    let dataset = dataset(&Arch::by_name("cnn_s").unwrap(), 23);
    let hyper = Hyper { dropout: 0.3, ..hyper("gelu", 5) };
    let order: Vec<u32> = (0..23).rev().collect();
    for engine in engines() {
        let alone = train(engine.as_ref(), &hyper, &dataset, &order);
        let together: Vec<Vec<u64>> = std::thread::scope(|scope| {
            let run = || train(engine.as_ref(), &hyper, &dataset, &order);
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(together.iter().all(|bits| *bits == alone), "{}", engine.name());
    }
}

#[test]
fn the_last_batch_may_be_smaller_and_an_epoch_may_be_empty() {
    let arch = Arch::by_name("cnn_m").unwrap();
    let dataset = dataset(&arch, 7);
    let hyper = hyper("relu", 3);
    let start = weights(&arch);
    for engine in engines() {
        let mut network = engine.network(&arch, &hyper, &dataset, &start).unwrap();
        assert_eq!(network.weights().unwrap(), start);
        let mut draws = Draws::new(1);
        assert!(network.train_epoch(&[], &mut draws, &go_on).unwrap().loss.is_nan());
        let order = [0, 1, 2, 3, 4, 5, 6];
        let metrics = network.train_epoch(&order, &mut draws, &go_on).unwrap();
        assert!((metrics.accuracy * 7.0).fract().abs() < 1e-9, "{metrics:?}");
        assert_ne!(network.weights().unwrap(), start);
    }
}

#[test]
fn a_batch_may_be_said_to_be_larger_than_memory() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let (dataset, start) = (dataset(&arch, 7), weights(&arch));
    let order: Vec<u32> = (0..7).collect();
    for engine in engines() {
        let after = |batch_size| {
            let optimizer = Optimizer::Sgd;
            let hyper = Hyper { optimizer, dropout: 0.2, ..hyper("tanh", batch_size) };
            let mut network = engine.network(&arch, &hyper, &dataset, &start).unwrap();
            network.train_epoch(&order, &mut Draws::new(1), &go_on).unwrap();
            network.weights().unwrap()
        };
        let (found, expected) = (after(1 << 40), after(7));
        let errors = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        // The kernels pass another number of images side by side, and add in another order.
        assert!(errors.fold(0.0, f32::max) < 1e-5, "{}", engine.name());
    }
}

#[test]
fn a_network_that_diverges_says_so_in_numbers() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let dataset = dataset(&arch, 20);
    let start = weights(&arch);
    let spoilt = vec![f32::NAN; start.len()];
    let zeros = dataset.test.labels.iter().filter(|label| **label == 0).count();
    let order: Vec<u32> = (0..20).collect();
    for engine in engines() {
        for optimizer in [Optimizer::Sgd, Optimizer::Adam] {
            for activation in Activation::NAMES {
                let hyper = Hyper { optimizer, lr: 1e30, ..hyper(activation, 5) };
                let mut network = engine.network(&arch, &hyper, &dataset, &start).unwrap();
                let mut draws = Draws::new(1);
                let mut metrics = Vec::new();
                for _ in 0..3 {
                    metrics.push(network.train_epoch(&order, &mut draws, &go_on).unwrap());
                    metrics.push(network.evaluate(&dataset.test).unwrap());
                }
                let what = format!("{} {optimizer:?} {activation}: {metrics:?}", engine.name());
                assert!(metrics[5].loss.is_nan() || metrics[5].loss > 1e6, "{what}");
                assert!(metrics.iter().all(|m| (0.0..=1.0).contains(&m.accuracy)), "{what}");
                let network = engine.network(&arch, &hyper, &dataset, &spoilt).unwrap();
                let metrics = network.evaluate(&dataset.test).unwrap();
                assert!(metrics.loss.is_nan());
                assert_eq!(metrics.accuracy, zeros as f64 / 20.0);
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let (data, hyper) = (dataset(&arch, 4), hyper("tanh", 2));
    let other = Arch::by_name("cnn_m").unwrap();
    let start = weights(&arch);
    for engine in engines() {
        assert!(engine.network(&arch, &hyper, &data, &[0.0; 3]).is_err());
        assert!(engine.network(&other, &hyper, &data, &weights(&other)).is_err());
        for black in [vec![], vec![0.0; 2]] {
            let data = Dataset { augment: Some(CROP), black, ..data.clone() };
            let error = engine.network(&arch, &hyper, &data, &start).err().unwrap();
            assert!(error.to_string().contains("black for 1 channels"), "{error}");
        }
        let mut network = engine.network(&arch, &hyper, &data, &start).unwrap();
        let mut draws = Draws::new(1);
        let error = network.train_epoch(&[4], &mut draws, &go_on).unwrap_err();
        assert!(error.to_string().contains("`4`"), "{error}");
    }
}

#[test]
fn a_network_goes_on_from_its_memory_bit_for_bit() {
    let order: Vec<u32> = (0..23).collect();
    for arch in [Arch::by_name("cnn_s").unwrap(), Arch::narrow_resnet()] {
        let plain = dataset(&arch, 23);
        let augmented = Dataset { augment: Some(CROP), ..plain.clone() };
        for engine in engines_for(&arch) {
            for (optimizer, scheduler, dataset) in [
                (Optimizer::Adam, Scheduler::Constant, &plain),
                (Optimizer::Sgd, Scheduler::Constant, &plain),
                (Optimizer::Adam, Scheduler::OneCycle, &augmented),
                (Optimizer::Sgd, Scheduler::OneCycle, &augmented),
            ] {
                let what = format!("{} {} {optimizer:?} {scheduler:?}", engine.name(), arch.name());
                let hyper =
                    Hyper { optimizer, scheduler, dropout: 0.2, epochs: 2, ..hyper("tanh", 5) };
                let mut draws = Draws::new(1);
                let mut whole = engine.network(&arch, &hyper, dataset, &weights(&arch)).unwrap();
                whole.train_epoch(&order, &mut draws, &go_on).unwrap();
                let start = whole.weights().unwrap();
                let mut resumed = engine.network(&arch, &hyper, dataset, &start).unwrap();
                resumed.remember(&whole.memory().unwrap()).unwrap();
                let mut same_draws = Draws::new(1);
                same_draws.seek(draws.position());
                let metrics = whole.train_epoch(&order, &mut draws, &go_on).unwrap();
                let found = resumed.train_epoch(&order, &mut same_draws, &go_on).unwrap();
                assert_eq!(found, metrics, "{what}");
                assert_eq!(resumed.weights().unwrap(), whole.weights().unwrap(), "{what}");
                assert_eq!(resumed.memory().unwrap(), whole.memory().unwrap(), "{what}");

                let mut other = whole.memory().unwrap();
                other.moments[0].pop();
                assert!(resumed.remember(&other).is_err(), "{what}");
                other.moments.clear();
                assert!(resumed.remember(&other).is_err(), "{what}");
            }
        }
    }
}

#[test]
fn an_epoch_stops_between_batches() {
    let arch = Arch::by_name("cnn_s").unwrap();
    let (dataset, hyper) = (dataset(&arch, 23), hyper("tanh", 5));
    let order: Vec<u32> = (0..23).collect();
    for engine in engines() {
        let mut network = engine.network(&arch, &hyper, &dataset, &weights(&arch)).unwrap();
        let batches = Cell::new(0);
        let stop_at_third = || {
            batches.set(batches.get() + 1);
            if batches.get() == 3 { Err(Error::invalid("enough")) } else { Ok(()) }
        };
        let mut draws = Draws::new(1);
        let error = network.train_epoch(&order, &mut draws, &stop_at_third).unwrap_err();
        assert_eq!((error.to_string().as_str(), batches.get()), ("enough", 3));
    }
}
