//! One network in training.

use super::buffer::Buffer;
use super::denormals::FlushToZero;
use super::dropout::{Dropout, Fill};
use super::isa::{Isa, Kernel};
use super::lanes::Lanes;
use super::loss::Tally;
use super::optimizer::Optimizer;
use super::pass::{Group, Workspace};
use super::plan::Plan;
use crate::arch::Arch;
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::train::augment::append_augmented;
use crate::train::engine::check_images;
use crate::train::{Draws, Memory, Metrics, Network, Stream};
use crate::zoo::{Activation, Hyper};

/// Images side by side in an evaluation: whole vectors of any width.
const EVALUATION_BATCH: usize = 16;

/// Batches up to this size pass at once; of larger ones, this many images at a
/// time, so that what they touch stays in the cache.
const MOST_AT_ONCE: usize = 32;

/// A network with its optimiser.
pub(super) struct KernelNetwork<'a> {
    isa: Isa,
    arch: &'a Arch,
    hyper: &'a Hyper,
    dataset: &'a Dataset,
    parameters: Buffer,
    gradient: Buffer,
    optimizer: Optimizer,
    workspace: Workspace,
    /// Of the images of a batch.
    labels: Vec<u32>,
    /// 0, 1, … for the images of the largest batch so far.
    places: Vec<u32>,
    /// The images of a batch as augmentation leaves them; empty without it.
    augmented: Vec<f32>,
    /// One per block, where values are dropped.
    dropout: Vec<Option<Dropout>>,
}

impl<'a> KernelNetwork<'a> {
    /// A network that starts from `weights`.
    pub(super) fn new(
        isa: Isa,
        arch: &'a Arch,
        hyper: &'a Hyper,
        dataset: &'a Dataset,
        weights: &[f32],
    ) -> Result<Self> {
        let n = arch.layout().size();
        check_images(arch, dataset)?;
        if weights.len() != n {
            return Err(Error::internal(format!("{} weights for a state of {n}", weights.len())));
        }
        check_split(&dataset.train, arch)?;
        let plan = Plan::of(arch, hyper.batch_size.clamp(1, MOST_AT_ONCE))?;
        let dropout = plan.blocks.iter().map(|block| {
            (block.dropout && hyper.dropout > 0.0).then(|| Dropout::new(block, hyper.dropout))
        });
        let mut parameters = Buffer::new(n);
        parameters[..n].copy_from_slice(weights);
        Ok(Self {
            isa,
            arch,
            hyper,
            dataset,
            parameters,
            gradient: Buffer::new(n),
            optimizer: Optimizer::new(hyper, dataset.train.len(), n),
            labels: Vec::new(),
            places: Vec::new(),
            augmented: Vec::new(),
            dropout: dropout.collect(),
            workspace: Workspace::new(plan, hyper.activation, true),
        })
    }

    /// A step of training on the images at `indices`, which are added to `tally`.
    pub(super) fn step(
        &mut self,
        indices: &[u32],
        augment: &mut Stream,
        draws: &mut Fill<'_>,
        tally: &mut Tally,
    ) -> Result<()> {
        self.labels.clear();
        for index in indices {
            self.labels.push(self.dataset.train.label(*index)?);
        }
        self.places.extend(self.places.len() as u32..indices.len() as u32);
        self.augmented.clear();
        append_augmented(self.dataset, indices, augment, &mut self.augmented);
        for (dropped, block) in self.dropout.iter_mut().zip(self.workspace.blocks()) {
            if let Some(dropped) = dropped {
                dropped.draw(block, indices.len(), draws);
            }
        }
        let step = Step { network: self, indices, tally };
        // SAFETY: every index is that of an image, since it has a label, and so is
        // every place that of an augmented one; `new` saw that images have the size of
        // the plan, that augmentation yields all their channels, and that labels are
        // classes; buffers have room for a vector more.
        unsafe { step.network.isa.run(step) };
        Ok(())
    }
}

impl KernelNetwork<'_> {
    /// The gradient of the last step, in layout order.
    #[cfg(test)]
    pub(super) fn gradient(&self) -> &[f32] {
        &self.gradient[..self.arch.layout().num_params()]
    }
}

/// Whether images and labels of `split` are what `arch` takes.
fn check_split(split: &Split, arch: &Arch) -> Result<()> {
    let size: usize = arch.input().iter().product();
    let classes = arch.classes();
    if split.images.len() != split.len() * size {
        return Err(Error::internal(format!("images of a split are not of {size} pixels each")));
    }
    match split.labels.iter().find(|label| **label as usize >= classes) {
        None => Ok(()),
        Some(label) => Err(Error::invalid(format!(
            "label `{label}` in a data set for `{}`, which tells {classes} classes apart",
            arch.name()
        ))),
    }
}

