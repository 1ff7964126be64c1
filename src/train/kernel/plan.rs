//! What the kernels do for an architecture, and where each number lies.
//!
//! Owns the translation of layers to blocks and the layout of activations. Knows
//! no instructions.

use super::lanes::WIDEST;
use crate::arch::{Arch, Layer};
use crate::error::{Error, Result};

/// Where the values of a batch of images lie: channel by channel, row by row, and
/// in a row pixel by pixel, **the images of the batch side by side**. A row is
/// then a long run of neighbours whatever the size of image and kernel: the pixel
/// to the right is `batch` numbers further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) batch: usize,
}

impl Grid {
    /// Numbers of a row that mean something.
    pub(super) fn run(&self) -> usize {
        self.width * self.batch
    }

    /// Numbers from a row to the next. At least a vector more than
    /// [`run`](Self::run): the last vector of a row may reach beyond its end.
    pub(super) fn pitch(&self) -> usize {
        (self.run() + WIDEST).next_multiple_of(WIDEST)
    }

    /// Where row `y` of channel `c` begins.
    pub(super) fn row(&self, c: usize, y: usize) -> usize {
        (c * self.height + y) * self.pitch()
    }

    /// Numbers to allocate.
    pub(super) fn len(&self) -> usize {
        self.channels * self.height * self.pitch()
    }

    /// Numbers of one image.
    pub(super) fn image(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// A convolution and what follows it. A linear layer is a convolution of an image
/// of one pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// What the convolution reads.
    pub(super) input: Grid,
    /// What it yields, without an odd last row or column that pooling would drop.
    pub(super) conv: Grid,
    /// What the block yields: half the size if it pools.
    pub(super) output: Grid,
    /// Side of the kernel.
    pub(super) kernel: usize,
    /// Whether the maximum of every 2 x 2 values is taken.
    pub(super) pool: bool,
    /// Whether the activation follows.
    pub(super) activation: bool,
    /// Whether dropout follows.
    pub(super) dropout: bool,
    /// Whether the input is the output of the block before, its pixels as
    /// channels.
    pub(super) flatten: bool,
    /// Where its weights begin in the flattened vector of parameters.
    pub(super) weight: usize,
    /// Where its biases begin.
    pub(super) bias: usize,
}

impl Block {
    /// Number of weights.
    pub(super) fn weights(&self) -> usize {
        self.conv.channels * self.fan_in()
    }

    /// Weights of one output channel.
    pub(super) fn fan_in(&self) -> usize {
        self.input.channels * self.kernel * self.kernel
    }
}

/// An architecture as blocks for batches of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) blocks: Vec<Block>,
    /// Images side by side.
    pub(super) batch: usize,
}

impl Plan {
    /// The plan for `arch`.
    ///
    /// # Errors
    /// `Invalid` where there is none.
    pub(super) fn of(arch: &Arch, batch: usize) -> Result<Self> {
        Self::new(arch, batch).ok_or_else(|| {
            Error::invalid(format!(
                "engine `kernel` cannot train architecture `{}`: it knows convolutional networks \
                 without residual connections only",
                arch.name()
            ))
            .with_hint("leave the engine to zoolake, or choose `candle`")
        })
    }

    /// The plan for `arch`, or `None` if it has a layer, or an order of layers,
    /// that the kernels do not know.
    pub(super) fn new(arch: &Arch, batch: usize) -> Option<Self> {
        let [channels, height, width] = arch.input();
        let mut plan = Self { blocks: Vec::new(), batch };
        let mut grid = Grid { channels, height, width, batch };
        let mut flatten = false;
        let mut offset = 0;
        for layer in arch.layers() {
            match *layer {
                Layer::Conv2d {
                    in_channels,
                    out_channels,
                    kernel,
                    stride: 1,
                    padding: 0,
                    bias: true,
                    ..
                } if !flatten => {
                    if in_channels != grid.channels || kernel > grid.height.min(grid.width) {
                        return None;
                    }
                    offset = plan.push(grid, out_channels, kernel, false, offset);
                }
                Layer::Linear { in_features, out_features, .. } => {
                    if in_features != grid.image() || (grid.height * grid.width > 1 && !flatten) {
                        return None;
                    }
                    let pixels = Grid { channels: in_features, height: 1, width: 1, batch };
                    offset = plan.push(pixels, out_features, 1, flatten, offset);
                    flatten = false;
                }
                Layer::Flatten if !plan.blocks.is_empty() => flatten = true,
                _ => plan.blocks.last_mut().filter(|_| !flatten)?.extend(layer)?,
            }
            grid = plan.blocks.last()?.output;
        }
        // One pixel for each class: see `loss`.
        let logits = Grid { channels: arch.classes(), height: 1, width: 1, batch };
        (offset == arch.layout().num_params() && grid == logits).then_some(plan)
    }

