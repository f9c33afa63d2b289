//! Pictures that are files already. They are stored as they came.

use std::borrow::Cow;

use super::error::BlobError;
use super::{BYTES_EXTENSION, Encoded, text};
use mldash_track::fields;
use mldash_track::{Array, Fields, Value};

/// The bytes before the PNG of `compressed_depth_image_transport`: its kind and two parameters, a
/// C++ struct of an `int` and two `float`s as it lies in memory.
const DEPTH_HEADER_BYTES: usize = 12;

/// How files of a kind start, and their extension.
const MAGICS: [(&[u8], &str); 9] = [
    (b"\xff\xd8\xff", "jpg"),
    (PNG_MAGIC, "png"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL ", "jxl"),
    (b"\0\0\0\x0cjP  ", "jp2"),
];
const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Words in `format` and their extension, if the bytes don't tell.
const FORMATS: [(&str, &str); 9] = [
    ("jpeg", "jpg"),
    ("jpg", "jpg"),
    ("png", "png"),
    ("webp", "webp"),
    ("tiff", "tiff"),
    ("h264", "h264"),
    ("h265", "h265"),
    ("hevc", "h265"),
    ("rvl", "rvl"),
];

/// A `sensor_msgs/msg/CompressedImage`.
#[derive(Clone, Debug)]
pub struct CompressedImage {
    format: String,
}

impl CompressedImage {
    /// A picture whose message has these fields.
    ///
    /// # Errors
    ///
    /// Fails if there is no `format`.
    pub fn new(fields: &Fields) -> Result<Self, BlobError> {
        Ok(Self { format: text(fields, "format")?.to_owned() })
    }

    /// The bytes unchanged. Only the 12 bytes that `compressedDepth` puts before its PNG go into
    /// the row instead, so that other programs can open the file.
    pub(super) fn encode<'a>(&self, data: &'a [u8]) -> Encoded<'a> {
        let (file, depth) = match split_depth_header(data) {
            Some((parameters, file)) if self.format.contains("compressedDepth") => {
                (file, Some(parameters))
            }
            _ => (data, None),
        };
        let extension = extension(file).or_else(|| self.named_extension());
        let mut facts = Fields::new();
        if let Ok(size) = imagesize::blob_size(file) {
            facts = fields! { "width": size.width as u64, "height": size.height as u64 };
        }
        facts.insert("encoding", extension.map_or(&*self.format, encoding));
        if let Some(parameters) = depth {
            facts.insert("depth_quantization", parameters);
        }
        let extension = extension.unwrap_or(BYTES_EXTENSION);
        Encoded { bytes: Cow::Borrowed(file), extension, facts }
    }

    fn named_extension(&self) -> Option<&'static str> {
        let format = self.format.to_ascii_lowercase();
        let words = || format.split(|c: char| !c.is_ascii_alphanumeric());
        let named = FORMATS.iter().find(|(word, _)| words().any(|found| found == *word));
        named.map(|(_, extension)| *extension)
    }
}

/// The parameters of the depth's quantization, and the PNG after them.
fn split_depth_header(data: &[u8]) -> Option<([f32; 2], &[u8])> {
    let (header, file) = data.split_at_checked(DEPTH_HEADER_BYTES)?;
    let [_, a, b] = header.as_chunks::<4>().0 else { return None };
    file.starts_with(PNG_MAGIC).then(|| ([f32::from_le_bytes(*a), f32::from_le_bytes(*b)], file))
}

/// The header that [`split_depth_header`] took off, and the file. The kind is always that of inverse
/// depth, the only one that there is.
pub(super) fn with_depth_header(parameters: &Value, file: &[u8]) -> Option<Vec<u8>> {
    let numbers: Vec<f32> = match parameters {
        Value::Array(Array::F32(numbers)) => numbers.clone(),
        Value::Array(Array::F64(numbers)) => numbers.iter().map(|x| *x as f32).collect(),
        Value::List(items) => items.iter().map(float).collect::<Option<_>>()?,
        _ => return None,
    };
    let [a, b] = numbers[..] else { return None };
    Some([&[0; 4], &a.to_le_bytes(), &b.to_le_bytes(), file].concat())
}

fn float(value: &Value) -> Option<f32> {
    match value {
        Value::F32(x) => Some(*x),
        Value::F64(x) => Some(*x as f32),
        Value::Int(i) => Some(*i as f32),
        _ => None,
    }
}

/// The extension, by the file's first bytes.
fn extension(file: &[u8]) -> Option<&'static str> {
    if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WEBP") {
        return Some("webp");
    }
    if file.get(4..8) == Some(b"ftyp") && file.get(8..12) == Some(b"avif") {
        return Some("avif");
    }
    MAGICS.iter().find(|(magic, _)| file.starts_with(magic)).map(|(_, extension)| *extension)
}

/// The encoding of a file with this extension.
fn encoding(extension: &str) -> &str {
    if extension == "jpg" { "jpeg" } else { extension }
}
