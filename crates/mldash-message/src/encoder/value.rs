//! What values are, and whether they fit a field. Those that were read back from text have the
//! kinds that JSON knows: whole numbers may stand for floats, doubles for single precision.

use std::fmt::Display;

use super::error::{EncodeProblem, Fault};
use crate::definition::{Arity, MessageType, Primitive, Role};
use mldash_track::Value;

/// The number of elements of an array; `None` if it is none.
pub(super) fn length(value: &Value) -> Option<usize> {
    match value {
        Value::Array(array) => Some(array.len()),
        Value::List(items) => Some(items.len()),
        Value::Bytes(bytes) => Some(bytes.len()),
        _ => None,
    }
}

pub(super) fn length_fits(arity: Arity, count: usize) -> bool {
    match arity {
        Arity::One => count == 1,
        Arity::Fixed(length) => count == length,
        Arity::Variable { max } => max.is_none_or(|max| count <= max),
    }
}

/// Returns true for messages that contain no value, which are no column and no entry of a dict.
pub(super) fn is_nothing(message: &MessageType) -> bool {
    let is_nothing = |ty: &crate::FieldType| {
        ty.arity == Arity::One && ty.message().is_some_and(|message| is_nothing(message))
    };
    !matches!(message.role(), Role::Vector(_))
        && message.fields().iter().all(|field| is_nothing(&field.ty))
}

pub(super) fn float64(value: &Value) -> Result<f64, Box<Fault>> {
    match value {
        Value::F64(x) => Ok(*x),
        Value::F32(x) => Ok(f64::from(*x)),
        Value::Int(i) => Ok(*i as f64),
        Value::UInt(u) => Ok(*u as f64),
        _ => Err(other_kind(&Primitive::F64, value)),
    }
}

/// A float that was written in its shortest form as single precision reads back as the same.
pub(super) fn float32(value: &Value) -> Result<f32, Box<Fault>> {
    if let Value::F32(x) = value {
        return Ok(*x);
    }
    let double = float64(value).map_err(|_| other_kind(&Primitive::F32, value))?;
    let single = double as f32;
    if single.is_infinite() && double.is_finite() {
        return Err(out_of_range(Primitive::F32, value));
    }
    Ok(single)
}

#[cold]
pub(super) fn other_kind(expected: &dyn Display, value: &Value) -> Box<Fault> {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Int(_) | Value::UInt(_) => "a whole number",
        Value::F32(_) | Value::F64(_) => "a float",
        Value::Text(_) => "a text",
        Value::Bytes(_) => "bytes",
        Value::Array(_) | Value::List(_) => "a list",
        Value::Map(_) => "a dict",
    };
    Fault::new(EncodeProblem::Kind { expected: expected.to_string(), found })
}

#[cold]
pub(super) fn out_of_range(expected: Primitive, value: &Value) -> Box<Fault> {
    let found = match value {
        Value::Int(i) => i.to_string(),
        Value::UInt(u) => u.to_string(),
        Value::F64(x) => x.to_string(),
        other => format!("{other:?}"),
    };
    Fault::new(EncodeProblem::Range { expected: expected.to_string(), found })
}
