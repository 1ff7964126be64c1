//! One tree: grown leaf by leaf from histograms of gradients.

use rayon::prelude::*;

use super::bins::{BINS, Binned};

/// When a tree stops growing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    /// Leaves at most.
    pub(super) leaves: usize,
    /// Training states of a leaf at least.
    pub(super) leaf_rows: usize,
    /// What is added to the second derivatives of a leaf.
    pub(super) penalty: f64,
}

/// Sums of first and second derivatives.
type Slopes = [f64; 2];

/// A regression tree over bins.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Copy)]
enum Node {
    Leaf(f64),
    /// Bins up to this one go left, the others right.
    Split {
        feature: usize,
        bin: u8,
        left: usize,
        right: usize,
    },
}

/// What a leaf knows of each bin of each feature: slopes and how many states.
type Histogram = Vec<(Slopes, u32)>;

/// A leaf that may be split.
struct Open {
    node: usize,
    rows: Vec<u32>,
    histogram: Histogram,
    best: Option<Best>,
}

/// How a leaf is best split.
#[derive(Debug, Clone, Copy)]
struct Best {
    gain: f64,
    /// Its place among the features looked at.
    place: usize,
    bin: u8,
    /// Sums on the left.
    left: Slopes,
}

impl Tree {
    /// Grows a tree that looks at `features` and steps against `slopes`, a pair for each state.
    pub(super) fn grow(
        binned: &Binned,
        features: &[usize],
        slopes: &[Slopes],
        growth: Growth,
    ) -> Self {
        let rows: Vec<u32> = (0..binned.rows() as u32).collect();
        let all = sum(slopes.iter());
        let mut tree = Self { nodes: vec![Node::Leaf(step(all, growth))] };
        let histogram = histogram(binned, features, slopes, &rows);
        let best = best(&histogram, all, rows.len(), growth);
        let mut open = vec![Open { node: 0, rows, histogram, best }];
        for _ in 1..growth.leaves {
            // The first of the largest gains, so that order decides nothing.
            let gain = |open: &Open| open.best.map_or(f64::NEG_INFINITY, |best| best.gain);
            let next =
                (0..open.len()).reduce(|a, b| if gain(&open[b]) > gain(&open[a]) { b } else { a });
            let Some(leaf) = next.filter(|&next| open[next].best.is_some()) else { break };
            let leaf = open.swap_remove(leaf);
            open.extend(tree.split(leaf, binned, features, slopes, growth));
        }
        tree
    }

    /// What a state's score is changed by.
    pub(super) fn value(&self, binned: &Binned, row: usize) -> f64 {
        let mut at = 0;
        loop {
            match self.nodes[at] {
                Node::Leaf(value) => return value,
                Node::Split { feature, bin, left, right } => {
                    at = if binned.feature(feature)[row] <= bin { left } else { right };
                }
            }
        }
    }

    fn split(
        &mut self,
        leaf: Open,
        binned: &Binned,
        features: &[usize],
        slopes: &[Slopes],
        growth: Growth,
    ) -> Vec<Open> {
        let Some(Best { place, bin, left, .. }) = leaf.best else { return Vec::new() };
        let all = sum(leaf.rows.iter().map(|&row| &slopes[row as usize]));
        let sums = [left, [all[0] - left[0], all[1] - left[1]]];
        let bins = binned.feature(features[place]);
        let (left, right): (Vec<u32>, Vec<u32>) =
            leaf.rows.iter().partition(|&&row| bins[row as usize] <= bin);
        // The histogram of the larger child is what the smaller one leaves of the parent's.
        let left_is_smaller = left.len() <= right.len();
        let smaller = if left_is_smaller { &left } else { &right };
        let smaller = histogram(binned, features, slopes, smaller);
        let mut larger = leaf.histogram;
        for (rest, (slopes, count)) in larger.iter_mut().zip(&smaller) {
            rest.0[0] -= slopes[0];
            rest.0[1] -= slopes[1];
            rest.1 -= count;
        }
        let histograms = if left_is_smaller { [smaller, larger] } else { [larger, smaller] };
        let node = self.nodes.len();
        let (feature, left_node, right_node) = (features[place], node, node + 1);
        self.nodes[leaf.node] = Node::Split { feature, bin, left: left_node, right: right_node };
        let children = [left, right].into_iter().zip(sums).zip(histograms).enumerate();
        let child =
            |(side, ((rows, sums), histogram)): (usize, ((Vec<u32>, Slopes), Histogram))| {
                self.nodes.push(Node::Leaf(step(sums, growth)));
                let best = best(&histogram, sums, rows.len(), growth);
                Open { node: node + side, rows, histogram, best }
            };
        children.map(child).collect()
    }
}

fn sum<'a>(slopes: impl Iterator<Item = &'a Slopes>) -> Slopes {
    slopes.fold([0.0; 2], |sum, slopes| [sum[0] + slopes[0], sum[1] + slopes[1]])
}

/// The value of a leaf: Newton's step.
fn step([first, second]: Slopes, growth: Growth) -> f64 {
    -first / (second + growth.penalty)
}

/// Half of it is what a leaf with these sums takes from the loss.
fn score([first, second]: Slopes, growth: Growth) -> f64 {
    first * first / (second + growth.penalty)
}

fn histogram(binned: &Binned, features: &[usize], slopes: &[Slopes], rows: &[u32]) -> Histogram {
    // In the order of rows, so that only bins are looked up in places.
    let slopes: Vec<Slopes> = rows.iter().map(|&row| slopes[row as usize]).collect();
    let mut histogram = vec![([0.0; 2], 0); features.len() * BINS];
    histogram.par_chunks_mut(BINS).zip(features).for_each(|(bins, &feature)| {
        let of_row = binned.feature(feature);
        for (&row, slopes) in rows.iter().zip(&slopes) {
            let (sums, count) = &mut bins[usize::from(of_row[row as usize])];
            sums[0] += slopes[0];
            sums[1] += slopes[1];
            *count += 1;
        }
    });
    histogram
}

/// The split with the largest gain, of several the first; `None` if there is none with any.
fn best(histogram: &Histogram, all: Slopes, rows: usize, growth: Growth) -> Option<Best> {
    let whole = score(all, growth);
    // From the right, as LightGBM: of bins that split a leaf alike since it has no states in
    // between, the bound is that next to the states on the right.
    let of_feature = |(place, bins): (usize, &[(Slopes, u32)])| {
        let (mut right, mut count, mut best) = ([0.0; 2], 0, None);
        for (bin, (slopes, states)) in bins.iter().enumerate().rev().filter(|(_, bin)| bin.1 > 0) {
            right = [right[0] + slopes[0], right[1] + slopes[1]];
            count += *states as usize;
            if rows - count < growth.leaf_rows {
                break;
            }
            let left = [all[0] - right[0], all[1] - right[1]];
            let gain = score(left, growth) + score(right, growth) - whole;
            let is_better = best.is_none_or(|best: Best| gain > best.gain);
            if count >= growth.leaf_rows && gain > 1e-12 && is_better {
                best = Some(Best { gain, place, bin: bin as u8 - 1, left });
            }
        }
        best
    };
    let bests: Vec<Option<Best>> = histogram.par_chunks(BINS).enumerate().map(of_feature).collect();
    bests.into_iter().flatten().reduce(|a, b| if b.gain > a.gain { b } else { a })
}
