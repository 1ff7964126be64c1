//! Random orders that never change.
//!
//! What is drawn here decides what stored numbers mean (which image is in which
//! split, which batch comes first), so the draw is spelled out over raw ChaCha
//! output: how a library samples a range may change from version to version.

use rand::RngCore;
use rand_chacha::ChaCha8Rng;

/// Puts `items` into a uniformly random order (Fisher-Yates).
pub(crate) fn shuffle(rng: &mut ChaCha8Rng, items: &mut [u32]) {
    for last in (1..items.len()).rev() {
        // Images are counted in u32, and there is one item per image.
        items.swap(last, below(rng, last as u32 + 1) as usize);
    }
}

/// Uniform below `bound`, which is positive: the high half of a product, drawn
/// again in the few cases that would favour some results (Lemire 2019).
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: u32) -> u32 {
    let unfair = bound.wrapping_neg() % bound;
    loop {
        let product = u64::from(rng.next_u32()) * u64::from(bound);
        if product as u32 >= unfair {
            return (product >> 32) as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn every_place_is_about_equally_likely() {
        let mut counts = [[0_u32; 5]; 5];
        for seed in 0..5000 {
            let mut order = [0, 1, 2, 3, 4];
            shuffle(&mut ChaCha8Rng::seed_from_u64(seed), &mut order);
            for (place, item) in order.iter().enumerate() {
                counts[place][*item as usize] += 1;
            }
        }
        // 1000 expected each, standard deviation 28.
        assert!(counts.iter().flatten().all(|count| (860..1140).contains(count)), "{counts:?}");
    }
}
