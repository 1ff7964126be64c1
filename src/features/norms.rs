//! `norms_v1`.

use super::slots::Order;
use super::statistics::TensorStatistics;

/// How the paper grouped tensors was not published; here each has its own norms.
pub(super) const SET: TensorStatistics = TensorStatistics {
    name: "norms_v1",
    about: "L1 and L2 norm of each tensor, weight before bias",
    source: "Unterthiner et al. 2020, arXiv 2002.11448, wnorm-l1 and wnorm-l2",
    order: Order::WeightFirst,
    statistics: &[("l1", "vector_l1_norm($)"), ("l2", "vector_l2_norm($)")],
};
