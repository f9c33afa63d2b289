//! Runs a plan over a message's bytes: one pass, each field built or stepped over.

use std::sync::Arc;

use super::cdr::Reader;
use super::compile::{Compiled, compile};
use super::definition::{Arity, ElementType, MessageType, Primitive, TextKind};
use super::error::{DecodeError, Trouble};
use super::fault::LayoutFault;
use super::layout::{ByteArrays, Layout};
use super::path::Slice;
use super::plan::{Action, Sink, StructPlan, ValuePlan};
use crate::track::{Array, Column, Fields, Timestamp, Value};

/// Bytes that may follow the last field, to make a message's length a multiple of 4.
const PADDING_BYTES: usize = 3;
/// What Fast CDR widens a character of a wide string to.
const WIDE_UNIT: Primitive = Primitive::U32;

/// Turns messages of one type into rows.
///
/// ```
/// use mldash_bridge::message::{Decoder, Layout, MessageType};
/// let text = "string data\n";
/// let string = MessageType::from_bundle(&"std_msgs/msg/String".parse()?, text)?;
/// let decoder = Decoder::compile(&string, &Layout::default()).map_err(|faults| format!("{faults:?}"))?;
/// let cdr = [0, 1, 0, 0, 3, 0, 0, 0, b'h', b'i', 0];
/// let mut elements = Vec::new();
/// decoder.decode(&cdr, &mut elements)?;
/// assert_eq!(elements[0].fields.get("data"), Some(&"hi".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    plan: StructPlan,
    /// By number.
    columns: Vec<Column>,
    /// Column numbers in the order of a row; `None` when it is that of the wire.
    order: Option<Vec<usize>>,
    names: usize,
    has_each: bool,
    has_stamp: bool,
    byte_arrays: ByteArrays,
    /// Whether bytes may follow the last field: rmw_fastrtps serializes types with wide strings
    /// into more bytes than they take, with anything in the rest.
    may_trail: bool,
}

/// What becomes a row: a message, or an element of the array under `each`.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its own time; `None` when it has none, or one of zero.
    pub stamp: Option<Timestamp>,
    /// The columns.
    pub fields: Fields,
    /// The values of [`Layout::names`]; `None` for those that are not there.
    pub names: Vec<Option<String>>,
    /// The byte arrays that [`Layout::byte_arrays`] kept out.
    pub left_out: Option<LeftOut>,
    /// Whether a string was not UTF-8 (UTF-16), and what is not was replaced.
    pub repaired_text: bool,
}

/// Byte arrays that are not in the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub arrays: usize,
    /// The size of the largest.
    pub largest_bytes: usize,
}

impl Decoder {
    /// A decoder of messages of this type.
    ///
    /// # Errors
    /// Everything in the layout that does not fit the type.
    pub fn compile(message: &Arc<MessageType>, layout: &Layout) -> Result<Self, Vec<LayoutFault>> {
        let compiled = compile(message, layout)?;
        let order = compiled.order();
        let Compiled { plan, columns, has_stamp } = compiled;
        Ok(Self {
            plan,
            columns: columns.into_iter().map(|column| column.name).collect(),
            order: (!order.is_sorted()).then_some(order),
            names: layout.names.len(),
            has_each: layout.each.is_some(),
            has_stamp,
            byte_arrays: layout.byte_arrays,
            may_trail: message.has_wide_text(),
        })
    }

    /// Whether messages of the type have a time of their own.
    pub fn has_stamp(&self) -> bool {
        self.has_stamp
    }

    /// Decodes a message, CDR with its encapsulation header, into `elements`, which is emptied
    /// first and left empty on an error.
    ///
    /// # Errors
    /// Bytes that are not a message of the type, with the field and the offset.
    pub fn decode(&self, cdr: &[u8], elements: &mut Vec<Element>) -> Result<(), DecodeError> {
        elements.clear();
        let decoded = self.try_decode(cdr, elements);
        if decoded.is_err() {
            elements.clear();
        }
        decoded
    }

