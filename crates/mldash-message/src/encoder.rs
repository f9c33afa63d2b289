//! Turns rows back into CDR bytes: the inverse of the [decoder](super::decoder), for layouts that
//! leave nothing of a message out. Writes XCDR1 in little-endian order, as ROS 2 does.

mod error;
mod value;
mod writer;

use std::sync::Arc;

pub use error::{EncodeError, EncodeProblem, NotWhole};

use super::decoder::paths::{columns, has_columns, single_message, spent_stamp};
use super::decoder::reader::Hop;
use super::definition::{Arity, Field, FieldType, MessageType};
use super::layout::{FieldSelection, Layout};
use super::path::FieldPath;
use super::type_name::TypeName;
use error::Fault;
use mldash_track::{Column, Fields};
use writer::Writer;

/// Encodes rows as messages of one type.
///
/// ```
/// use mldash_message::{Encoder, Layout, MessageType};
/// use mldash_track::Fields;
/// let ty = MessageType::from_bundle(&"std_msgs/msg/String".parse()?, "string data")?;
/// let encoder = Encoder::compile(&ty, &Layout::default())?;
/// let row: Fields = [("data", "hi")].into_iter().collect();
/// let mut cdr = Vec::new();
/// encoder.encode(&row, 0, &mut cdr)?;
/// assert_eq!(cdr, b"\0\x01\0\0\x03\0\0\0hi\0");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    type_name: TypeName,
    each: Option<Arity>,
    parts: Vec<Part>,
    columns: Vec<Column>,
    has_stamp: bool,
}

/// A part of a message, in the order of its bytes.
#[derive(Debug)]
enum Part {
    /// The value of a column.
    Column { name: Column, ty: FieldType },
    /// The time that is the row's.
    Stamp,
    /// A message that was expanded into columns.
    Message(Vec<Part>),
}

impl Encoder {
    /// Compiles an encoder for rows that were decoded from messages of type `message` with
    /// `layout`. What the layout says of byte arrays does not matter: see [`encode`](Self::encode).
    ///
    /// # Errors
    ///
    /// Fails if rows of that layout lack a part of the message.
    pub fn compile(message: &Arc<MessageType>, layout: &Layout) -> Result<Self, NotWhole> {
        if layout.fields != FieldSelection::All {
            return Err(NotWhole::Selected);
        }
        let (each, element) = match &layout.each {
            None => (None, message),
            Some(path) => {
                let (arity, element) = only_array(message, path)?;
                (Some(arity), element)
            }
        };
        let spent_stamp = spent_stamp(element, layout);
        let leaves = columns(element, spent_stamp.as_deref());
        let leaves: Vec<(Column, Vec<Hop>)> =
            leaves.into_iter().map(|leaf| (leaf.name.into(), leaf.hops)).collect();
        let names = leaves.iter().map(|(name, _)| name.clone()).collect();
        let mut leaves = leaves.into_iter();
        let mut next = leaves.next();
        let mut column = |hops: &[Hop]| {
            let (name, _) = next.take_if(|(_, of_column)| of_column == hops)?;
            next = leaves.next();
            Some(name)
        };
        Ok(Self {
            type_name: message.name().clone(),
            each,
            parts: parts(element, &[], spent_stamp.as_deref(), &mut column),
            columns: names,
            has_stamp: spent_stamp.is_some(),
        })
    }

    /// The messages' type.
    pub fn type_name(&self) -> &TypeName {
        &self.type_name
    }

    /// The columns that a row must have.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter()
    }

    /// Returns true if a row's time is the header's stamp of its message.
    pub fn has_stamp(&self) -> bool {
        self.has_stamp
    }

    /// Encodes a row into `cdr`, which is cleared first, as a message with its 4-byte encapsulation
    /// header. Under [`Layout::each`] that is a message with one element.
    ///
    /// `stamp_nanos` is the header's stamp if it [is the row's time](Self::has_stamp). A byte
    /// array that was left out of the row must be in `row` again, under the name of its column;
    /// columns that no field has are ignored.
    ///
    /// # Errors
    ///
    /// Fails if a column is missing, or its value does not fit its field. `cdr` is empty then.
    pub fn encode(
        &self,
        row: &Fields,
        stamp_nanos: i64,
        cdr: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let mut writer = Writer::new(cdr);
        if let Some(Arity::Variable { .. }) = self.each {
            writer.length(1);
        }
        write_parts(&mut writer, &self.parts, row, stamp_nanos).map_err(|fault| {
            cdr.clear();
            let Fault { path, problem } = *fault;
            EncodeError { type_name: self.type_name.clone(), field: path, problem }
        })
    }
}

fn parts(
    message: &MessageType,
    hops: &[Hop],
    spent_stamp: Option<&[Hop]>,
    column: &mut impl FnMut(&[Hop]) -> Option<Column>,
) -> Vec<Part> {
    let part = |(number, field): (usize, &Field)| {
        let hops: Vec<Hop> =
            hops.iter().copied().chain([Hop { field: number, slice: None }]).collect();
        if spent_stamp == Some(&hops[..]) {
            return Some(Part::Stamp);
        }
        match single_message(&field.ty) {
            Some(message) if has_columns(message) => {
                Some(Part::Message(parts(message, &hops, spent_stamp, column)))
            }
            _ => Some(Part::Column { name: column(&hops)?, ty: field.ty.clone() }),
        }
    };
    message.fields().iter().enumerate().filter_map(part).collect()
}

fn write_parts(
    writer: &mut Writer<'_>,
    parts: &[Part],
    row: &Fields,
    stamp_nanos: i64,
) -> Result<(), Box<Fault>> {
    if parts.is_empty() {
        writer.nothing();
    }
    for part in parts {
        match part {
            Part::Column { name, ty } => match row.get(name) {
                Some(value) => writer.field(ty, value),
                None => Err(Fault::new(EncodeProblem::NoColumn)),
            }
            .map_err(|fault| fault.in_field(name))?,
            Part::Stamp => writer
                .time(stamp_nanos)
                .ok_or_else(|| Fault::new(EncodeProblem::Stamp { stamp_nanos }))?,
            Part::Message(parts) => write_parts(writer, parts, row, stamp_nanos)?,
        }
    }
    Ok(())
}

/// The array at `path`, with its elements' type, if there is nothing else in the message.
fn only_array<'t>(
    message: &'t Arc<MessageType>,
    path: &FieldPath,
) -> Result<(Arity, &'t Arc<MessageType>), NotWhole> {
    let not_whole = || NotWhole::Each { each: path.to_string(), others: Vec::new() };
    let mut ty = message;
    let mut arity = Arity::One;
    for step in path.steps() {
        let fields = ty.fields();
        let field = fields.iter().find(|field| *field.name == *step.name).ok_or_else(not_whole)?;
        let others = fields.iter().filter(|other| other.name != field.name);
        let others: Vec<String> = others.map(|other| other.name.to_string()).collect();
        if !others.is_empty() {
            return Err(NotWhole::Each { each: path.to_string(), others });
        }
        arity = field.ty.arity;
        ty = field.ty.message().ok_or_else(not_whole)?;
    }
    match arity {
        Arity::Variable { .. } | Arity::Fixed(1) => Ok((arity, ty)),
        Arity::Fixed(length) => Err(NotWhole::EachOfFixed { each: path.to_string(), length }),
        Arity::One => Err(not_whole()),
    }
}
