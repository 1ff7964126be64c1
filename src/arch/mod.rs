//! Architectures: a network as a list of layers, and the layout of its state that
//! follows from it.
//!
//! Owns what a network *is*: its layers, the names, shapes and offsets of its
//! tensors in state-dict order. Knows nothing of training or storage.

mod layer;
mod layout;
mod published;
mod resnet;

pub use layer::Layer;
pub use layout::{Layout, TensorKind, TensorSpec};
#[cfg(test)]
pub(crate) use published::conv;

use crate::error::{Error, Result};

/// A network architecture: input shape, layers, classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arch {
    name: &'static str,
    title: &'static str,
    input: [usize; 3],
    classes: usize,
    layers: Vec<Layer>,
    layout: Layout,
}

impl Arch {
    /// The architecture called `name`; an error lists those there are.
    ///
    /// ```
    /// let arch = zoolake::arch::Arch::by_name("cnn_s")?;
    /// assert_eq!(arch.layout().num_params(), 2464);
    /// assert_eq!(arch.layout().tensors()[0].name, "conv1.weight");
    /// # Ok::<(), zoolake::Error>(())
    /// ```
    pub fn by_name(name: &str) -> Result<Self> {
        published::all().iter().find(|arch| arch.name == name).cloned().ok_or_else(|| {
            let names: Vec<_> = published::all().iter().map(|arch| arch.name).collect();
            Error::not_allowed("arch", name, &names)
        })
    }

    /// Every architecture zoolake can train, smallest first.
    pub fn all() -> &'static [Self] {
        published::all()
    }

    /// A residual network small enough for tests; its name is not for specs.
    #[cfg(test)]
    pub(crate) fn narrow_resnet() -> Self {
        resnet::resnet("resnet_narrow", "", 8, [4, 6, 8, 10], 10)
    }

    /// A network of these layers.
    #[cfg(test)]
    pub(crate) fn of_layers(input: [usize; 3], classes: usize, layers: Vec<Layer>) -> Self {
        let layout = Layout::of(&layers);
        Self { name: "layers", title: "", input, classes, layers, layout }
    }

    /// The name used in specs, in the `arch` column and in table names.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// One line for people.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// Channels, height and width of an input image.
    pub fn input(&self) -> [usize; 3] {
        self.input
    }

    /// The number of logits.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Whether there is a logit for each of the `classes` of a data set.
    ///
    /// # Errors
    /// `Invalid` if there are fewer.
    pub fn check_classes(&self, dataset: &str, classes: usize) -> Result<()> {
        if classes <= self.classes {
            return Ok(());
        }
        let (name, known) = (self.name, self.classes);
        let message =
            format!("data set `{dataset}` has {classes} classes, and `{name}` tells {known} apart");
        let error = Error::invalid(message);
        Err(match Self::all().iter().find(|arch| arch.classes >= classes) {
            Some(other) => error.with_hint(format!("choose `{}`", other.name)),
            None => error,
        })
    }

    /// The layers in the order of the forward pass.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Tensor names, shapes and offsets.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
}
