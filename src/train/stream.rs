//! Randomness: every draw of a model comes from its seed.
//!
//! One ChaCha8 stream each for initialisation, shuffling, dropout and augmentation, so that
//! (for instance) changing the dropout rate leaves the batches as they were.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::random::{below, shuffle};

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights.
    Init = 1,
    /// The order of the training images.
    Shuffle = 2,
    /// Which activations are dropped.
    Dropout = 3,
    /// How training images are changed.
    Augment = 4,
}

/// A seeded stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of the model with `seed` for one `purpose`.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(purpose as u64);
        Self(rng)
    }

    /// Where the stream stands, for [`Stream::seek`].
    pub fn position(&self) -> u128 {
        self.0.get_word_pos()
    }

    /// Goes on from where a stream of the same seed and purpose stood.
    pub fn seek(&mut self, position: u128) {
        self.0.set_word_pos(position);
    }

    /// Uniform in [0, 1), a multiple of 2^-24 as PyTorch draws it.
    pub fn uniform(&mut self) -> f32 {
        const UNIT: f32 = 1.0 / (1 << 24) as f32;
        (self.0.next_u32() >> 8) as f32 * UNIT
    }

    /// Random bytes: four of them, little end first, are what [`Stream::uniform`]
    /// makes one number of.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f32 {
        StandardNormal.sample(&mut self.0)
    }

    /// Uniform among the integers below `bound`, which is positive and fits `u32`.
    pub fn below(&mut self, bound: usize) -> usize {
        below(&mut self.0, bound as u32) as usize
    }

    /// Puts `items` into a uniformly random order.
    pub fn shuffle(&mut self, items: &mut [u32]) {
        shuffle(&mut self.0, items);
    }
}

/// The streams that training draws from, batch by batch.
#[derive(Debug, Clone)]
pub struct Draws {
    /// For dropout.
    pub dropout: Stream,
    /// For augmentation.
    pub augment: Stream,
}

impl Draws {
    /// The streams of the model with `seed`.
    pub fn new(seed: u64) -> Self {
        let [dropout, augment] =
            [Purpose::Dropout, Purpose::Augment].map(|purpose| Stream::new(seed, purpose));
        Self { dropout, augment }
    }

    /// Where the streams stand, for [`Draws::seek`].
    pub fn position(&self) -> [u128; 2] {
        [self.dropout.position(), self.augment.position()]
    }

    /// Goes on from where streams of the same seed stood.
    pub fn seek(&mut self, [dropout, augment]: [u128; 2]) {
        self.dropout.seek(dropout);
        self.augment.seek(augment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_replays_and_purposes_differ() {
        let draw = |seed, purpose| {
            let mut stream = Stream::new(seed, purpose);
            [stream.uniform(), stream.uniform(), stream.normal()]
        };
        assert_eq!(draw(7, Purpose::Init), draw(7, Purpose::Init));
        assert_ne!(draw(7, Purpose::Init), draw(7, Purpose::Dropout));
        assert_ne!(draw(7, Purpose::Init), draw(8, Purpose::Init));
    }

    #[test]
    fn bytes_are_the_same_draws() {
        let (mut one, mut other) =
            (Stream::new(5, Purpose::Dropout), Stream::new(5, Purpose::Dropout));
        for n in [3, 1, 200, 64] {
            let mut bytes = vec![0; 4 * n];
            one.fill(&mut bytes);
            for draw in bytes.as_chunks().0 {
                let draw = (u32::from_le_bytes(*draw) >> 8) as f32 / (1 << 24) as f32;
                assert_eq!(draw, other.uniform());
            }
        }
    }

    #[test]
    fn a_stream_goes_on_from_its_position() {
        for draws in [0, 1, 15, 16, 17, 1001] {
            let mut stream = Stream::new(7, Purpose::Dropout);
            for _ in 0..draws {
                stream.uniform();
            }
            let mut resumed = Stream::new(7, Purpose::Dropout);
            resumed.seek(stream.position());
            assert_eq!(resumed.uniform(), stream.uniform(), "{draws}");
        }
    }

    #[test]
    fn uniform_fills_the_unit_interval() {
        let mut stream = Stream::new(1, Purpose::Dropout);
        let draws: Vec<f32> = (0..100_000).map(|_| stream.uniform()).collect();
        let mean = draws.iter().map(|&u| f64::from(u)).sum::<f64>() / draws.len() as f64;
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
    }

    #[test]
    fn a_shuffle_is_a_permutation() {
        let mut items: Vec<u32> = (0..1000).collect();
        Stream::new(3, Purpose::Shuffle).shuffle(&mut items);
        assert_ne!(items[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        items.sort_unstable();
        assert_eq!(items, (0..1000).collect::<Vec<u32>>());
    }
}
