//! One tree: grown leaf by leaf from histograms of gradients.

use rayon::prelude::*;

use super::bins::{BINS, Binned, Bins};

/// When a tree stops growing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    /// Leaves at most.
    pub(super) leaves: usize,
    /// Training states of a leaf at least, as far as second derivatives tell.
    pub(super) leaf_rows: usize,
    /// What is added to the second derivatives of a leaf.
    pub(super) penalty: f64,
}

/// First and second derivative of a state's loss. In single precision, as LightGBM has them, sums
/// of thousands are exact in double precision, so that neither their order nor a difference of
/// two of them rounds.
pub(super) type Slopes = [f32; 2];

/// Sums of them.
type Sums = [f64; 2];

/// What LightGBM adds to second derivatives; where gains are equal, it decides.
const EPSILON: f64 = 1e-15_f32 as f64;

/// Bins of a feature in a histogram: a byte is always one of them.
const STRIDE: usize = BINS + 1;

/// Bytes of the histogram of a feature.
pub(super) const HISTOGRAM: usize = size_of::<OfFeature>();

/// A regression tree over bins.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Copy)]
enum Node {
    Leaf(f64),
    Split(Split, [usize; 2]),
}

/// Which states go left.
#[derive(Debug, Clone, Copy)]
struct Split {
    feature: usize,
    /// Those in bins up to this one,
    bin: u8,
    /// and those in this one, where missing values go left.
    missing: Option<u8>,
}

impl Split {
    fn is_left(&self, bin: u8) -> bool {
        bin <= self.bin || self.missing == Some(bin)
    }
}

impl Tree {
    /// What a state's score is changed by.
    pub(super) fn value(&self, binned: &Binned, row: usize) -> f64 {
        let mut at = 0;
        loop {
            match &self.nodes[at] {
                Node::Leaf(value) => return *value,
                Node::Split(split, children) => {
                    let is_left = split.is_left(binned.feature(split.feature)[row]);
                    at = children[usize::from(!is_left)];
                }
            }
        }
    }
}

/// What a leaf knows of each bin of a feature, and of each feature that a tree looks at.
type OfFeature = [Sums; STRIDE];
type Histogram = Vec<OfFeature>;

/// A leaf of a tree that grows.
struct Leaf {
    node: usize,
    rows: Vec<u32>,
    sums: Sums,
    histogram: Histogram,
    /// Features that can split it with a gain: what cannot is not tried below it.
    can_split: Vec<bool>,
    best: Option<Best>,
}

/// How a leaf is best split.
#[derive(Debug, Clone, Copy)]
struct Best {
    gain: f64,
    /// The place of the feature among those looked at.
    place: usize,
    bin: u8,
    missing_left: bool,
    /// Sums on the left and on the right.
    sides: [Sums; 2],
}

/// Grows trees on the same states, in memory that is used again.
pub(super) struct Grower<'a> {
    bins: &'a Bins,
    binned: &'a Binned,
    growth: Growth,
    spare: Vec<Histogram>,
}

impl<'a> Grower<'a> {
    pub(super) fn new(bins: &'a Bins, binned: &'a Binned, growth: Growth) -> Self {
        Self { bins, binned, growth, spare: Vec::new() }
    }

    /// A tree that looks at `features` and steps against `slopes`, a pair for each state; and
    /// by what it changes the score of each of these states.
    pub(super) fn grow(&mut self, features: &[usize], slopes: &[Slopes]) -> (Tree, Vec<f64>) {
        let rows: Vec<u32> = (0..self.binned.rows() as u32).collect();
        let mut sums = [0.0; 2];
        slopes.iter().for_each(|slopes| add(&mut sums, *slopes));
        let mut tree = Tree { nodes: vec![Node::Leaf(self.step(sums))] };
        let mut leaves = vec![self.root(features, rows, sums, slopes)];
        while leaves.len() < self.growth.leaves {
            // The first of the largest gains, so that order decides nothing.
            let gain = |leaf: usize| leaves[leaf].best.map_or(0.0, |best: Best| best.gain);
            let next = (0..leaves.len()).reduce(|a, b| if gain(b) > gain(a) { b } else { a });
            let Some(next) = next.filter(|next| gain(*next) > 0.0) else { break };
            let is_last = leaves.len() + 1 == self.growth.leaves;
            let right = self.split(&mut tree, &mut leaves[next], features, slopes, is_last);
            leaves.extend(right);
        }
        let mut changes = vec![0.0; slopes.len()];
        for leaf in leaves {
            let value = self.step(leaf.sums);
            leaf.rows.iter().for_each(|row| changes[*row as usize] = value);
            // Leaves that were not looked into have none.
            self.spare.extend(Some(leaf.histogram).filter(|histogram| !histogram.is_empty()));
        }
        (tree, changes)
    }

