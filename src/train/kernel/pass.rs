//! A batch through the network and back.

use super::activation::{self, scale};
use super::buffer::Buffer;
use super::convolution::{self, Results, Window};
use super::dropout::Dropout;
use super::gather;
use super::gradient::{self, Rows};
use super::lanes::{Lanes, WIDEST, get};
use super::loss::{Tally, cross_entropy, first_of};
use super::plan::{Block, Plan};
use super::pool;
use crate::dataset::Split;
use crate::zoo::Activation;

/// A plan with the memory that one thread needs to follow it.
pub(super) struct Workspace {
    plan: Plan,
    activation: Activation,
    blocks: Vec<Buffers>,
    /// Weights of one block in the order of the tiles.
    packed: Buffer,
    /// One vector for each weight of one block.
    sums: Buffer,
    /// What a second group of images adds to the gradient.
    added: Vec<f32>,
}

/// What a block keeps between the way there and the way back.
struct Buffers {
    /// The input, unless it is the output of the block before as it is.
    input: Buffer,
    /// Two rows of the convolution, if the block pools.
    rows: Buffer,
    output: Buffer,
    /// Which of four values won.
    winners: Buffer,
    /// Derivative of the activation, and the factor of dropout.
    slopes: Buffer,
    /// Of the output.
    gradient: Buffer,
    /// Of the convolution's result, with zeros around.
    padded: Buffer,
}

/// How the gradient of a convolution's result lies in memory: rows with zeros
/// around them, so that the kernel may reach beyond an edge.
struct Margins {
    /// Zeros before a row.
    before: usize,
    /// Numbers from a row to the next.
    pitch: usize,
    /// Rows of a channel held at a time.
    rows: usize,
}

impl Margins {
    /// The first block's gradient is not passed on: two rows at a time will do, and
    /// no zeros before them.
    fn of(block: &Block, is_first: bool) -> Self {
        let reach = (block.kernel - 1) * block.conv.batch;
        // Over the last pixel of the input, the kernel reads as far as that pixel.
        let (before, run) = if is_first {
            (0, block.conv.run())
        } else {
            (reach.next_multiple_of(WIDEST), block.input.run())
        };
        let pitch = before + run + 2 * WIDEST;
        Self {
            before,
            pitch: pitch.next_multiple_of(WIDEST),
            rows: if is_first && block.pool { 2 } else { block.conv.height },
        }
    }

    fn len(&self, block: &Block) -> usize {
        block.conv.channels * self.rows * self.pitch
    }

    /// The rows of the gradient that row `y` of the input had a part in.
    #[inline(always)]
    fn window<'a>(&self, block: &Block, padded: &'a [f32], y: usize) -> Window<'a> {
        let reach = block.kernel - 1;
        // Row `r` of the kernel lies over row `y + r - reach` of the gradient.
        let from = reach.saturating_sub(y);
        let to = block.kernel.min((block.conv.height + reach).saturating_sub(y)).max(from);
        Window {
            values: padded,
            at: (y + from - reach) * self.pitch + self.before - reach * block.conv.batch,
            channels: block.conv.channels,
            channel: self.rows * self.pitch,
            row: self.pitch,
            pixel: block.conv.batch,
            kernel: block.kernel,
            rows: [from, to],
        }
    }
}

/// Images that pass together, part of a batch of a training step.
pub(super) struct Group<'a> {
    /// `[N, C, H, W]`, of which the group is those at `indices`.
    pub(super) images: &'a [f32],
    pub(super) indices: &'a [u32],
    pub(super) labels: &'a [u32],
    /// Which of the images that dropout was drawn for they are.
    pub(super) drawn: &'a [u32],
    /// Weight of an image in the loss.
    pub(super) share: f32,
    /// Whether it is the first of its batch.
    pub(super) fresh: bool,
}

