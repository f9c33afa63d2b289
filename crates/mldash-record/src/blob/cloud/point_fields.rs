//! The `sensor_msgs/msg/PointField`s of a cloud.

use crate::blob::error::BlobError;
use crate::blob::whole;
use mldash_track::{Column, Fields, Value};

/// PCL's name for padding.
const PADDING: &str = "_";

/// Some numbers of each point.
#[derive(Clone, Debug)]
pub(super) struct PointField {
    /// Unique, and without characters that would break a file's header.
    pub(super) name: String,
    pub(super) offset: usize,
    pub(super) number: Number,
    pub(super) count: usize,
}

/// The type of numbers in points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
    Bool,
}

impl PointField {
    pub(super) fn size_bytes(&self) -> usize {
        self.number.size_bytes().saturating_mul(self.count)
    }
}

impl Number {
    /// By the constants of `PointField`.
    fn of(datatype: usize) -> Option<Self> {
        use Number::{Bool, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
        let known = [I8, U8, I16, U16, I32, U32, F32, F64, I64, U64, Bool];
        known.get(datatype.checked_sub(1)?).copied()
    }

    pub(super) fn size_bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    pub(super) fn pcd_type(self) -> char {
        match self {
            Self::I8 | Self::I16 | Self::I32 | Self::I64 => 'I',
            Self::U8 | Self::U16 | Self::U32 | Self::U64 | Self::Bool => 'U',
            Self::F32 | Self::F64 => 'F',
        }
    }

    pub(super) fn numpy(self) -> &'static str {
        match self {
            Self::I8 => "i1",
            Self::U8 | Self::Bool => "u1",
            Self::I16 => "i2",
            Self::U16 => "u2",
            Self::I32 => "i4",
            Self::U32 => "u4",
            Self::F32 => "f4",
            Self::F64 => "f8",
            Self::I64 => "i8",
            Self::U64 => "u8",
        }
    }
}

/// The fields of points of `point_step` bytes, without padding.
pub(super) fn read(message: &Fields, point_step: usize) -> Result<Vec<PointField>, BlobError> {
    let Some(Value::List(listed)) = message.get("fields") else {
        return Err(BlobError::NoField { name: "fields" });
    };
    let mut fields: Vec<PointField> = Vec::new();
    for field in listed {
        let Value::Map(entries) = field else { return Err(BlobError::NoField { name: "fields" }) };
        let mut field = point_field(entries, point_step)?;
        if field.name == PADDING {
            continue;
        }
        while fields.iter().any(|other| other.name == field.name) {
            field.name.push('_');
        }
        fields.push(field);
    }
    if fields.is_empty() { Err(BlobError::NoPointFields) } else { Ok(fields) }
}

fn point_field(entries: &[(Column, Value)], point_step: usize) -> Result<PointField, BlobError> {
    let value = |key: &str| entries.iter().find(|(name, _)| &**name == key).map(|(_, v)| v);
    let part = |key| value(key).and_then(whole).ok_or(BlobError::NoField { name: "fields" });
    let name = match value("name") {
        Some(Value::Text(name)) => header_safe(name),
        _ => return Err(BlobError::NoField { name: "fields" }),
    };
    let datatype = part("datatype")?;
    let Some(number) = Number::of(datatype) else {
        return Err(BlobError::Datatype { name, datatype });
    };
    // Some drivers write 0 for 1, and PCL reads it as 1.
    let (offset, count) = (part("offset")?, part("count")?.max(1));
    let end = offset as u128 + count as u128 * number.size_bytes() as u128;
    if end > point_step as u128 {
        return Err(BlobError::BeyondPoint { name, end, point_step });
    }
    Ok(PointField { name, offset, number, count })
}

/// A name without characters that PCD's header, whose words are separated by spaces, or npy's,
/// which is Python, would misread.
fn header_safe(name: &str) -> String {
    let is_safe = |c: char| c.is_ascii_graphic() && !matches!(c, '\'' | '\\' | '#');
    let safe: String = name.chars().map(|c| if is_safe(c) { c } else { '_' }).collect();
    if safe.is_empty() { "unnamed".to_owned() } else { safe }
}
