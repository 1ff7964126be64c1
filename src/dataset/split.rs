//! Seeded random splits.
//!
//! Owns which image goes into which part, which is part of what a stored zoo
//! means. Knows nothing of images.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::random::shuffle;

/// The numbers below `n` in a random order fixed by `seed`,
/// cut into parts of the given `sizes`. Parts beyond `n` are short or empty.
pub(super) fn random<const PARTS: usize>(
    n: u32,
    sizes: [usize; PARTS],
    seed: u64,
) -> [Vec<u32>; PARTS] {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<u32> = (0..n).collect();
    shuffle(&mut rng, &mut order);
    let mut order = order.into_iter();
    sizes.map(|size| order.by_ref().take(size).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_and_complete() {
        let [a, b, c] = random(1797, [1297, 200, 300], 42);
        assert_eq!((a.len(), b.len(), c.len()), (1297, 200, 300));
        let mut all = [a, b, c].concat();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..1797));
    }

    #[test]
    fn a_seed_fixes_the_order_for_ever() {
        // A change here would silently change what stored metrics were measured on.
        let [first] = random(60_000, [6], 42);
        assert_eq!(first, [11629, 3883, 18361, 41374, 29325, 11008]);
        assert_eq!(random(100, [100], 7), random(100, [100], 7));
        assert_ne!(random(100, [100], 7), random(100, [100], 8));
    }

    #[test]
    fn few_numbers_give_short_parts() {
        assert_eq!(random(0, [1, 2], 1), [Vec::<u32>::new(), Vec::new()]);
        assert_eq!(random(1, [1, 2], 1), [vec![0], Vec::new()]);
    }
}