impl Workspace {
    /// Memory to train, or with `train` off only to evaluate.
    pub(super) fn new(plan: Plan, activation: Activation, train: bool) -> Self {
        let buffer = |wanted: bool, len| if wanted { Buffer::new(len) } else { Buffer::none() };
        let buffers = |(i, block): (usize, &Block)| Buffers {
            input: buffer(i == 0 || block.flatten, block.input.len()),
            rows: buffer(block.pool, 2 * block.conv.channels * block.conv.pitch()),
            output: Buffer::new(block.output.len()),
            winners: buffer(train && block.pool, block.output.len()),
            slopes: buffer(train && block.activation, block.output.len()),
            gradient: buffer(train, block.output.len()),
            padded: buffer(train, Margins::of(block, i == 0).len(block)),
        };
        let most = plan.blocks.iter().map(Block::weights).max().unwrap_or(0);
        let blocks = plan.blocks.iter().enumerate().map(buffers).collect();
        Self {
            activation,
            blocks,
            packed: Buffer::new(most),
            sums: buffer(train, most * WIDEST),
            added: vec![0.0; if train { most } else { 0 }],
            plan,
        }
    }

    /// Images that pass side by side.
    pub(super) fn batch(&self) -> usize {
        self.plan.batch
    }

    /// The blocks of the network.
    pub(super) fn blocks(&self) -> &[Block] {
        &self.plan.blocks
    }

    /// Evaluates the images of `split` at `indices`, at most a batch of them.
    ///
    /// # Safety
    /// `indices` are below the length of `split`, `parameters` have room for a
    /// vector more.
    #[inline(always)]
    pub(super) unsafe fn evaluate<L: Lanes>(
        &mut self,
        parameters: &[f32],
        split: &Split,
        indices: &[u32],
        labels: &[u32],
        tally: &mut Tally,
    ) {
        self.show::<L>(parameters, split, indices);
        self.loss::<L, false>(labels, 1.0, tally);
    }

    /// Appends the logits `[N, classes]` of the images of `split` at `indices`, at most a
    /// batch of them.
    ///
    /// # Safety
    /// As for [`Workspace::evaluate`].
    #[inline(always)]
    pub(super) unsafe fn logits<L: Lanes>(
        &mut self,
        parameters: &[f32],
        split: &Split,
        indices: &[u32],
        logits: &mut Vec<f32>,
    ) {
        self.show::<L>(parameters, split, indices);
        let last = self.plan.blocks.len() - 1;
        let (grid, output) = (&self.plan.blocks[last].output, &self.blocks[last].output);
        for image in 0..indices.len() {
            for class in 0..grid.channels {
                logits.push(get(output, grid.row(class, 0) + image));
            }
        }
    }

    /// Takes the images of `split` at `indices` through the network.
    #[inline(always)]
    unsafe fn show<L: Lanes>(&mut self, parameters: &[f32], split: &Split, indices: &[u32]) {
        let first = &self.plan.blocks[0];
        gather::images::<L>(&split.images, indices, &first.input, &mut self.blocks[0].input);
        self.forward::<L, false>(parameters, &mut [], &[]);
    }

    /// Adds the gradient of a group of images; or sets it, if the group is fresh.
    ///
    /// # Safety
    /// As for [`Workspace::evaluate`]; one dropout per block, drawn for at least
    /// as many images.
    #[inline(always)]
    pub(super) unsafe fn train<L: Lanes>(
        &mut self,
        parameters: &[f32],
        group: &Group<'_>,
        dropout: &mut [Option<Dropout>],
        gradient: &mut [f32],
        tally: &mut Tally,
    ) {
        let first = &self.plan.blocks[0];
        gather::images::<L>(group.images, group.indices, &first.input, &mut self.blocks[0].input);
        self.forward::<L, true>(parameters, dropout, group.drawn);
        self.loss::<L, true>(group.labels, group.share, tally);
        self.backward::<L>(parameters, gradient, group.fresh);
    }

    #[inline(always)]
    unsafe fn loss<L: Lanes, const TRAIN: bool>(
        &mut self,
        labels: &[u32],
        share: f32,
        tally: &mut Tally,
    ) {
        let last = self.plan.blocks.len() - 1;
        let grid = &self.plan.blocks[last].output;
        let Buffers { output, gradient, .. } = &mut self.blocks[last];
        cross_entropy::<L, TRAIN>(grid, output, labels, share, gradient, tally);
    }

