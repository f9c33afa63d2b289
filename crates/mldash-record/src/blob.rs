//! Turns large byte arrays into files that common tools read (pictures, clouds, other bytes), and
//! small clouds into columns; and files back into bytes. Pure functions of a message's fields and bytes. Knows nothing of ROS,
//! the mapping and the store.
//!
//! [`Blob::new`] reads the fields and compares the sizes with the bytes, which is cheap.
//! [`Blob::encode`] does the work, and [`BlobKind::restore`] undoes it.

mod cloud;
mod compressed;
mod error;
mod image;
mod npy;
mod pixels;
mod restore;
mod yuv;

use std::borrow::Cow;

pub use cloud::{Cloud, CloudFormat};
pub use compressed::CompressedImage;
pub use error::BlobError;
pub use image::{Image, ImageFormat, Quality};
pub use restore::{UnblobError, npy_parts, pcd_parts};

use mldash_track::{ColumnType, Fields, Value};

/// The extension of bytes of unknown kind.
const BYTES_EXTENSION: &str = "bin";

/// How files are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileFormats {
    /// The format of pictures that come as pixels.
    pub image: ImageFormat,
    /// The quality of JPEG.
    pub quality: Quality,
    /// The format of point clouds.
    pub cloud: CloudFormat,
}

/// What a byte array is, by the message that contains it.
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

/// A byte array whose size fits the fields of its message.
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

/// The content of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded<'a> {
    /// The file's content.
    pub bytes: Cow<'a, [u8]>,
    /// The file's extension, without a dot.
    pub extension: &'static str,
    /// What a row says about it.
    pub facts: Fields,
}

impl BlobKind {
    /// The kinds that come in messages of their own type.
    pub const TYPED: [Self; 3] = [Self::Image, Self::CompressedImage, Self::Cloud];

    /// The type of the messages that contain it.
    pub fn message_type(self) -> Option<&'static str> {
        match self {
            Self::Image => Some("sensor_msgs/msg/Image"),
            Self::CompressedImage => Some("sensor_msgs/msg/CompressedImage"),
            Self::Cloud => Some("sensor_msgs/msg/PointCloud2"),
            Self::Bytes => None,
        }
    }

    /// The columns with which a row can describe a file, besides its name and size.
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

    /// The fields of the message that describe the bytes.
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
    ///
    /// Fails if sizes contradict each other or fields are missing.
    pub fn new(kind: BlobKind, fields: &Fields, bytes: usize) -> Result<Self, BlobError> {
        Ok(match kind {
            BlobKind::Image => Self::Image(Image::new(fields, bytes)?),
            BlobKind::CompressedImage => Self::CompressedImage(CompressedImage::new(fields)?),
            BlobKind::Cloud => Self::Cloud(Cloud::new(fields, bytes)?),
            BlobKind::Bytes => Self::Bytes,
        })
    }

    /// Encodes `data` as a file.
    ///
    /// # Errors
    ///
    /// Fails if `data` does not have the size that [`new`](Self::new) was given, or an encoder
    /// fails.
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

/// A field with a whole number that is not negative.
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

/// A bool, or a number used as one: `Image` has a `uint8`, `PointCloud2` a `bool`.
fn truth(fields: &Fields, name: &'static str) -> Result<bool, BlobError> {
    match fields.get(name) {
        Some(Value::Bool(b)) => Ok(*b),
        Some(Value::Int(i)) => Ok(*i != 0),
        _ => Err(BlobError::NoField { name }),
    }
}
