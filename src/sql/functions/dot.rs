//! `vector_dot`.

use datafusion::logical_expr::ScalarUDF;

use super::number::of_two;

pub(super) fn udf() -> ScalarUDF {
    of_two("vector_dot", "The inner product of two vectors, as numpy's `dot`.", |a, b| {
        Some(sum_of_pairs(a, b, |a, b| a * b))
    })
}

/// The sum of `term` over the pairs of two vectors of equal length, in eight
/// running sums of fixed order, as for single vectors.
pub(super) fn sum_of_pairs(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = (left.remainder().iter().zip(right.remainder()))
        .map(|(&a, &b)| term(f64::from(a), f64::from(b)))
        .sum();
    for (a, b) in left.zip(right) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(f64::from(a), f64::from(b));
        }
    }
    sums.iter().sum::<f64>() + tail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_count() {
        for length in [0, 1, 7, 8, 9, 33] {
            let a: Vec<f32> = (0_u8..length).map(f32::from).collect();
            let expected: f64 = (0..length).map(|i| f64::from(i).powi(2)).sum();
            assert_eq!(sum_of_pairs(&a, &a, |a, b| a * b), expected);
        }
    }
}
