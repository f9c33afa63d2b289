//! Builds lists value by value. Lists of one kind of number become typed arrays; all others stay
//! lists of values.

use super::value::{Array, Value};

/// A list that is being read.
#[derive(Debug, Default)]
pub(crate) enum ListBuilder {
    #[default]
    Empty,
    Ints(Vec<i64>),
    Singles(Vec<f32>),
    Doubles(Vec<f64>),
    Mixed(Vec<Value>),
}

impl ListBuilder {
    /// Adds the next item.
    pub(crate) fn push(&mut self, value: Value) {
        match (&mut *self, value) {
            (Self::Ints(ints), Value::Int(i)) => ints.push(i),
            (Self::Singles(floats), Value::F32(f)) => floats.push(f),
            (Self::Doubles(floats), Value::F64(f)) => floats.push(f),
            (Self::Mixed(items), value) => items.push(value),
            (Self::Empty, Value::Int(i)) => *self = Self::Ints(vec![i]),
            (Self::Empty, Value::F32(f)) => *self = Self::Singles(vec![f]),
            (Self::Empty, Value::F64(f)) => *self = Self::Doubles(vec![f]),
            (_, value) => {
                let mut items = std::mem::take(self).into_values();
                items.push(value);
                *self = Self::Mixed(items);
            }
        }
    }

    /// Returns the finished list.
    pub(crate) fn finish(self) -> Value {
        match self {
            Self::Ints(ints) => Value::Array(Array::I64(ints)),
            Self::Singles(floats) => Value::Array(Array::F32(floats)),
            Self::Doubles(floats) => Value::Array(Array::F64(floats)),
            other => Value::List(other.into_values()),
        }
    }

    fn into_values(self) -> Vec<Value> {
        match self {
            Self::Empty => Vec::new(),
            Self::Ints(ints) => ints.into_iter().map(Value::Int).collect(),
            Self::Singles(floats) => floats.into_iter().map(Value::F32).collect(),
            Self::Doubles(floats) => floats.into_iter().map(Value::F64).collect(),
            Self::Mixed(items) => items,
        }
    }
}