    fn try_decode(&self, cdr: &[u8], elements: &mut Vec<Element>) -> Result<(), DecodeError> {
        let mut run =
            Run { decoder: self, reader: Reader::new(cdr)?, row: self.empty_row(), elements };
        run.message(&self.plan)?;
        let remaining = run.reader.remaining();
        if remaining > PADDING_BYTES && !self.may_trail {
            return Err(run.reader.error(Trouble::Trailing { remaining }));
        }
        let Run { row, elements, .. } = run;
        if self.has_each {
            // The message's own header serves elements that have none.
            for element in elements {
                element.stamp = element.stamp.or(row.stamp);
            }
        } else {
            elements.push(self.element(row));
        }
        Ok(())
    }

    fn empty_row(&self) -> PartialRow {
        PartialRow {
            values: vec![None; self.columns.len()],
            names: vec![None; self.names],
            ..PartialRow::default()
        }
    }

    fn element(&self, mut row: PartialRow) -> Element {
        let mut fields = Fields::with_capacity(self.columns.len());
        let mut push = |number: usize| {
            if let Some(value) = row.values[number].take() {
                fields.push_distinct(self.columns[number].clone(), value);
            }
        };
        match &self.order {
            None => (0..self.columns.len()).for_each(&mut push),
            Some(order) => order.iter().copied().for_each(&mut push),
        }
        Element {
            stamp: row.stamp,
            fields,
            names: row.names,
            left_out: row.left_out,
            repaired_text: row.repaired_text,
        }
    }
}

/// A row while its message is read.
#[derive(Debug, Default)]
struct PartialRow {
    /// By column number.
    values: Vec<Option<Value>>,
    names: Vec<Option<String>>,
    stamp: Option<Timestamp>,
    left_out: Option<LeftOut>,
    repaired_text: bool,
}

/// One pass over a message.
struct Run<'a> {
    decoder: &'a Decoder,
    reader: Reader<'a>,
    row: PartialRow,
    elements: &'a mut Vec<Element>,
}

