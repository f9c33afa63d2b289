//! Reads or skips one field of any type, guided by its definition.

mod texts;

use std::sync::Arc;

use super::super::definition::{Arity, ElementType, FieldType, MessageType, Primitive, Role};
use super::super::layout::ByteArrays;
use super::super::path::Slice;
use super::cdr::{self, Cdr};
use super::error::{DecodeProblem, Fault};
use super::{HEADER_BYTES, LeftOut, LeftOutColumn};
use mldash_track::{Column, Value};
pub(super) use texts::{WideRead, WideUnits};

/// Reads values from the current position.
pub(super) struct Reader<'a, const LITTLE: bool> {
    pub(super) cdr: Cdr<'a, LITTLE>,
    left_out: Vec<LeftOut>,
    repaired_text: bool,
    byte_arrays: ByteArrays,
    slack_bytes: usize,
    units: WideUnits,
    wide: WideRead,
    /// The memory that values may still take.
    left_bytes: usize,
}

/// A field on the way to a value, and what is taken of it if it is an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) field: usize,
    pub(crate) slice: Option<Slice>,
}

/// A value; `None` if a byte array was left out.
type Read = Result<Option<Value>, Box<Fault>>;

const ALL: Slice = Slice::Range { start: None, stop: None, step: 1 };

impl<'a, const LITTLE: bool> Reader<'a, LITTLE> {
    pub(super) fn new(body: &'a [u8], byte_arrays: ByteArrays, units: WideUnits) -> Self {
        Self {
            cdr: Cdr::new(body),
            left_out: Vec::new(),
            repaired_text: false,
            byte_arrays,
            slack_bytes: 0,
            units,
            wide: WideRead::default(),
            left_bytes: MAX_ROW_BYTES,
        }
    }

    /// What was found in wstrings.
    pub(super) fn wide(&self) -> WideRead {
        self.wide
    }

    /// Counts `count` values of this many bytes each against the limit. A few bytes can stand for
    /// much larger values: a list of a million one-byte messages takes a hundred times that.
    #[inline]
    pub(super) fn claim(&mut self, count: usize, each_bytes: usize) -> Result<(), Box<Fault>> {
        match self.left_bytes.checked_sub(count.saturating_mul(each_bytes)) {
            Some(left_bytes) => {
                self.left_bytes = left_bytes;
                Ok(())
            }
            None => {
                let limit_bytes = MAX_ROW_BYTES;
                Err(Fault::new(self.cdr.at(), DecodeProblem::TooLarge { limit_bytes }))
            }
        }
    }

    /// Like [`claim`](Self::claim), for the numbers that are taken out of `count`.
    pub(super) fn claim_numbers(
        &mut self,
        primitive: Primitive,
        count: usize,
        slice: Option<Slice>,
    ) -> Result<(), Box<Fault>> {
        let taken = slice.map_or(count, |slice| slice.indices(count).count());
        let size = primitive.size_bytes();
        self.claim(taken, size + number_text_bytes(size))
    }

    /// What was left out, and whether a text was repaired, since the last call.
    pub(super) fn take_notes(&mut self) -> (Vec<LeftOut>, bool) {
        (std::mem::take(&mut self.left_out), std::mem::take(&mut self.repaired_text))
    }

    /// The number of unused bytes, besides padding, that may follow what was read.
    pub(super) fn slack_bytes(&self) -> usize {
        self.slack_bytes
    }

    /// Reads a field: of an array what `slice` takes, of messages what `rest` leads to.
    pub(super) fn read(&mut self, ty: &FieldType, slice: Option<Slice>, rest: &[Hop]) -> Read {
        match (&ty.element, ty.arity) {
            (element, Arity::One) => self.read_one(element, rest),
            (ElementType::Primitive(primitive), _) => {
                let length = self.count(ty)?;
                let bytes = self.numbers(primitive.size_bytes(), length)?;
                if self.leaves_out(ty, length, slice) {
                    self.leave_out(bytes.len(), slice);
                    return Ok(None);
                }
                self.claim_numbers(*primitive, length, slice)?;
                let values = cdr::pick::<LITTLE>(*primitive, bytes, slice);
                values.map(Some).map_err(|p| Fault::new(self.cdr.at() - bytes.len(), p))
            }
            (element, _) => {
                let length = self.count(ty)?;
                self.read_list(element, length, slice, rest).map(Some)
            }
        }
    }

