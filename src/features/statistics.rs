//! Feature sets that are the same statistics of every tensor.

use async_trait::async_trait;

use super::call::Call;
use super::set::{Column, FeatureSet, Frame, quoted};
use super::slots::{Order, Slot, slots};
use crate::arch::Arch;
use crate::error::Result;
use crate::sql::Session;

/// A statistic: its name in the set, and the call that computes it, with `$` for
/// the vector.
pub(super) type Statistic = (&'static str, &'static str);

/// The same statistics of every tensor, tensor by tensor. Several architectures
/// have a common frame: the statistics of a tensor that a state lacks are 0.
#[derive(Debug)]
pub(super) struct TensorStatistics {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) source: &'static str,
    pub(super) order: Order,
    pub(super) statistics: &'static [Statistic],
}

#[async_trait]
impl FeatureSet for TensorStatistics {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn source(&self) -> &'static str {
        self.source
    }

    fn dimension(&self, arch: &Arch) -> Option<usize> {
        Some(slots(std::slice::from_ref(arch), self.order).len() * self.statistics.len())
    }

    async fn frame(&self, _session: &Session, call: &Call) -> Result<Frame> {
        let slots = slots(&call.archs, self.order);
        let columns = slots.iter().flat_map(|slot| {
            self.statistics.iter().map(|(label, _)| Column {
                name: column(slot, label),
                tensor: Some(slot.name.clone()),
            })
        });
        let selects: Vec<String> = call
            .archs
            .iter()
            .enumerate()
            .map(|(place, arch)| select(arch, place, &slots, self.statistics))
            .collect();
        Ok(Frame { columns: columns.collect(), query: selects.join(" UNION ALL ") })
    }
}

fn column(slot: &Slot, label: &str) -> String {
    format!("{}.{label}", slot.name)
}

/// The features of the states of `arch`, the architecture at `place` of the slots.
fn select(arch: &Arch, place: usize, slots: &[Slot], statistics: &[Statistic]) -> String {
    let mut features = String::new();
    for slot in slots {
        for (label, call) in statistics {
            let value = match &slot.tensors[place] {
                Some(tensor) => call.replace('$', &quoted(tensor)),
                None => "0.0".to_owned(),
            };
            features += &format!(", {value} AS {}", quoted(&column(slot, label)));
        }
    }
    format!("SELECT model_id, epoch{features} FROM weights_{}", arch.name())
}
