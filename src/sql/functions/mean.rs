//! `vector_mean`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_one;

pub(super) fn udf() -> ScalarUDF {
    of_one("vector_mean", "The arithmetic mean of a vector, as numpy's `mean`.", mean)
}

/// The mean, accumulated in `f64`.
pub(super) fn mean(vector: &[f32]) -> Option<f64> {
    (!vector.is_empty()).then(|| sum(vector, f64::from) / vector.len() as f64)
}

/// The sum of `term` over a vector. Eight running sums let the compiler use
/// vector registers; their order is fixed, so results are reproducible.
pub(super) fn sum(vector: &[f32], term: impl Fn(f32) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let chunks = vector.chunks_exact(8);
    let tail: f64 = chunks.remainder().iter().map(|&value| term(value)).sum();
    for chunk in chunks {
        for (sum, &value) in sums.iter_mut().zip(chunk) {
            *sum += term(value);
        }
    }
    sums.iter().sum::<f64>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accumulates_in_f64() {
        let mut vector = vec![1.0_f32; 20_000_001];
        vector[0] = 1e8;
        // In f32 every 1.0 would vanish beside 1e8.
        let expected = (1e8 + 20_000_000.0) / 20_000_001.0;
        assert!((mean(&vector).unwrap() - expected).abs() < 1e-9);
        assert_eq!(mean(&[]), None);
        assert!(mean(&[1.0, f32::NAN]).unwrap().is_nan());
    }
}
