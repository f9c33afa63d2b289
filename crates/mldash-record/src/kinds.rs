//! What kind of values columns hold. Reports when that changes, as when a message's definition
//! changed between two bags: readers can then no longer treat the column as numbers.

use std::collections::HashMap;
use std::fmt;

use mldash_track::{Array, Column, Fields, Value};

/// A column's kind, as coarse as the store keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    is_list: bool,
    of: Scalar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scalar {
    Bool,
    Int,
    Float,
    Text,
    Dict,
    List,
}

/// A column whose kind changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Changed {
    pub(super) column: Column,
    pub(super) before: Kind,
    pub(super) now: Kind,
}

/// The kinds of a track's columns.
#[derive(Debug, Default)]
pub(super) struct Kinds(HashMap<Column, Kind>);

impl Kinds {
    /// Takes a row. Returns the columns whose kind changed.
    pub(super) fn take(&mut self, fields: &Fields) -> Vec<Changed> {
        let mut changed = Vec::new();
        for (column, value) in fields.iter() {
            let Some(now) = Kind::of(value) else { continue };
            match self.0.insert(column.clone(), now) {
                Some(before) if before != now => {
                    changed.push(Changed { column: column.clone(), before, now });
                }
                _ => {}
            }
        }
        changed
    }
}

impl Kind {
    /// `None` if the value does not tell: null, and an empty list as it is read back.
    fn of(value: &Value) -> Option<Self> {
        let one = |of| Some(Self { is_list: false, of });
        let list = |of| Some(Self { is_list: true, of });
        match value {
            Value::Null => None,
            Value::Bool(_) => one(Scalar::Bool),
            Value::Int(_) | Value::UInt(_) => one(Scalar::Int),
            Value::F32(_) | Value::F64(_) => one(Scalar::Float),
            // Bytes are stored as text.
            Value::Text(_) | Value::Bytes(_) => one(Scalar::Text),
            Value::Map(_) => one(Scalar::Dict),
            Value::Array(Array::Bool(_)) => list(Scalar::Bool),
            Value::Array(Array::F32(_) | Array::F64(_)) => list(Scalar::Float),
            Value::Array(_) => list(Scalar::Int),
            Value::List(values) => {
                let of = values.iter().find_map(Self::of)?;
                list(if of.is_list { Scalar::List } else { of.of })
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.of {
            Scalar::Bool => "bool",
            Scalar::Int => "int",
            Scalar::Float => "float",
            Scalar::Text => "text",
            Scalar::Dict => "dict",
            Scalar::List => "list",
        };
        if self.is_list { write!(f, "list of {of}") } else { f.write_str(of) }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, before, now } = self;
        write!(f, "column `{column}` changed from {before} to {now}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mldash_track::fields;

    #[test]
    fn a_column_of_another_kind_is_told_and_nothing_that_only_looks_so() {
        let mut kinds = Kinds::default();
        let first = fields! { "n": 1, "x": 1.5, "q": [0.5], "names": ["a"], "gone": true };
        assert_eq!(kinds.take(&first), []);
        let none: Vec<Value> = Vec::new();
        let same =
            fields! { "n": u64::MAX, "x": 2.5_f32, "q": none.clone(), "names": none, "new": 1 };
        assert_eq!(kinds.take(&same), []);
        let changed = kinds.take(&fields! { "n": "one", "x": 1, "q": ["a"], "names": ["b"] });
        let told: Vec<String> = changed.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "column `n` changed from int to text",
                "column `x` changed from float to int",
                "column `q` changed from list of float to list of text",
            ]
        );
    }
}
