//! What an optimiser remembers.

/// What an optimiser remembers between two steps. With the weights it is all that
/// a network needs to go on as if it had never stopped.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// Updates made so far: the bias correction of Adam and schedules depend on it.
    pub steps: u64,
    /// Adam: the running means of the gradient and of its square; SGD: the
    /// velocity. Each flattened in layout order.
    pub moments: Vec<Vec<f32>>,
}
