//! Images on the device, and the batches that are taken from them.

use candle_core::{DType, Device, Result, Tensor};

use crate::arch::Arch;
use crate::dataset::Split;

/// The images and labels of a split, on the device.
#[derive(Clone)]
pub(super) struct Images {
    /// `[images, channels * positions]`.
    pixels: Tensor,
    /// Of each image, for each class, whether it is the label's and whether it
    /// stands before it: `[images, 2 * classes]`.
    labels: Tensor,
    channels: usize,
    classes: usize,
}

/// As many images for each member, and their labels.
pub(super) struct Batch {
    /// `[M, C, S, N]`.
    pub(super) images: Tensor,
    /// Labels of the images.
    pub(super) labels: Labels,
}

/// Labels in the form that sums over classes want, both `u8` `[M, classes, N]`.
pub(super) struct Labels {
    /// 1 for the class of the label.
    pub(super) hot: Tensor,
    /// 1 for the classes before it.
    pub(super) before: Tensor,
}

impl Images {
    /// Uploads `split`, whose images networks of `arch` take and whose labels they tell.
    pub(super) fn upload(
        split: &Split,
        arch: &Arch,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let (channels, classes) = (arch.input()[0], arch.classes());
        let (images, size) = (split.len(), split.images.len() / split.len().max(1));
        let pixels = Tensor::from_slice(&split.images, (images, size), device)?.to_dtype(dtype)?;
        let mut labels = Vec::with_capacity(images * 2 * classes);
        for label in &split.labels {
            labels.extend((0..classes).map(|class| u8::from(class == *label as usize)));
            labels.extend((0..classes).map(|class| u8::from(class < *label as usize)));
        }
        let labels = Tensor::from_vec(labels, (images, 2 * classes), device)?;
        Ok(Self { pixels, labels, channels, classes })
    }

    /// The images with the numbers `ids`, `[M * N]`, those of the first of
    /// `members` first; or what became of them, `changed`, a row each.
    pub(super) fn batch(
        &self,
        ids: &Tensor,
        members: usize,
        changed: Option<Tensor>,
    ) -> Result<Batch> {
        let images = ids.elem_count() / members;
        let innermost =
            |rows: Tensor| rows.reshape((members, images, ()))?.transpose(1, 2)?.contiguous();
        let labels = innermost(self.labels.index_select(ids, 0)?)?;
        let half = |first| labels.narrow(1, first, self.classes)?.contiguous();
        let pixels = match changed {
            Some(rows) => rows,
            None => self.pixels.index_select(ids, 0)?,
        };
        Ok(Batch {
            images: innermost(pixels)?.reshape((members, self.channels, (), images))?,
            labels: Labels { hot: half(0)?, before: half(self.classes)? },
        })
    }
}
