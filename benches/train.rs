//! Steps of training, images evaluated, a whole epoch.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use zoolake::arch::Arch;
use zoolake::dataset::{Dataset, Split};
use zoolake::train::{CandleEngine, Engine, Isa, KernelEngine, Network};
use zoolake::train::{Draws, Purpose, Stream, initial_weights};
use zoolake::zoo::{Activation, Hyper, Optimizer};

use crate::hyper;

/// Optimiser steps of one model on one thread, batch 10, and images evaluated per
/// second, as after every epoch: both engines, every instruction set.
pub(crate) fn training(criterion: &mut Criterion) {
    const STEPS: usize = 50;
    for (arch, activation, dropout) in [
        ("cnn_s", Activation::Tanh, 0.0),
        ("cnn_s", Activation::Relu, 0.0),
        ("cnn_s", Activation::Gelu, 0.0),
        ("cnn_s", Activation::Tanh, 0.5),
        ("cnn_m", Activation::Gelu, 0.0),
    ] {
        let arch = Arch::by_name(arch).unwrap();
        let dataset = zoolake::dataset::load("digits", arch.input(), None).unwrap();
        let hyper = hyper(activation, dropout, 1);
        let weights = initial_weights(arch.layout(), &hyper);
        let order: Vec<u32> = (0..(STEPS * hyper.batch_size) as u32).collect();
        let case = format!("{}/{}/dropout {dropout}", arch.name(), activation.name());
        for engine in engines() {
            let mut network = engine.network(&arch, &hyper, &dataset, &weights).unwrap();
            let mut group = criterion.benchmark_group("train");
            group.sample_size(10).throughput(Throughput::Elements(STEPS as u64));
            group.bench_function(format!("{case}/{}", engine.name()), |bencher| {
                let mut draws = Draws::new(1);
                bencher.iter(|| steps(network.as_mut(), black_box(&order), &mut draws));
            });
            group.finish();
            let mut group = criterion.benchmark_group("evaluate");
            group.sample_size(10).throughput(Throughput::Elements(dataset.train.len() as u64));
            group.bench_function(format!("{case}/{}", engine.name()), |bencher| {
                bencher.iter(|| network.evaluate(&dataset.train).unwrap());
            });
            group.finish();
        }
    }
}

fn engines() -> Vec<Box<dyn Engine>> {
    let mut engines: Vec<Box<dyn Engine>> = vec![Box::new(CandleEngine::cpu())];
    engines.extend(
        Isa::available().into_iter().map(|isa| Box::new(KernelEngine::new(isa)) as Box<dyn Engine>),
    );
    engines
}

fn steps(network: &mut dyn Network, order: &[u32], draws: &mut Draws) {
    network.train_epoch(order, draws, &|| Ok(())).unwrap();
}

/// `--steps ENGINE ARCH ACTIVATION OPTIMIZER DROPOUT STEPS [BATCH]`, where an engine may
/// be named by how its name begins: prints the seconds
/// that many steps take, on noise of the size of MNIST, and if no batch size is asked
/// for, those of an evaluation of 10,000 images.
pub(crate) fn measure(arguments: &[String]) {
    let [engine, arch, activation, optimizer, dropout, count, batch @ ..] = arguments else {
        panic!("--steps ENGINE ARCH ACTIVATION OPTIMIZER DROPOUT STEPS [BATCH], not {arguments:?}")
    };
    let batch = batch.first().map(|batch| batch.parse().unwrap());
    let engines = engines();
    let engine = engines.iter().find(|e| e.name().starts_with(engine.as_str())).unwrap();
    let arch = Arch::by_name(arch).unwrap();
    let hyper = Hyper {
        optimizer: Optimizer::by_name(optimizer).unwrap(),
        batch_size: batch.unwrap_or(10),
        ..hyper(Activation::by_name(activation).unwrap(), dropout.parse().unwrap(), 1)
    };
    let dataset = noise(&arch);
    let weights = initial_weights(arch.layout(), &hyper);
    let mut network = engine.network(&arch, &hyper, &dataset, &weights).unwrap();
    let mut order: Vec<u32> = (0..dataset.train.len() as u32).collect();
    Stream::new(1, Purpose::Shuffle).shuffle(&mut order);
    let images = count.parse::<usize>().unwrap() * hyper.batch_size;
    let order: Vec<u32> = order.into_iter().cycle().take(images).collect();
    let mut draws = Draws::new(1);
    steps(network.as_mut(), &order[..images.min(hyper.batch_size * 10)], &mut draws);
    let begun = Instant::now();
    steps(network.as_mut(), &order, &mut draws);
    let trained = begun.elapsed().as_secs_f64();
    if batch.is_some() {
        println!("{trained}");
        return;
    }
    let begun = Instant::now();
    network.evaluate(&dataset.test).unwrap();
    println!("{trained} {}", begun.elapsed().as_secs_f64());
}

/// Images of noise: to train on, as many as take the memory of 50,000 of MNIST; to
/// test on, 10,000.
fn noise(arch: &Arch) -> Dataset {
    let size: usize = arch.input().iter().product();
    let mut stream = Stream::new(1, Purpose::Init);
    let mut split = |images: usize| Split {
        images: (0..images * size).map(|_| stream.normal()).collect(),
        labels: (0..images as u32).map(|i| i % 10).collect(),
    };
    let (train, test) = (split(50_000 * 28 * 28 / size), split(10_000));
    Dataset {
        name: "noise".to_owned(),
        shape: arch.input(),
        classes: 10,
        train,
        val: None,
        test,
        augment: None,
        black: vec![0.0; arch.input()[0]],
    }
}
