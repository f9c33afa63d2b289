//! The common type of all values of a column, for formats with typed columns.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fields::Column;

/// The type of a column. Every value may be absent.
///
/// Integers and floats have one width each, whatever width a sensor sends. The store keeps numbers
/// as text, so the column's type stays the same when a definition widens a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnType {
    /// No value was seen and no type was declared.
    #[serde(rename = "null")]
    Null,
    /// True or false.
    #[serde(rename = "bool")]
    Bool,
    /// Integers that fit an `i64`.
    #[serde(rename = "int64")]
    Int,
    /// Unsigned integers, up to the maximum of `u64`.
    #[serde(rename = "uint64")]
    UInt,
    /// Double precision. Integers among them are exact.
    #[serde(rename = "double")]
    Float,
    /// Text.
    #[serde(rename = "string")]
    Text,
    /// Lists of one type of item.
    #[serde(rename = "list")]
    List(Box<ColumnType>),
    /// Dicts, with the keys that any of them has.
    #[serde(rename = "struct")]
    Dict(Vec<(Column, ColumnType)>),
    /// The JSON text of each value, for values without a common type.
    #[serde(rename = "json")]
    Json,
}

impl ColumnType {
    /// Lists and dicts within each other have types down to this depth. What is deeper is JSON text:
    /// the writers of typed formats call themselves for each level.
    pub const MAX_DEPTH: usize = 16;

    /// Lists of `items`.
    pub fn list(items: Self) -> Self {
        Self::List(Box::new(items))
    }

    /// The number of columns of plain values that it consists of: one for each key of its dicts.
    pub(crate) fn leaves(&self) -> usize {
        match self {
            Self::List(items) => items.leaves(),
            Self::Dict(entries) => entries.iter().map(|(_, ty)| ty.leaves()).sum(),
            _ => 1,
        }
    }

    /// This type as formats can write it: a dict without keys becomes JSON text, and so does what is
    /// nested deeper than [`MAX_DEPTH`](Self::MAX_DEPTH).
    pub(crate) fn writable(self) -> Self {
        self.writable_within(Self::MAX_DEPTH)
    }

    fn writable_within(self, depth: usize) -> Self {
        let Some(below) = depth.checked_sub(1) else {
            return if matches!(self, Self::List(_) | Self::Dict(_)) { Self::Json } else { self };
        };
        match self {
            Self::List(items) => match items.writable_within(below) {
                Self::Json => Self::Json,
                items => Self::list(items),
            },
            Self::Dict(entries) if entries.is_empty() => Self::Json,
            Self::Dict(entries) => {
                let writable = |(key, ty): (Column, Self)| (key, ty.writable_within(below));
                let entries = entries.into_iter().map(writable);
                let entries: Vec<_> = entries.collect();
                let is_typed = entries.iter().all(|(_, ty)| *ty != Self::Json);
                if is_typed { Self::Dict(entries) } else { Self::Json }
            }
            plain => plain,
        }
    }

    /// The common type of a column with two sources; `None` if their types differ too much.
    pub(crate) fn join(&self, other: &Self) -> Option<Self> {
        Some(match (self, other) {
            (a, b) if a == b => a.clone(),
            (Self::Null, known) | (known, Self::Null) => known.clone(),
            (Self::Float, Self::Int | Self::UInt) | (Self::Int | Self::UInt, Self::Float) => {
                Self::Float
            }
            (Self::List(a), Self::List(b)) => Self::list(a.join(b)?),
            (Self::Dict(a), Self::Dict(b)) => {
                let mut joined = a.clone();
                for (key, ty) in b {
                    match joined.iter_mut().find(|(known, _)| known == key) {
                        Some((_, known)) => *known = known.join(ty)?,
                        None => joined.push((key.clone(), ty.clone())),
                    }
                }
                Self::Dict(joined)
            }
            _ => return None,
        })
    }
}

/// Formats types as Arrow does: `list<double>`.
impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int64"),
            Self::UInt => f.write_str("uint64"),
            Self::Float => f.write_str("double"),
            Self::Text => f.write_str("string"),
            Self::Json => f.write_str("JSON text"),
            Self::List(items) => write!(f, "list<{items}>"),
            Self::Dict(entries) => {
                f.write_str("struct<")?;
                for (i, (key, ty)) in entries.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{key}: {ty}")?;
                }
                f.write_str(">")
            }
        }
    }
}
