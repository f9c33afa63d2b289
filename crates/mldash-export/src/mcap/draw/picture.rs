//! `foxglove.CompressedImage` with the files of pictures as they are, `foxglove.CompressedVideo` for frames of a video,
//! `foxglove.RawImage` for depth in floats; and `foxglove.CameraCalibration`.

use foxglove::bytes::Bytes;
use foxglove::messages::{CameraCalibration, CompressedImage, CompressedVideo, RawImage};
use mldash_record::blob::npy_parts;
use mldash_track::{Column, Fields, TrackError};

use super::declared::{Declared, FileColumns};
use super::fields::{numbers, text, text_in, whole};
use super::{Canvas, Drawing, Drawn, no_file};

/// The encoding of depth in floats, and numpy's word for it.
const DEPTH: (&str, &str) = ("32FC1", "'descr': '<f4'");
const DEPTH_BYTES: usize = 4;

/// How a file is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Image(&'static str),
    Video(&'static str),
    Npy,
}

/// Draws a picture a row.
pub(super) fn draw(
    columns: &FileColumns,
    row: &Fields,
    to: &mut Canvas<'_, '_>,
) -> Result<Drawn, TrackError> {
    let Some(path) = row.get(&columns.path).and_then(text) else { return Ok(Drawn::No) };
    let Some(kind) = kind(path) else { return Ok(Drawn::No) };
    let encoding = text_in(row, Some(&columns.encoding));
    if kind == Kind::Npy && encoding != DEPTH.0 {
        return Ok(Drawn::No);
    }
    let file = match to.read(path) {
        Ok(file) => file,
        Err(missing) => return Ok(missing),
    };
    let frame_id = text_in(row, columns.frame_id.as_ref());
    let timestamp = Some(to.stamp);
    match kind {
        Kind::Image(format) => {
            let format = format.to_owned();
            to.put(&CompressedImage { timestamp, frame_id, data: file, format })
        }
        Kind::Video(format) => {
            let format = format.to_owned();
            to.put(&CompressedVideo { timestamp, frame_id, data: file, format })
        }
        Kind::Npy => match depth(&file) {
            Some((width, height, data)) => {
                let step = width * DEPTH_BYTES as u32;
                to.put(&RawImage { timestamp, frame_id, width, height, encoding, step, data })
            }
            None => Ok(no_file(path, "it is not the array of float32 that its row says")),
        },
    }
}

/// By the file's extension, which the recorder took from its first bytes.
fn kind(path: &str) -> Option<Kind> {
    let (_, extension) = path.rsplit_once('.')?;
    Some(match extension {
        "jpg" => Kind::Image("jpeg"),
        "png" => Kind::Image("png"),
        "webp" => Kind::Image("webp"),
        "avif" => Kind::Image("avif"),
        "h264" => Kind::Video("h264"),
        "h265" => Kind::Video("h265"),
        "npy" => Kind::Npy,
        _ => return None,
    })
}

/// Width, height and samples of a picture in a file of numpy's.
fn depth(file: &Bytes) -> Option<(u32, u32, Bytes)> {
    let (header, data) = npy_parts(file)?;
    let data = file.slice_ref(data);
    let (_, shape) = header.split_once("'shape': (")?;
    let mut shape = shape.split_once(')')?.0.split(',').map(str::trim).filter(|n| !n.is_empty());
    let (height, width) = (shape.next()?.parse().ok()?, shape.next()?.parse::<u32>().ok()?);
    let pixels = u64::from(width).checked_mul(u64::from(height))?;
    let bytes = pixels.checked_mul(DEPTH_BYTES as u64)?;
    let is_depth = header.contains(DEPTH.1) && header.contains("'fortran_order': False");
    let fits = is_depth && shape.next().is_none() && data.len() as u64 == bytes;
    (fits && width.checked_mul(DEPTH_BYTES as u32).is_some()).then_some((width, height, data))
}

/// What a camera's pixels mean.
pub(super) struct Calibration {
    frame_id: Option<Column>,
    holds: Vec<Column>,
}

const COLUMNS: [&str; 7] = ["width", "height", "distortion_model", "d", "k", "r", "p"];

impl Calibration {
    pub(super) fn find(declared: &Declared) -> Option<Self> {
        let needed = declared.columns(COLUMNS)?;
        let frame_id = declared.column("frame_id");
        let holds = needed.iter().chain(&frame_id).cloned().collect();
        Some(Self { frame_id, holds })
    }
}

impl Drawing for Calibration {
    fn holds(&self) -> &[Column] {
        &self.holds
    }

    fn stays(&self) -> bool {
        true
    }

    fn draw(&self, row: &Fields, to: &mut Canvas<'_, '_>) -> Result<Drawn, TrackError> {
        let [width, height, distortion_model, d, k, r, p] = COLUMNS.map(|name| row.get(name));
        let size = width.and_then(whole).zip(height.and_then(whole));
        let distortion_model = distortion_model.and_then(text);
        let matrices = [d, k, r, p].map(|matrix| matrix.and_then(numbers));
        let (Some((width, height)), Some(distortion_model), [Some(d), Some(k), Some(r), Some(p)]) =
            (size, distortion_model, matrices)
        else {
            return Ok(Drawn::No);
        };
        to.put(&CameraCalibration {
            timestamp: Some(to.stamp),
            frame_id: text_in(row, self.frame_id.as_ref()),
            width,
            height,
            distortion_model: distortion_model.to_owned(),
            d,
            k,
            r,
            p,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How files of version 1 begin.
    const NPY: &[u8] = b"\x93NUMPY\x01\x00";

    #[test]
    fn depth_in_floats_is_found_in_a_file_of_numpys_and_nothing_else_is() {
        let npy = |descr: &str, shape: &str, data: &[u8]| {
            let header =
                format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
            let length = (header.len() as u16).to_le_bytes();
            Bytes::from([NPY, &length, header.as_bytes(), data].concat())
        };
        let (width, height, data) = depth(&npy("<f4", "(1, 2)", b"abcdefgh")).unwrap();
        assert_eq!((width, height, &data[..]), (2, 1, &b"abcdefgh"[..]));
        for other in [
            npy("<f8", "(1, 1)", b"abcdefgh"),
            npy("<f4", "(1, 1, 2)", b"abcdefgh"),
            npy("<f4", "(2,)", b"abcdefgh"),
            npy("<f4", "(1, 3)", b"abcdefgh"),
            npy("<f4", "(4000000000, 4000000000)", b"abcdefgh"),
            Bytes::from_static(b"\x93NUMPY\x01\x00\xff\xff"),
            Bytes::new(),
        ] {
            assert_eq!(depth(&other), None);
        }
    }
}
