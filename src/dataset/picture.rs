//! One image in a file of its own: JPEG or PNG.
//!
//! Owns decoding to bytes per channel. Knows nothing of data sets.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_png::PngDecoder;

use crate::error::{Error, Result};

/// A decoded image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// Channels (1 or 3), height and width.
    pub(super) shape: [usize; 3],
    /// In the order of `shape`.
    pub(super) pixels: Vec<u8>,
}

impl Picture {
    /// The image in `file`, the contents of the file that errors call `name`.
    pub(super) fn decode(file: &[u8], name: &str) -> Result<Self> {
        match file {
            [0xff, 0xd8, ..] => jpeg(file, name),
            [0x89, b'P', b'N', b'G', ..] => png(file, name),
            _ => Err(Error::corrupt(format!("`{name}`: neither JPEG nor PNG"))
                .with_hint("images are told by their first bytes, not by their names")),
        }
    }

    /// The same in three channels.
    pub(super) fn in_colour(mut self) -> Self {
        if self.shape[0] == 1 {
            self.shape[0] = 3;
            self.pixels = self.pixels.repeat(3);
        }
        self
    }
}

fn jpeg(file: &[u8], name: &str) -> Result<Picture> {
    // Strict: a file that is cut off must not become a grey lower half.
    let options = DecoderOptions::default().set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().map_err(|error| damaged(name, &error))?;
    let channels = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => 1,
        Some(ColorSpace::YCbCr | ColorSpace::RGB) => 3,
        _ => return Err(unsupported(name, "neither grey nor RGB")),
    };
    let out = if channels == 1 { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(out));
    let pixels = decoder.decode().map_err(|error| damaged(name, &error))?;
    let size = decoder.info().map(|info| [info.height.into(), info.width.into()]);
    planar(&pixels, channels, size.unwrap_or_default(), name)
}

fn png(file: &[u8], name: &str) -> Result<Picture> {
    let options = DecoderOptions::default().set_strict_mode(true).png_set_confirm_crc(true);
    let mut decoder = PngDecoder::new_with_options(ZCursor::new(file), options);
    let pixels = decoder.decode().map_err(|error| damaged(name, &error))?;
    let Some(pixels) = pixels.u8() else {
        return Err(unsupported(name, "more than eight bits per channel"));
    };
    let channels = match decoder.colorspace() {
        Some(ColorSpace::Luma) => 1,
        Some(ColorSpace::RGB) => 3,
        _ => return Err(unsupported(name, "neither grey nor RGB, or not opaque")),
    };
    let [width, height] = decoder.dimensions().map(<[usize; 2]>::from).unwrap_or_default();
    planar(&pixels, channels, [height, width], name)
}

/// Pixels whose channels stand together, as planes.
fn planar(
    interleaved: &[u8],
    channels: usize,
    [height, width]: [usize; 2],
    name: &str,
) -> Result<Picture> {
    if interleaved.len() != channels * height * width || interleaved.is_empty() {
        return Err(damaged(name, &format!("`{}` bytes of pixels", interleaved.len())));
    }
    let plane = |channel| interleaved[channel..].iter().step_by(channels).copied();
    let pixels = (0..channels).flat_map(plane).collect();
    Ok(Picture { shape: [channels, height, width], pixels })
}

fn damaged(name: &str, reason: &dyn std::fmt::Debug) -> Error {
    let reason = format!("{reason:?}").replace(['\n', '`'], " ");
    Error::corrupt(format!("`{name}`: damaged image: {reason}"))
        .with_hint("the file is damaged or incomplete: replace it")
}

fn unsupported(name: &str, what: &str) -> Error {
    Error::invalid(format!("`{name}`: {what}"))
        .with_hint("images are JPEG or PNG, grey or RGB, with 8 bits per channel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const PICTURES: &str = include_str!("../../tests/fixtures/dataset/pictures.json");

    fn file(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dataset");
        std::fs::read(folder.join(name)).unwrap()
    }

    #[test]
    fn decodes_as_pillow_does() {
        let fixture: serde_json::Value = serde_json::from_str(PICTURES).unwrap();
        let files = fixture.as_object().unwrap();
        assert_eq!(files.len(), 6);
        for (name, expected) in files {
            let picture = Picture::decode(&file(name), name).unwrap();
            let shape: [usize; 3] = serde_json::from_value(expected["shape"].clone()).unwrap();
            let pixels: Vec<u8> = serde_json::from_value(expected["pixels"].clone()).unwrap();
            assert_eq!((picture.shape, picture.pixels.len()), (shape, pixels.len()), "{name}");
            let off = picture.pixels.iter().zip(&pixels).map(|(a, b)| a.abs_diff(*b));
            let (worst, sum) =
                off.fold((0, 0_u32), |(worst, sum), off| (worst.max(off), sum + u32::from(off)));
            eprintln!("{name}: worst {worst}, sum {sum} of {}", pixels.len());
            // JPEG leaves rounding of its inverse transform to the decoder.
            assert!(worst <= if name.ends_with("jpg") { 3 } else { 0 }, "{name}: off by {worst}");
        }
    }

    #[test]
    fn what_is_no_grey_or_colour_image_is_refused() {
        for (name, what) in [
            ("cmyk.jpg", "neither grey nor RGB"),
            ("alpha.png", "neither grey nor RGB, or not opaque"),
            ("deep.png", "more than eight bits per channel"),
        ] {
            let error = Picture::decode(&file(name), name).unwrap_err();
            assert_eq!(error.to_string(), format!("`{name}`: {what}"));
        }
        let error = Picture::decode(b"GIF89a", "f").unwrap_err();
        assert_eq!(error.to_string(), "`f`: neither JPEG nor PNG");
        assert!(Picture::decode(b"", "f").is_err());
    }

    #[test]
    fn truncated_images_are_refused() {
        for name in ["colour.jpg", "grey.jpg", "colour.png", "grey.png"] {
            let file = file(name);
            for len in [4, 50, file.len() / 2, file.len() - 30] {
                let error = Picture::decode(&file[..len], name).unwrap_err();
                assert!(error.to_string().starts_with(&format!("`{name}`: damaged image: ")));
                assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
