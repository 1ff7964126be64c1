//! Memory that is used again.
//!
//! A page of memory costs a fault when it is first written, and faults are slower
//! than decoding. So the buffers of batches, and of what is read from a disk, come
//! back here when the last array over them is dropped.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::datatypes::{ArrowNativeType, ToByteSlice};
use bytes::Bytes;

/// Bytes that are kept for later at most.
const KEPT_BYTES: usize = 16 << 20;

/// Buffers that nobody uses now.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers<T>(Arc<Free<T>>);

type Free<T> = Mutex<Vec<Vec<T>>>;

/// A buffer on loan: it goes back when it is dropped.
pub(super) struct Buffer<T: ArrowNativeType> {
    values: Vec<T>,
    /// How many of them are lent.
    length: usize,
    /// Where it goes back to, if the scan still goes on then.
    home: Weak<Free<T>>,
}

impl<T: ArrowNativeType> Buffers<T> {
    /// A buffer of `length` values, whatever they are: the smallest free one that is
    /// large enough and not twice as large, since tensors differ by orders of magnitude.
    pub(super) fn lend(&self, length: usize) -> Buffer<T> {
        let fitting = change(&self.0, |free| {
            let fits = |&at: &usize| (length..=2 * length).contains(&free[at].len());
            let best = (0..free.len()).filter(fits).min_by_key(|&at| free[at].len());
            best.map(|at| free.remove(at))
        });
        let values = fitting.unwrap_or_else(|| vec![T::default(); length]);
        Buffer { values, length, home: Arc::downgrade(&self.0) }
    }
}

fn change<T, R>(free: &Free<T>, change: impl FnOnce(&mut Vec<Vec<T>>) -> R) -> R {
    // No panic leaves the list half changed.
    change(&mut free.lock().unwrap_or_else(PoisonError::into_inner))
}

impl<T: ArrowNativeType> Buffer<T> {
    pub(super) fn as_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.length]
    }

    /// The same buffer, shared: it goes back with the last share of it.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl<T: ArrowNativeType> AsRef<[u8]> for Buffer<T> {
    fn as_ref(&self) -> &[u8] {
        self.values[..self.length].to_byte_slice()
    }
}

impl<T: ArrowNativeType> Drop for Buffer<T> {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let values = std::mem::take(&mut self.values);
        // The oldest, which nobody wanted since, make room.
        change(&home, |free| {
            free.push(values);
            let mut kept: usize = free.iter().map(|free| size_of_val(&free[..])).sum();
            while kept > KEPT_BYTES {
                kept -= size_of_val(&free.remove(0)[..]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_with_the_last_share_of_it() {
        let buffers = Buffers::<f32>::default();
        let mut buffer = buffers.lend(100);
        buffer.as_mut().fill(1.0);
        let place = buffer.as_ref().as_ptr();
        let bytes = buffer.into_bytes();
        let share = bytes.slice(4..8);
        drop(bytes);
        let other = buffers.lend(100);
        assert_ne!(other.as_ref().as_ptr(), place, "still in use");
        assert_eq!(share[..], 1.0_f32.to_le_bytes());
        drop(share);
        assert_eq!(buffers.lend(50).as_ref().as_ptr(), place);
        drop(other);
    }

    #[test]
    fn a_large_buffer_is_not_lent_for_a_few_values() {
        let buffers = Buffers::<f32>::default();
        drop([buffers.lend(1000), buffers.lend(150), buffers.lend(120)]);
        assert_eq!(buffers.lend(10).values.len(), 10);
        assert_eq!(buffers.lend(100).values.len(), 120);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::<u8>::default();
        let lent: Vec<_> = (0..3).map(|_| buffers.lend(KEPT_BYTES / 2)).collect();
        drop(lent);
        assert_eq!(change(&buffers.0, |free| free.len()), 2);
    }

    #[test]
    fn what_is_still_looked_at_keeps_nothing_else() {
        let buffers = Buffers::<f32>::default();
        let list = Arc::downgrade(&buffers.0);
        let share = buffers.lend(10).into_bytes();
        drop(buffers);
        assert!(list.upgrade().is_none());
        assert_eq!(share.len(), 40);
    }
}
