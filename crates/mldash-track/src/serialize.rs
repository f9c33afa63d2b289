//! Fields from a program's own structs and JSON values: anything `serde` can serialize. It knows
//! nothing of JSON text; that is `json`.

mod serializer;

use serde::Serialize;

use super::row::{Fields, ListBuilder, RepeatedNames, Value};
use serializer::ValueSerializer;

/// Why a value can't be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SerializeError {
    /// Fields need names, which only structs and maps have.
    #[error("fields come from a struct or a map, got {got}")]
    NotADict {
        /// What was given.
        got: &'static str,
    },
    /// A map's key can't name a column.
    #[error("a map's keys must be text or whole numbers, got {got}")]
    Key {
        /// What was given.
        got: &'static str,
    },
    /// An integer fits neither `i64` nor `u64`.
    #[error("{0} does not fit in 64 bits")]
    IntegerTooLarge(String),
    /// Its dicts' names would be repeated too often.
    #[error(transparent)]
    RepeatedNames(#[from] RepeatedNames),
    /// The type's own `Serialize` failed.
    #[error("{0}")]
    Custom(String),
}

impl serde::ser::Error for SerializeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Custom(message.to_string())
    }
}

impl Fields {
    /// The fields of a struct or a map, nested ones flattened with dots.
    ///
    /// ```
    /// use mldash_track::fields;
    /// use mldash_track::Fields;
    ///
    /// #[derive(serde::Serialize)]
    /// struct Pose { q: [f64; 3], grip: Grip }
    /// #[derive(serde::Serialize)]
    /// struct Grip { closed: bool }
    ///
    /// let pose = Pose { q: [0.1, -0.22, 0.45], grip: Grip { closed: true } };
    /// let expected = fields! { "q": [0.1, -0.22, 0.45], "grip": { "closed": true } };
    /// assert_eq!(Fields::from_serialize(&pose)?, expected);
    /// # Ok::<(), mldash_track::SerializeError>(())
    /// ```
    ///
    /// # Errors
    /// Fails for a value without names, such as a number or a list, for keys that are not text, for
    /// integers beyond 64 bits, and if flattening would take more than
    /// [`MAX_REPEATED_NAME_BYTES`](crate::MAX_REPEATED_NAME_BYTES).
    pub fn from_serialize<T: Serialize + ?Sized>(fields: &T) -> Result<Self, SerializeError> {
        match Value::from_serialize(fields)? {
            Value::Map(entries) => Ok(Self::flatten(entries, &mut Vec::new())?),
            other => Err(SerializeError::NotADict { got: kind(&other) }),
        }
    }
}

impl Value {
    /// Serializes `value`. Lists of one kind of number become typed arrays. The variants of an enum
    /// are written as in JSON.
    ///
    /// # Errors
    /// Fails for keys that are not text and for integers beyond 64 bits.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, SerializeError> {
        value.serialize(ValueSerializer)
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(b) => Self::Bool(b),
            serde_json::Value::Number(number) => from_number(&number),
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Array(items) => {
                let mut list = ListBuilder::default();
                items.into_iter().for_each(|item| list.push(item.into()));
                list.finish()
            }
            serde_json::Value::Object(entries) => {
                Self::Map(entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
            }
        }
    }
}

impl From<serde_json::Map<String, serde_json::Value>> for Fields {
    fn from(entries: serde_json::Map<String, serde_json::Value>) -> Self {
        entries.into_iter().collect()
    }
}

fn from_number(number: &serde_json::Number) -> Value {
    match (number.as_i64(), number.as_u64()) {
        (Some(int), _) => Value::Int(int),
        (None, Some(uint)) => Value::UInt(uint),
        (None, None) => number.as_f64().map_or(Value::Null, Value::F64),
    }
}

