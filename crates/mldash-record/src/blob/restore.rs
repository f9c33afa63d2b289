//! Files back to the bytes that a message had. Exact but for what has no meaning: padding after rows
//! and between a point's fields becomes zeros, and what follows the last point is gone.

use std::borrow::Cow;
use std::io::Cursor;

use super::image::in_png_order;
use super::pixels::{Meaning, Pixels};
use super::{BlobError, BlobKind, Cloud, Image, compressed};
use mldash_track::{Fields, Value};

/// Why a file can't become the bytes of its message again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnblobError {
    /// The file does not hold the exact pixels.
    #[error("{0}")]
    Lossy(&'static str),
    /// The file is not what the row says.
    #[error("the file is damaged, or another: {0}")]
    Malformed(String),
    /// The row does not say what the bytes are.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

fn malformed(what: impl std::fmt::Display) -> UnblobError {
    UnblobError::Malformed(what.to_string())
}

impl BlobKind {
    /// The bytes of the message from those of its file. `fields` are the fields that
    /// [describe](Self::fields) them, `extension` is the file's, and `depth` the row's
    /// `depth_quantization`.
    ///
    /// # Errors
    ///
    /// Fails if the file does not hold all that the message had, or is damaged.
    pub fn restore(
        self,
        fields: &Fields,
        file: Vec<u8>,
        extension: &str,
        depth: Option<&Value>,
    ) -> Result<Vec<u8>, UnblobError> {
        match self {
            Self::Bytes => Ok(file),
            Self::CompressedImage => match depth {
                Some(depth) => compressed::with_depth_header(depth, &file)
                    .ok_or_else(|| malformed("`depth_quantization` is not two numbers")),
                None => Ok(file),
            },
            Self::Image => restore_image(fields, file, extension),
            Self::Cloud => restore_cloud(fields, &file, extension),
        }
    }
}

/// A row that was written by hand can say any size; an array of a message has 32 bits for its own.
fn check_size(bytes: usize) -> Result<(), UnblobError> {
    match u32::try_from(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(malformed("no message holds as many bytes as its row says")),
    }
}

fn restore_image(fields: &Fields, file: Vec<u8>, extension: &str) -> Result<Vec<u8>, UnblobError> {
    let image = Image::whole(fields)?;
    check_size(image.bytes)?;
    let Some(pixels) = image.pixels else { return Ok(file) };
    let rows = match (extension, pixels.meaning) {
        (_, Meaning::Uyvy | Meaning::Yuyv) => {
            return Err(UnblobError::Lossy(
                "its picture is in RGB, and the message had other colours (YUV 4:2:2)",
            ));
        }
        ("jpg", _) => {
            return Err(UnblobError::Lossy(
                "its picture is a JPEG, which changes pixels; record with `blobs: {image: png}` to \
                 keep them",
            ));
        }
        ("png", _) => png_rows(&file, pixels, &image)?,
        ("npy", _) => {
            let (_, rows) = npy_parts(&file).ok_or_else(|| malformed("not an npy"))?;
            Cow::Borrowed(rows)
        }
        _ => return Err(malformed(format!("`.{extension}` holds no pixels"))),
    };
    let row_bytes = image.width.saturating_mul(pixels.size_bytes());
    if rows.len() != row_bytes.saturating_mul(image.height) {
        let (width, height) = (image.width, image.height);
        return Err(malformed(format!("it does not have {height} rows of {width} pixels")));
    }
    if image.step == row_bytes {
        return Ok(rows.into_owned());
    }
    let mut data = Vec::with_capacity(image.step.saturating_mul(image.height));
    for row in rows.chunks_exact(row_bytes.max(1)) {
        let end = data.len() + image.step;
        data.extend_from_slice(row);
        data.resize(end, 0);
    }
    Ok(data)
}

fn png_rows(file: &[u8], pixels: Pixels, image: &Image) -> Result<Cow<'static, [u8]>, UnblobError> {
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(malformed)?;
    let (width, height) = reader.info().size();
    if (width as usize, height as usize) != (image.width, image.height) {
        return Err(malformed(format!("it has {width} times {height} pixels")));
    }
    let size = reader.output_buffer_size().ok_or_else(|| malformed("it is too large"))?;
    let mut rows = vec![0; size];
    let frame = reader.next_frame(&mut rows).map_err(malformed)?;
    rows.truncate(frame.buffer_size());
    // The order of a PNG, applied once more, is that of the message.
    Ok(in_png_order(rows.into(), pixels, image.is_bigendian).into_owned().into())
}

