//! What large byte arrays become: pictures, clouds and other bytes as files that common tools read,
//! small clouds as columns. Plain functions of a message's fields and bytes; knows nothing of ROS,
//! the mapping and the store.
//!
//! [`Blob::new`] looks at the fields and holds the sizes against the bytes, at no cost worth
//! mentioning; [`Blob::encode`] does the work.

mod cloud;
mod compressed;
mod error;
mod image;
mod jpeg;
mod npy;
mod pixels;
mod png;
mod yuv;

use std::borrow::Cow;

pub use cloud::{Cloud, CloudFormat};
pub use compressed::CompressedImage;
pub use error::BlobError;
pub use image::{Image, ImageFormat, Quality};

use mldash_track::{ColumnType, Fields, Value};

/// The extension of bytes that are nothing in particular.
const BYTES_EXTENSION: &str = "bin";

/// How files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileFormats {
    /// Pictures that come as pixels.
    pub image: ImageFormat,
    /// Of JPEG.
    pub quality: Quality,
    /// Point clouds.
    pub cloud: CloudFormat,
}

/// What a byte array is, by the message that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobKind {
    /// The pixels of a `sensor_msgs/msg/Image`.
    Image,
    /// A whole picture file, in a `sensor_msgs/msg/CompressedImage`.
    CompressedImage,
    /// The points of a `sensor_msgs/msg/PointCloud2`.
    Cloud,
    /// Anything else.
    Bytes,
}

/// A byte array that is known to fit what its message says of it.
#[derive(Clone, Debug)]
pub enum Blob {
    /// Pixels.
    Image(Image),
    /// A picture file.
    CompressedImage(CompressedImage),
    /// Points.
    Cloud(Cloud),
    /// Anything else.
    Bytes,
}

/// What is written to a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded<'a> {
    /// The file's content.
    pub bytes: Cow<'a, [u8]>,
    /// The file's extension, without a dot.
    pub extension: &'static str,
    /// What a row says of it.
    pub facts: Fields,
}

impl BlobKind {
    /// Those that come in messages of a type of their own.
    pub const TYPED: [Self; 3] = [Self::Image, Self::CompressedImage, Self::Cloud];

    /// The type of the messages that hold it.
    pub fn message_type(self) -> Option<&'static str> {
        match self {
            Self::Image => Some("sensor_msgs/msg/Image"),
            Self::CompressedImage => Some("sensor_msgs/msg/CompressedImage"),
            Self::Cloud => Some("sensor_msgs/msg/PointCloud2"),
            Self::Bytes => None,
        }
    }

    /// What a row says of a file made of it besides the file's name and size: the most that it can say.
    pub fn fact_types(self) -> Vec<(&'static str, ColumnType)> {
        let size = [("width", ColumnType::Int), ("height", ColumnType::Int)];
        let encoding = ("encoding", ColumnType::Text);
        match self {
            Self::Image => size.into_iter().chain([encoding]).collect(),
            Self::CompressedImage => {
                let depth = ("depth_quantization", ColumnType::list(ColumnType::Float));
                size.into_iter().chain([encoding, depth]).collect()
            }
            Self::Cloud => {
                let points = ("points", ColumnType::Int);
                size.into_iter().chain([points, encoding]).collect()
            }
            Self::Bytes => Vec::new(),
        }
    }

    /// The fields of the message that say what the bytes are.
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Image => &["height", "width", "encoding", "is_bigendian", "step"],
            Self::CompressedImage => &["format"],
            Self::Cloud => &["height", "width", "fields", "is_bigendian", "point_step", "row_step"],
            Self::Bytes => &[],
        }
    }
}

impl Blob {
    /// What `bytes` bytes in a message with these `fields` are.
    ///
    /// # Errors
    /// Sizes that contradict each other, fields that are not there.
    pub fn new(kind: BlobKind, fields: &Fields, bytes: usize) -> Result<Self, BlobError> {
        Ok(match kind {
            BlobKind::Image => Self::Image(Image::new(fields, bytes)?),
            BlobKind::CompressedImage => Self::CompressedImage(CompressedImage::new(fields)?),
            BlobKind::Cloud => Self::Cloud(Cloud::new(fields, bytes)?),
            BlobKind::Bytes => Self::Bytes,
        })
    }

    /// The file that `data` becomes.
    ///
    /// # Errors
    /// `data` that is not of the size that [`new`](Self::new) was told, encoders that fail.
    pub fn encode<'a>(
        &self,
        data: &'a [u8],
        formats: &FileFormats,
    ) -> Result<Encoded<'a>, BlobError> {
        match self {
            Self::Image(image) => image.encode(data, formats.image, formats.quality),
            Self::CompressedImage(image) => Ok(image.encode(data)),
            Self::Cloud(cloud) => cloud.encode(data, formats.cloud),
            Self::Bytes => Ok(Encoded::untouched(data)),
        }
    }
}

impl<'a> Encoded<'a> {
    fn untouched(data: &'a [u8]) -> Self {
        let bytes = Cow::Borrowed(data);
        Self { bytes, extension: BYTES_EXTENSION, facts: Fields::new() }
    }
}

/// A field that holds a whole number, not negative.
fn number(fields: &Fields, name: &'static str) -> Result<usize, BlobError> {
    fields.get(name).and_then(whole).ok_or(BlobError::NoField { name })
}

fn whole(value: &Value) -> Option<usize> {
    match value {
        Value::Int(i) => usize::try_from(*i).ok(),
        Value::UInt(u) => usize::try_from(*u).ok(),
        _ => None,
    }
}

fn text<'f>(fields: &'f Fields, name: &'static str) -> Result<&'f str, BlobError> {
    match fields.get(name) {
        Some(Value::Text(text)) => Ok(text),
        _ => Err(BlobError::NoField { name }),
    }
}

/// A bool, or a number that stands for one: `Image` has a `uint8`, `PointCloud2` a `bool`.
fn truth(fields: &Fields, name: &'static str) -> Result<bool, BlobError> {
    match fields.get(name) {
        Some(Value::Bool(b)) => Ok(*b),
        Some(Value::Int(i)) => Ok(*i != 0),
        _ => Err(BlobError::NoField { name }),
    }
}
