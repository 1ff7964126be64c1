//! `unterthiner_v1`.

use super::slots::Order;
use super::statistics::{Statistic, TensorStatistics};

/// Minimum, quartiles, maximum, deviation (`ddof=0`) and mean, in this order.
pub(super) const SEVEN: [Statistic; 7] = [
    ("min", "vector_min($)"),
    ("q25", "vector_quantile($, 0.25)"),
    ("median", "vector_quantile($, 0.5)"),
    ("q75", "vector_quantile($, 0.75)"),
    ("max", "vector_max($)"),
    ("std", "vector_stddev($)"),
    ("mean", "vector_mean($)"),
];

/// The bias comes before the weight, as it does in the files of the Small CNN Zoo.
pub(super) const SET: TensorStatistics = TensorStatistics {
    name: "unterthiner_v1",
    about: "min, quartiles, max, standard deviation (ddof 0) and mean of each tensor, bias before weight",
    source: "Unterthiner et al. 2020, arXiv 2002.11448; google-research/dnn_predict_accuracy",
    order: Order::BiasFirst,
    statistics: &SEVEN,
};
