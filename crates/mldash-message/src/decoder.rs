//! Turns CDR bytes into rows: compiled once for a message type and a layout, then one pass over
//! each message. Fields that the layout does not select are skipped.

mod cdr;
mod compile;
mod error;
mod fault;
mod layer;
pub(crate) mod paths;
mod program;
pub(crate) mod reader;
mod row;
mod types;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

pub use error::{DecodeError, DecodeProblem};
pub use fault::{LayoutFault, LayoutPart, LayoutProblem};

use super::definition::{FieldType, MessageType};
use super::layout::{ByteArrays, Layout};
use super::path::Slice;
use super::type_name::TypeName;
use error::Fault;
use mldash_track::{Column, ColumnType, Fields, Timestamp, Value};
use program::Program;
use reader::{Reader, WideRead, WideUnits};
use row::{Columns, RowBuilder};

const HEADER_BYTES: usize = 4;

/// Middlewares pad a message to a multiple of this many bytes, with any content.
const PADDED_TO_BYTES: usize = 4;

/// Some pad to a larger multiple, with zeros.
const ZEROS_PADDED_TO_BYTES: usize = 8;

/// Decodes messages of one type into what a layout selects.
///
/// ```
/// use mldash_message::{Decoder, Layout, MessageType};
/// use mldash_track::Value;
/// let ty = MessageType::from_bundle(&"std_msgs/msg/String".parse()?, "string data")?;
/// let decoder = Decoder::compile(&ty, &Layout::default()).expect("every field fits");
/// let mut elements = Vec::new();
/// decoder.decode(b"\0\x01\0\0\x03\0\0\0hi\0", &mut elements)?;
/// assert_eq!(elements[0].fields.get("data"), Some(&Value::from("hi")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    type_name: TypeName,
    /// Up to the array of `each`; empty without `each`.
    before: Program,
    each: Option<Each>,
    /// What becomes a row: the message, or an element of the array.
    rows: Program,
    after: Program,
    columns: Columns,
    names: usize,
    has_stamp_source: bool,
    notes_stamp: bool,
    has_wide_text: bool,
    byte_arrays: ByteArrays,
}

/// The array whose elements become a row each.
#[derive(Debug)]
struct Each {
    ty: FieldType,
    path: String,
}

/// A decoded message, or an element of it under [`Layout::each`].
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its own time. `None` if the type or the element has none, or the time is not usable: zero,
    /// negative seconds, a second or more of nanoseconds; as a float, NaN, infinite or zero. Under
    /// [`Layout::each`] and [`StampSource::Header`](super::StampSource::Header), elements without a
    /// usable time get that of the message's own header.
    pub stamp: Option<Timestamp>,
    /// The stamp as it came, usable or not, in whole nanoseconds; exact if the message has it as a
    /// `Time`. `None` if there is none, or it is float seconds beyond what 64-bit nanoseconds can
    /// hold. If `stamp` comes from the message's own header, so does this.
    pub stamp_nanos: Option<i64>,
    /// The columns.
    pub fields: Fields,
    /// The values of [`Layout::names`], one for each; `None` if an array has no such element.
    pub names: Vec<Option<String>>,
    /// Byte arrays that [`Layout::byte_arrays`] kept out of the columns, in the order of the bytes.
    pub left_out: Vec<LeftOut>,
    /// Whether a text was invalid and got replacement characters.
    pub repaired_text: bool,
}

/// A byte array that is not in its row, and its position in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The column that it would be; `None` within a list of messages, which is a column as a whole.
    pub column: Option<LeftOutColumn>,
    place: Range<usize>,
    slice: Option<Slice>,
}

/// The column that a byte array would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutColumn {
    /// Its name.
    pub name: Column,
    /// The path to it, joined by dots: `left.image.data`. Under [`Layout::each`] it starts at the
    /// element.
    pub path: Arc<str>,
}

