//! Pixels from JPEG and PNG.

use std::io::Cursor;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{
    Decoded, Depth, FileFormat, MAX_PIXELS, PictureError, Pixels, Samples, Shape, check_size,
};

const JPEG: &[u8] = &[0xff, 0xd8, 0xff];
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The longest side, in pixels; both formats can claim more.
const MAX_SIDE: usize = 1 << 16;

/// What the picture in this file looks like, by its header.
pub(crate) fn probe(file: &[u8]) -> Result<Shape, PictureError> {
    match format(file)? {
        FileFormat::Jpeg => jpeg_shape(&jpeg_decoder(file)?),
        FileFormat::Png => Ok(png_shape(&png_reader(file)?)?.0),
    }
}

/// The pixels of the picture in this file.
pub(crate) fn decode(file: &[u8]) -> Result<Decoded, PictureError> {
    match format(file)? {
        FileFormat::Jpeg => decode_jpeg(file),
        FileFormat::Png => decode_png(file),
    }
}

fn format(file: &[u8]) -> Result<FileFormat, PictureError> {
    if file.starts_with(JPEG) {
        return Ok(FileFormat::Jpeg);
    }
    if file.starts_with(PNG) {
        return Ok(FileFormat::Png);
    }
    let start = file.get(..file.len().min(8)).unwrap_or_default();
    Err(PictureError::Unknown(format!("{:?}", start.escape_ascii().to_string())))
}

/// A decoder that has read the headers.
fn jpeg_decoder(file: &[u8]) -> Result<JpegDecoder<ZCursor<&[u8]>>, PictureError> {
    let wrong = |error| PictureError::Jpeg(format!("{error:?}"));
    let options = DecoderOptions::default()
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        // Otherwise the rest of a cut file would be gray, and nobody would know.
        .set_strict_mode(true);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().map_err(wrong)?;
    let channels = if decoder.input_colorspace() == Some(ColorSpace::Luma) {
        ColorSpace::Luma
    } else {
        ColorSpace::RGB
    };
    decoder.set_options(options.jpeg_set_out_colorspace(channels));
    Ok(decoder)
}

fn jpeg_shape(decoder: &JpegDecoder<ZCursor<&[u8]>>) -> Result<Shape, PictureError> {
    let no_size = || PictureError::Jpeg("its header has no size".to_owned());
    let (width, height) = decoder.dimensions().ok_or_else(no_size)?;
    let channels = if decoder.input_colorspace() == Some(ColorSpace::Luma) { 1 } else { 3 };
    let side = |side: usize| u32::try_from(side).map_err(|_| no_size());
    Shape { height: side(height)?, width: side(width)?, channels, depth: Depth::Eight }.check()
}

fn decode_jpeg(file: &[u8]) -> Result<Decoded, PictureError> {
    let mut decoder = jpeg_decoder(file)?;
    let shape = jpeg_shape(&decoder)?;
    // What others show of other colours, such as CMYK, depends on the reader.
    let is_plain = matches!(
        decoder.input_colorspace(),
        Some(ColorSpace::Luma | ColorSpace::YCbCr | ColorSpace::RGB)
    );
    let samples = decoder.decode().map_err(|error| PictureError::Jpeg(format!("{error:?}")))?;
    let expected = shape.width as usize * shape.height as usize * usize::from(shape.channels);
    if samples.len() != expected {
        let message = format!("{} samples in place of {expected}", samples.len());
        return Err(PictureError::Jpeg(message));
    }
    let pixels = Pixels { shape, samples: Samples::Eight(samples) };
    Ok(Decoded { pixels, format: FileFormat::Jpeg, is_plain })
}

fn png_reader(file: &[u8]) -> Result<png::Reader<Cursor<&[u8]>>, PictureError> {
    let limits = png::Limits { bytes: MAX_PIXELS as usize * 4 };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(file), limits);
    // Palettes become colours, and grays of fewer bits 8.
    decoder.set_transformations(png::Transformations::EXPAND);
    let info = decoder.read_header_info()?;
    check_size(u64::from(info.width), u64::from(info.height))?;
    Ok(decoder.read_info()?)
}

/// The shape, and how many channels the decoder gives, with alpha.
fn png_shape(reader: &png::Reader<Cursor<&[u8]>>) -> Result<(Shape, usize), PictureError> {
    let (color, bits) = reader.output_color_type();
    let depth = if bits == png::BitDepth::Sixteen { Depth::Sixteen } else { Depth::Eight };
    let channels = if color.samples() >= 3 { 3 } else { 1 };
    if (channels, depth) == (3, Depth::Sixteen) {
        return Err(PictureError::DeepColors);
    }
    let (height, width) = (reader.info().height, reader.info().width);
    Ok((Shape { height, width, channels, depth }.check()?, color.samples()))
}

fn decode_png(file: &[u8]) -> Result<Decoded, PictureError> {
    let mut reader = png_reader(file)?;
    let (shape, found_channels) = png_shape(&reader)?;
    let info = reader.info();
    let is_plain = found_channels == usize::from(shape.channels)
        && info.color_type != png::ColorType::Indexed
        && matches!(info.bit_depth, png::BitDepth::Eight | png::BitDepth::Sixteen);
    let too_large =
        PictureError::TooLarge { width: shape.width.into(), height: shape.height.into() };
    let mut bytes = vec![0; reader.output_buffer_size().ok_or(too_large)?];
    reader.next_frame(&mut bytes)?;
    // Reads to the end, with its checksum.
    reader.finish()?;
    let channels = usize::from(shape.channels);
    let samples = match shape.depth {
        Depth::Sixteen => {
            let samples = bytes.as_chunks::<2>().0.iter().map(|sample| u16::from_be_bytes(*sample));
            Samples::Sixteen(samples.step_by(found_channels).collect())
        }
        Depth::Eight if found_channels == channels => Samples::Eight(bytes),
        Depth::Eight => {
            let pixels = bytes.chunks_exact(found_channels);
            Samples::Eight(pixels.flat_map(|pixel| &pixel[..channels]).copied().collect())
        }
    };
    Ok(Decoded { pixels: Pixels { shape, samples }, format: FileFormat::Png, is_plain })
}
