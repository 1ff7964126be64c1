//! Order statistics of one long vector, without sorting it.

/// The values at some places of a sorted vector.
#[derive(Debug, Default)]
pub(super) struct Selection {
    keys: Vec<i32>,
}

impl Selection {
    /// Brings the values that a sort would bring to `places`, which ascend, there.
    /// There is no NaN.
    pub(super) fn of(&mut self, vector: &[f32], places: &[usize]) {
        self.keys.clear();
        self.keys.extend(vector.iter().map(|value| flip(value.to_bits() as i32)));
        place(&mut self.keys, 0, places);
    }

    /// The value at one of the places.
    pub(super) fn at(&self, place: usize) -> f32 {
        f32::from_bits(flip(self.keys[place]) as u32)
    }
}

/// Bits of floating-point numbers are in their order, but for the negative ones,
/// which are in the opposite order.
fn flip(bits: i32) -> i32 {
    bits ^ ((bits >> 31) & i32::MAX)
}

/// Brings the keys of `places` there, given those from `start` on: the middle one
/// first, which leaves those of the others on its sides.
fn place(keys: &mut [i32], start: usize, places: &[usize]) {
    if places.is_empty() {
        return;
    }
    let (before, rest) = places.split_at(places.len() / 2);
    let (left, _, right) = keys.select_nth_unstable(rest[0] - start);
    place(left, start, before);
    place(right, rest[0] + 1, &rest[1..]);
}
