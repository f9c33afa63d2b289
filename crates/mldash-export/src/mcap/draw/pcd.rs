//! `foxglove.PointCloud` of PCD files: their points, as they lie there, under the names that they have there.

use foxglove::bytes::Bytes;
use foxglove::messages::packed_element_field::NumericType;
use foxglove::messages::{PackedElementField, PointCloud};
use mldash_record::blob::pcd_parts;
use mldash_track::{Fields, TrackError};

use super::declared::FileColumns;
use super::fields::{identity, text, text_in};
use super::{Canvas, Drawn, no_file};

/// The points of a file.
#[derive(Debug, PartialEq)]
struct Points {
    fields: Vec<PackedElementField>,
    stride: u32,
    data: Bytes,
}

/// Draws a cloud a row.
pub(super) fn draw(
    columns: &FileColumns,
    row: &Fields,
    to: &mut Canvas<'_, '_>,
) -> Result<Drawn, TrackError> {
    let path = row.get(&columns.path).and_then(text);
    let Some(path) = path.filter(|path| path.ends_with(".pcd")) else { return Ok(Drawn::No) };
    let file = match to.read(path) {
        Ok(file) => file,
        Err(missing) => return Ok(missing),
    };
    let Some(Points { fields, stride, data }) = points(&file) else {
        return Ok(no_file(path, "it is not a binary PCD file as the recorder writes them"));
    };
    to.put(&PointCloud {
        timestamp: Some(to.stamp),
        frame_id: text_in(row, columns.frame_id.as_ref()),
        pose: Some(identity()),
        point_stride: stride,
        fields,
        data,
    })
}

/// The points of a binary PCD file. A field of several numbers becomes one for each. 64-bit integers, which the schema has
/// no type for, stay in the points without a name.
fn points(file: &Bytes) -> Option<Points> {
    let (header, data) = pcd_parts(file)?;
    let data = file.slice_ref(data);
    let line = |name: &str| {
        let mut lines = header.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
    };
    let words = |name: &str| line(name).map(|line| line.split(' '));
    let (mut fields, mut offset) = (Vec::new(), 0_u32);
    let sizes = words("SIZE")?.zip(words("TYPE")?).zip(words("COUNT")?);
    for (name, ((size, kind), count)) in words("FIELDS")?.zip(sizes) {
        let (size, count): (u32, u32) = (size.parse().ok()?, count.parse().ok()?);
        for i in 0..count {
            let name = if count == 1 { name.to_owned() } else { format!("{name}_{i}") };
            if let Some(ty) = numeric_type(kind, size) {
                fields.push(PackedElementField { name, offset, r#type: ty.into() });
            }
            offset = offset.checked_add(size)?;
        }
    }
    let count: u64 = line("POINTS")?.parse().ok()?;
    let fits = count.checked_mul(u64::from(offset)) == Some(data.len() as u64);
    fits.then_some(Points { fields, stride: offset, data })
}

fn numeric_type(kind: &str, size: u32) -> Option<NumericType> {
    Some(match (kind, size) {
        ("I", 1) => NumericType::Int8,
        ("U", 1) => NumericType::Uint8,
        ("I", 2) => NumericType::Int16,
        ("U", 2) => NumericType::Uint16,
        ("I", 4) => NumericType::Int32,
        ("U", 4) => NumericType::Uint32,
        ("F", 4) => NumericType::Float32,
        ("F", 8) => NumericType::Float64,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use mldash_record::blob::{Blob, BlobKind, FileFormats};
    use mldash_track::{Value, fields};

    use super::*;

    /// A `sensor_msgs/msg/PointField`.
    fn field(name: &str, offset: i64, datatype: i64, count: i64) -> Value {
        let entries = [
            ("name", Value::from(name)),
            ("offset", Value::Int(offset)),
            ("datatype", Value::Int(datatype)),
            ("count", Value::Int(count)),
        ];
        Value::Map(entries.map(|(key, value)| (key.into(), value)).to_vec())
    }

    #[test]
    fn the_points_that_the_recorder_writes_are_read_with_their_names_and_types() {
        // x as float32, a gap, two uint16, a uint64.
        let list = [
            field("x", 0, 7, 1),
            field("near", 8, 4, 2),
            field("t", 12, 10, 1),
            field("i", 20, 2, 1),
        ];
        let row = fields! {
            "height": 1, "width": 2, "is_bigendian": false, "point_step": 21, "row_step": 42,
            "fields": list.to_vec(),
        };
        let data: Vec<u8> = (0..42).collect();
        let blob = Blob::new(BlobKind::Cloud, &row, data.len()).unwrap();
        let encoded = blob.encode(&data, &FileFormats::default()).unwrap();
        let file = Bytes::from(encoded.bytes.into_owned());
        let points = points(&file).unwrap();
        let field = |name: &str, offset, ty: NumericType| PackedElementField {
            name: name.to_owned(),
            offset,
            r#type: ty.into(),
        };
        assert_eq!(
            points.fields,
            [
                field("x", 0, NumericType::Float32),
                field("near_0", 4, NumericType::Uint16),
                field("near_1", 6, NumericType::Uint16),
                field("i", 16, NumericType::Uint8),
            ]
        );
        assert_eq!(points.stride, 17);
        let expected: Vec<u8> = [0, 21]
            .iter()
            .flat_map(|at| {
                let point: Vec<u8> = (*at..at + 21).collect();
                [&point[..4], &point[8..]].concat()
            })
            .collect();
        assert_eq!(points.data, expected);
        // A file that was cut off is none.
        assert_eq!(super::points(&file.slice(..file.len() - 1)), None);
        assert_eq!(super::points(&Bytes::from_static(b"FIELDS x\n")), None);
    }
}
