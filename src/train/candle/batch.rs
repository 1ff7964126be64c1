//! A batch of images and their labels, gathered from a split.

use candle_core::{DType, Device, Tensor};

use super::failed;
use crate::dataset::Split;
use crate::error::Result;
use crate::train::Change;

/// How the images of a batch are augmented.
pub(super) struct Changes<'a> {
    /// One per image.
    pub(super) of_images: Vec<Change>,
    /// What a black pixel is, per channel.
    pub(super) black: &'a [f32],
}

/// Images `[C, N, H, W]`, channels outermost as the convolutions want them, and
/// one label each.
pub(super) struct Batch {
    pub(super) images: Tensor,
    pub(super) labels: Vec<u32>,
}

impl Batch {
    /// The images of `split` at `indices`, each of `shape` (channels, height,
    /// width); each one goes through its change, if there are `changes`.
    pub(super) fn gather(
        split: &Split,
        shape: [usize; 3],
        indices: &[u32],
        changes: Option<&Changes<'_>>,
        dtype: DType,
    ) -> Result<Self> {
        let [channels, height, width] = shape;
        let plane = height * width;
        let mut images = Vec::with_capacity(channels * indices.len() * plane);
        for channel in 0..channels {
            for (at, index) in indices.iter().enumerate() {
                let start = (*index as usize * channels + channel) * plane;
                let pixels = split.images.get(start..start + plane);
                let pixels = pixels.ok_or_else(|| split.no_image(*index))?;
                match changes {
                    Some(Changes { of_images, black }) => {
                        of_images[at].append(pixels, width, black[channel], &mut images);
                    }
                    None => images.extend_from_slice(pixels),
                }
            }
        }
        let labels = indices.iter().map(|index| split.label(*index)).collect::<Result<_>>()?;
        let images =
            Tensor::from_vec(images, (channels, indices.len(), height, width), &Device::Cpu)
                .and_then(|images| images.to_dtype(dtype))
                .map_err(failed("gathering a batch"))?;
        Ok(Self { images, labels })
    }
}
