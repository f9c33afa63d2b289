//! What kind of values a column holds, over all its rows: the type that fits every one of them
//! without loss, or none.

use crate::track::row::{Array, Column, Value};
use crate::with_array;

/// Integers up to this size are exact as floats.
const EXACT_IN_F64: u64 = 1 << f64::MANTISSA_DIGITS;

/// A dict with more keys than this is a table of its own, not a type.
const MAX_DICT_KEYS: usize = 256;

/// What is known of a column's values so far. Nulls fit every kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Kind {
    /// Nulls only.
    #[default]
    Nothing,
    Bool,
    Number(Numbers),
    Text,
    List(Box<Kind>),
    Dict(Vec<(Column, Kind)>),
    /// Values that have no type in common.
    Mixed,
}

/// The numbers that a column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Numbers {
    floats: bool,
    ints: bool,
    /// The lowest integer below zero.
    lowest: i64,
    /// The highest integer above zero.
    highest: u64,
}

/// A type that holds all values of a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ColumnType {
    /// There is no value.
    Null,
    Bool,
    Int,
    /// Integers without a sign, some beyond `i64`.
    UInt,
    /// Floats, and integers among them, which are exact as floats.
    Float,
    Text,
    List(Box<ColumnType>),
    Dict(Vec<(Column, ColumnType)>),
    /// Each value as its JSON text: they have no type in common.
    Json,
}

impl Kind {
    /// Takes in one more value.
    pub(super) fn note(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(_) => self.note_plain(Kind::Bool),
            Value::Int(i) => self.note_numbers(|n| n.int(*i)),
            Value::UInt(u) => self.note_numbers(|n| n.uint(*u)),
            Value::F32(_) | Value::F64(_) => self.note_numbers(|n| n.floats = true),
            Value::Text(_) | Value::Bytes(_) => self.note_plain(Kind::Text),
            Value::Array(array) => self.note_array(array),
            Value::List(items) => {
                if let Some(kind) = self.as_list() {
                    items.iter().for_each(|item| kind.note(item));
                }
            }
            Value::Map(entries) => self.note_dict(entries),
        }
    }

    /// The type that holds every value noted.
    pub(super) fn column_type(&self) -> ColumnType {
        self.common_type().unwrap_or(ColumnType::Json)
    }

    fn common_type(&self) -> Option<ColumnType> {
        Some(match self {
            Self::Nothing => ColumnType::Null,
            Self::Bool => ColumnType::Bool,
            Self::Number(numbers) => numbers.common_type()?,
            Self::Text => ColumnType::Text,
            Self::List(items) => ColumnType::List(Box::new(items.common_type()?)),
            // Parquet has no dict without keys.
            Self::Dict(entries) if entries.is_empty() => return None,
            Self::Dict(entries) => {
                let typed = |(key, kind): &(Column, Kind)| Some((key.clone(), kind.common_type()?));
                ColumnType::Dict(entries.iter().map(typed).collect::<Option<_>>()?)
            }
            Self::Mixed => return None,
        })
    }

    fn note_plain(&mut self, kind: Kind) {
        match self {
            Self::Nothing => *self = kind,
            known if *known == kind => {}
            known => *known = Self::Mixed,
        }
    }

    fn note_numbers(&mut self, note: impl FnOnce(&mut Numbers)) {
        if matches!(self, Self::Nothing) {
            *self = Self::Number(Numbers::default());
        }
        match self {
            Self::Number(numbers) => note(numbers),
            other => *other = Self::Mixed,
        }
    }

    fn note_array(&mut self, array: &Array) {
        let Some(items) = self.as_list() else {
            return;
        };
        match array {
            // One float says it all.
            Array::F64(v) => v.first().into_iter().for_each(|f| items.note(&Value::F64(*f))),
            other => with_array!(other, v => v.iter().for_each(|x| items.note(&(*x).into()))),
        }
    }

    fn note_dict(&mut self, entries: &[(Column, Value)]) {
        if matches!(self, Self::Nothing) {
            *self = Self::Dict(Vec::new());
        }
        let Self::Dict(known) = self else {
            *self = Self::Mixed;
            return;
        };
        for (key, value) in entries {
            match known.iter_mut().find(|(k, _)| k == key) {
                Some((_, kind)) => kind.note(value),
                None => {
                    let mut kind = Self::Nothing;
                    kind.note(value);
                    known.push((key.clone(), kind));
                }
            }
        }
        if known.len() > MAX_DICT_KEYS {
            *self = Self::Mixed;
        }
    }

    /// The kind of a list's items, if lists are what this holds.
    fn as_list(&mut self) -> Option<&mut Kind> {
        if matches!(self, Self::Nothing) {
            *self = Self::List(Box::default());
        }
        match self {
            Self::List(items) => Some(items),
            other => {
                *other = Self::Mixed;
                None
            }
        }
    }
}

