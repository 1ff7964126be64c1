//! `hsg_quintiles_v1`, and without biases `hsg_quintiles_weights_v1`.

use super::slots::Order;
use super::statistics::{Statistic, TensorStatistics};

const STATISTICS: [Statistic; 7] = [
    ("mean", "vector_mean($)"),
    ("var", "vector_var($)"),
    ("p1", "vector_quantile($, 0.01)"),
    ("p25", "vector_quantile($, 0.25)"),
    ("p50", "vector_quantile($, 0.5)"),
    ("p75", "vector_quantile($, 0.75)"),
    ("p99", "vector_quantile($, 0.99)"),
];

/// s(W) of the zoo paper.
pub(super) const SET: TensorStatistics = TensorStatistics {
    name: "hsg_quintiles_v1",
    about: "mean, variance (ddof 0) and percentiles 1, 25, 50, 75, 99 of each tensor, weight before bias",
    source: "Schürholt et al. 2022, Model Zoos, arXiv 2209.14764, s(W) with use_bias=True",
    order: Order::WeightFirst,
    statistics: &STATISTICS,
};

/// s(W) of the paper before.
pub(super) const WEIGHTS_ONLY: TensorStatistics = TensorStatistics {
    name: "hsg_quintiles_weights_v1",
    about: "the same of weights only, without biases",
    source: "Schürholt et al. 2021, arXiv 2110.15288, s(W) with use_bias=False",
    order: Order::NoBias,
    statistics: &STATISTICS,
};
