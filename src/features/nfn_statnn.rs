//! `nfn_statnn_v1`.

use super::slots::Order;
use super::statistics::TensorStatistics;

/// The variance is that of a sample, as `torch.var` has it: NULL for a tensor of
/// one value, of which PyTorch says NaN.
pub(super) const SET: TensorStatistics = TensorStatistics {
    name: "nfn_statnn_v1",
    about: "mean, variance (ddof 1), min, quartiles and max of each tensor, weight before bias",
    source: "Zhou et al. 2023, arXiv 2302.14040, the baseline StatNN; AllanYangZhou/nfn",
    order: Order::WeightFirst,
    statistics: &[
        ("mean", "vector_mean($)"),
        ("var", "vector_var_samp($)"),
        ("q0", "vector_min($)"),
        ("q25", "vector_quantile($, 0.25)"),
        ("q50", "vector_quantile($, 0.5)"),
        ("q75", "vector_quantile($, 0.75)"),
        ("q100", "vector_max($)"),
    ],
};
