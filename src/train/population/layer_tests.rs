//! Each kind of layer against PyTorch, and where numbers end.

use candle_core::{DType, Device, Result, Tensor};

use super::activation::activate;
use super::batch_norm::BatchNorm;
use super::conv::Conv;
use super::data::Labels;
use super::dropout::{Dropout, Uniforms};
use super::linear::Linear;
use super::loss::Tally;
use super::pool::MaxPool;
use super::steps::global_average;
use super::tape::Tape;
use super::window::Window;
use crate::train::candle::fixtures::{self, Case, UPSTREAM, WEIGHTS, inputs, value};
use crate::zoo::Activation;

/// From inputs and the output's gradient, in the shapes of the fixture, to output
/// and gradients of the inputs.
type Run<'a> = &'a dyn Fn(&[Tensor], &dyn Fn(&Tensor) -> Tensor) -> Result<(Tensor, Vec<Tensor>)>;

/// Checks the layer called `layer`: output and gradients of every case, in `f64`
/// to 1e-10 of the norm and in `f32` to 1e-6.
fn check(layer: &str, inputs: impl Fn(&[Vec<usize>]) -> Vec<Tensor>, run: Run<'_>) {
    let cases = fixtures::cases::<Case>("layers").into_iter().filter(|case| case.layer == layer);
    let mut checked = 0;
    for case in cases {
        for (dtype, tolerance) in [(DType::F64, 1e-10), (DType::F32, 1e-6)] {
            let cast = |input: &Tensor| input.to_dtype(dtype).unwrap();
            let inputs: Vec<Tensor> = inputs(&case.shapes).iter().map(cast).collect();
            let upstream =
                |out: &Tensor| fixtures::values(UPSTREAM, out.dims()).to_dtype(dtype).unwrap();
            let (out, gradients) = run(&inputs, &upstream).unwrap();
            let what = format!("{layer} {:?} {dtype:?}", case.shapes);
            case.out.check(&out, tolerance, &what);
            for (i, (found, expected)) in gradients.iter().zip(&case.gradients).enumerate() {
                expected.check(found, tolerance, &format!("{what}: gradient {i}"));
            }
        }
        checked += 1;
    }
    assert!(checked > 0, "no case of {layer}");
}

/// `[N, C, H, W]` to `[1, C, H * W, N]`.
fn inner(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(2)?.permute((1, 2, 0))?.contiguous()?.unsqueeze(0)
}

/// The reverse, to planes of `height` times `width`.
fn outer(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let x = x.squeeze(0)?.permute((2, 0, 1))?.contiguous()?;
    let (images, channels, _) = x.dims3()?;
    x.reshape((images, channels, height, width))
}

/// A convolution of `[N, C, H, W]`, forwards and backwards.
fn convolve(
    tensors: &[Tensor],
    (stride, padding): (usize, usize),
    upstream: &dyn Fn(&Tensor) -> Tensor,
) -> Result<(Tensor, Vec<Tensor>)> {
    let [x, parameters @ ..] = tensors else { panic!("an input") };
    let (_, _, height, width) = x.dims4()?;
    let window = Window { height, width, kernel: parameters[0].dim(2)?, stride, padding };
    let (out_height, out_width) = window.out();
    let conv = Conv::new(window, 0, parameters.len() > 1, true, &Device::Cpu)?;
    let mut tape = Tape::recording();
    let parameters = parameters.iter().map(|tensor| tensor.unsqueeze(0));
    let parameters = parameters.collect::<Result<Vec<_>>>()?;
    let out = outer(&conv.forward(inner(x)?, &parameters, &mut tape)?, out_height, out_width)?;
    let mut gradients = vec![None; parameters.len()];
    let of_input = tape.backward(inner(&upstream(&out))?, &mut gradients)?.unwrap();
    let of_input = outer(&of_input, height, width)?;
    Ok((out, std::iter::once(of_input).chain(gradients.into_iter().flatten()).collect()))
}

#[test]
fn convolution_agrees_with_pytorch() {
    check("conv2d", inputs, &|tensors, upstream| convolve(tensors, (1, 0), upstream));
    for (stride, padding) in [(1, 0), (1, 1), (2, 0), (2, 1), (3, 2)] {
        check(&format!("conv2d_{stride}_{padding}"), inputs, &|tensors, upstream| {
            convolve(tensors, (stride, padding), upstream)
        });
    }
}

#[test]
fn batch_normalisation_agrees_with_pytorch() {
    check("batch_norm2d", inputs, &|tensors, upstream| {
        let [x, scale, shift] = tensors else { panic!("three inputs") };
        let (_, _, height, width) = x.dims4()?;
        let (scale, shift) = (scale.unsqueeze(0)?, shift.unsqueeze(0)?);
        let layout = [scale.clone(), shift, scale.zeros_like()?, scale.ones_like()?];
        let (norm, mut tape, mut followed) = (BatchNorm(0), Tape::recording(), vec![None; 4]);
        let out = norm.train(&inner(x)?, &layout, &mut followed, &mut tape)?;
        let out = outer(&out, height, width)?;
        let mut gradients = vec![None; 4];
        let of_input = tape.backward(inner(&upstream(&out))?, &mut gradients)?.unwrap();
        let of_input = outer(&of_input, height, width)?;
        Ok((out, std::iter::once(of_input).chain(gradients.into_iter().flatten()).collect()))
    });
}

