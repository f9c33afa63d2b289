//! Points as columns of numbers.

use super::point_fields::{Number, PointField};
use mldash_track::{Array, Value};

/// One column for each field, from little-endian records without gaps.
pub(super) fn columns(
    records: &[u8],
    record_bytes: usize,
    fields: &[PointField],
) -> Vec<(String, Value)> {
    let mut offset = 0;
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let place = offset..offset + field.size_bytes();
        offset = place.end;
        let points = records.chunks_exact(record_bytes.max(1));
        let mut points = points.map(|point| point.get(place.clone()).unwrap_or_default());
        let column = match field.count {
            1 => Value::Array(numbers(field.number, &points.collect::<Vec<_>>().concat())),
            _ => {
                let each = points.by_ref().map(|point| Value::Array(numbers(field.number, point)));
                Value::List(each.collect())
            }
        };
        columns.push((field.name.clone(), column));
    }
    columns
}

fn numbers(number: Number, bytes: &[u8]) -> Array {
    macro_rules! each {
        ($t:ty, $array:ident) => {
            Array::$array(bytes.as_chunks().0.iter().map(|b| <$t>::from_le_bytes(*b)).collect())
        };
    }
    match number {
        Number::I8 => each!(i8, I8),
        Number::U8 => Array::U8(bytes.to_vec()),
        Number::I16 => each!(i16, I16),
        Number::U16 => each!(u16, U16),
        Number::I32 => each!(i32, I32),
        Number::U32 => each!(u32, U32),
        Number::F32 => each!(f32, F32),
        Number::F64 => each!(f64, F64),
        Number::I64 => each!(i64, I64),
        Number::U64 => each!(u64, U64),
        Number::Bool => Array::Bool(bytes.iter().map(|b| *b != 0).collect()),
    }
}
