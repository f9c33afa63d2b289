//! Tells which messages are the same: a hash of a message's bytes. The bytes of an element within a
//! message depend on alignment, so its values are hashed instead.

use twox_hash::XxHash3_64;

use mldash_message::Element;
use mldash_track::{Array, Timestamp, Value};

/// The hash of a message.
pub(super) fn of_message(cdr: &[u8]) -> u64 {
    XxHash3_64::oneshot(cdr)
}

/// The hash of an element of the message `cdr`, before any of its columns change. `scratch` is
/// reused memory.
pub(super) fn of_element(element: &Element, cdr: &[u8], scratch: &mut Vec<u8>) -> u64 {
    scratch.clear();
    push_number(scratch, 's', &element.stamp_nanos.unwrap_or_default().to_le_bytes());
    for name in &element.names {
        push(scratch, 'n', name.as_deref().unwrap_or_default().as_bytes());
    }
    for (name, value) in element.fields.iter() {
        push(scratch, 'c', name.as_bytes());
        push_value(scratch, value);
    }
    for array in &element.left_out {
        push(scratch, 'l', &array.bytes(cdr));
    }
    XxHash3_64::oneshot(scratch)
}

/// A hash that is the same only for messages with the same hash, topic and time.
pub(super) fn at(hash: u64, ts: Timestamp, topic: u32) -> u64 {
    let seed = ts.as_secs().to_bits() ^ u64::from(topic).rotate_right(8);
    XxHash3_64::oneshot_with_seed(seed, &hash.to_le_bytes())
}

/// A kind, a length and that many bytes, so that values can't run into each other.
fn push(out: &mut Vec<u8>, kind: char, bytes: &[u8]) {
    out.push(kind as u8);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn push_number(out: &mut Vec<u8>, kind: char, bytes: &[u8]) {
    out.push(kind as u8);
    out.extend_from_slice(bytes);
}

fn push_length(out: &mut Vec<u8>, kind: char, length: usize) {
    push_number(out, kind, &(length as u64).to_le_bytes());
}

fn push_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.push(b'0'),
        Value::Bool(value) => push_number(out, 'b', &[u8::from(*value)]),
        Value::Int(value) => push_number(out, 'i', &value.to_le_bytes()),
        Value::UInt(value) => push_number(out, 'u', &value.to_le_bytes()),
        Value::F32(value) => push_number(out, 'f', &value.to_le_bytes()),
        Value::F64(value) => push_number(out, 'd', &value.to_le_bytes()),
        Value::Text(text) => push(out, 't', text.as_bytes()),
        Value::Bytes(bytes) => push(out, 'y', bytes),
        Value::Array(array) => push_array(out, array),
        Value::List(values) => {
            push_length(out, 'L', values.len());
            values.iter().for_each(|value| push_value(out, value));
        }
        Value::Map(entries) => {
            push_length(out, 'M', entries.len());
            for (name, value) in entries {
                push(out, 'k', name.as_bytes());
                push_value(out, value);
            }
        }
    }
}

fn push_array(out: &mut Vec<u8>, array: &Array) {
    macro_rules! push_all {
        ($($variant:ident $kind:literal),*) => {
            match array {
                Array::Bool(values) => {
                    push_length(out, 'B', values.len());
                    out.extend(values.iter().map(|value| u8::from(*value)));
                }
                $(Array::$variant(values) => {
                    push_length(out, $kind, values.len());
                    for value in values {
                        out.extend_from_slice(&value.to_le_bytes());
                    }
                })*
            }
        };
    }
    push_all!(I8 '1', U8 '2', I16 '3', U16 '4', I32 '5', U32 '6', I64 '7', U64 '8', F32 'F', F64 'D');
}

#[cfg(test)]
mod tests {
    use super::*;
    use mldash_track::Fields;
    use mldash_track::fields;

    fn hash(fields: Fields, name: &str) -> u64 {
        let element = Element {
            stamp: None,
            stamp_nanos: Some(7),
            fields,
            names: vec![Some(name.to_owned())],
            left_out: Vec::new(),
            repaired_text: false,
        };
        of_element(&element, &[], &mut vec![1, 2, 3])
    }

    #[test]
    fn elements_are_the_same_if_they_say_the_same() {
        let said = || fields! { "a": [1.0_f32, f32::NAN], "b": "x", "c": true };
        let same = hash(said(), "arm");
        assert_eq!(hash(said(), "arm"), same, "NaN is itself");
        for (other, name) in [
            (said(), "leg"),
            (fields! { "a": [1.0, f64::NAN], "b": "x", "c": true }, "arm"),
            (fields! { "a": [1.0_f32], "b": "x", "c": true }, "arm"),
            (fields! { "a": [1.0_f32, f32::NAN], "b": "xc", "c": true }, "arm"),
            (fields! { "a": [1.0_f32, f32::NAN], "b": "x", "c": false }, "arm"),
            (fields! { "a": [1.0_f32, f32::NAN], "b": "x" }, "arm"),
        ] {
            assert_ne!(hash(other, name), same);
        }
    }

    #[test]
    fn a_hash_stands_for_one_topic_at_one_time() {
        let (t, later) = (Timestamp::from_nanos(5), Timestamp::from_nanos(6));
        let all = [at(1, t, 0), at(2, t, 0), at(1, later, 0), at(1, t, 1)];
        assert_eq!(at(1, t, 0), all[0]);
        assert!((1..4).all(|i| !all[i..].contains(&all[i - 1])));
    }
}
