//! Why a row is not a message, and why rows of a layout never are.

use crate::path::below;
use crate::type_name::TypeName;

/// Why the rows of a layout lack a part of their messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWhole {
    /// Only some columns, or under other names.
    #[error("`fields` selects or renames columns")]
    Selected,
    /// The message has more than the array of `each`.
    #[error("`each: {each}` keeps the array's elements only{}", besides(others))]
    Each {
        /// The path to the array.
        each: String,
        /// The fields beside it.
        others: Vec<String>,
    },
    /// The array of `each` must have several elements, and a row is one.
    #[error("`each: {each}` makes single rows of an array of exactly {length} elements")]
    EachOfFixed {
        /// The path to the array.
        each: String,
        /// Its number of elements.
        length: usize,
    },
}

fn besides(others: &[String]) -> String {
    if others.is_empty() {
        String::new()
    } else {
        format!(", and the message also has `{}`", others.join("`, `"))
    }
}

/// Why a row can't be encoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{type_name}{}: {problem}", if field.is_empty() { String::new() } else { format!(", `{field}`") })]
pub struct EncodeError {
    /// The message's type.
    pub type_name: TypeName,
    /// The column, and the path within it: `markers[2].color.r`.
    pub field: String,
    /// What is wrong.
    pub problem: EncodeProblem,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncodeProblem {
    /// The row lacks the column.
    #[error("the row has no such column")]
    NoColumn,
    /// A message within a list lacks a field.
    #[error("this field of {type_name} is missing")]
    NoField {
        /// The message's type.
        type_name: String,
    },
    /// The value is of another kind.
    #[error("found {found}, and the field is {expected}")]
    Kind {
        /// The field's type.
        expected: String,
        /// What the row has.
        found: &'static str,
    },
    /// The number is outside of the field's range.
    #[error("{found} is outside of the range of {expected}")]
    Range {
        /// The field's type.
        expected: String,
        /// The number.
        found: String,
    },
    /// More or fewer elements than the type allows.
    #[error("{found} elements, and the field is {expected}")]
    Length {
        /// The field's type.
        expected: String,
        /// The number of elements.
        found: usize,
    },
    /// The stamp does not fit in 32-bit seconds.
    #[error("the stamp, {stamp_nanos} ns, does not fit in the 32-bit seconds of a ROS time")]
    Stamp {
        /// The stamp.
        stamp_nanos: i64,
    },
}

/// A problem on its way up. Boxed to keep the path without problems fast.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) path: String,
    pub(super) problem: EncodeProblem,
}

impl Fault {
    #[cold]
    pub(super) fn new(problem: EncodeProblem) -> Box<Self> {
        Box::new(Self { path: String::new(), problem })
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