/// The kind of a value, for messages.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Int(_) | Value::UInt(_) | Value::F32(_) | Value::F64(_) => "a number",
        Value::Text(_) => "text",
        Value::Bytes(_) => "bytes",
        Value::Array(_) | Value::List(_) => "a list",
        Value::Map(_) => "a dict",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serialize;
    use serde_json::json;

    use super::*;
    use crate::fields;
    use crate::row::Array;

    #[derive(Serialize)]
    enum Mode {
        Hold,
        Move { speed: f32 },
        Jog(i8, i8),
        Goal([f64; 2]),
    }

    #[test]
    fn a_struct_keeps_the_kinds_of_its_numbers() {
        #[derive(Serialize)]
        struct Scan<'a> {
            ranges: &'a [f32],
            counts: [u16; 2],
            seq: u64,
            frame_id: &'a str,
            limit: Option<f64>,
            label: Option<char>,
        }
        let scan = Scan {
            ranges: &[0.1, f32::INFINITY],
            counts: [1, 2],
            seq: u64::MAX,
            frame_id: "laser",
            limit: None,
            label: Some('a'),
        };
        let expected = fields! {
            "ranges": [0.1_f32, f32::INFINITY],
            "counts": [1_i64, 2],
            "seq": u64::MAX,
            "frame_id": "laser",
            "limit": Value::Null,
            "label": "a",
        };
        assert_eq!(Fields::from_serialize(&scan), Ok(expected));
    }

    #[test]
    fn enums_come_as_json_has_them() {
        let modes =
            [Mode::Hold, Mode::Move { speed: 0.5 }, Mode::Jog(1, -1), Mode::Goal([1.0, 2.0])];
        let values: Vec<Value> = modes.iter().map(|m| Value::from_serialize(m).unwrap()).collect();
        let dict = |name: &str, value: Value| Value::Map(vec![(name.into(), value)]);
        assert_eq!(values[0], Value::from("Hold"));
        assert_eq!(values[1], dict("Move", dict("speed", Value::F32(0.5))));
        assert_eq!(values[2], dict("Jog", Value::from([1_i64, -1])));
        assert_eq!(values[3], dict("Goal", Value::from([1.0, 2.0])));
    }

    #[test]
    fn maps_nested_in_one_another_flatten_and_those_in_lists_stay() {
        let joints = BTreeMap::from([(1, [0.5, 1.5]), (2, [2.5, 3.5])]);
        let state = BTreeMap::from([("joints", joints)]);
        let flat = Fields::from_serialize(&state).unwrap();
        assert_eq!(flat, fields! { "joints": { "1": [0.5, 1.5], "2": [2.5, 3.5] } });
        let listed = Fields::from_serialize(&json!({ "boxes": [{ "w": 1 }, { "w": 2 }] })).unwrap();
        assert!(matches!(listed.get("boxes"), Some(Value::List(items)) if items.len() == 2));
    }

    #[test]
    fn what_has_no_names_or_no_place_is_refused_with_what_it_is() {
        let refused = |result: Result<Fields, SerializeError>| result.unwrap_err().to_string();
        assert!(refused(Fields::from_serialize(&[1, 2])).contains("got a list"));
        assert!(refused(Fields::from_serialize(&1.5)).contains("got a number"));
        let keyed = BTreeMap::from([((1, 2), 3)]);
        assert!(refused(Fields::from_serialize(&keyed)).contains("keys must be text"));
        let large = BTreeMap::from([("a", u128::MAX)]);
        assert!(refused(Fields::from_serialize(&large)).contains("64 bits"));
        assert_eq!(Value::from_serialize(&-5_i128), Ok(Value::Int(-5)));
    }

    #[test]
    fn a_json_value_is_the_same_by_either_way() {
        let json = json!({
            "a": { "b": [1, 2], "c": [1, 0.5, null] }, "d": 18446744073709551615_u64,
            "e": -1.5, "f": "text", "g": [], "h": {}, "i": true,
        });
        let serialized = Value::from_serialize(&json).unwrap();
        assert_eq!(Value::from(json), serialized);
    }

    #[test]
    fn bytes_stay_bytes() {
        struct Blob(&'static [u8]);
        impl Serialize for Blob {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(self.0)
            }
        }
        assert_eq!(Value::from_serialize(&Blob(b"png")), Ok(Value::Bytes(b"png".to_vec())));
        assert_eq!(Value::from_serialize(&vec![1_u8, 2]), Ok(Value::Array(Array::I64(vec![1, 2]))));
    }
}
