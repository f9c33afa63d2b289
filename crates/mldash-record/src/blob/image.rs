//! Pixels to PNG, JPEG or npy.
//!
//! What is wanted exactly stays exact: depth, masks and mosaics become PNG whatever the mapping says
//! of colours, and numbers that PNG has no place for (32FC1 and its like, NaN included) become npy:
//! one call of numpy reads it, and nothing of the float is lost or scaled.

use std::borrow::Cow;

use super::error::BlobError;
use super::pixels::{Meaning, Pixels, Sample};
use super::{Encoded, jpeg, npy, number, png, text, truth, yuv};
use mldash_track::Fields;
use mldash_track::fields;

/// What pictures that come as pixels become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageFormat {
    /// JPEG for 8-bit colours without alpha, PNG for all else.
    #[default]
    Auto,
    /// PNG: exact, but for yuv422, whose colours are converted.
    Png,
    /// JPEG for 8-bit colours and grays; PNG for depth, masks and mosaics, which it would ruin.
    Jpeg,
}

/// The quality of JPEG, 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality(u8);

/// The pixels of a `sensor_msgs/msg/Image`.
#[derive(Clone, Debug)]
pub struct Image {
    width: usize,
    height: usize,
    step: usize,
    is_bigendian: bool,
    encoding: String,
    /// None: an encoding that is not known here, whose bytes are kept as they are.
    pixels: Option<Pixels>,
    bytes: usize,
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
    /// An image of these fields whose `data` has so many bytes.
    ///
    /// # Errors
    /// Bytes that are not `height` rows of `step`, rows that don't fit their step, no pixels: what
    /// `cv_bridge` refuses, too. An encoding that is not known is none: its bytes are kept.
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

    /// The rows without what lies between them.
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
            && let Some(size) = jpeg::size(width, height)
        {
            return Ok((jpeg::encode(&rows, size, colors, quality.get())?, jpeg::EXTENSION));
        }
        let rows = in_png_order(rows, pixels, self.is_bigendian);
        Ok((png::encode(&rows, width, height, pixels)?, png::EXTENSION))
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

/// The colours of a JPEG, where it is to be one.
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
fn in_png_order(rows: Cow<'_, [u8]>, pixels: Pixels, is_bigendian: bool) -> Cow<'_, [u8]> {
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
                // The first and the third of 16 bits each.
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