/// One step of training.
struct Step<'n, 'a> {
    network: &'n mut KernelNetwork<'a>,
    indices: &'n [u32],
    tally: &'n mut Tally,
}

impl Kernel for Step<'_, '_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Self { network, indices, tally } = self;
        let at_once = network.workspace.batch();
        let (labels, places) = (&network.labels, &network.places[..indices.len()]);
        let (images, indices): (&[f32], _) = match network.dataset.augment {
            Some(_) => (&network.augmented, places),
            None => (&network.dataset.train.images, indices),
        };
        let groups =
            indices.chunks(at_once).zip(labels.chunks(at_once)).zip(places.chunks(at_once));
        for (i, ((indices, labels), drawn)) in groups.enumerate() {
            let share = 1.0 / places.len() as f32;
            let group = Group { images, indices, labels, drawn, share, fresh: i == 0 };
            let (parameters, gradient) = (&network.parameters, &mut network.gradient);
            let dropout = &mut network.dropout;
            network.workspace.train::<L>(parameters, &group, dropout, gradient, tally);
        }
        network.optimizer.step::<L>(&mut network.parameters, &network.gradient);
    }
}

/// An evaluation of a split.
struct Evaluation<'n> {
    parameters: &'n [f32],
    split: &'n Split,
    workspace: Workspace,
}

impl Kernel for Evaluation<'_> {
    type Output = Tally;

    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) -> Tally {
        let mut tally = Tally::default();
        let images: Vec<u32> = (0..self.split.len() as u32).collect();
        let labels = self.split.labels.chunks(EVALUATION_BATCH);
        for (indices, labels) in images.chunks(EVALUATION_BATCH).zip(labels) {
            let (parameters, split) = (self.parameters, self.split);
            self.workspace.evaluate::<L>(parameters, split, indices, labels, &mut tally);
        }
        tally
    }
}

/// The logits `[N, classes]` that a network with these `weights` gives to the images of
/// `split`; `None` if the kernels do not know the architecture, or if weights, images and
/// labels are not such as it takes.
pub(in crate::train) fn logits(
    isa: Isa,
    arch: &Arch,
    activation: Activation,
    weights: &[f32],
    split: &Split,
) -> Option<Vec<f32>> {
    let plan = Plan::new(arch, EVALUATION_BATCH)?;
    let n = arch.layout().size();
    if weights.len() != n || check_split(split, arch).is_err() {
        return None;
    }
    let mut parameters = Buffer::new(n);
    parameters[..n].copy_from_slice(weights);
    let workspace = Workspace::new(plan, activation, false);
    let responses =
        Responses { parameters: &parameters, split, workspace, classes: arch.classes() };
    // SAFETY: weights, images and labels fit the architecture, as was just checked.
    Some(unsafe { isa.run(responses) })
}

/// The logits of a split.
struct Responses<'n> {
    parameters: &'n [f32],
    split: &'n Split,
    workspace: Workspace,
    classes: usize,
}

impl Kernel for Responses<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) -> Vec<f32> {
        let mut logits = Vec::with_capacity(self.split.len() * self.classes);
        let images: Vec<u32> = (0..self.split.len() as u32).collect();
        for indices in images.chunks(EVALUATION_BATCH) {
            self.workspace.logits::<L>(self.parameters, self.split, indices, &mut logits);
        }
        logits
    }
}

impl Network for KernelNetwork<'_> {
    fn train_epoch(
        &mut self,
        order: &[u32],
        draws: &mut Draws,
        before_batch: &dyn Fn() -> Result<()>,
    ) -> Result<Metrics> {
        let _tiny_is_zero = FlushToZero::on();
        let mut tally = Tally::default();
        for indices in order.chunks(self.hyper.batch_size.max(1)) {
            before_batch()?;
            let Draws { dropout, augment } = &mut *draws;
            self.step(indices, augment, &mut |bytes| dropout.fill(bytes), &mut tally)?;
        }
        Ok(tally.metrics())
    }

    fn evaluate(&self, split: &Split) -> Result<Metrics> {
        let _tiny_is_zero = FlushToZero::on();
        check_split(split, self.arch)?;
        let plan = Plan::of(self.arch, EVALUATION_BATCH)?;
        let workspace = Workspace::new(plan, self.hyper.activation, false);
        let evaluation = Evaluation { parameters: &self.parameters, split, workspace };
        // SAFETY: images and labels fit the architecture, as was just checked.
        Ok(unsafe { self.isa.run(evaluation) }.metrics())
    }

    fn weights(&self) -> Result<Vec<f32>> {
        Ok(self.parameters[..self.arch.layout().num_params()].to_vec())
    }

    fn memory(&self) -> Result<Memory> {
        Ok(self.optimizer.memory())
    }

    fn remember(&mut self, memory: &Memory) -> Result<()> {
        self.optimizer.remember(memory)
    }
}
