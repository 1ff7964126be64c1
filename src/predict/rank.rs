//! Rank correlations: Kendall's tau-b with its ceiling, and Spearman's rho.

use std::cmp::Ordering;

/// Kendall's tau-b of two variables, as `scipy.stats.kendalltau`; NaN if one of them is
/// constant.
///
/// tau-b = (C - D) / sqrt((n0 - n1) (n0 - n2)) with C concordant and D discordant pairs, n0
/// all pairs, n1 and n2 those tied in one variable (Kendall 1945); discordant pairs are
/// counted as the exchanges of a merge sort, in O(n log n) (Knight 1966).
pub fn kendall_tau(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (unsigned_zeros(a), unsigned_zeros(b));
    let mut order: Vec<usize> = (0..a.len()).collect();
    order.sort_unstable_by(|&i, &j| a[i].total_cmp(&a[j]).then(b[i].total_cmp(&b[j])));
    let tied_a = tied_pairs(&order, |i, j| a[i] == a[j]);
    let tied_both = tied_pairs(&order, |i, j| a[i] == a[j] && b[i] == b[j]);
    let mut values: Vec<f64> = order.iter().map(|&index| b[index]).collect();
    let discordant = exchanges(&mut values, &mut vec![0.0; b.len()]) as f64;
    // Now in the order of `b`.
    let sorted: Vec<usize> = (0..values.len()).collect();
    let tied_b = tied_pairs(&sorted, |i, j| values[i] == values[j]);
    let pairs = pairs(a.len());
    let concordant = pairs - tied_a - tied_b + tied_both - discordant;
    (concordant - discordant) / ((pairs - tied_a) * (pairs - tied_b)).sqrt()
}

/// The largest tau-b that predictions without ties can reach: sqrt(1 - T / n0) with T pairs
/// of `truth` tied; NaN for fewer than two values.
pub fn tau_ceiling(truth: &[f64]) -> f64 {
    let truth = unsigned_zeros(truth);
    let mut order: Vec<usize> = (0..truth.len()).collect();
    order.sort_unstable_by(|&i, &j| truth[i].total_cmp(&truth[j]));
    let tied = tied_pairs(&order, |i, j| truth[i] == truth[j]);
    (1.0 - tied / pairs(truth.len())).sqrt()
}

/// Spearman's rho, as `scipy.stats.spearmanr`: Pearson's correlation of ranks, where ties
/// share the mean of their ranks; NaN if one variable is constant.
pub fn spearman_rho(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    // Ranks have this mean whatever is tied.
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let product = |x: &[f64], y: &[f64]| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum()
    };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// Ranks from 1 on; ties share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let values = unsigned_zeros(values);
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&i, &j| values[i].total_cmp(&values[j]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for tied in order.chunk_by(|&i, &j| values[i] == values[j]) {
        let rank = before as f64 + (tied.len() as f64 + 1.0) / 2.0;
        for &index in tied {
            ranks[index] = rank;
        }
        before += tied.len();
    }
    ranks
}

/// The same values; zeros, which are equal, are also ordered as equal then.
fn unsigned_zeros(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value + 0.0).collect()
}

fn pairs(count: usize) -> f64 {
    count as f64 * (count as f64 - 1.0) / 2.0
}

/// Pairs of equal neighbours' groups in `order`.
fn tied_pairs(order: &[usize], equal: impl Fn(usize, usize) -> bool) -> f64 {
    order.chunk_by(|&i, &j| equal(i, j)).map(|tied| pairs(tied.len())).sum()
}

/// Sorts `values`; returns how many pairs stood in descending order.
fn exchanges(values: &mut [f64], buffer: &mut [f64]) -> u64 {
    let middle = values.len() / 2;
    if middle == 0 {
        return 0;
    }
    let (left, right) = values.split_at_mut(middle);
    let (left_buffer, right_buffer) = buffer.split_at_mut(middle);
    let mut count = exchanges(left, left_buffer) + exchanges(right, right_buffer);
    let (mut i, mut j) = (0, 0);
    for place in buffer.iter_mut() {
        let from_right =
            i == left.len() || (j < right.len() && right[j].total_cmp(&left[i]) == Ordering::Less);
        if from_right {
            *place = right[j];
            j += 1;
            count += (left.len() - i) as u64;
        } else {
            *place = left[i];
            i += 1;
        }
    }
    values.copy_from_slice(buffer);
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the definition: every pair is looked at.
    fn tau_of_pairs(a: &[f64], b: &[f64]) -> f64 {
        let (mut score, mut untied_a, mut untied_b) = (0.0, 0.0, 0.0);
        for i in 0..a.len() {
            for j in 0..i {
                let sign = |x: &[f64]| (x[i] > x[j]) as i8 - (x[i] < x[j]) as i8;
                score += f64::from(sign(a) * sign(b));
                untied_a += f64::from(sign(a).abs());
                untied_b += f64::from(sign(b).abs());
            }
        }
        score / f64::sqrt(untied_a * untied_b)
    }

    #[test]
    fn counting_exchanges_is_looking_at_pairs() {
        let mut state = 1_u64;
        let mut draw = |levels: u64| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 33) % levels) as f64
        };
        for (count, levels) in [(2, 9), (17, 3), (64, 8), (101, 1000)] {
            let a: Vec<f64> = (0..count).map(|_| draw(levels)).collect();
            let b: Vec<f64> = (0..count).map(|_| draw(levels)).collect();
            let (fast, slow) = (kendall_tau(&a, &b), tau_of_pairs(&a, &b));
            assert!((fast - slow).abs() < 1e-14 || (fast.is_nan() && slow.is_nan()), "{count}");
        }
    }

    #[test]
    fn the_ceiling_is_reached_by_the_right_order() {
        let truth = [0.1, 0.1, 0.1, 0.4, 0.7, 0.7];
        let order = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert!((kendall_tau(&truth, &order) - tau_ceiling(&truth)).abs() < 1e-15);
        // 3 + 1 of 15 pairs are tied.
        assert!((tau_ceiling(&truth) - (11.0_f64 / 15.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn a_constant_has_no_rank_correlation() {
        let (a, b) = ([1.0, 2.0, 3.0], [5.0; 3]);
        assert!(kendall_tau(&a, &b).is_nan() && spearman_rho(&a, &b).is_nan());
    }
}
