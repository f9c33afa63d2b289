//! Converts pixels to PNG, JPEG or npy.
//!
//! Data that must stay exact stays exact: depth, masks and mosaics become PNG whatever the mapping
//! says about colours. Numbers that PNG can't hold (32FC1 and similar, including NaN) become npy:
//! numpy reads it with one call, and no float is lost or scaled.

use std::borrow::Cow;

use super::error::BlobError;
use super::pixels::{Meaning, Pixels, Sample};
use super::{Encoded, npy, number, text, truth, yuv};
use mldash_track::Fields;
use mldash_track::fields;

/// The file format of pictures that come as pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageFormat {
    /// JPEG for 8-bit colours without alpha, PNG for everything else.
    #[default]
    Auto,
    /// PNG: exact, except for yuv422, whose colours are converted.
    Png,
    /// JPEG for 8-bit colours and grays. PNG for depth, masks and mosaics, which JPEG would ruin.
    Jpeg,
}

/// The quality of JPEG, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality(u8);

/// The pixels of a `sensor_msgs/msg/Image`.
#[derive(Clone, Debug)]
pub struct Image {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) step: usize,
    pub(super) is_bigendian: bool,
    encoding: String,
    /// `None` for an unknown encoding, whose bytes are stored as they are.
    pub(super) pixels: Option<Pixels>,
    pub(super) bytes: usize,
}

impl Quality {
    /// A quality, if it is between 1 and 100.
    pub fn new(quality: u8) -> Option<Self> {
        (1..=100).contains(&quality).then_some(Self(quality))
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Quality {
    fn default() -> Self {
        Self(90)
    }
}

impl Image {
    /// An image with these fields, whose `data` has this many bytes.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not `height` rows of `step`, rows don't fit their step, or there are
    /// no pixels: `cv_bridge` refuses these too. An unknown encoding is no error: its bytes are
    /// stored as they are.
    pub fn new(fields: &Fields, bytes: usize) -> Result<Self, BlobError> {
        let encoding = text(fields, "encoding")?.to_owned();
        let image = Self {
            width: number(fields, "width")?,
            height: number(fields, "height")?,
            step: number(fields, "step")?,
            is_bigendian: truth(fields, "is_bigendian")?,
            pixels: Pixels::of(&encoding),
            encoding,
            bytes,
        };
        image.check().map(|()| image)
    }

    /// An image of which all rows are there.
    pub(super) fn whole(fields: &Fields) -> Result<Self, BlobError> {
        let bytes = number(fields, "height")?.saturating_mul(number(fields, "step")?);
        Self::new(fields, bytes)
    }

    fn check(&self) -> Result<(), BlobError> {
        let Self { width, height, step, .. } = *self;
        if width == 0 || height == 0 {
            return Err(BlobError::NoPixels { width, height });
        }
        let Some(pixels) = self.pixels else { return Ok(()) };
        let row_bytes = width as u128 * pixels.size_bytes() as u128;
        if (step as u128) < row_bytes {
            let encoding = self.encoding.clone();
            return Err(BlobError::Step { width, encoding, row_bytes, step });
        }
        let needed = height as u128 * step as u128;
        if needed != self.bytes as u128 {
            return Err(BlobError::ImageBytes { height, step, needed, found: self.bytes });
        }
        if pixels.is_yuv() && !width.is_multiple_of(2) {
            return Err(BlobError::OddWidth { encoding: self.encoding.clone(), width });
        }
        Ok(())
    }

    pub(super) fn encode<'a>(
        &self,
        data: &'a [u8],
        format: ImageFormat,
        quality: Quality,
    ) -> Result<Encoded<'a>, BlobError> {
        let (expected, found) = (self.bytes, data.len());
        if expected != found {
            return Err(BlobError::OtherBytes { expected, found });
        }
        let encoded = match self.pixels {
            None => Encoded::untouched(data),
            Some(pixels) => {
                let rows = self.rows(data, pixels.size_bytes());
                let (bytes, extension) = self.encode_rows(rows, pixels, format, quality)?;
                Encoded { bytes: bytes.into(), extension, facts: Fields::new() }
            }
        };
        let facts = fields! {
            "width": self.width as u64, "height": self.height as u64, "encoding": &*self.encoding
        };
        Ok(Encoded { facts, ..encoded })
    }

