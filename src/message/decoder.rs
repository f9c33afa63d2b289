//! CDR bytes to rows: compiled once for a message type and a layout, then one pass over each
//! message. Fields that nobody wants are stepped over.

mod cdr;
mod compile;
mod error;
mod fault;
mod layer;
mod paths;
mod plan;
mod reader;
mod row;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

pub use error::{DecodeError, DecodeProblem};
pub use fault::{LayoutFault, LayoutPart, LayoutProblem};

use super::definition::{FieldType, MessageType};
use super::layout::{ByteArrays, Layout};
use super::path::Slice;
use super::type_name::TypeName;
use crate::track::{Column, Fields, Timestamp};
use error::Fault;
use plan::Plan;
use reader::Reader;
use row::{Columns, RowBuilder};

const HEADER_BYTES: usize = 4;

/// Middlewares pad a message to a multiple of so many bytes.
const PADDED_TO_BYTES: usize = 4;

/// Decodes messages of one type into what a layout wants of them.
///
/// ```
/// use mldash_bridge::message::{Decoder, Layout, MessageType};
/// use mldash_bridge::track::Value;
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
    /// Up to the array of `each`; else nothing.
    before: Plan,
    each: Option<Each>,
    /// What becomes a row: the message, or an element of the array.
    rows: Plan,
    after: Plan,
    columns: Columns,
    names: usize,
    has_stamp_source: bool,
    notes_stamp: bool,
    byte_arrays: ByteArrays,
}

/// The array whose elements become a row each.
#[derive(Debug)]
struct Each {
    ty: FieldType,
    path: String,
}

/// What became of a message, or of an element under [`Layout::each`].
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// Its own time. None: the type or the element has none, or it is not usable: zero, negative
    /// seconds, a second and more of nanoseconds; as a float NaN, infinite or zero. Under
    /// [`Layout::each`] and [`StampSource::Header`](super::StampSource::Header) the message's own
    /// header serves elements without a usable time.
    pub stamp: Option<Timestamp>,
    /// The stamp as it came, usable or not, in whole nanoseconds; exact where the message has it as a
    /// `Time`. None: there is none, or it is float seconds that nanoseconds can't count. Where `stamp` is
    /// the message's own header's, so is this.
    pub stamp_nanos: Option<i64>,
    /// The columns.
    pub fields: Fields,
    /// The values of [`Layout::names`], one for each; none where an array has no such element.
    pub names: Vec<Option<String>>,
    /// Byte arrays that [`Layout::byte_arrays`] kept out of the columns, in the order of the bytes.
    pub left_out: Vec<LeftOut>,
    /// Whether a text was not valid and got replacement characters.
    pub repaired_text: bool,
}

/// A byte array that is not in its row, and where it is instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The column that it would be; none within a list of messages, which as a whole is a column.
    pub column: Option<LeftOutColumn>,
    place: Range<usize>,
    slice: Option<Slice>,
}

/// The column that a byte array would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOutColumn {
    /// Its name.
    pub name: Column,
    /// The fields that lead to it, joined by dots: `left.image.data`. Under [`Layout::each`] they
    /// start at the element.
    pub path: Arc<str>,
}

impl LeftOut {
    /// How many bytes the row would have.
    pub fn len(&self) -> usize {
        self.slice.map_or(self.place.len(), |slice| slice.indices(self.place.len()).count())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where in the message its bytes are, the encapsulation header counted; `None` where a slice
    /// takes only some of them.
    pub fn place(&self) -> Option<Range<usize>> {
        self.slice.is_none().then(|| self.place.clone())
    }

    /// Its bytes, of the message that it was left out of.
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
    /// A decoder of messages of type `message` for what `layout` wants of them.
    ///
    /// # Errors
    /// All that is in the layout but not in the type, in the order of the layout's parts: stamp,
    /// names, fields. A wrong `each` alone, as what is below it can't be known then.
    pub fn compile(message: &Arc<MessageType>, layout: &Layout) -> Result<Self, Vec<LayoutFault>> {
        compile::compile(message, layout)
    }

    /// The messages' type.
    pub fn type_name(&self) -> &TypeName {
        &self.type_name
    }

    /// The columns of a row, in order; a row lacks those whose byte array was left out.
    pub fn columns(&self) -> &[Column] {
        &self.columns.names
    }

    /// Whether messages have a time of their own. Without one no [`Element::stamp`] is ever set.
    pub fn has_stamp(&self) -> bool {
        self.has_stamp_source
    }

    /// Whether messages have a stamp that [`Element::stamp_nanos`] tells of, be it their time or not.
    pub fn notes_stamp(&self) -> bool {
        self.notes_stamp
    }

    /// Decodes a message, its 4-byte encapsulation header first, into `out`, whose former content
    /// is cleared. Memory stays in proportion to the bytes, whatever lengths they claim.
    ///
    /// Fields that the layout does not want are stepped over unread.
    ///
    /// # Errors
    /// Bytes that are not a message of this type; `out` is empty then.
    pub fn decode(&self, cdr: &[u8], out: &mut Vec<Element>) -> Result<(), DecodeError> {
        out.clear();
        let decoded = match cdr.split_at_checked(HEADER_BYTES) {
            None => Err((0, Fault::new(0, DecodeProblem::NoHeader { found: cdr.len() }))),
            Some((&[0, 0, ..], body)) => self.run::<false>(body, out).map_err(|f| (4, f)),
            Some((&[0, 1, ..], body)) => self.run::<true>(body, out).map_err(|f| (4, f)),
            Some((header, _)) => {
                let kind = header.first_chunk().copied().unwrap_or_default();
                Err((0, Fault::new(0, DecodeProblem::Encapsulation { kind })))
            }
        };
        decoded.map_err(|(header_bytes, fault)| {
            out.clear();
            DecodeError {
                type_name: self.type_name.clone(),
                field: fault.path,
                offset: header_bytes + fault.at,
                problem: fault.problem,
            }
        })
    }

    fn run<const LITTLE: bool>(
        &self,
        body: &[u8],
        out: &mut Vec<Element>,
    ) -> Result<(), Box<Fault>> {
        let mut reader = Reader::<LITTLE>::new(body, self.byte_arrays);
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
        check_end(&reader)
    }

    fn elements<const LITTLE: bool>(
        &self,
        each: &Each,
        reader: &mut Reader<'_, LITTLE>,
        out: &mut Vec<Element>,
    ) -> Result<(), Box<Fault>> {
        let count = reader.count(&each.ty)?;
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
    let extra_bytes = reader.cdr.remaining();
    if extra_bytes < PADDED_TO_BYTES + reader.slack_bytes() {
        return Ok(());
    }
    Err(Fault::new(reader.cdr.at(), DecodeProblem::TrailingBytes { extra_bytes }))
}
