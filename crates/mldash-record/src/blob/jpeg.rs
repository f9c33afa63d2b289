//! JPEG.

use super::error::BlobError;

pub(super) const EXTENSION: &str = "jpg";

/// Width and height, if a JPEG can be as large.
pub(super) fn size(width: usize, height: usize) -> Option<(u16, u16)> {
    Some((u16::try_from(width).ok()?, u16::try_from(height).ok()?))
}

/// A JPEG of rows without gaps.
pub(super) fn encode(
    rows: &[u8],
    (width, height): (u16, u16),
    colors: jpeg_encoder::ColorType,
    quality: u8,
) -> Result<Vec<u8>, BlobError> {
    let mut file = Vec::with_capacity(rows.len() / 4);
    jpeg_encoder::Encoder::new(&mut file, quality).encode(rows, width, height, colors)?;
    Ok(file)
}
