//! Images as they were read, before any transform.
//!
//! Owns their layout in memory. Knows neither files nor what the labels mean.

/// Images of one size, one byte per pixel and channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Images {
    /// Number of images.
    pub(super) count: usize,
    /// Channels, height and width of an image.
    pub(super) shape: [usize; 3],
    /// `[count, channels, height, width]` in C order.
    pub(super) pixels: Vec<u8>,
}

impl Images {
    /// No images yet, of `shape`.
    pub(super) fn none(shape: [usize; 3]) -> Self {
        Self { count: 0, shape, pixels: Vec::new() }
    }

    /// `count` images whose planes are stored column by column.
    pub(super) fn from_columns(pixels: &[u8], count: usize, shape: [usize; 3]) -> Self {
        let [_, height, width] = shape;
        let mut by_rows = Vec::with_capacity(pixels.len());
        for plane in pixels.chunks_exact(height * width) {
            for row in 0..height {
                by_rows.extend(plane[row..].iter().step_by(height));
            }
        }
        Self { count, shape, pixels: by_rows }
    }

    /// The pixels of image number `index`, which is below `count`.
    pub(super) fn image(&self, index: usize) -> &[u8] {
        let size = self.shape.iter().product::<usize>();
        &self.pixels[index * size..(index + 1) * size]
    }
}

/// Images and their labels, as one part of a data set's files has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Labelled {
    /// The images.
    pub(super) images: Images,
    /// One label per image.
    pub(super) labels: Vec<u32>,
}

impl Labelled {
    /// No images yet, of `shape`.
    pub(super) fn none(shape: [usize; 3]) -> Self {
        Self { images: Images::none(shape), labels: Vec::new() }
    }

    /// Adds images and labels, which are as many.
    pub(super) fn append(&mut self, mut more: Self) {
        self.images.count += more.images.count;
        self.images.pixels.append(&mut more.images.pixels);
        self.labels.append(&mut more.labels);
    }
}
