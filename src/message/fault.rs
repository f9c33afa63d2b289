//! What is wrong with a layout for a message type.

use super::definition::MessageType;
use super::path::FieldPath;

/// A part of a [`Layout`](super::Layout) that a type does not have or that makes no sense for it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{path}`: {problem}")]
pub struct LayoutFault {
    /// Which part.
    pub part: LayoutPart,
    /// The path as it was written.
    pub path: String,
    /// What is wrong.
    pub problem: LayoutProblem,
}

/// A part of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutPart {
    /// `each`.
    Each,
    /// `stamp`.
    Stamp,
    /// The selected field of this number.
    Field(usize),
    /// The name of this number.
    Name(usize),
}

/// Why a path does not fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutProblem {
    /// There is no such field.
    #[error("{type_name} has no field `{name}`")]
    NoField {
        /// The message that lacks it.
        type_name: String,
        /// The name that is not there.
        name: String,
        /// The fields that are.
        fields: Vec<String>,
    },
    /// The path goes on below something that has no fields.
    #[error("`{name}` is a {is}, which has no fields")]
    NoFieldsBelow {
        /// The field.
        name: String,
        /// What it is.
        is: String,
    },
    /// Elements are taken of something that has none.
    #[error("`{name}` is a {is}, which is no array to take elements of")]
    NotAnArray {
        /// The field.
        name: String,
        /// What it is.
        is: String,
    },
    /// A stamp that is no time.
    #[error("it is a {is}, not a builtin_interfaces/msg/Time or a float in seconds")]
    NotATime {
        /// What it is.
        is: String,
    },
    /// `each` is not an array of messages.
    #[error("it is a {is}, not an array of messages")]
    NotMessages {
        /// What it is.
        is: String,
    },
    /// The path leads through an array where that can't be.
    #[error("it leads through the array `{name}`")]
    ThroughArray {
        /// The array.
        name: String,
    },
    /// A name that is no text.
    #[error("it a {is}, which can't be part of a track's name (texts and integers can)")]
    NotAName {
        /// What it is.
        is: String,
    },
    /// Two fields want one column.
    #[error("a second column `{column}`")]
    DuplicateColumn {
        /// The column.
        column: String,
    },
    /// A field would hide the row's time.
    #[error("a column can't be called `timestamp`, the row's own time is")]
    ReservedColumn,
}

impl LayoutFault {
    pub(super) fn new(part: LayoutPart, path: &FieldPath, problem: LayoutProblem) -> Self {
        Self { part, path: path.to_string(), problem }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match &self.problem {
            LayoutProblem::NoField { name, fields, .. } => {
                let nearest = fields
                    .iter()
                    .map(|field| (strsim::damerau_levenshtein(field, name), field))
                    .filter(|(distance, _)| *distance <= 1 + name.len() / 3)
                    .min();
                Some(match nearest {
                    Some((_, field)) => format!("did you mean `{field}`?"),
                    None => format!("it has: {}", fields.join(", ")),
                })
            }
            LayoutProblem::ThroughArray { name } => {
                Some(format!("`each: {name}` makes a row of every element"))
            }
            LayoutProblem::DuplicateColumn { .. } | LayoutProblem::ReservedColumn => {
                Some("name the columns yourself: `fields: {column: path}`".to_owned())
            }
            _ => None,
        }
    }
}

impl LayoutProblem {
    pub(super) fn no_field(message: &MessageType, name: &str) -> Self {
        let fields = message.fields().iter().map(|field| field.name.to_string()).collect();
        Self::NoField { type_name: message.name().to_string(), name: name.to_owned(), fields }
    }
}
