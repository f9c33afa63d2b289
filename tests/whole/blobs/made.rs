//! Messages with pictures and clouds in them.

use crate::decode::encoder::{Encoder, encode};
use crate::made_bag::{Type, header, with_header};

pub const IMAGE: Type = (
    "sensor_msgs/msg/Image",
    with_header!(
        "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\n\
         uint32 step\nuint8[] data"
    ),
);

pub const COMPRESSED: Type = (
    "sensor_msgs/msg/CompressedImage",
    with_header!("std_msgs/Header header\nstring format\nuint8[] data"),
);

pub const CLOUD: Type = (
    "sensor_msgs/msg/PointCloud2",
    concat!(
        with_header!(
            "std_msgs/Header header\nuint32 height\nuint32 width\nPointField[] fields\n\
             bool is_bigendian\nuint32 point_step\nuint32 row_step\nuint8[] data\nbool is_dense"
        ),
        "===\nMSG: sensor_msgs/PointField\nstring name\nuint32 offset\nuint8 datatype\nuint32 count\n"
    ),
);

/// 2023-11-14, and so many milliseconds.
pub fn stamp_nanos(millis: u32) -> i64 {
    1_700_000_000_000_000_000 + i64::from(millis) * 1_000_000
}

/// An image as its message says it.
#[derive(Clone, Debug)]
pub struct Image {
    pub encoding: &'static str,
    pub width: u32,
    pub height: u32,
    pub step: u32,
    pub is_bigendian: bool,
    pub data: Vec<u8>,
}

impl Image {
    pub fn cdr(&self, millis: u32) -> Vec<u8> {
        encode(|e| self.write(header(e, stamp_nanos(millis))))
    }

    /// Behind a header.
    pub fn write<'e>(&self, e: &'e mut Encoder) -> &'e mut Encoder {
        e.number(self.height.to_le_bytes()).number(self.width.to_le_bytes()).text(self.encoding);
        e.raw(&[self.is_bigendian.into()]).number(self.step.to_le_bytes());
        e.length(self.data.len()).raw(&self.data)
    }
}

pub fn compressed(millis: u32, format: &str, data: &[u8]) -> Vec<u8> {
    encode(|e| header(e, stamp_nanos(millis)).text(format).length(data.len()).raw(data))
}

/// A cloud as its message says it.
#[derive(Clone, Debug)]
pub struct Cloud {
    pub width: u32,
    pub height: u32,
    /// Name, offset, datatype, count.
    pub fields: Vec<(&'static str, u32, u8, u32)>,
    pub is_bigendian: bool,
    pub point_step: u32,
    pub row_step: u32,
    pub data: Vec<u8>,
}

impl Cloud {
    pub fn cdr(&self, millis: u32) -> Vec<u8> {
        encode(|e| {
            header(e, stamp_nanos(millis));
            e.number(self.height.to_le_bytes()).number(self.width.to_le_bytes());
            e.length(self.fields.len());
            for (name, offset, datatype, count) in &self.fields {
                e.text(name).number(offset.to_le_bytes()).raw(&[*datatype]);
                e.number(count.to_le_bytes());
            }
            e.raw(&[self.is_bigendian.into()]).number(self.point_step.to_le_bytes());
            e.number(self.row_step.to_le_bytes()).length(self.data.len()).raw(&self.data);
            e.raw(&[1])
        })
    }
}

/// Bytes that repeat themselves nowhere near.
pub fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    });
    next.take(bytes).collect()
}