    /// The rows without the bytes between them.
    fn rows<'a>(&self, data: &'a [u8], pixel_bytes: usize) -> Cow<'a, [u8]> {
        let row_bytes = self.width * pixel_bytes;
        if self.step == row_bytes {
            return Cow::Borrowed(data);
        }
        let mut rows = Vec::with_capacity(row_bytes * self.height);
        for row in data.chunks_exact(self.step) {
            rows.extend_from_slice(row.get(..row_bytes).unwrap_or_default());
        }
        rows.into()
    }

    fn encode_rows(
        &self,
        rows: Cow<'_, [u8]>,
        pixels: Pixels,
        format: ImageFormat,
        quality: Quality,
    ) -> Result<(Vec<u8>, &'static str), BlobError> {
        let (width, height) = (self.width, self.height);
        if pixels.meaning == Meaning::Numbers {
            return Ok((self.npy(&rows, pixels), npy::EXTENSION));
        }
        let (rows, pixels) = match pixels.meaning {
            Meaning::Uyvy => (yuv::uyvy_to_rgb(&rows).into(), RGB8),
            Meaning::Yuyv => (yuv::yuyv_to_rgb(&rows).into(), RGB8),
            _ => (rows, pixels),
        };
        if let Some(colors) = jpeg_colors(pixels, format)
            && let Some(size) = jpeg_size(width, height)
        {
            return Ok((encode_jpeg(&rows, size, colors, quality)?, "jpg"));
        }
        let rows = in_png_order(rows, pixels, self.is_bigendian);
        Ok((encode_png(&rows, width, height, pixels)?, "png"))
    }

    /// Numbers in an array of rows, columns and, if there are several, channels.
    fn npy(&self, rows: &[u8], pixels: Pixels) -> Vec<u8> {
        let dtype = npy::number(pixels.sample.numpy(), self.is_bigendian);
        let shape = [self.height, self.width, pixels.channels];
        let axes = if pixels.channels == 1 { &shape[..2] } else { &shape[..] };
        let mut file = npy::header(&format!("'{dtype}'"), axes);
        file.extend_from_slice(rows);
        file
    }
}

const RGB8: Pixels = Pixels { sample: Sample::U8, channels: 3, meaning: Meaning::Rgb };

/// The colours of a JPEG, if the picture becomes one.
fn jpeg_colors(pixels: Pixels, format: ImageFormat) -> Option<jpeg_encoder::ColorType> {
    use jpeg_encoder::ColorType;
    let (wants_color, wants_rest) = match format {
        ImageFormat::Auto => (true, false),
        ImageFormat::Png => (false, false),
        ImageFormat::Jpeg => (true, true),
    };
    match (pixels.sample, pixels.meaning) {
        (Sample::U8, Meaning::Rgb) if wants_color => Some(ColorType::Rgb),
        (Sample::U8, Meaning::Bgr) if wants_color => Some(ColorType::Bgr),
        (Sample::U8, Meaning::Gray) if wants_rest => Some(ColorType::Luma),
        (Sample::U8, Meaning::Rgba) if wants_rest => Some(ColorType::Rgba),
        (Sample::U8, Meaning::Bgra) if wants_rest => Some(ColorType::Bgra),
        _ => None,
    }
}

/// Red before blue, and the high byte first.
pub(super) fn in_png_order(
    rows: Cow<'_, [u8]>,
    pixels: Pixels,
    is_bigendian: bool,
) -> Cow<'_, [u8]> {
    let swaps_bytes = pixels.sample == Sample::U16 && !is_bigendian;
    let swaps_colors = matches!(pixels.meaning, Meaning::Bgr | Meaning::Bgra);
    if !swaps_bytes && !swaps_colors {
        return rows;
    }
    let mut rows = rows.into_owned();
    if swaps_bytes {
        rows.as_chunks_mut::<2>().0.iter_mut().for_each(|sample| sample.reverse());
    }
    match (swaps_colors, pixels.size_bytes()) {
        (true, 3) => rows.as_chunks_mut::<3>().0.iter_mut().for_each(|[b, _, r]| swap(b, r)),
        (true, 4) => rows.as_chunks_mut::<4>().0.iter_mut().for_each(|[b, _, r, _]| swap(b, r)),
        (true, pixel_bytes) => {
            for pixel in rows.chunks_exact_mut(pixel_bytes) {
                // The first and the third sample, of 16 bits each.
                pixel.swap(0, 4);
                pixel.swap(1, 5);
            }
        }
        (false, _) => {}
    }
    rows.into()
}

fn swap(a: &mut u8, b: &mut u8) {
    std::mem::swap(a, b);
}

/// Width and height, if a JPEG can be that large.
fn jpeg_size(width: usize, height: usize) -> Option<(u16, u16)> {
    Some((u16::try_from(width).ok()?, u16::try_from(height).ok()?))
}

/// A JPEG of rows without gaps.
fn encode_jpeg(
    rows: &[u8],
    (width, height): (u16, u16),
    colors: jpeg_encoder::ColorType,
    quality: Quality,
) -> Result<Vec<u8>, BlobError> {
    let mut file = Vec::with_capacity(rows.len() / 4);
    jpeg_encoder::Encoder::new(&mut file, quality.get()).encode(rows, width, height, colors)?;
    Ok(file)
}

/// A PNG of rows without gaps, with red first and the high byte of 16 bits first. It is compressed
/// fast rather than well: the recorder must keep up with cameras.
fn encode_png(
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