    /// From the input of the first block to the output of the last.
    #[inline(always)]
    unsafe fn forward<L: Lanes, const TRAIN: bool>(
        &mut self,
        parameters: &[f32],
        dropout: &mut [Option<Dropout>],
        drawn: &[u32],
    ) {
        for (i, block) in self.plan.blocks.iter().enumerate() {
            let (before, rest) = self.blocks.split_at_mut(i);
            let Buffers { input, rows, output, winners, slopes, .. } = &mut rest[0];
            let source: &[f32] = match before.last() {
                Some(previous) if block.flatten => {
                    flatten::<L>(&self.plan.blocks[i - 1], &previous.output, block, input);
                    input
                }
                Some(previous) => &previous.output,
                None => input,
            };
            convolution::pack::<L>(
                &parameters[block.weight..],
                block.conv.channels,
                block.fan_in(),
                &mut self.packed,
            );
            let bias = Some(&parameters[block.bias..]);
            for y in 0..block.output.height {
                let two = if block.pool { 2 } else { 1 };
                for r in 0..two {
                    let mut results = Results {
                        values: if block.pool { &mut *rows } else { &mut *output },
                        at: if block.pool { r * block.conv.pitch() } else { block.conv.row(0, y) },
                        channels: block.conv.channels,
                        channel: if block.pool { 2 } else { block.conv.height }
                            * block.conv.pitch(),
                        run: block.conv.run(),
                    };
                    let window = window(block, source, two * y + r);
                    convolution::row::<L>(window, &self.packed, bias, &mut results);
                }
                if block.pool {
                    pool::forward::<L, TRAIN>(block, y, rows, output, winners);
                }
                if block.activation {
                    for c in 0..block.output.channels {
                        let (at, run) = (block.output.row(c, y), block.output.run());
                        activation::forward::<L, TRAIN>(self.activation, output, slopes, at, run);
                    }
                }
            }
            if let Some(dropout) = dropout.get_mut(i).and_then(Option::as_mut) {
                let factors = dropout.factors::<L>(block, drawn);
                for row in 0..block.output.channels * block.output.height {
                    let (at, run) = (row * block.output.pitch(), block.output.run());
                    scale::<L>(output, factors, at, run);
                    scale::<L>(slopes, factors, at, run);
                }
            }
        }
    }

    /// From the gradient of the last output to that of every parameter.
    #[inline(always)]
    unsafe fn backward<L: Lanes>(&mut self, parameters: &[f32], gradient: &mut [f32], fresh: bool) {
        for (i, block) in self.plan.blocks.iter().enumerate().rev() {
            let (before, rest) = self.blocks.split_at_mut(i);
            let Buffers { input, winners, slopes, gradient: received, padded, .. } = &mut rest[0];
            let margins = Margins::of(block, i == 0);
            through_activation::<L>(block, received, slopes);
            for c in 0..block.output.channels {
                let sum = sum_of_rows::<L>(block, received, c);
                put_or_add(gradient, block.bias + c, sum, fresh);
            }
            let source: &[f32] = match before.last() {
                Some(previous) if !block.flatten => &previous.output,
                _ => input,
            };
            for first in (0..block.conv.height).step_by(margins.rows) {
                spread::<L>(block, &margins, first, (received, winners), padded);
                let rows = Rows {
                    values: padded,
                    at: margins.before,
                    channel: margins.rows * margins.pitch,
                    pitch: margins.pitch,
                    first,
                    count: margins.rows,
                };
                gradient::add::<L>(block, source, rows, &mut self.sums, first == 0);
            }
            let weights = block.weight..block.bias;
            if fresh {
                L::sum_each(&self.sums, &mut gradient[weights]);
            } else {
                let added = &mut self.added[..weights.len()];
                L::sum_each(&self.sums, added);
                gradient[weights].iter_mut().zip(added).for_each(|(sum, added)| *sum += *added);
            }
            let Some(previous) = before.last_mut() else { continue };
            let shape = [block.conv.channels, block.input.channels, block.kernel * block.kernel];
            convolution::pack_turned::<L>(&parameters[block.weight..], shape, &mut self.packed);
            let passed = if block.flatten { &mut *input } else { &mut previous.gradient };
            for y in 0..block.input.height {
                let window = margins.window(block, padded, y);
                let mut results = Results {
                    values: passed,
                    at: block.input.row(0, y),
                    channels: block.input.channels,
                    channel: block.input.height * block.input.pitch(),
                    run: block.input.run(),
                };
                convolution::row::<L>(window, &self.packed, None, &mut results);
            }
            if block.flatten {
                let from = &self.plan.blocks[i - 1];
                unflatten::<L>(from, &mut previous.gradient, block, input);
            }
        }
    }
}