    fn root(&mut self, features: &[usize], rows: Vec<u32>, sums: Sums, slopes: &[Slopes]) -> Leaf {
        let mut histogram = self.histogram(features.len());
        let fill = |(place, bins): (usize, &mut OfFeature)| {
            *bins = [[0.0; 2]; STRIDE];
            for (bin, slopes) in self.binned.feature(features[place]).iter().zip(slopes) {
                add(&mut bins[usize::from(*bin)], *slopes);
            }
            self.best(features[place], place, bins, sums, rows.len())
        };
        let bests: Vec<_> = histogram.par_iter_mut().enumerate().map(fill).collect();
        let mut leaf = Leaf { node: 0, rows, sums, histogram, can_split: Vec::new(), best: None };
        leaf.judge(&bests);
        leaf
    }

    /// Splits a leaf as is best for it: it becomes its left half, and the right one is returned.
    fn split(
        &mut self,
        tree: &mut Tree,
        leaf: &mut Leaf,
        features: &[usize],
        slopes: &[Slopes],
        is_last: bool,
    ) -> Option<Leaf> {
        let best = leaf.best.take()?;
        let feature = features[best.place];
        let missing = self.bins.of_feature(feature).missing().filter(|_| best.missing_left);
        let split = Split { feature, bin: best.bin, missing };
        let bins = self.binned.feature(feature);
        let (left, right): (Vec<u32>, Vec<u32>) =
            leaf.rows.iter().partition(|&&row| split.is_left(bins[row as usize]));
        let sums = best.sides;
        let nodes = [tree.nodes.len(), tree.nodes.len() + 1];
        tree.nodes[leaf.node] = Node::Split(split, nodes);
        tree.nodes.extend(sums.map(|sums| Node::Leaf(self.step(sums))));
        let mut other = Leaf {
            node: nodes[1],
            rows: right,
            sums: sums[1],
            histogram: Vec::new(),
            can_split: leaf.can_split.clone(),
            best: None,
        };
        (leaf.node, leaf.rows, leaf.sums) = (nodes[0], left, sums[0]);
        // What will not be split is not looked into.
        let most = leaf.rows.len().max(other.rows.len());
        if !is_last && most >= 2 * self.growth.leaf_rows {
            other.histogram = self.histogram(features.len());
            if leaf.rows.len() <= other.rows.len() {
                std::mem::swap(&mut leaf.histogram, &mut other.histogram);
                self.look(leaf, &mut other, features, slopes);
            } else {
                self.look(&mut other, leaf, features, slopes);
            }
        }
        Some(other)
    }

    /// Finds how two halves of a leaf are best split. The larger one has the histogram of the
    /// whole: what the smaller one leaves of it is its own.
    fn look(&self, smaller: &mut Leaf, larger: &mut Leaf, features: &[usize], slopes: &[Slopes]) {
        // In the order of rows, so that only bins are looked up in places.
        let slopes: Vec<Slopes> = smaller.rows.iter().map(|&row| slopes[row as usize]).collect();
        let (rows, can_split) = (&smaller.rows, &larger.can_split);
        let (small, large) = ((smaller.sums, smaller.rows.len()), (larger.sums, larger.rows.len()));
        let of_feature = |(place, (bins, rest)): (usize, (&mut OfFeature, &mut OfFeature))| {
            if !can_split[place] {
                return (None, None);
            }
            let feature = features[place];
            let of_row = self.binned.feature(feature);
            *bins = [[0.0; 2]; STRIDE];
            for (&row, slopes) in rows.iter().zip(&slopes) {
                add(&mut bins[usize::from(of_row[row as usize])], *slopes);
            }
            for (rest, bin) in rest.iter_mut().zip(bins.iter()) {
                *rest = [rest[0] - bin[0], rest[1] - bin[1]];
            }
            let small = self.best(feature, place, bins, small.0, small.1);
            (small, self.best(feature, place, rest, large.0, large.1))
        };
        let bins = smaller.histogram.par_iter_mut().zip(&mut larger.histogram).enumerate();
        let (mut of_smaller, mut of_larger) = (Vec::new(), Vec::new());
        bins.map(of_feature).unzip_into_vecs(&mut of_smaller, &mut of_larger);
        smaller.judge(&of_smaller);
        larger.judge(&of_larger);
    }

