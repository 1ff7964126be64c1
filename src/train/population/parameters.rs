//! How the parameters of a population lie in one tensor: tensor by tensor of the
//! layout, and in each the members one after another. A layer's parameters are
//! then a view, and an update is a few operations on all of them at once.

use candle_core::{Device, Result, Tensor};

use crate::arch::{Layout, TensorSpec};

/// The places of the parameters of `members` networks with one `layout`.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    pub(super) layout: &'a Layout,
    pub(super) members: usize,
}

impl Places<'_> {
    /// The values of each member, in layout order, as they lie in the tensor.
    pub(super) fn pack(&self, values: &[Vec<f32>]) -> Vec<f32> {
        let tensors = self.layout.tensors().iter();
        let parts = tensors.flat_map(|tensor| values.iter().map(|values| &values[tensor.range()]));
        parts.flatten().copied().collect()
    }

    /// The reverse of [`Self::pack`].
    pub(super) fn unpack(&self, packed: &[f32]) -> Vec<Vec<f32>> {
        let mut members = vec![Vec::with_capacity(self.layout.size()); self.members];
        let mut rest = packed;
        for tensor in self.layout.tensors() {
            for member in &mut members {
                let (values, after) = rest.split_at(tensor.size);
                member.extend_from_slice(values);
                rest = after;
            }
        }
        members
    }

    /// One value of each member, beside every parameter of it; zero beside what is
    /// followed, not trained.
    pub(super) fn spread(&self, values: &[f64], device: &Device) -> Result<Tensor> {
        let tensors = self.layout.tensors().iter();
        let parts = tensors.flat_map(|tensor| {
            let factor = if tensor.kind.is_parameter() { 1.0 } else { 0.0 };
            values.iter().map(move |value| vec![factor * value; tensor.size])
        });
        Tensor::new(parts.flatten().collect::<Vec<f64>>(), device)
    }

    /// The tensors of the layout, each `[members, …]`.
    pub(super) fn views(&self, packed: &Tensor) -> Result<Vec<Tensor>> {
        let view = |tensor: &TensorSpec| {
            let (start, size) = (self.members * tensor.offset, self.members * tensor.size);
            let shape = [&[self.members], tensor.shape.as_slice()].concat();
            packed.narrow(0, start, size)?.reshape(shape)
        };
        self.layout.tensors().iter().map(view).collect()
    }

    /// Tensors by position in the layout as one; where there is none, what `other`
    /// makes of the one in `packed`.
    pub(super) fn join(
        &self,
        tensors: Vec<Option<Tensor>>,
        other: impl Fn(&Tensor) -> Result<Tensor>,
        packed: &Tensor,
    ) -> Result<Tensor> {
        let views = self.views(packed)?;
        let parts = tensors.into_iter().zip(&views).map(|(tensor, view)| match tensor {
            Some(tensor) => tensor.flatten_all(),
            None => other(view)?.flatten_all(),
        });
        Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)
    }
}