    fn read_one(&mut self, element: &ElementType, rest: &[Hop]) -> Read {
        match element {
            ElementType::Primitive(primitive) => {
                let size = primitive.size_bytes();
                let bytes = self.cdr.take(size, size)?;
                let value = cdr::scalar::<LITTLE>(*primitive, bytes);
                value.map(Some).map_err(|p| Fault::new(self.cdr.at() - size, p))
            }
            ElementType::Text(kind) => self.text(*kind).map(|t| Some(Value::Text(t))),
            ElementType::Message(message) => match rest.split_first() {
                Some((hop, rest)) => self.read_within(message, hop, rest),
                None => self.read_message(message).map(Some),
            },
        }
    }

    fn read_within(&mut self, message: &MessageType, hop: &Hop, rest: &[Hop]) -> Read {
        let mut value = None;
        for (i, field) in message.fields().iter().enumerate() {
            if i == hop.field {
                value = self
                    .read(&field.ty, hop.slice, rest)
                    .map_err(|fault| fault.in_field(&field.name))?;
            } else {
                self.skip(&field.ty).map_err(|fault| fault.in_field(&field.name))?;
            }
        }
        Ok(value)
    }

    /// A whole message: a dict, or an array for a vector.
    fn read_message(&mut self, message: &MessageType) -> Result<Value, Box<Fault>> {
        if let Role::Vector(parts) = message.role() {
            let bytes = self.numbers(parts.primitive.size_bytes(), parts.count)?;
            self.claim_numbers(parts.primitive, parts.count, None)?;
            return cdr::pick::<LITTLE>(parts.primitive, bytes, None)
                .map_err(|p| Fault::new(self.cdr.at() - bytes.len(), p));
        }
        if message.fields().is_empty() {
            self.cdr.take(1, 1)?;
        }
        self.claim(message.fields().len(), size_of::<(Arc<str>, Value)>())?;
        let mut entries = Vec::with_capacity(message.fields().len());
        for field in message.fields() {
            let value = self.read(&field.ty, None, &[]);
            match value.map_err(|fault| fault.in_field(&field.name))? {
                Some(Value::Map(nothing)) if nothing.is_empty() => {}
                Some(value) => entries.push((Arc::clone(&field.name), value)),
                None => {}
            }
        }
        Ok(Value::Map(entries))
    }

    /// Texts or messages: a list, or for an index its element, null if out of range.
    fn read_list(
        &mut self,
        element: &ElementType,
        length: usize,
        slice: Option<Slice>,
        rest: &[Hop],
    ) -> Result<Value, Box<Fault>> {
        let mut wanted = slice.unwrap_or(ALL).indices(length);
        self.claim(wanted.size_hint().0, size_of::<Value>() + LIST_ITEM_BYTES)?;
        let mut list = Vec::with_capacity(wanted.size_hint().0);
        let mut next = wanted.next();
        for i in 0..length {
            if next == Some(i) {
                let value = self.read_one(element, rest).map_err(|fault| fault.in_element(i))?;
                list.push(value.unwrap_or(Value::Null));
                next = wanted.next();
            } else {
                self.skip_one(element).map_err(|fault| fault.in_element(i))?;
            }
        }
        Ok(match slice {
            Some(Slice::Index(_)) => list.pop().unwrap_or(Value::Null),
            Some(Slice::Range { .. }) | None => Value::List(list),
        })
    }

    /// Skips a field. It is read only as far as its length requires.
    pub(super) fn skip(&mut self, ty: &FieldType) -> Result<(), Box<Fault>> {
        if ty.arity == Arity::One {
            return self.skip_one(&ty.element);
        }
        let length = self.count(ty)?;
        let numbers = match &ty.element {
            ElementType::Primitive(primitive) => Some((*primitive, 1)),
            ElementType::Message(m) => m.uniform().map(|u| (u.primitive, u.count)),
            ElementType::Text(_) => None,
        };
        if let Some((primitive, each)) = numbers {
            return self.numbers(primitive.size_bytes(), length.saturating_mul(each)).map(|_| ());
        }
        for i in 0..length {
            self.skip_one(&ty.element).map_err(|fault| fault.in_element(i))?;
        }
        Ok(())
    }