impl Run<'_> {
    fn message(&mut self, plan: &StructPlan) -> Result<(), DecodeError> {
        for step in &plan.steps {
            self.action(&step.action).map_err(|error| error.within(&*step.name))?;
        }
        Ok(())
    }

    fn action(&mut self, action: &Action) -> Result<(), DecodeError> {
        match action {
            Action::Skip(ty) => self.skip(&ty.element, ty.arity),
            Action::Into(plan) => self.message(plan),
            Action::Value { value, sink } => {
                let value = self.value(value)?;
                match *sink {
                    Sink::Column(number) => self.row.values[number] = value,
                    Sink::Name(number) => self.row.names[number] = value.and_then(name_text),
                }
                Ok(())
            }
            Action::StampTime => {
                let (sec, nanosec) = (self.reader.u32()?.cast_signed(), self.reader.u32()?);
                // Nanoseconds of a second or more are no time that rosidl allows.
                let usable = (sec, nanosec) != (0, 0) && nanosec < 1_000_000_000;
                self.row.stamp = usable.then(|| Timestamp::from_sec_nanosec(sec, nanosec));
                Ok(())
            }
            Action::StampFloat(of) => {
                let secs = match self.number(*of)? {
                    Value::F32(secs) => f64::from(secs),
                    Value::F64(secs) => secs,
                    _ => 0.0,
                };
                self.row.stamp = Timestamp::new(secs).ok().filter(|stamp| stamp.as_secs() != 0.0);
                Ok(())
            }
            Action::First { message, arity, plan } => {
                let len = self.array_len(*arity, || message.min_bytes())?;
                for i in 0..len {
                    if i == 0 { self.message(plan) } else { self.skip_message(message) }
                        .map_err(|error| error.within(format!("[{i}]")))?;
                }
                Ok(())
            }
            Action::Each { message, arity, plan } => self.each(message, *arity, plan),
            Action::Several(actions) => {
                let start = self.reader.clone();
                for action in actions {
                    self.reader = start.clone();
                    self.action(action)?;
                }
                Ok(())
            }
        }
    }

    fn each(
        &mut self,
        message: &Arc<MessageType>,
        arity: Arity,
        plan: &StructPlan,
    ) -> Result<(), DecodeError> {
        let len = self.array_len(arity, || message.min_bytes())?;
        for i in 0..len {
            let outer = std::mem::replace(&mut self.row, self.decoder.empty_row());
            self.message(plan).map_err(|error| error.within(format!("[{i}]")))?;
            let row = std::mem::replace(&mut self.row, outer);
            self.elements.push(self.decoder.element(row));
        }
        Ok(())
    }

    /// How many elements follow; checked against the bytes that are there.
    fn array_len(
        &mut self,
        arity: Arity,
        min_bytes: impl Fn() -> usize,
    ) -> Result<usize, DecodeError> {
        match arity {
            Arity::One => Ok(1),
            Arity::Fixed(len) => Ok(len),
            Arity::Variable { max } => {
                let before = self.reader.clone();
                let length = self.reader.length(min_bytes())?;
                match max {
                    Some(at_most) if length > at_most => {
                        Err(before.error(Trouble::Bound { length, at_most }))
                    }
                    _ => Ok(length),
                }
            }
        }
    }

    fn value(&mut self, plan: &ValuePlan) -> Result<Option<Value>, DecodeError> {
        Ok(Some(match plan {
            ValuePlan::Number(of) => self.number(*of)?,
            ValuePlan::Text(TextKind::Narrow) => self.text()?,
            ValuePlan::Text(TextKind::Wide) => self.wide_text()?,
            ValuePlan::Vector(vector) => {
                Value::Array(self.reader.array(vector.primitive, vector.count)?)
            }
            ValuePlan::Numbers { of, arity, pick, blob } => {
                let len = self.array_len(*arity, || of.size_bytes())?;
                if *blob && self.leaves_out(len) {
                    self.reader.skip(*of, len)?;
                    return Ok(None);
                }
                match pick {
                    None => Value::Array(self.reader.array(*of, len)?),
                    Some(slice) => {
                        let picked = self.reader.picked(*of, len, slice.indices(len))?;
                        if let Slice::Index(_) = slice {
                            first(picked)
                        } else {
                            Value::Array(picked)
                        }
                    }
                }
            }
            ValuePlan::Many { element, arity, pick, value } => {
                self.many(element, *arity, *pick, value)?
            }
            ValuePlan::Map(entries) => {
                let mut map = Vec::with_capacity(entries.len());
                for (name, plan) in entries {
                    let value = self.value(plan).map_err(|error| error.within(&**name))?;
                    map.extend(value.map(|value| (name.clone(), value)));
                }
                if entries.is_empty() {
                    self.reader.u8()?;
                }
                Value::Map(map)
            }
            ValuePlan::Part { message, index, value } => {
                let mut part = None;
                for (i, field) in message.fields().iter().enumerate() {
                    let done = if i == *index {
                        self.value(value).map(|value| part = value)
                    } else {
                        self.skip(&field.ty.element, field.ty.arity)
                    };
                    done.map_err(|error| error.within(&*field.name))?;
                }
                return Ok(part);
            }
        }))
    }

    /// Whether a byte array of this size is kept out of the row; notes it if so.
    fn leaves_out(&mut self, bytes: usize) -> bool {
        let leaves_out = match self.decoder.byte_arrays {
            ByteArrays::Keep => false,
            ByteArrays::KeepUpTo { max_bytes } => bytes > max_bytes,
            ByteArrays::LeaveOut => bytes > 0,
        };
        if leaves_out {
            let so_far = self.row.left_out.get_or_insert(LeftOut { arrays: 0, largest_bytes: 0 });
            so_far.arrays += 1;
            so_far.largest_bytes = so_far.largest_bytes.max(bytes);
        }
        leaves_out
    }

    fn many(
        &mut self,
        element: &ElementType,
        arity: Arity,
        pick: Option<Slice>,
        value: &ValuePlan,
    ) -> Result<Value, DecodeError> {
        let len = self.array_len(arity, || element.min_bytes())?;
        let mut wanted = pick.map(|slice| slice.indices(len).peekable());
        // A fixed length has not been held against the bytes that are left.
        let room = len.min(self.reader.remaining());
        let mut values = Vec::with_capacity(if wanted.is_some() { 0 } else { room });
        for i in 0..len {
            let picked = match &mut wanted {
                None => true,
                Some(indices) => indices.next_if_eq(&i).is_some(),
            };
            let within = |error: DecodeError| error.within(format!("[{i}]"));
            if picked {
                // A byte array that was left out keeps its place.
                values.push(self.value(value).map_err(within)?.unwrap_or(Value::Null));
            } else {
                self.skip(element, Arity::One).map_err(within)?;
            }
        }
        Ok(match pick {
            Some(Slice::Index(_)) => values.pop().unwrap_or(Value::Null),
            _ => Value::List(values),
        })
    }

    fn number(&mut self, of: Primitive) -> Result<Value, DecodeError> {
        let reader = &mut self.reader;
        Ok(match of {
            Primitive::Bool => Value::Bool(reader.u8()? != 0),
            Primitive::I8 => reader.u8()?.cast_signed().into(),
            Primitive::U8 => reader.u8()?.into(),
            Primitive::I16 => reader.u16()?.cast_signed().into(),
            Primitive::U16 => reader.u16()?.into(),
            Primitive::I32 => reader.u32()?.cast_signed().into(),
            Primitive::U32 => reader.u32()?.into(),
            Primitive::I64 => reader.u64()?.cast_signed().into(),
            Primitive::U64 => reader.u64()?.into(),
            Primitive::F32 => f32::from_bits(reader.u32()?).into(),
            Primitive::F64 => f64::from_bits(reader.u64()?).into(),
        })
    }

    fn text(&mut self) -> Result<Value, DecodeError> {
        let text = String::from_utf8_lossy(self.reader.text()?);
        self.row.repaired_text |= matches!(text, std::borrow::Cow::Owned(_));
        Ok(Value::Text(text.into_owned()))
    }

    fn wide_text(&mut self) -> Result<Value, DecodeError> {
        // ROS strings are UTF-16; each unit is widened on the wire.
        let units = self.reader.wide_text()?;
        let units = units.into_iter().map(|unit| u16::try_from(unit).unwrap_or(0xFFFF));
        let mut repaired = false;
        let text = char::decode_utf16(units)
            .map(|unit| {
                unit.inspect_err(|_| repaired = true).unwrap_or(char::REPLACEMENT_CHARACTER)
            })
            .collect();
        self.row.repaired_text |= repaired;
        Ok(Value::Text(text))
    }

    fn skip(&mut self, element: &ElementType, arity: Arity) -> Result<(), DecodeError> {
        let len = self.array_len(arity, || element.min_bytes())?;
        if let ElementType::Primitive(of) = element {
            return self.reader.skip(*of, len);
        }
        for _ in 0..len {
            match element {
                ElementType::Primitive(of) => self.reader.skip(*of, 1)?,
                ElementType::Text(TextKind::Narrow) => drop(self.reader.text()?),
                ElementType::Text(TextKind::Wide) => {
                    let units = self.reader.length(WIDE_UNIT.size_bytes())?;
                    self.reader.skip(WIDE_UNIT, units)?;
                }
                ElementType::Message(message) => self.skip_message(message)?,
            }
        }
        Ok(())
    }

    fn skip_message(&mut self, message: &MessageType) -> Result<(), DecodeError> {
        if let Some(numbers) = message.uniform() {
            return self.reader.skip(numbers.primitive, numbers.count);
        }
        for field in message.fields() {
            self.skip(&field.ty.element, field.ty.arity)
                .map_err(|error| error.within(&*field.name))?;
        }
        if message.fields().is_empty() {
            self.reader.u8()?;
        }
        Ok(())
    }
}

/// The only number of an array, out of its array.
fn first(array: Array) -> Value {
    fn of<T: Copy + Into<Value>>(numbers: &[T]) -> Value {
        numbers.first().map_or(Value::Null, |number| (*number).into())
    }
    crate::with_array!(&array, numbers => of(numbers))
}

/// A value as part of a track's name.
fn name_text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Int(number) => Some(number.to_string()),
        Value::UInt(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}
