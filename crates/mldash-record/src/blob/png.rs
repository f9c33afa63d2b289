//! PNG, written fast: the recorder has to keep up with cameras.

use super::error::BlobError;
use super::pixels::{Meaning, Pixels, Sample};

pub(super) const EXTENSION: &str = "png";

/// A PNG of rows without gaps, red first, the high byte of 16 bits first.
pub(super) fn encode(
    rows: &[u8],
    width: usize,
    height: usize,
    pixels: Pixels,
) -> Result<Vec<u8>, BlobError> {
    let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(rows.len() / 2);
    let mut encoder = png::Encoder::new(&mut file, size(width), size(height));
    encoder.set_color(match pixels.meaning {
        Meaning::Rgb | Meaning::Bgr => png::ColorType::Rgb,
        Meaning::Rgba | Meaning::Bgra => png::ColorType::Rgba,
        _ => png::ColorType::Grayscale,
    });
    encoder.set_depth(match pixels.sample {
        Sample::U16 => png::BitDepth::Sixteen,
        _ => png::BitDepth::Eight,
    });
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rows)?;
    writer.finish()?;
    Ok(file)
}