/// What PyTorch remembers of two batches.
#[test]
fn running_statistics_agree_with_pytorch() {
    check("batch_norm2d_running", inputs, &|tensors, _| {
        let x = inner(&tensors[0])?;
        let channels = Tensor::zeros((1, x.dim(1)?), x.dtype(), x.device())?;
        let ones = channels.ones_like()?;
        let mut layout = vec![ones.clone(), channels.clone(), channels, ones];
        for batch in [&x, &x.affine(2.0, 1.0)?] {
            let mut followed = vec![None; 4];
            BatchNorm(0).train(batch, &layout, &mut followed, &mut Tape::off())?;
            for (tensor, followed) in layout.iter_mut().zip(followed) {
                *tensor = followed.unwrap_or(tensor.clone());
            }
        }
        Ok((Tensor::cat(&layout[2..], 0)?, Vec::new()))
    });
}

#[test]
fn a_channel_of_one_value_cannot_be_normalised() {
    let x = Tensor::zeros((1, 2, 1, 1), DType::F32, &Device::Cpu).unwrap();
    let layout = vec![Tensor::ones((1, 2), DType::F32, &Device::Cpu).unwrap(); 4];
    let train = BatchNorm(0).train(&x, &layout, &mut [const { None }; 4], &mut Tape::off());
    assert!(train.is_err());
}

#[test]
fn global_average_agrees_with_pytorch() {
    check("global_avg_pool", inputs, &|x, upstream| {
        let (_, _, height, width) = x[0].dims4()?;
        let mut tape = Tape::recording();
        let out = global_average(&inner(&x[0])?, &mut tape)?;
        let out = outer(&out, 1, 1)?.flatten_from(1)?;
        let above = upstream(&out).unsqueeze(2)?.unsqueeze(3)?;
        let gradient = tape.backward(inner(&above)?, &mut Vec::new())?;
        Ok((out, vec![outer(&gradient.unwrap(), height, width)?]))
    });
}

#[test]
fn linear_agrees_with_pytorch() {
    check("linear", inputs, &|tensors, upstream| {
        let [x, weight, bias] = tensors else { panic!("three inputs") };
        // `[N, I]` to `[1, I, 1, N]` and back.
        let inner = |x: &Tensor| x.t()?.contiguous()?.unsqueeze(0)?.unsqueeze(2);
        let outer = |x: &Tensor| x.squeeze(2)?.squeeze(0)?.t()?.contiguous();
        let linear = Linear(0);
        let mut tape = Tape::recording();
        let tensors = [weight.unsqueeze(0)?, bias.unsqueeze(0)?];
        let out = outer(&linear.forward(&inner(x)?, &tensors, &mut tape)?)?;
        let mut gradients = vec![None; 2];
        let of_input = tape.backward(inner(&upstream(&out))?, &mut gradients)?.unwrap();
        let of_input = outer(&of_input)?;
        Ok((out, std::iter::once(of_input).chain(gradients.into_iter().flatten()).collect()))
    });
}

/// Pooling, forwards and backwards, of `[N, C, H, W]`.
fn pool(x: &Tensor, upstream: &dyn Fn(&Tensor) -> Tensor) -> Result<(Tensor, Vec<Tensor>)> {
    let (_, _, height, width) = x.dims4()?;
    let pool = MaxPool::new(height, width, &Device::Cpu)?;
    let mut tape = Tape::recording();
    let out = outer(&pool.forward(&inner(x)?, &mut tape)?, height / 2, width / 2)?;
    let gradient = tape.backward(inner(&upstream(&out))?, &mut Vec::new())?;
    Ok((out, vec![outer(&gradient.unwrap(), height, width)?]))
}

#[test]
fn max_pooling_agrees_with_pytorch() {
    check("max_pool2d", inputs, &|x, upstream| pool(&x[0], upstream));
}

#[test]
fn the_first_of_equal_maxima_gets_the_gradient() {
    let few = |shapes: &[Vec<usize>]| {
        inputs(shapes).iter().map(|x| (x * 2.0).unwrap().floor().unwrap()).collect()
    };
    check("max_pool2d_ties", few, &|x, upstream| pool(&x[0], upstream));
}

fn flat(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1::<f32>().unwrap()
}

#[test]
fn nan_spreads_over_its_window_only() {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    let rows = [[1., 2., 9., 9., nan, infinity], [nan, 3., 4., -1., infinity, nan]];
    let x = Tensor::new(&rows, &Device::Cpu).unwrap().reshape((1, 1, 2, 6)).unwrap();
    let (out, gradients) = pool(&x, &|out| out.ones_like().unwrap()).unwrap();
    let out = flat(&out);
    assert!(out[0].is_nan() && out[2].is_nan());
    assert_eq!(out[1], 9.0);
    let expected = [0., 0., 1., 0., 0., 0., 1., 0., 0., 0., 0., 1.];
    assert_eq!(flat(&gradients[0]), expected);
}

