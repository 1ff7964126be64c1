//! Memory for vectors.

use super::lanes::WIDEST;

/// Zeros at first, aligned to a cache line, with room for a vector that begins at
/// the last number.
pub(super) struct Buffer(Vec<Line>);

#[repr(align(64))]
#[derive(Clone, Copy)]
struct Line(#[expect(dead_code, reason = "read as a slice of numbers")] [f32; WIDEST]);

impl Buffer {
    /// Room for `len` numbers and a vector more.
    pub(super) fn new(len: usize) -> Self {
        Self(vec![Line([0.0; WIDEST]); (len + WIDEST).div_ceil(WIDEST)])
    }

    /// Nothing: for what a pass does not need.
    pub(super) fn none() -> Self {
        Self(Vec::new())
    }
}

impl std::ops::Deref for Buffer {
    type Target = [f32];

    #[inline(always)]
    fn deref(&self) -> &[f32] {
        // SAFETY: a `Line` is an array of `WIDEST` numbers without padding: 64
        // bytes, aligned to 64.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * WIDEST) }
    }
}

impl std::ops::DerefMut for Buffer {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * WIDEST) }
    }
}