fn restore_cloud(fields: &Fields, file: &[u8], extension: &str) -> Result<Vec<u8>, UnblobError> {
    let cloud = Cloud::whole(fields)?;
    check_size(cloud.bytes)?;
    let records = match extension {
        "pcd" => pcd_parts(file),
        "npy" => npy_parts(file),
        _ => None,
    };
    let records = records.map(|(_, records)| records);
    let records = records.ok_or_else(|| malformed(format!("not a `.{extension}` of points")))?;
    cloud.scatter(records).ok_or_else(|| malformed("it does not have the points of the message"))
}

/// The header of a binary PCD file, and its points; `None` if it is no such file.
pub fn pcd_parts(file: &[u8]) -> Option<(&str, &[u8])> {
    let mark = b"\nDATA binary\n";
    let at = memchr::memmem::find(file, mark)?;
    parts(file, at, at + mark.len())
}

/// The header of a file of numpy's, and its array; `None` if it is no such file.
pub fn npy_parts(file: &[u8]) -> Option<(&str, &[u8])> {
    let rest = file.strip_prefix(super::npy::MAGIC)?;
    let (length, start) = match rest {
        [1, 0, a, b, ..] => (usize::from(u16::from_le_bytes([*a, *b])), 4),
        [2, 0, a, b, c, d, ..] => (usize::try_from(u32::from_le_bytes([*a, *b, *c, *d])).ok()?, 6),
        _ => return None,
    };
    let header = rest.get(start..)?;
    parts(header, length, length)
}

fn parts(file: &[u8], header_end: usize, data_start: usize) -> Option<(&str, &[u8])> {
    Some((str::from_utf8(file.get(..header_end)?).ok()?, file.get(data_start..)?))
}

#[cfg(test)]
mod tests {
    use super::super::{Blob, CloudFormat, FileFormats, ImageFormat};
    use super::*;
    use mldash_track::fields;

    /// Encodes and restores.
    fn again(
        kind: BlobKind,
        fields: &Fields,
        data: &[u8],
        formats: &FileFormats,
    ) -> Result<Vec<u8>, UnblobError> {
        let encoded = Blob::new(kind, fields, data.len()).unwrap().encode(data, formats).unwrap();
        let depth = encoded.facts.get("depth_quantization").cloned();
        let (file, extension) = (encoded.bytes.to_vec(), encoded.extension);
        kind.restore(fields, file, extension, depth.as_ref())
    }

    fn numbers(count: usize) -> Vec<u8> {
        (0..count).map(|i| (i * 37 % 251) as u8).collect()
    }

    #[test]
    fn pixels_are_exact_in_every_file_but_jpeg() {
        let png = FileFormats { image: ImageFormat::Png, ..FileFormats::default() };
        for (encoding, pixel_bytes) in [
            ("mono8", 1),
            ("mono16", 2),
            ("rgb8", 3),
            ("bgr8", 3),
            ("rgba8", 4),
            ("bgra8", 4),
            ("bgr16", 6),
            ("rgba16", 8),
            ("bayer_rggb8", 1),
            ("16UC1", 2),
            ("32FC1", 4),
            ("64FC2", 16),
            ("nonsense", 3),
        ] {
            for is_bigendian in [0, 1] {
                let (width, height) = (5, 3);
                let step = width * pixel_bytes;
                let fields = fields! {
                    "width": width as u64, "height": height as u64, "encoding": encoding,
                    "is_bigendian": is_bigendian, "step": step as u64
                };
                let data = numbers(step * height);
                let same = again(BlobKind::Image, &fields, &data, &png).unwrap();
                assert_eq!(same, data, "{encoding} {is_bigendian}");
            }
        }
    }

    #[test]
    fn padding_after_rows_becomes_zeros() {
        let fields = fields! {
            "width": 2, "height": 2, "encoding": "mono8", "is_bigendian": 0, "step": 3
        };
        let png = FileFormats::default();
        let same = again(BlobKind::Image, &fields, &[1, 2, 9, 3, 4, 9], &png).unwrap();
        assert_eq!(same, [1, 2, 0, 3, 4, 0]);
    }

