//! `trajectory_v1`.

use async_trait::async_trait;

use super::call::Call;
use super::set::{FeatureSet, Frame};
use super::vector;
use crate::arch::Arch;
use crate::error::Result;
use crate::sql::Session;

/// Where a state lies on the path of its model through weight space, as the stored
/// states show it. With w(t) all parameters at the t-th stored state, s(t) = w(t) −
/// w(t−1), and |·| the L2 norm:
///
/// * `start_distance` |w(t) − w(0)|,
/// * `step_length` |s(t)|,
/// * `path_length` Σ |s(i)| for 0 < i ≤ t,
/// * `straightness` `start_distance` / `path_length`: 1 on a straight line,
/// * `turning_angle` the angle θ(t) between s(t−1) and s(t) in radians,
/// * `curvature` θ(t) / ((|s(t−1)| + |s(t)|) / 2), the discrete curvature at w(t−1).
///
/// What needs a state that is not there is NULL: all but `start_distance` and
/// `path_length`, which are 0, of the first state, and the last two of the second.
pub(super) struct Trajectory;

const COLUMNS: [&str; 6] =
    ["start_distance", "step_length", "path_length", "straightness", "turning_angle", "curvature"];

#[async_trait]
impl FeatureSet for Trajectory {
    fn name(&self) -> &'static str {
        "trajectory_v1"
    }

    fn about(&self) -> &'static str {
        "the path through weight space up to the state: distance from its start, steps, length, curvature"
    }

    fn source(&self) -> &'static str {
        "zoolake; distance from initialisation as in Nagarajan & Kolter 2019, arXiv 1901.01672"
    }

    fn dimension(&self, _arch: &Arch) -> Option<usize> {
        Some(COLUMNS.len())
    }

    async fn frame(&self, _session: &Session, call: &Call) -> Result<Frame> {
        let query = vector::union(call, |vector, table| {
            format!(
                "SELECT model_id, epoch, start_distance, step_length, path_length, \
                 start_distance / nullif(path_length, 0.0) AS straightness, turning_angle, \
                 2.0 * turning_angle / (step_length + lag(step_length) OVER path) AS curvature \
                 FROM (SELECT *, coalesce(sum(step_length) OVER path, 0.0) AS path_length FROM ( \
                 SELECT model_id, epoch, \
                 vector_start_distance({vector}) OVER path AS start_distance, \
                 vector_step_distance({vector}) OVER path AS step_length, \
                 vector_turning_angle({vector}) OVER path AS turning_angle \
                 FROM {table} WINDOW path AS (PARTITION BY model_id ORDER BY epoch)) \
                 WINDOW path AS (PARTITION BY model_id ORDER BY epoch)) \
                 WINDOW path AS (PARTITION BY model_id ORDER BY epoch)"
            )
        });
        Ok(Frame::of_models(COLUMNS, query))
    }
}
