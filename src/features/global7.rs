//! `global7_v1`.

use async_trait::async_trait;

use super::call::Call;
use super::set::{FeatureSet, Frame};
use super::unterthiner::SEVEN;
use super::vector;
use crate::arch::Arch;
use crate::error::Result;
use crate::sql::Session;

/// The seven statistics of `unterthiner_v1`, of all parameters together.
pub(super) struct Global7;

#[async_trait]
impl FeatureSet for Global7 {
    fn name(&self) -> &'static str {
        "global7_v1"
    }

    fn about(&self) -> &'static str {
        "the statistics of unterthiner_v1, of all parameters together"
    }

    fn source(&self) -> &'static str {
        "Unterthiner et al. 2020, arXiv 2002.11448, wstats-glob"
    }

    fn dimension(&self, _arch: &Arch) -> Option<usize> {
        Some(SEVEN.len())
    }

    async fn frame(&self, _session: &Session, call: &Call) -> Result<Frame> {
        let query = vector::union(call, |vector, table| {
            let features =
                SEVEN.map(|(label, call)| format!("{} AS {label}", call.replace('$', "w")));
            format!(
                "SELECT model_id, epoch, {} FROM (SELECT model_id, epoch, {vector} AS w FROM {table})",
                features.join(", ")
            )
        });
        Ok(Frame::of_models(SEVEN.map(|(label, _)| label), query))
    }
}