    /// The split of a leaf with these `bins` of a feature, `sums` and number of rows that has the
    /// largest gain, of several the first that is looked at; `None` if there is none with any.
    ///
    /// Bounds are looked at from the right, missing values being on the left; then, if there are
    /// such and other bins than one, from the left, missing values being on the right. This
    /// order, and that states in bins are estimated by their second derivatives, are LightGBM's.
    fn best(
        &self,
        feature: usize,
        place: usize,
        bins: &OfFeature,
        sums: Sums,
        rows: usize,
    ) -> Option<Best> {
        let scale = self.bins.of_feature(feature);
        let has_missing = scale.missing().is_some() && scale.bins() > 2;
        let bins = &bins[..scale.bins()];
        let all = [sums[0], sums[1] + 2.0 * EPSILON];
        let leaf = Whole { growth: self.growth, all, rows, gain: self.score(all) };
        let values = bins.len() - usize::from(has_missing);
        let right = bins[..values].iter().enumerate().skip(1).rev();
        let from_right = leaf.scan(([0.0, EPSILON], 0), right);
        let best = from_right.map(|found| {
            let [right, left] = leaf.sides(found.sums);
            let (gain, bin) = (found.gain - leaf.gain, found.bin as u8 - 1);
            Best { gain, place, bin, missing_left: has_missing, sides: [left, right] }
        });
        if !has_missing {
            return best;
        }
        // Nothing, but for what rounding and estimates leave of it.
        let nothing = leaf.without(bins);
        let from_left = leaf.scan(nothing, bins[..values].iter().enumerate());
        let beaten = best.map_or(f64::NEG_INFINITY, |best| best.gain + leaf.gain);
        from_left.filter(|found| found.gain > beaten).map_or(best, |found| {
            let (gain, bin) = (found.gain - leaf.gain, found.bin as u8);
            Some(Best { gain, place, bin, missing_left: false, sides: leaf.sides(found.sums) })
        })
    }

    /// A histogram to be filled.
    fn histogram(&mut self, features: usize) -> Histogram {
        let spare = self.spare.pop().filter(|spare| spare.len() == features);
        spare.unwrap_or_else(|| vec![[[0.0; 2]; STRIDE]; features])
    }

    /// The value of a leaf: Newton's step.
    fn step(&self, [first, second]: Sums) -> f64 {
        -first / (second + self.growth.penalty)
    }

    /// Half of it is what a leaf with these sums takes from the loss.
    fn score(&self, sums: Sums) -> f64 {
        score(sums, self.growth.penalty)
    }
}

impl Leaf {
    /// Takes note of how each feature would split it.
    fn judge(&mut self, bests: &[Option<Best>]) {
        self.can_split = bests.iter().map(Option::is_some).collect();
        let bests = bests.iter().flatten().copied();
        self.best = bests.reduce(|a, b| if b.gain > a.gain { b } else { a });
    }
}

/// A leaf whose bounds between bins are looked at.
struct Whole {
    growth: Growth,
    all: Sums,
    rows: usize,
    /// What a split has to exceed.
    gain: f64,
}

/// A bound that was found.
struct Found {
    gain: f64,
    /// The last bin on the side where the scan began.
    bin: usize,
    /// The sums of this side.
    sums: Sums,
}

impl Whole {
    /// The sums of one side, less what was added, and those of the other one.
    fn sides(&self, [first, second]: Sums) -> [Sums; 2] {
        let left = [first, second - EPSILON];
        [left, [self.all[0] - first, self.all[1] - second - EPSILON]]
    }

    /// The best bound behind one of `bins`, which come in the order of the scan; the sums and
    /// states in front of them are given.
    fn scan<'a>(
        &self,
        (mut sums, mut count): (Sums, i64),
        bins: impl Iterator<Item = (usize, &'a Sums)>,
    ) -> Option<Found> {
        let Growth { leaf_rows, penalty, .. } = self.growth;
        let (mut gain, mut found) = (self.gain, None);
        for (bin, here) in bins {
            sums = [sums[0] + here[0], sums[1] + here[1]];
            count += self.states(here[1]);
            if count < leaf_rows as i64 {
                continue;
            }
            if self.rows as i64 - count < leaf_rows as i64 {
                break;
            }
            let rest = [self.all[0] - sums[0], self.all[1] - sums[1]];
            let gained = score(rest, penalty) + score(sums, penalty);
            if gained > gain {
                gain = gained;
                found = Some(Found { gain, bin, sums });
            }
        }
        found
    }

    /// The sums and states that are in none of `bins`.
    fn without(&self, bins: &[Sums]) -> (Sums, i64) {
        let mut rest = ([self.all[0], self.all[1] - EPSILON], self.rows as i64);
        for bin in bins {
            rest.0 = [rest.0[0] - bin[0], rest.0[1] - bin[1]];
            rest.1 -= self.states(bin[1]);
        }
        rest
    }

    /// About how many states these second derivatives are of.
    fn states(&self, second: f64) -> i64 {
        (second * (self.rows as f64 / self.all[1]) + 0.5) as i64
    }
}

fn score([first, second]: Sums, penalty: f64) -> f64 {
    first * first / (second + penalty)
}

fn add(sums: &mut Sums, slopes: Slopes) {
    sums[0] += f64::from(slopes[0]);
    sums[1] += f64::from(slopes[1]);
}
