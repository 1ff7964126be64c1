//! What training images go through on their way into a batch.
//!
//! Owns which augmentations there are. They are applied where batches are made.

/// A random change of training images, drawn anew whenever an image is used.
/// Where the changed image has no pixels it is black, that is
/// [`Dataset::black`](super::Dataset::black) after normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Augment {
    /// Framed by `pad` black pixels, cut back to its size at a random place,
    /// mirrored left to right with probability 1/2: torchvision's
    /// `RandomCrop(size, padding=pad)`, then `RandomHorizontalFlip()`.
    CropFlip {
        /// Width of the frame, in pixels.
        pad: usize,
    },
    /// Mirrored left to right with probability 1/2, then turned about its centre
    /// by an angle uniform in [-`degrees`, `degrees`], taking the nearest pixel:
    /// torchvision's `RandomHorizontalFlip()`, then `RandomRotation(degrees)`.
    FlipRotate {
        /// The largest angle, in degrees.
        degrees: f32,
    },
}
