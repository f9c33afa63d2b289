//! What happens to byte arrays, images and clouds.

use super::bytes::Bytes;
use super::keys;
use crate::blob::{CloudFormat, FileFormats, ImageFormat, Quality};
use crate::yaml::{Item, Problems};

pub(super) const TO: [(&str, BlobsTo); 3] =
    [("file", BlobsTo::File), ("inline", BlobsTo::Inline), ("drop", BlobsTo::Drop)];
pub(super) const IMAGES: [(&str, ImageFormat); 3] =
    [("auto", ImageFormat::Auto), ("png", ImageFormat::Png), ("jpeg", ImageFormat::Jpeg)];
pub(super) const CLOUDS: [(&str, CloudFormat); 2] =
    [("pcd", CloudFormat::Pcd), ("npy", CloudFormat::Npy)];
const SIZE: &str = "write a size such as `64KiB`";

/// What happens to byte arrays, images and clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blobs {
    /// Where they go.
    pub to: BlobsTo,
    /// How files are written.
    pub formats: FileFormats,
    /// With [`BlobsTo::File`], arrays up to this size stay in the row; `None` leaves it to the
    /// recorder.
    pub max_inline: Option<Bytes>,
}

/// Where byte arrays, images and clouds go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BlobsTo {
    /// They become files beside the tracks.
    #[default]
    File,
    /// They stay in the row: clouds as columns, everything else as numbers.
    Inline,
    /// They are left out.
    Drop,
}

impl Blobs {
    /// One word, or a mapping for more.
    pub(super) fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        if item.is_scalar() {
            return to(item, problems).map(|to| Self { to, ..Self::default() });
        }
        let section = item.section(&keys::BLOBS, problems)?;
        let image = section.get("image").and_then(|item| item.choice(&IMAGES, problems));
        let quality = section
            .get("quality")
            .and_then(|item| item.number("a quality of JPEG, 1 to 100", Quality::new, problems));
        let cloud = section.get("cloud").and_then(|item| item.choice(&CLOUDS, problems));
        let formats = FileFormats {
            image: image.unwrap_or_default(),
            quality: quality.unwrap_or_default(),
            cloud: cloud.unwrap_or_default(),
        };
        let to = section.get("to").and_then(|item| to(item, problems)).unwrap_or_default();
        let max_inline = section.get("max_inline").and_then(|item| item.parse(SIZE, problems));
        Some(Self { to, formats, max_inline })
    }
}

fn to(item: &Item<'_>, problems: &mut Problems) -> Option<BlobsTo> {
    item.choice(&TO, problems)
}
