//! Memory for what an operation needs on its way: kept by the thread, since fresh
//! memory costs about as much as the arithmetic on it.

use super::element::Element;
use super::tile::WIDTH;

/// Values side by side.
pub(super) type Lanes<T> = [T; WIDTH];

/// Bytes of a cache line, where lanes of `f32` begin.
const LINE: usize = 64;

/// Runs `work` with memory for as many lanes as `counts` says. What is in them is
/// left from before.
pub(super) fn with_workspace<T: Element, const N: usize>(
    counts: [usize; N],
    work: impl FnOnce([&mut [Lanes<T>]; N]),
) {
    let mut memory = T::workspace().take();
    let size = counts.iter().sum::<usize>() * WIDTH + LINE;
    if memory.len() < size {
        memory = vec![T::zero(); size];
    }
    let first = memory.as_ptr().align_offset(LINE).min(LINE);
    let (mut rest, _) = memory[first..].as_chunks_mut::<WIDTH>();
    work(counts.map(|count| rest.split_off_mut(..count).unwrap_or_default()));
    T::workspace().set(memory);
}