/// The rows of `source` under the kernel for row `y` of the convolution.
#[inline(always)]
fn window<'a>(block: &Block, source: &'a [f32], y: usize) -> Window<'a> {
    Window {
        values: source,
        at: block.input.row(0, y),
        channels: block.input.channels,
        channel: block.input.height * block.input.pitch(),
        row: block.input.pitch(),
        pixel: block.input.batch,
        kernel: block.kernel,
        rows: [0, block.kernel],
    }
}

/// The gradient of a block's output times what the activation and dropout did to
/// it. Behind the end of each row there are zeros afterwards.
#[inline(always)]
unsafe fn through_activation<L: Lanes>(block: &Block, gradient: &mut [f32], slopes: &[f32]) {
    let grid = &block.output;
    let whole = grid.run() / L::WIDTH * L::WIDTH;
    let rest = first_of::<L>(grid.run() - whole);
    for row in 0..grid.channels * grid.height {
        let at = row * grid.pitch();
        if block.activation {
            scale::<L>(gradient, slopes, at, grid.run());
        }
        let last = L::load(gradient, at + whole);
        L::store(gradient, at + whole, L::select(rest, last, L::splat(0.0)));
    }
}

/// The sum over a channel of the gradient.
#[inline(always)]
unsafe fn sum_of_rows<L: Lanes>(block: &Block, gradient: &[f32], c: usize) -> f32 {
    let grid = &block.output;
    let mut sum = L::splat(0.0);
    for y in 0..grid.height {
        let at = grid.row(c, y);
        for i in (at..at + grid.run()).step_by(L::WIDTH) {
            sum = L::add(sum, L::load(gradient, i));
        }
    }
    L::sum(sum)
}

#[inline(always)]
fn put_or_add(values: &mut [f32], at: usize, x: f32, fresh: bool) {
    values[at] = if fresh { x } else { values[at] + x };
}

/// Writes the gradient of the convolution's rows from `first` on, as many as are
/// held, into `padded`.
#[inline(always)]
unsafe fn spread<L: Lanes>(
    block: &Block,
    margins: &Margins,
    first: usize,
    (gradient, winners): (&[f32], &[f32]),
    padded: &mut [f32],
) {
    let channel = margins.rows * margins.pitch;
    if block.pool {
        for y in 0..margins.rows / 2 {
            let to = margins.before + 2 * y * margins.pitch;
            let strides = [channel, margins.pitch];
            pool::backward::<L>(block, first / 2 + y, (gradient, winners), padded, to, strides);
        }
        return;
    }
    let run = block.conv.run();
    for c in 0..block.conv.channels {
        for y in 0..margins.rows {
            let to = margins.before + c * channel + y * margins.pitch;
            copy::<L>(gradient, block.conv.row(c, first + y), padded, to, run);
            pool::clear::<L>(padded, to + run);
        }
    }
}

/// The output of a block, pixel by pixel as channels of the next one's input.
#[inline(always)]
unsafe fn flatten<L: Lanes>(from: &Block, output: &[f32], to: &Block, input: &mut [f32]) {
    let (grid, batch) = (&from.output, from.output.batch);
    for row in 0..grid.channels * grid.height {
        for x in 0..grid.width {
            let at = to.input.row(row * grid.width + x, 0);
            copy::<L>(output, row * grid.pitch() + x * batch, input, at, batch);
        }
    }
}

/// The reverse.
#[inline(always)]
unsafe fn unflatten<L: Lanes>(from: &Block, output: &mut [f32], to: &Block, input: &[f32]) {
    let (grid, batch) = (&from.output, from.output.batch);
    for row in 0..grid.channels * grid.height {
        for x in 0..grid.width {
            let at = to.input.row(row * grid.width + x, 0);
            copy::<L>(input, at, output, row * grid.pitch() + x * batch, batch);
        }
    }
}

/// Copies `run` numbers, and up to a vector more.
#[inline(always)]
unsafe fn copy<L: Lanes>(from: &[f32], at: usize, to: &mut [f32], place: usize, run: usize) {
    for i in (0..run).step_by(L::WIDTH) {
        L::store(to, place + i, L::load(from, at + i));
    }
}
