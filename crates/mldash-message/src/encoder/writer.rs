//! Appends to CDR bytes (XCDR1, little endian): alignment, lengths, values of fields.

use super::error::{EncodeProblem, Fault};
use super::value::{self, length_fits};
use crate::definition::{Arity, ElementType, FieldType, MessageType, Primitive, Role, TextKind};
use mldash_track::{Array, Column, Value};

const NANOS_PER_SEC: i64 = 1_000_000_000;

/// Little-endian plain CDR.
const ENCAPSULATION: [u8; 4] = [0, 1, 0, 0];

/// A message that is being written.
pub(super) struct Writer<'c> {
    cdr: &'c mut Vec<u8>,
}

type Written = Result<(), Box<Fault>>;

impl<'c> Writer<'c> {
    pub(super) fn new(cdr: &'c mut Vec<u8>) -> Self {
        cdr.clear();
        cdr.extend(ENCAPSULATION);
        Self { cdr }
    }

    /// Pads to a multiple of `bytes`, a power of two, from the message's first byte.
    fn align(&mut self, bytes: usize) {
        let at = self.cdr.len() - ENCAPSULATION.len();
        self.cdr.resize(at.next_multiple_of(bytes) + ENCAPSULATION.len(), 0);
    }

    /// The length of an array or a text.
    pub(super) fn length(&mut self, length: u32) {
        self.align(4);
        self.cdr.extend(length.to_le_bytes());
    }

    fn count(&mut self, expected: &dyn std::fmt::Display, count: usize) -> Written {
        let Ok(length) = u32::try_from(count) else {
            let expected = expected.to_string();
            return Err(Fault::new(EncodeProblem::Length { expected, found: count }));
        };
        self.length(length);
        Ok(())
    }

    /// A message without fields takes a byte.
    pub(super) fn nothing(&mut self) {
        self.cdr.push(0);
    }

    /// A `builtin_interfaces/msg/Time`; `None` if its seconds don't fit.
    pub(super) fn time(&mut self, nanos: i64) -> Option<()> {
        let sec = i32::try_from(nanos.div_euclid(NANOS_PER_SEC)).ok()?;
        let nanosec = u32::try_from(nanos.rem_euclid(NANOS_PER_SEC)).ok()?;
        self.align(4);
        self.cdr.extend(sec.to_le_bytes());
        self.cdr.extend(nanosec.to_le_bytes());
        Some(())
    }

    /// A field of any type.
    pub(super) fn field(&mut self, ty: &FieldType, value: &Value) -> Written {
        if ty.arity == Arity::One {
            return self.element(&ty.element, value);
        }
        let Some(count) = value::length(value) else {
            return Err(value::other_kind(ty, value));
        };
        if !length_fits(ty.arity, count) {
            let expected = ty.to_string();
            return Err(Fault::new(EncodeProblem::Length { expected, found: count }));
        }
        if let Arity::Variable { .. } = ty.arity {
            self.count(ty, count)?;
        }
        self.items(&ty.element, ty, value)
    }

    /// The elements of an array that may have this many. An empty one has no padding.
    fn items(
        &mut self,
        element: &ElementType,
        ty: &dyn std::fmt::Display,
        value: &Value,
    ) -> Written {
        match (value, element) {
            (Value::List(items), element) => items.iter().enumerate().try_for_each(|(i, item)| {
                self.element(element, item).map_err(|fault| fault.in_element(i))
            }),
            (Value::Bytes(bytes), ElementType::Primitive(Primitive::U8)) => {
                self.cdr.extend(bytes);
                Ok(())
            }
            (Value::Array(array), ElementType::Primitive(primitive)) => {
                if self.same(*primitive, array) {
                    return Ok(());
                }
                mldash_track::with_array!(array, numbers => {
                    numbers.iter().enumerate().try_for_each(|(i, number)| {
                        self.number(*primitive, &Value::from(*number))
                            .map_err(|fault| fault.in_element(i))
                    })
                })
            }
            _ => Err(value::other_kind(ty, value)),
        }
    }

    /// Writes numbers that are of the field's own type; returns false, and writes nothing, if they
    /// are not.
    fn same(&mut self, primitive: Primitive, array: &Array) -> bool {
        macro_rules! numbers {
            ($v:expr) => {{
                if let Some(first) = $v.first() {
                    self.align(size_of_val(first));
                    self.cdr.reserve(size_of_val($v.as_slice()));
                    $v.iter().for_each(|x| self.cdr.extend(x.to_le_bytes()));
                }
            }};
        }
        match (primitive, array) {
            (Primitive::Bool, Array::Bool(v)) => self.cdr.extend(v.iter().map(|b| u8::from(*b))),
            (Primitive::U8, Array::U8(v)) => self.cdr.extend(v),
            (Primitive::I8, Array::I8(v)) => numbers!(v),
            (Primitive::I16, Array::I16(v)) => numbers!(v),
            (Primitive::U16, Array::U16(v)) => numbers!(v),
            (Primitive::I32, Array::I32(v)) => numbers!(v),
            (Primitive::U32, Array::U32(v)) => numbers!(v),
            (Primitive::I64, Array::I64(v)) => numbers!(v),
            (Primitive::U64, Array::U64(v)) => numbers!(v),
            (Primitive::F32, Array::F32(v)) => numbers!(v),
            (Primitive::F64, Array::F64(v)) => numbers!(v),
            _ => return false,
        }
        true
    }