impl Numbers {
    fn int(&mut self, value: i64) {
        self.ints = true;
        self.lowest = self.lowest.min(value);
        self.highest = self.highest.max(value.max(0).unsigned_abs());
    }

    fn uint(&mut self, value: u64) {
        self.ints = true;
        self.highest = self.highest.max(value);
    }

    fn common_type(self) -> Option<ColumnType> {
        let exact_in_f64 = self.lowest.unsigned_abs().max(self.highest) <= EXACT_IN_F64;
        match self {
            Self { floats: true, ints: false, .. } => Some(ColumnType::Float),
            Self { floats: true, .. } if exact_in_f64 => Some(ColumnType::Float),
            Self { floats: true, .. } => None,
            Self { highest, .. } if i64::try_from(highest).is_ok() => Some(ColumnType::Int),
            Self { lowest: 0, .. } => Some(ColumnType::UInt),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields;

    fn type_of(values: impl IntoIterator<Item = impl Into<Value>>) -> ColumnType {
        let mut kind = Kind::default();
        values.into_iter().for_each(|value| kind.note(&value.into()));
        kind.column_type()
    }

    fn list(items: ColumnType) -> ColumnType {
        ColumnType::List(Box::new(items))
    }

    fn mixed_list(items: impl IntoIterator<Item = Value>) -> Value {
        Value::List(items.into_iter().collect())
    }

    #[test]
    fn integers_widen_to_floats_where_that_is_exact() {
        let exact = 1_i64 << 53;
        assert_eq!(type_of([1, -2]), ColumnType::Int);
        assert_eq!(type_of([Value::Int(exact), Value::F64(0.5)]), ColumnType::Float);
        assert_eq!(type_of([Value::F64(f64::NAN), Value::Int(-exact - 1)]), ColumnType::Json);
    }

    #[test]
    fn integers_beyond_i64_are_unsigned_unless_some_are_negative() {
        assert_eq!(type_of([Value::UInt(u64::MAX), Value::Int(0)]), ColumnType::UInt);
        assert_eq!(type_of([Value::UInt(u64::MAX), Value::Int(-1)]), ColumnType::Json);
    }

    #[test]
    fn nulls_and_empty_lists_fit_every_kind() {
        let values = [Value::Null, Value::List(vec![]), vec![1.5].into(), Value::Null];
        assert_eq!(type_of(values), list(ColumnType::Float));
        assert_eq!(type_of([Value::Null]), ColumnType::Null);
        assert_eq!(type_of([Value::List(vec![])]), list(ColumnType::Null));
    }

    #[test]
    fn lists_are_typed_down_to_their_numbers() {
        let rows = [mixed_list([vec![1, 2].into(), Value::Null]), mixed_list([vec![0.5].into()])];
        assert_eq!(type_of(rows), list(list(ColumnType::Float)));
        assert_eq!(type_of([vec![0.5_f32]]), list(ColumnType::Float));
        assert_eq!(type_of([vec![true]]), list(ColumnType::Bool));
    }

    #[test]
    fn dicts_in_lists_are_a_union_of_their_keys() {
        let dict = |fields: crate::track::Fields| Value::Map(fields.into_iter().collect());
        let rows = [
            mixed_list([dict(fields! { "id": 1 }), dict(fields! { "score": 0.5 })]),
            mixed_list([dict(fields! { "id": 2.5 })]),
        ];
        let expected = vec![("id".into(), ColumnType::Float), ("score".into(), ColumnType::Float)];
        assert_eq!(type_of(rows), list(ColumnType::Dict(expected)));
    }

    #[test]
    fn values_without_a_common_type_are_json() {
        assert_eq!(type_of([Value::Int(1), "a".into()]), ColumnType::Json);
        assert_eq!(type_of([mixed_list([1.into(), "a".into()])]), ColumnType::Json);
        assert_eq!(type_of([vec![1].into(), Value::Int(1)]), ColumnType::Json);
        assert_eq!(type_of([Value::Map(vec![])]), ColumnType::Json);
        let wide = (0..=MAX_DICT_KEYS).map(|i| (format!("k{i}").into(), Value::Null));
        assert_eq!(type_of([Value::Map(wide.collect())]), ColumnType::Json);
    }
}