    /// Appends a convolution; returns where the parameters after it begin.
    fn push(&mut self, input: Grid, out: usize, kernel: usize, flatten: bool, at: usize) -> usize {
        let conv = Grid {
            channels: out,
            height: input.height + 1 - kernel,
            width: input.width + 1 - kernel,
            batch: input.batch,
        };
        let mut block = Block {
            input,
            conv,
            output: conv,
            kernel,
            pool: false,
            activation: false,
            dropout: false,
            flatten,
            weight: at,
            bias: at,
        };
        block.bias += block.weights();
        self.blocks.push(block);
        block.bias + out
    }
}

impl Block {
    /// Adds a layer without parameters; `None` if the kernels cannot do it there.
    fn extend(&mut self, layer: &Layer) -> Option<()> {
        match layer {
            Layer::MaxPool2d if !self.pool && !self.activation && !self.dropout => {
                let Grid { height, width, .. } = self.conv;
                if height < 2 || width < 2 {
                    return None;
                }
                self.pool = true;
                self.output = Grid { height: height / 2, width: width / 2, ..self.conv };
                self.conv = Grid { height: height / 2 * 2, width: width / 2 * 2, ..self.conv };
            }
            Layer::Activation if !self.activation && !self.dropout => self.activation = true,
            // Behind an activation only: it is a factor of the slopes.
            Layer::Dropout if self.activation && !self.dropout => self.dropout = true,
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch;

    #[test]
    fn the_published_cnns_are_blocks() {
        for (name, sides) in [
            ("cnn_s", vec![(28, 24, 12), (12, 8, 4), (4, 3, 3), (1, 1, 1), (1, 1, 1)]),
            ("cnn_m", vec![(32, 30, 15), (15, 12, 6), (6, 4, 2), (1, 1, 1), (1, 1, 1)]),
        ] {
            let arch = Arch::by_name(name).unwrap();
            let plan = Plan::new(&arch, 10).unwrap();
            let found: Vec<_> = plan
                .blocks
                .iter()
                .map(|block| (block.input.width, block.conv.width, block.output.width))
                .collect();
            assert_eq!(found, sides, "{name}");
            let offsets: Vec<usize> =
                plan.blocks.iter().flat_map(|block| [block.weight, block.bias]).collect();
            let tensors = arch.layout().tensors().iter();
            assert_eq!(offsets, tensors.map(|tensor| tensor.offset).collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn what_the_kernels_cannot_do_has_no_plan() {
        let conv = |out_channels, kernel| arch::conv("conv", 1, out_channels, kernel);
        let knows = |layers| Plan::new(&Arch::of_layers([1, 3, 3], 8, layers), 4).is_some();
        assert!(knows(vec![conv(8, 3)]));
        assert!(knows(vec![conv(8, 3), Layer::Activation, Layer::Dropout]));
        assert!(!knows(vec![conv(8, 3), Layer::Dropout]), "no slopes to drop");
        assert!(!knows(vec![conv(2, 2)]), "eight numbers, but of two channels");
        assert!(!knows(vec![conv(8, 2)]));
        assert!(!knows(vec![conv(7, 3)]));
    }

    #[test]
    fn rows_leave_room_for_the_widest_vector() {
        for batch in 1..40 {
            for width in 1..30 {
                let grid = Grid { channels: 2, height: 3, width, batch };
                assert!(grid.run().next_multiple_of(WIDEST) <= grid.pitch());
                assert!(grid.pitch() >= grid.run() + WIDEST);
                assert_eq!(grid.row(1, 2) + grid.pitch(), grid.len());
            }
        }
    }
}
