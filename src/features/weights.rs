//! `weights`.

use async_trait::async_trait;

use super::call::Call;
use super::set::{Column, FeatureSet, Frame, literal, quoted};
use super::slots::{Order, slots};
use crate::arch::Arch;
use crate::error::{Error, Result};
use crate::sql::Session;

/// The parameters as they are: one vector per tensor, in state-dict order.
pub(super) struct Weights;

#[async_trait]
impl FeatureSet for Weights {
    fn name(&self) -> &'static str {
        "weights"
    }

    fn about(&self) -> &'static str {
        "all parameters as they are, one vector per tensor, in state-dict order"
    }

    fn source(&self) -> &'static str {
        "W of Schürholt et al. 2022, arXiv 2209.14764, and Unterthiner et al. 2020, arXiv 2002.11448"
    }

    fn dimension(&self, arch: &Arch) -> Option<usize> {
        Some(arch.layout().num_params())
    }

    async fn frame(&self, _session: &Session, call: &Call) -> Result<Frame> {
        let [arch] = call.archs.as_slice() else {
            let message = "weights of several architectures have no common frame";
            let arch = call.archs.first().map_or("", Arch::name);
            return Err(Error::invalid(message).with_hint(format!(
                "name one, as in `weights({})`, or choose statistics, such as `hsg_quintiles_v1`",
                literal(arch)
            )));
        };
        let tensors = slots(&call.archs, Order::WeightFirst);
        let column = |name: String| Column { tensor: Some(name.clone()), name };
        let columns: Vec<Column> = tensors.into_iter().map(|slot| column(slot.name)).collect();
        let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
        let query =
            format!("SELECT model_id, epoch, {} FROM weights_{}", names.join(", "), arch.name());
        Ok(Frame { columns, query })
    }
}
