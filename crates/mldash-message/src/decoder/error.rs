//! Why bytes are not a message.

use super::super::path::below;
use super::super::type_name::TypeName;

/// Why bytes can't be decoded: the position, what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[error(
    "{type_name}{} at byte {offset}: {problem}{}", dotted(field), otherwise(two_byte_units.as_deref())
)]
pub struct DecodeError {
    /// The message's type.
    pub type_name: TypeName,
    /// The path to the field, such as `transforms[3].header.frame_id`; empty for the message
    /// itself.
    pub field: String,
    /// The position in the bytes, including their 4-byte header.
    pub offset: usize,
    /// What is wrong.
    pub problem: DecodeProblem,
    /// For types with a wstring: what is wrong if its units have two bytes instead of four.
    pub two_byte_units: Option<Box<DecodeProblem>>,
}

/// What is wrong with the bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeProblem {
    /// The header that gives the encoding does not fit.
    #[error("{found} bytes are too short for the 4-byte encapsulation header")]
    NoHeader {
        /// How many there are.
        found: usize,
    },
    /// An encoding other than plain CDR.
    #[error("encapsulation {0:02x} {1:02x} is not plain CDR (00 00 or 00 01); XCDR2 and parameter \
             lists are not what ROS 2 middlewares send", kind[0], kind[1])]
    Encapsulation {
        /// The first two bytes.
        kind: [u8; 2],
    },
    /// The bytes end within a value.
    #[error("{needed_bytes} bytes expected, {remaining_bytes} left")]
    Truncated {
        /// The bytes that the value needs.
        needed_bytes: usize,
        /// The bytes from its position on.
        remaining_bytes: usize,
    },
    /// A length that the remaining bytes can't hold.
    #[error("a length of {length} needs at least {needed_bytes} bytes, {remaining_bytes} left")]
    Length {
        /// Elements of the array, or bytes of the text.
        length: usize,
        /// The least bytes that they need.
        needed_bytes: usize,
        /// The bytes that are left.
        remaining_bytes: usize,
    },
    /// More elements than the type allows.
    #[error("{length} elements, and the type allows {max}")]
    Bound {
        /// How many there are.
        length: usize,
        /// The type's limit.
        max: usize,
    },
    /// A bool is 0 or 1, as in Fast CDR. Anything else shows that these bytes are something else.
    #[error("a bool is 0 or 1, found {found}")]
    Bool {
        /// The value found.
        found: u8,
    },
    /// Read in units of two bytes, a wstring contains a zero, so its units are not two bytes.
    #[error("a wstring contains a zero")]
    WideZero,
    /// More than a row may hold.
    #[error(
        "its row would take more than {} MiB; select less of it with `fields:`, or a part of an array \
         such as `data[::4]`", limit_bytes >> 20
    )]
    TooLarge {
        /// The limit for a row, in memory and as text.
        limit_bytes: usize,
    },
    /// More bytes than the message and its padding.
    #[error("{extra_bytes} bytes left over; the publisher's definition of the type differs")]
    TrailingBytes {
        /// How many.
        extra_bytes: usize,
    },
}

/// A problem on its way up. Boxed to keep the path without problems fast.
#[derive(Debug)]
pub(super) struct Fault {
    /// Counted from after the header.
    pub(super) at: usize,
    pub(super) path: String,
    pub(super) problem: DecodeProblem,
}

impl Fault {
    #[cold]
    pub(super) fn new(at: usize, problem: DecodeProblem) -> Box<Self> {
        Box::new(Self { at, path: String::new(), problem })
    }

    #[cold]
    pub(super) fn in_field(mut self: Box<Self>, field: &str) -> Box<Self> {
        self.path = below(field, &self.path);
        self
    }

    #[cold]
    pub(super) fn in_element(self: Box<Self>, i: usize) -> Box<Self> {
        self.in_field(&format!("[{i}]"))
    }
}

fn dotted(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!(", field {field}") }
}

fn otherwise(two_byte_units: Option<&DecodeProblem>) -> String {
    two_byte_units.map_or_else(String::new, |problem| {
        format!(
            " (with wstrings in units of two bytes, as newer Cyclone DDS writes them, instead of four, as \
             Fast DDS does: {problem})"
        )
    })
}
