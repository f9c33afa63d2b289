//! Field values: JSON's kinds, plus those that robots send and JSON lacks (typed numeric arrays,
//! f32, non-finite floats, bytes).

use super::fields::Column;

/// A field's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value; `null`.
    Null,
    /// True or false.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer. Used above `i64::MAX`; below, it means the same as `Int`.
    UInt(u64),
    /// Single precision. Kept apart so that it is written in its own shortest form.
    F32(f32),
    /// Double precision; may be NaN or infinite.
    F64(f64),
    /// Text.
    Text(String),
    /// Raw bytes; base64 text in JSON.
    Bytes(Vec<u8>),
    /// Numbers of one type, without one heap value each.
    Array(Array),
    /// Any values, in order.
    List(Vec<Value>),
    /// A dict, in order. Flattened with dots as a field of a row; kept as it is inside a list.
    Map(Vec<(Column, Value)>),
}

/// A one-dimensional array of one primitive type.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the variants are the primitive types of their names")]
pub enum Array {
    Bool(Vec<bool>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    I16(Vec<i16>),
    U16(Vec<u16>),
    I32(Vec<i32>),
    U32(Vec<u32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Runs `$body` with `$v` bound to the vector inside an [`Array`], whatever its type.
#[macro_export]
#[doc(hidden)]
macro_rules! with_array {
    ($array:expr, $v:ident => $body:expr) => {
        match $array {
            $crate::Array::Bool($v) => $body,
            $crate::Array::I8($v) => $body,
            $crate::Array::U8($v) => $body,
            $crate::Array::I16($v) => $body,
            $crate::Array::U16($v) => $body,
            $crate::Array::I32($v) => $body,
            $crate::Array::U32($v) => $body,
            $crate::Array::I64($v) => $body,
            $crate::Array::U64($v) => $body,
            $crate::Array::F32($v) => $body,
            $crate::Array::F64($v) => $body,
        }
    };
}

impl Array {
    /// Number of elements.
    pub fn len(&self) -> usize {
        with_array!(self, v => v.len())
    }

    /// Returns true if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn heap_bytes(&self) -> usize {
        with_array!(self, v => std::mem::size_of_val(v.as_slice()))
    }
}

impl Value {
    /// Returns true for a dict with entries, which a row has flattened unless it is too much.
    pub(crate) fn is_filled_dict(&self) -> bool {
        matches!(self, Self::Map(entries) if !entries.is_empty())
    }

    /// Returns true if lists and dicts nest more than `levels` deep.
    pub(crate) fn nests_deeper_than(&self, levels: usize) -> bool {
        let rest = levels.checked_sub(1);
        let too_deep = |item: &Self| rest.is_none_or(|rest| item.nests_deeper_than(rest));
        match self {
            Self::List(items) => rest.is_none() || items.iter().any(too_deep),
            Self::Map(entries) => rest.is_none() || entries.iter().any(|(_, v)| too_deep(v)),
            Self::Array(_) => rest.is_none(),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::UInt(_) => false,
            Self::F32(_) | Self::F64(_) | Self::Text(_) | Self::Bytes(_) => false,
        }
    }

    /// Heap bytes behind this value.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::UInt(_) => 0,
            Self::F32(_) | Self::F64(_) => 0,
            Self::Text(s) => s.len(),
            Self::Bytes(b) => b.len(),
            Self::Array(a) => a.heap_bytes(),
            Self::List(l) => l.iter().map(|v| size_of::<Self>() + v.heap_bytes()).sum(),
            Self::Map(m) => {
                let entry = |(key, value): &(Column, Self)| {
                    size_of::<(Column, Self)>() + key.len() + value.heap_bytes()
                };
                m.iter().map(entry).sum()
            }
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $x:ident $to:expr;)*) => {
        $(impl From<$from> for Value {
            fn from($x: $from) -> Self { $to }
        })*
    };
}

value_from! {
    bool => x Self::Bool(x);
    i8 => x Self::Int(x.into());
    i16 => x Self::Int(x.into());
    i32 => x Self::Int(x.into());
    i64 => x Self::Int(x);
    u8 => x Self::Int(x.into());
    u16 => x Self::Int(x.into());
    u32 => x Self::Int(x.into());
    u64 => x i64::try_from(x).map_or(Self::UInt(x), Self::Int);
    f32 => x Self::F32(x);
    f64 => x Self::F64(x);
    &str => x Self::Text(x.to_owned());
    String => x Self::Text(x);
    Array => x Self::Array(x);
    Vec<Value> => x Self::List(x);
}

macro_rules! array_from {
    ($($t:ty => $variant:ident;)*) => {
        $(impl From<Vec<$t>> for Value {
            fn from(v: Vec<$t>) -> Self { Self::Array(Array::$variant(v)) }
        }
        impl From<&[$t]> for Value {
            fn from(v: &[$t]) -> Self { v.to_vec().into() }
        }
        impl<const N: usize> From<[$t; N]> for Value {
            fn from(v: [$t; N]) -> Self { v.to_vec().into() }
        })*
    };
}

array_from! {
    bool => Bool;
    i8 => I8;
    u8 => U8;
    i16 => I16;
    u16 => U16;
    i32 => I32;
    u32 => U32;
    i64 => I64;
    u64 => U64;
    f32 => F32;
    f64 => F64;
}

macro_rules! list_from {
    ($($t:ty),*) => {
        $(impl From<Vec<$t>> for Value {
            fn from(v: Vec<$t>) -> Self { Self::List(v.into_iter().map(Value::from).collect()) }
        }
        impl<const N: usize> From<[$t; N]> for Value {
            fn from(v: [$t; N]) -> Self { Self::List(v.into_iter().map(Value::from).collect()) }
        })*
    };
}

list_from!(&str, String);

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Null, Into::into)
    }
}
