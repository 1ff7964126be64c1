//! Which values are dropped.

use super::buffer::Buffer;
use super::gather;
use super::lanes::Lanes;
use super::plan::Block;

/// Fills a slice with random bytes.
pub(super) type Fill<'a> = dyn FnMut(&mut [u8]) + 'a;

/// The factors of one block for a batch: zero where a value is dropped, otherwise
/// `1 / (1 - rate)`.
pub(super) struct Dropout {
    /// Draws below this (of 2^24) drop.
    bound: u32,
    kept: f32,
    draws: Vec<u8>,
    /// `[N, C, H, W]`, the order of the draws.
    drawn: Vec<f32>,
    /// As the values of a few images lie in their grid.
    factors: Buffer,
}

impl Dropout {
    /// For a block and a rate in (0, 1).
    pub(super) fn new(block: &Block, rate: f64) -> Self {
        Self {
            // A draw is a multiple of 2^-24: at least the rate means at least this.
            bound: (rate * f64::from(1 << 24)).ceil() as u32,
            kept: (1.0 / (1.0 - rate)) as f32,
            draws: Vec::new(),
            drawn: Vec::new(),
            factors: Buffer::new(block.output.len()),
        }
    }

    /// Draws for a batch of `images`; `fill` yields the bytes of the draws.
    pub(super) fn draw(&mut self, block: &Block, images: usize, fill: &mut Fill<'_>) {
        let size = images * block.output.image();
        self.draws.resize(4 * size, 0);
        fill(&mut self.draws);
        self.drawn.clear();
        let (bound, kept) = (self.bound, self.kept);
        self.drawn.extend(
            self.draws
                .as_chunks()
                .0
                .iter()
                .map(|draw| if u32::from_le_bytes(*draw) >> 8 >= bound { kept } else { 0.0 }),
        );
    }

    /// The factors of those of the drawn images that are at `indices`.
    #[inline(always)]
    pub(super) unsafe fn factors<L: Lanes>(&mut self, block: &Block, indices: &[u32]) -> &[f32] {
        gather::images::<L>(&self.drawn, indices, &block.output, &mut self.factors);
        &self.factors
    }
}
