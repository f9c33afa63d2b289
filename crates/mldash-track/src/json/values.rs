//! Parses JSON text to values in one pass, without an intermediate tree and with limited nesting.

use jiter::{Jiter, JiterError, NumberAny, NumberInt, Peek};

use super::JsonRowError;
use crate::row::{Column, ListBuilder, Value};

/// How many levels of lists and objects a value may nest. Limits the parser's stack.
pub(crate) const MAX_DEPTH: usize = 64;

/// An error inside a text. Becomes a [`JsonRowError`] where the text is at hand.
pub enum WalkError {
    /// It is not JSON.
    Json(JiterError),
    /// It nests deeper than a row may.
    TooDeep,
}

impl From<JiterError> for WalkError {
    fn from(error: JiterError) -> Self {
        Self::Json(error)
    }
}

impl WalkError {
    /// Adds the position in the text that `jiter` read.
    pub fn at(self, jiter: &Jiter<'_>) -> JsonRowError {
        match self {
            Self::Json(error) => JsonRowError::Syntax(error.description(jiter)),
            Self::TooDeep => JsonRowError::TooDeep,
        }
    }
}

/// A reader for one text in the store's dialect.
pub(crate) fn reader(text: &[u8]) -> Jiter<'_> {
    Jiter::new(text).with_allow_inf_nan()
}

/// Calls `entry` for each key of an object that is the whole text; `entry` consumes the value.
pub fn walk_object<E: From<JiterError>>(
    jiter: &mut Jiter<'_>,
    mut entry: impl FnMut(&mut Jiter<'_>, &str) -> Result<(), E>,
) -> Result<(), E> {
    let mut name = String::new();
    let mut next = jiter.next_object()?;
    while let Some(key) = next {
        name.clear();
        name.push_str(key);
        entry(jiter, &name)?;
        next = jiter.next_key()?;
    }
    Ok(jiter.finish()?)
}

pub(super) fn next_value(jiter: &mut Jiter<'_>) -> Result<Value, WalkError> {
    let peek = jiter.peek()?;
    known_value(jiter, peek, MAX_DEPTH)
}

/// The value that begins with `peek`, if it nests no deeper than `depth`.
pub(crate) fn known_value(
    jiter: &mut Jiter<'_>,
    peek: Peek,
    depth: usize,
) -> Result<Value, WalkError> {
    Ok(match peek {
        Peek::Null => jiter.known_null().map(|()| Value::Null)?,
        Peek::True | Peek::False => jiter.known_bool(peek).map(Value::Bool)?,
        Peek::String => jiter.known_str().map(Value::from)?,
        Peek::Array => list(jiter, depth.checked_sub(1).ok_or(WalkError::TooDeep)?)?,
        Peek::Object => map(jiter, depth.checked_sub(1).ok_or(WalkError::TooDeep)?)?,
        number => match jiter.known_number(number)? {
            NumberAny::Float(float) => Value::F64(float),
            NumberAny::Int(NumberInt::Int(int)) => Value::Int(int),
            NumberAny::Int(big @ NumberInt::BigInt(_)) => big_int(big),
        },
    })
}

/// Integers beyond `i64`: `u64` if they fit, else the nearest float.
fn big_int(number: NumberInt) -> Value {
    let exact = match &number {
        NumberInt::BigInt(big) => u64::try_from(big).ok(),
        NumberInt::Int(int) => u64::try_from(*int).ok(),
    };
    exact.map_or_else(|| Value::F64(number.into()), Value::UInt)
}

fn map(jiter: &mut Jiter<'_>, depth: usize) -> Result<Value, WalkError> {
    let mut entries = Vec::new();
    let mut key = jiter.known_object()?.map(Column::from);
    while let Some(name) = key {
        let peek = jiter.peek()?;
        entries.push((name, known_value(jiter, peek, depth)?));
        key = jiter.next_key()?.map(Column::from);
    }
    Ok(Value::Map(entries))
}

fn list(jiter: &mut Jiter<'_>, depth: usize) -> Result<Value, WalkError> {
    let mut items = ListBuilder::default();
    let mut next = jiter.known_array()?;
    while let Some(peek) = next {
        items.push(known_value(jiter, peek, depth)?);
        next = jiter.array_step()?;
    }
    Ok(items.finish())
}