    fn skip_one(&mut self, element: &ElementType) -> Result<(), Box<Fault>> {
        match element {
            ElementType::Primitive(p) => self.cdr.take(p.size_bytes(), p.size_bytes()).map(|_| ()),
            ElementType::Text(kind) => self.text_bytes(*kind).map(|_| ()),
            ElementType::Message(message) => match message.uniform() {
                Some(u) => self.numbers(u.primitive.size_bytes(), u.count).map(|_| ()),
                None if message.fields().is_empty() => self.cdr.take(1, 1).map(|_| ()),
                None => message
                    .fields()
                    .iter()
                    .try_for_each(|f| self.skip(&f.ty).map_err(|fault| fault.in_field(&f.name))),
            },
        }
    }

    /// The number of elements of an array. Checks that the remaining bytes can hold them.
    pub(super) fn count(&mut self, ty: &FieldType) -> Result<usize, Box<Fault>> {
        let min_bytes = ty.element.min_bytes();
        match ty.arity {
            Arity::One => Ok(1),
            Arity::Fixed(length) => self.cdr.check_length(length, min_bytes).map(|()| length),
            Arity::Variable { max } => {
                let length = self.cdr.length(min_bytes)?;
                match max {
                    Some(max) if length > max => Err(Fault::new(
                        self.cdr.at().saturating_sub(4),
                        DecodeProblem::Bound { length, max },
                    )),
                    Some(_) | None => Ok(length),
                }
            }
        }
    }

    /// `count` numbers. An empty array has no padding before it.
    fn numbers(&mut self, size: usize, count: usize) -> Result<&'a [u8], Box<Fault>> {
        if count == 0 {
            if size == OVERESTIMATE_BYTES {
                self.slack_bytes += OVERESTIMATE_BYTES;
            }
            return Ok(&[]);
        }
        self.cdr.take(size, count.saturating_mul(size))
    }

    fn leaves_out(&self, ty: &FieldType, length: usize, slice: Option<Slice>) -> bool {
        if !ty.is_byte_array() || matches!(slice, Some(Slice::Index(_))) {
            return false;
        }
        let bytes = slice.map_or(length, |s| s.indices(length).count());
        match self.byte_arrays {
            ByteArrays::Keep => false,
            ByteArrays::KeepUpTo { max_bytes } => bytes > max_bytes,
            ByteArrays::LeaveOut => true,
        }
    }

    /// Notes the bytes that were just skipped.
    fn leave_out(&mut self, bytes: usize, slice: Option<Slice>) {
        let end = HEADER_BYTES + self.cdr.at();
        self.left_out.push(LeftOut { column: None, place: end - bytes..end, slice });
    }

    /// Sets the column of the last byte array that was left out.
    pub(super) fn name_left_out(&mut self, name: &Column, path: &Arc<str>) {
        if let Some(last) = self.left_out.last_mut() {
            last.column = Some(LeftOutColumn { name: name.clone(), path: path.clone() });
        }
    }
}

/// The limit on the values of a message in memory and as text. Byte arrays that are left out don't
/// count.
const MAX_ROW_BYTES: usize = 128 << 20;

/// The extra memory of a list's item: its own allocation, and a comma.
const LIST_ITEM_BYTES: usize = 16;

/// The approximate size of a number as text.
const fn number_text_bytes(size: usize) -> usize {
    match size {
        1 => 4,
        2 => 6,
        4 => 10,
        _ => 18,
    }
}

/// `rmw_serialize`, which may have written a bag's messages, returns as many bytes as it first
/// estimates. Its estimate has padding in empty arrays of 8-byte numbers, and a NUL in each
/// wstring, which are not written then. Either shifts what follows by at most this much.
const OVERESTIMATE_BYTES: usize = 8;
