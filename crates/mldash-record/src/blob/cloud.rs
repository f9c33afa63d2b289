//! Converts point clouds to binary PCD, npy or columns. Padding between a point's fields and after
//! rows is left out, byte order becomes little-endian, NaN stays NaN, and an organized cloud stays
//! organized.

mod columns;
mod gather;
mod point_fields;
mod scatter;

use super::error::BlobError;
use super::{Encoded, npy, number, truth};
use mldash_track::fields;
use mldash_track::{Fields, Value};
use point_fields::PointField;

/// The file format of point clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloudFormat {
    /// Binary PCD: PCL, Open3D, CloudCompare.
    #[default]
    Pcd,
    /// numpy's file of an array whose elements have the point's fields.
    Npy,
}

/// The points of a `sensor_msgs/msg/PointCloud2`.
#[derive(Clone, Debug)]
pub struct Cloud {
    width: usize,
    height: usize,
    point_step: usize,
    /// Bytes from row to row; for a single row, its length.
    row_step: usize,
    is_bigendian: bool,
    fields: Vec<PointField>,
    pub(super) bytes: usize,
}

/// Fields that share bytes, such as `rgb` and `rgba`, may make points at most this many times
/// larger.
const MAX_OVERLAP: usize = 4;

impl Cloud {
    /// A cloud with these fields, whose `data` has this many bytes.
    ///
    /// # Errors
    ///
    /// Fails if the points need more bytes, point fields lie outside of their points, or there are
    /// none. Bytes after the last point are ignored, and a single row may have any `row_step`.
    pub fn new(fields: &Fields, bytes: usize) -> Result<Self, BlobError> {
        let (width, height) = (number(fields, "width")?, number(fields, "height")?);
        let point_step = number(fields, "point_step")?;
        let row_bytes = width as u128 * point_step as u128;
        let row_step = match number(fields, "row_step")? {
            row_step if height > 1 => row_step,
            _ => usize::try_from(row_bytes).unwrap_or(usize::MAX),
        };
        if (row_step as u128) < row_bytes {
            return Err(BlobError::RowStep { width, row_bytes, row_step });
        }
        let needed = match height {
            _ if width == 0 => 0,
            0 => 0,
            rows => (rows - 1) as u128 * row_step as u128 + row_bytes,
        };
        if needed > bytes as u128 {
            return Err(BlobError::CloudBytes { width, height, needed, found: bytes });
        }
        let is_bigendian = truth(fields, "is_bigendian")?;
        let fields = point_fields::read(fields, point_step)?;
        let cloud = Self { width, height, point_step, row_step, is_bigendian, fields, bytes };
        let record_bytes = cloud.record_bytes();
        if record_bytes > point_step.saturating_mul(MAX_OVERLAP) {
            return Err(BlobError::Overlap { bytes: record_bytes, point_step });
        }
        Ok(cloud)
    }

    /// A cloud of which all rows are there, to their ends.
    pub(super) fn whole(fields: &Fields) -> Result<Self, BlobError> {
        let row_bytes = match number(fields, "height")? {
            1 => number(fields, "width")?.saturating_mul(number(fields, "point_step")?),
            _ => number(fields, "row_step")?,
        };
        Self::new(fields, row_bytes.saturating_mul(number(fields, "height")?))
    }

    /// The number of points.
    pub fn points(&self) -> usize {
        self.width * self.height
    }

    /// The points as columns, one for each of their fields: an array of numbers, or for a field of
    /// several numbers a list of arrays.
    ///
    /// # Errors
    ///
    /// Fails if `data` does not have the size that [`new`](Self::new) was given.
    pub fn columns(&self, data: &[u8]) -> Result<Vec<(String, Value)>, BlobError> {
        self.check_bytes(data)?;
        let mut records = Vec::new();
        self.gather(data, &mut records);
        Ok(columns::columns(&records, self.record_bytes(), &self.fields))
    }

    /// What rows say about a cloud, however it is stored.
    pub fn facts(&self) -> Fields {
        fields! {
            "width": self.width as u64, "height": self.height as u64, "points": self.points() as u64
        }
    }

    pub(super) fn encode<'a>(
        &self,
        data: &[u8],
        format: CloudFormat,
    ) -> Result<Encoded<'a>, BlobError> {
        self.check_bytes(data)?;
        let (mut file, extension) = match format {
            CloudFormat::Pcd => (self.pcd_header().into_bytes(), "pcd"),
            CloudFormat::Npy => (self.npy_header(), npy::EXTENSION),
        };
        self.gather(data, &mut file);
        let mut facts = self.facts();
        facts.insert("encoding", extension);
        Ok(Encoded { bytes: file.into(), extension, facts })
    }

    fn check_bytes(&self, data: &[u8]) -> Result<(), BlobError> {
        let (expected, found) = (self.bytes, data.len());
        if expected == found { Ok(()) } else { Err(BlobError::OtherBytes { expected, found }) }
    }

    /// The size of a point without gaps between its fields.
    fn record_bytes(&self) -> usize {
        self.fields.iter().fold(0, |sum: usize, field| sum.saturating_add(field.size_bytes()))
    }

    /// PCD 0.7 (<https://pointclouds.org/documentation/tutorials/pcd_file_format.html>).
    fn pcd_header(&self) -> String {
        let list = |text: &dyn Fn(&PointField) -> String| {
            let texts: Vec<String> = self.fields.iter().map(text).collect();
            texts.join(" ")
        };
        format!(
            "# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS {}\nSIZE {}\nTYPE {}\n\
             COUNT {}\nWIDTH {}\nHEIGHT {}\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {}\nDATA binary\n",
            list(&|field| field.name.clone()),
            list(&|field| field.number.size_bytes().to_string()),
            list(&|field| field.number.pcd_type().to_string()),
            list(&|field| field.count.to_string()),
            self.width,
            self.height,
            self.points(),
        )
    }

    fn npy_header(&self) -> Vec<u8> {
        let field = |field: &PointField| {
            let dtype = npy::number(field.number.numpy(), false);
            match field.count {
                1 => format!("('{}', '{dtype}')", field.name),
                count => format!("('{}', '{dtype}', ({count},))", field.name),
            }
        };
        let fields: String = self.fields.iter().map(|f| format!("{}, ", field(f))).collect();
        let shape = [self.height, self.width];
        // A single row is a plain list of points.
        npy::header(&format!("[{fields}]"), if self.height == 1 { &shape[1..] } else { &shape })
    }
}