    fn element(&mut self, element: &ElementType, value: &Value) -> Written {
        match (element, value) {
            (ElementType::Primitive(primitive), value) => self.number(*primitive, value),
            (ElementType::Text(TextKind::Narrow), Value::Text(text)) => {
                self.count(&"string", text.len() + 1)?;
                self.cdr.extend(text.bytes());
                self.cdr.push(0);
                Ok(())
            }
            (ElementType::Text(TextKind::Wide), Value::Text(text)) => self.wide(text),
            (ElementType::Text(TextKind::Narrow), other) => {
                Err(value::other_kind(&"string", other))
            }
            (ElementType::Text(TextKind::Wide), other) => Err(value::other_kind(&"wstring", other)),
            (ElementType::Message(message), value) => self.message(message, value),
        }
    }

    /// UTF-16 in units of four bytes without a NUL, as Fast DDS writes it.
    fn wide(&mut self, text: &str) -> Written {
        self.count(&"wstring", text.encode_utf16().count())?;
        text.encode_utf16().for_each(|unit| self.cdr.extend(u32::from(unit).to_le_bytes()));
        Ok(())
    }

    /// A whole message: a dict, or a list for a vector.
    fn message(&mut self, message: &MessageType, value: &Value) -> Written {
        if let Role::Vector(parts) = message.role() {
            let element = ElementType::Primitive(parts.primitive);
            return match value::length(value) {
                Some(count) if count == parts.count => self.items(&element, message.name(), value),
                Some(found) => {
                    let expected = message.name().to_string();
                    Err(Fault::new(EncodeProblem::Length { expected, found }))
                }
                None => Err(value::other_kind(message.name(), value)),
            };
        }
        let Value::Map(entries) = value else {
            return Err(value::other_kind(message.name(), value));
        };
        if message.fields().is_empty() {
            self.nothing();
        }
        for (i, field) in message.fields().iter().enumerate() {
            let written = match entry(entries, i, &field.name) {
                Some(value) => self.field(&field.ty, value),
                None => self.left_out(message, &field.ty),
            };
            written.map_err(|fault| fault.in_field(&field.name))?;
        }
        Ok(())
    }

    /// A field that its message has no entry for: only a message without values has none.
    fn left_out(&mut self, owner: &MessageType, ty: &FieldType) -> Written {
        match (&ty.element, ty.arity) {
            (ElementType::Message(message), Arity::One) if value::is_nothing(message) => {
                self.message(message, &Value::Map(Vec::new()))
            }
            _ => {
                let type_name = owner.name().to_string();
                Err(Fault::new(EncodeProblem::NoField { type_name }))
            }
        }
    }

    fn number(&mut self, primitive: Primitive, value: &Value) -> Written {
        macro_rules! integer {
            ($t:ty) => {{
                let number = match value {
                    Value::Int(i) => <$t>::try_from(*i).ok(),
                    Value::UInt(u) => <$t>::try_from(*u).ok(),
                    _ => return Err(value::other_kind(&primitive, value)),
                };
                let Some(number) = number else {
                    return Err(value::out_of_range(primitive, value));
                };
                self.put(number.to_le_bytes());
            }};
        }
        match primitive {
            Primitive::Bool => match value {
                Value::Bool(b) => self.cdr.push(u8::from(*b)),
                _ => return Err(value::other_kind(&primitive, value)),
            },
            Primitive::I8 => integer!(i8),
            Primitive::U8 => integer!(u8),
            Primitive::I16 => integer!(i16),
            Primitive::U16 => integer!(u16),
            Primitive::I32 => integer!(i32),
            Primitive::U32 => integer!(u32),
            Primitive::I64 => integer!(i64),
            Primitive::U64 => integer!(u64),
            Primitive::F32 => self.put(value::float32(value)?.to_le_bytes()),
            Primitive::F64 => self.put(value::float64(value)?.to_le_bytes()),
        }
        Ok(())
    }

    fn put<const N: usize>(&mut self, number: [u8; N]) {
        self.align(N);
        self.cdr.extend(number);
    }
}

/// The value of a field in a dict, which most likely is in its place.
fn entry<'v>(entries: &'v [(Column, Value)], place: usize, name: &str) -> Option<&'v Value> {
    let in_place = entries.get(place).filter(|(key, _)| **key == *name);
    in_place.or_else(|| entries.iter().find(|(key, _)| **key == *name)).map(|(_, value)| value)
}