#[test]
fn every_activation_agrees_with_pytorch() {
    // Values in [-6, 6), zeros, and two far out.
    let x = |i: usize| match i {
        1 => 40.0,
        2 => -40.0,
        _ if i.is_multiple_of(7) => 0.0,
        _ => 6.0 * value(WEIGHTS, i),
    };
    let inputs = |shapes: &[Vec<usize>]| {
        vec![Tensor::from_iter((0..shapes[0][0]).map(x), &Device::Cpu).unwrap()]
    };
    for activation in Activation::ALL {
        check(activation.name(), inputs, &|x, upstream| {
            let mut tape = Tape::recording();
            let out = activate(*activation, x[0].clone(), &mut tape)?;
            let gradient = tape.backward(upstream(&out), &mut Vec::new())?;
            Ok((out, vec![gradient.unwrap()]))
        });
    }
}

#[test]
fn nan_goes_through_every_activation() {
    for activation in Activation::ALL {
        let x = Tensor::new(&[f32::NAN, 1.0], &Device::Cpu).unwrap();
        let mut tape = Tape::recording();
        let y = activate(*activation, x.clone(), &mut tape).unwrap();
        assert!(flat(&y)[0].is_nan() && !flat(&y)[1].is_nan(), "{}", activation.name());
        let gradient = tape.backward(x, &mut Vec::new()).unwrap().unwrap();
        assert!(flat(&gradient)[0].is_nan(), "{}", activation.name());
    }
}

/// Images are innermost in memory, but outermost in the order of draws; each member
/// has its own rate and draws, and the rate itself is kept.
#[test]
fn draws_go_image_by_image() {
    let dropout = Dropout::new(vec![0.25, 0.5], DType::F32, &Device::Cpu).unwrap();
    let x = Tensor::ones((2, 2, 1, 2), DType::F32, &Device::Cpu).unwrap();
    let mut first = [0.0, 0.25, 0.9, 0.2].into_iter();
    let mut second = [0.5, 0.1, 0.4, 0.6].into_iter();
    let mut draws: Uniforms<'_> =
        vec![Box::new(|| first.next().unwrap()), Box::new(|| second.next().unwrap())];
    let mut tape = Tape::recording();
    let out = dropout.forward(x.clone(), &mut draws, &mut tape).unwrap();
    let kept = 4.0 / 3.0;
    let expected = [0.0, kept, kept, 0.0, 2.0, 0.0, 0.0, 2.0];
    assert_eq!(flat(&out), expected);
    let gradient = tape.backward(x, &mut Vec::new()).unwrap().unwrap();
    assert_eq!(flat(&gradient), expected);
    drop(draws);
    assert!(first.next().is_none() && second.next().is_none());
}

/// Labels of images with three classes, for one member.
fn labels(labels: &[u8]) -> Labels {
    let table = |is: fn(u8, u8) -> bool| {
        let classes =
            (0..3).map(|class| labels.iter().map(move |label| u8::from(is(class, *label))));
        let values: Vec<u8> = classes.flatten().collect();
        Tensor::from_vec(values, (1, 3, labels.len()), &Device::Cpu).unwrap()
    };
    Labels {
        hot: table(|class, label| class == label),
        before: table(|class, label| class < label),
    }
}

/// The largest logit decides, the first of equals wins, NaN is the largest of all.
#[test]
fn accuracy_is_that_of_the_first_maximum() {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    for (logits, best) in [
        ([1.0, 3.0, 2.0], 1),
        ([2.0, 2.0, 1.0], 0),
        ([0.0, 0.0, 0.0], 0),
        ([-1.0, 5.0, 5.0], 1),
        ([nan, nan, nan], 0),
        ([9.0, nan, infinity], 1),
        ([infinity, 0.0, nan], 2),
        ([-infinity, -infinity, infinity], 2),
    ] {
        for label in 0..3 {
            let mut tally = Tally::new(1, DType::F32, &Device::Cpu).unwrap();
            let logits = Tensor::from_slice(&logits, (1, 3, 1), &Device::Cpu).unwrap();
            tally.add(&logits, &labels(&[label])).unwrap();
            let accuracy = tally.metrics().unwrap()[0].accuracy;
            assert_eq!(accuracy, f64::from(u8::from(label == best)), "{logits} {label}");
        }
    }
}

#[test]
fn batches_weigh_by_their_size() {
    let mut tally = Tally::new(1, DType::F32, &Device::Cpu).unwrap();
    for images in [3, 1] {
        let logits = Tensor::zeros((1, 3, images), DType::F32, &Device::Cpu).unwrap();
        let gradient = tally.add(&logits, &labels(&[0, 1, 2][..images])).unwrap();
        assert!(flat(&gradient).iter().sum::<f32>().abs() < 1e-6);
    }
    let metrics = tally.metrics().unwrap()[0];
    assert!((metrics.loss - 3f64.ln()).abs() < 1e-6, "{metrics:?}");
    assert_eq!(metrics.accuracy, 0.5);
}
