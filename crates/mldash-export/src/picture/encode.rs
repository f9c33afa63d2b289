//! JPEG and PNG from pixels: each picture stays in the format that it was recorded in, so that depth stays exact.

use super::{FileFormat, PictureError, Pixels, Samples, Shape};

/// The quality of a JPEG that has to be encoded again: what is lost is far less than the camera's JPEG lost before.
const JPEG_QUALITY: u8 = 95;

/// The file of a picture.
pub(crate) fn encode(pixels: &Pixels, format: FileFormat) -> Result<Vec<u8>, PictureError> {
    let wrong = |error: &dyn std::error::Error| PictureError::Encode(error.to_string());
    match (format, &pixels.samples) {
        (FileFormat::Jpeg, Samples::Eight(bytes)) => encode_jpeg(pixels.shape, bytes, JPEG_QUALITY),
        _ => encode_png(pixels).map_err(|error| wrong(&error)),
    }
}

/// A JPEG of samples of 8 bits; the quality goes up to 100.
pub(super) fn encode_jpeg(
    shape: Shape,
    bytes: &[u8],
    quality: u8,
) -> Result<Vec<u8>, PictureError> {
    let side = |side: u32| {
        u16::try_from(side).map_err(|_| PictureError::Encode(format!("{shape} is no JPEG")))
    };
    let color = match shape.channels {
        1 => jpeg_encoder::ColorType::Luma,
        _ => jpeg_encoder::ColorType::Rgb,
    };
    let mut file = Vec::with_capacity(bytes.len() / 4);
    jpeg_encoder::Encoder::new(&mut file, quality)
        .encode(bytes, side(shape.width)?, side(shape.height)?, color)
        .map_err(|error| PictureError::Encode(error.to_string()))?;
    Ok(file)
}

fn encode_png(pixels: &Pixels) -> Result<Vec<u8>, png::EncodingError> {
    let shape = pixels.shape;
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, shape.width, shape.height);
    encoder.set_color(match shape.channels {
        1 => png::ColorType::Grayscale,
        _ => png::ColorType::Rgb,
    });
    encoder.set_compression(png::Compression::Fast);
    let big_endian;
    let bytes = match &pixels.samples {
        Samples::Eight(bytes) => bytes,
        Samples::Sixteen(samples) => {
            encoder.set_depth(png::BitDepth::Sixteen);
            big_endian = samples.iter().flat_map(|sample| sample.to_be_bytes()).collect();
            &big_endian
        }
    };
    let mut writer = encoder.write_header()?;
    writer.write_image_data(bytes)?;
    writer.finish()?;
    Ok(file)
}