    #[test]
    fn a_jpeg_and_converted_colours_are_refused_and_a_damaged_file_is_told() {
        let image = |encoding: &str, step: u64| {
            fields! {
                "width": 2, "height": 2, "encoding": encoding, "is_bigendian": 0, "step": step
            }
        };
        let formats = FileFormats::default();
        let lossy = |encoding: &str, step: u64| {
            let data = numbers(2 * step as usize);
            again(BlobKind::Image, &image(encoding, step), &data, &formats).unwrap_err().to_string()
        };
        assert!(lossy("rgb8", 6).contains("JPEG"));
        assert!(lossy("yuyv", 4).contains("YUV"));
        for (extension, file) in [("png", &b"\x89PNG"[..]), ("npy", b"x"), ("gif", b"GIF8")] {
            let error = BlobKind::Image.restore(&image("mono8", 2), file.to_vec(), extension, None);
            assert!(matches!(error, Err(UnblobError::Malformed(_))), "{extension}");
        }
    }

    #[test]
    fn a_row_that_says_more_bytes_than_a_message_can_have_is_refused() {
        let padded = fields! {
            "width": 1, "height": 1 << 20, "encoding": "mono8", "is_bigendian": 0,
            "step": 1_i64 << 40
        };
        let field = |name: &str, value: i64| (name.into(), Value::Int(value));
        let x = Value::Map(vec![
            ("name".into(), "x".into()),
            field("offset", 0),
            field("datatype", 7),
            field("count", 1),
        ]);
        let scattered = fields! {
            "width": 1, "height": 2, "point_step": 4, "row_step": 1_i64 << 40,
            "is_bigendian": false, "fields": Value::List(vec![x])
        };
        for (kind, fields, extension) in
            [(BlobKind::Image, padded, "npy"), (BlobKind::Cloud, scattered, "pcd")]
        {
            let refused = kind.restore(&fields, Vec::new(), extension, None);
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("no message holds as many bytes"), "{error}");
        }
    }

    #[test]
    fn points_are_put_back_where_they_were() {
        let field = |name: &str, offset: i64, datatype: i64, count: i64| {
            let entry = |name: &str, value: i64| (name.into(), Value::Int(value));
            Value::Map(vec![
                ("name".into(), name.into()),
                entry("offset", offset),
                entry("datatype", datatype),
                entry("count", count),
            ])
        };
        for is_bigendian in [false, true] {
            for cloud in [CloudFormat::Pcd, CloudFormat::Npy] {
                let fields = fields! {
                    "width": 3, "height": 2, "point_step": 16, "row_step": 50,
                    "is_bigendian": is_bigendian,
                    "fields": Value::List(vec![field("x", 4, 7, 2), field("id", 0, 4, 1)])
                };
                let formats = FileFormats { cloud, ..FileFormats::default() };
                let mut data = numbers(100);
                let same = again(BlobKind::Cloud, &fields, &data, &formats).unwrap();
                // Two rows of three points of 2 + 2 (gap) + 8 + 4 (gap) bytes, and two after each.
                for row in data.chunks_mut(50) {
                    row[48..].fill(0);
                    for point in row[..48].chunks_mut(16) {
                        point[2..4].fill(0);
                        point[12..].fill(0);
                    }
                }
                assert_eq!(same, data);
            }
        }
    }

    #[test]
    fn a_compressed_depth_gets_its_parameters_back() {
        let mut data = [0, 0, 0, 0].to_vec();
        data.extend(1.5f32.to_le_bytes());
        data.extend((-2.25f32).to_le_bytes());
        data.extend(b"\x89PNG\r\n\x1a\nrest");
        let fields = fields! { "format": "16UC1; compressedDepth png" };
        let formats = FileFormats::default();
        assert_eq!(again(BlobKind::CompressedImage, &fields, &data, &formats).unwrap(), data);
        let jpeg = b"\xff\xd8\xffdata";
        let fields = fields! { "format": "jpeg" };
        assert_eq!(again(BlobKind::CompressedImage, &fields, jpeg, &formats).unwrap(), jpeg);
    }
}