impl LeftOut {
    /// The number of bytes that the row would have.
    pub fn len(&self) -> usize {
        self.slice.map_or(self.place.len(), |slice| slice.indices(self.place.len()).count())
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of its bytes in the message, including the encapsulation header; `None` if a
    /// slice takes only some of them.
    pub fn place(&self) -> Option<Range<usize>> {
        self.slice.is_none().then(|| self.place.clone())
    }

    /// Its bytes. `cdr` is the message that it was left out of.
    pub fn bytes<'m>(&self, cdr: &'m [u8]) -> Cow<'m, [u8]> {
        let whole = cdr.get(self.place.clone()).unwrap_or_default();
        match self.slice {
            None => Cow::Borrowed(whole),
            Some(slice) => {
                slice.indices(whole.len()).filter_map(|i| whole.get(i)).copied().collect()
            }
        }
    }
}

impl Decoder {
    /// Compiles a decoder for messages of type `message` and what `layout` selects.
    ///
    /// # Errors
    ///
    /// Returns everything in the layout that the type lacks, in the order stamp, names, fields. A
    /// wrong `each` is returned alone, since nothing below it can be checked.
    pub fn compile(message: &Arc<MessageType>, layout: &Layout) -> Result<Self, Vec<LayoutFault>> {
        compile::compile(message, layout)
    }

    /// The messages' type.
    pub fn type_name(&self) -> &TypeName {
        &self.type_name
    }

    /// The columns of a row, in order. A row lacks those whose byte array was left out.
    pub fn columns(&self) -> &[Column] {
        &self.columns.names
    }

    /// The types of these columns, one for each.
    pub fn column_types(&self) -> &[ColumnType] {
        &self.columns.types
    }

    /// The columns that are lists of a message's components, with its type: points, vectors and
    /// quaternions.
    pub fn column_messages(&self) -> impl Iterator<Item = (&Column, &TypeName)> {
        let columns = self.columns.names.iter().zip(&self.columns.messages);
        columns.filter_map(|(name, message)| Some((name, message.as_ref()?)))
    }

    /// The columns that are byte arrays of variable length, which [`Layout::byte_arrays`] may keep
    /// out of rows.
    pub fn byte_array_columns(&self) -> &[LeftOutColumn] {
        &self.columns.byte_arrays
    }

    /// Returns true if messages have a time of their own. Otherwise [`Element::stamp`] is never
    /// set.
    pub fn has_stamp(&self) -> bool {
        self.has_stamp_source
    }

    /// Returns true if messages have a stamp for [`Element::stamp_nanos`], used as their time or
    /// not.
    pub fn notes_stamp(&self) -> bool {
        self.notes_stamp
    }

    /// Decodes a message, which starts with its 4-byte encapsulation header, into `out`, which is
    /// cleared first. Memory use is proportional to the bytes, whatever lengths they claim.
    ///
    /// Fields that the layout does not select are skipped unread.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are not a message of this type. `out` is empty then.
    pub fn decode(&self, cdr: &[u8], out: &mut Vec<Element>) -> Result<(), DecodeError> {
        let decoded = match self.decode_with(WideUnits::Four, cdr, out) {
            Ok(WideRead { is_beyond_unicode: false }) => Ok(()),
            Err(fault) if !self.has_wide_text => Err((fault, None)),
            four => self.try_two_byte_units(four, cdr, out),
        };
        decoded.map_err(|(Failed { header_bytes, fault }, two_byte_units)| {
            out.clear();
            DecodeError {
                type_name: self.type_name.clone(),
                field: fault.path,
                offset: header_bytes + fault.at,
                problem: fault.problem,
                two_byte_units,
            }
        })
    }

    /// Tries wstrings in units of two bytes. With units of four, which gave `four` and `out`, the
    /// bytes are not a message, or a text has invalid units. A message with two-byte units is too
    /// short for four-byte ones, so it is very unlikely to fit by chance.
    #[cold]
    fn try_two_byte_units(
        &self,
        four: Result<WideRead, Failed>,
        cdr: &[u8],
        out: &mut Vec<Element>,
    ) -> Result<(), (Failed, Option<Box<DecodeProblem>>)> {
        let mut elements = Vec::new();
        match (four, self.decode_with(WideUnits::Two, cdr, &mut elements)) {
            (_, Ok(_)) => {
                *out = elements;
                Ok(())
            }
            (Ok(_), Err(_)) => Ok(()),
            (Err(four), Err(two)) => Err((four, Some(Box::new(two.fault.problem)))),
        }
    }

    fn decode_with(
        &self,
        units: WideUnits,
        cdr: &[u8],
        out: &mut Vec<Element>,
    ) -> Result<WideRead, Failed> {
        out.clear();
        let header_bytes = HEADER_BYTES;
        match cdr.split_at_checked(HEADER_BYTES) {
            None => {
                let fault = Fault::new(0, DecodeProblem::NoHeader { found: cdr.len() });
                Err(Failed { header_bytes: 0, fault })
            }
            Some((&[0, 0, ..], body)) => {
                self.run::<false>(units, body, out).map_err(|fault| Failed { header_bytes, fault })
            }
            Some((&[0, 1, ..], body)) => {
                self.run::<true>(units, body, out).map_err(|fault| Failed { header_bytes, fault })
            }
            Some((header, _)) => {
                let kind = header.first_chunk().copied().unwrap_or_default();
                let fault = Fault::new(0, DecodeProblem::Encapsulation { kind });
                Err(Failed { header_bytes: 0, fault })
            }
        }
    }

    fn run<const LITTLE: bool>(
        &self,
        units: WideUnits,
        body: &[u8],
        out: &mut Vec<Element>,
    ) -> Result<WideRead, Box<Fault>> {
        let mut reader = Reader::<LITTLE>::new(body, self.byte_arrays, units);
        match &self.each {
            None => out.push(self.row(&mut reader)?),
            Some(each) => {
                let mut around = RowBuilder::new(&self.columns, 0);
                self.before.run(&mut reader, &mut around)?;
                self.elements(each, &mut reader, out)
                    .map_err(|fault| fault.in_field(&each.path))?;
                self.after.run(&mut reader, &mut around)?;
                for element in out.iter_mut().filter(|element| element.stamp.is_none()) {
                    if let Some(stamp) = around.stamp().filter(|_| self.has_stamp_source) {
                        element.stamp = Some(stamp.ts);
                        element.stamp_nanos = stamp.nanos;
                    } else if element.stamp_nanos.is_none() {
                        element.stamp_nanos = around.stamp_nanos();
                    }
                }
            }
        }
        check_end(&reader)?;
        Ok(reader.wide())
    }

    fn elements<const LITTLE: bool>(
        &self,
        each: &Each,
        reader: &mut Reader<'_, LITTLE>,
        out: &mut Vec<Element>,
    ) -> Result<(), Box<Fault>> {
        let count = reader.count(&each.ty)?;
        let columns = self.columns.names.len() + self.names;
        reader.claim(count, size_of::<Element>() + columns * size_of::<(Column, Value)>())?;
        out.reserve(count);
        for i in 0..count {
            out.push(self.row(reader).map_err(|fault| fault.in_element(i))?);
        }
        Ok(())
    }

    fn row<const LITTLE: bool>(
        &self,
        reader: &mut Reader<'_, LITTLE>,
    ) -> Result<Element, Box<Fault>> {
        let mut row = RowBuilder::new(&self.columns, self.names);
        self.rows.run(reader, &mut row)?;
        let (left_out, repaired_text) = reader.take_notes();
        let mut element = row.finish(left_out, repaired_text);
        element.stamp = element.stamp.filter(|_| self.has_stamp_source);
        Ok(element)
    }
}

fn check_end<const LITTLE: bool>(reader: &Reader<'_, LITTLE>) -> Result<(), Box<Fault>> {
    let rest = reader.cdr.rest();
    let is_padding = |to_bytes: usize| rest.len() < to_bytes + reader.slack_bytes();
    let is_zero = || rest.iter().all(|byte| *byte == 0);
    if is_padding(PADDED_TO_BYTES) || (is_padding(ZEROS_PADDED_TO_BYTES) && is_zero()) {
        return Ok(());
    }
    Err(Fault::new(reader.cdr.at(), DecodeProblem::TrailingBytes { extra_bytes: rest.len() }))
}

/// A fault, and the number of bytes before those that it counts.
struct Failed {
    header_bytes: usize,
    fault: Box<Fault>,
}
