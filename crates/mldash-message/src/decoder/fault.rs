//! What in a layout does not fit a message type.

use super::super::definition::{Field, FieldType, MessageType};
use super::super::nearest::nearest;
use super::super::type_name::TypeName;

/// A part of a [`Layout`](super::super::Layout) that does not fit a type.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{path}`: {problem}")]
pub struct LayoutFault {
    /// The part.
    pub part: LayoutPart,
    /// The path as it is written.
    pub path: String,
    /// What is wrong.
    pub problem: LayoutProblem,
}

/// A part of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayoutPart {
    /// [`Layout::each`](super::super::Layout::each).
    Each,
    /// [`Layout::stamp`](super::super::Layout::stamp).
    Stamp,
    /// The selected field of this number.
    Field(usize),
    /// The name of this number.
    Name(usize),
}

/// Why a part does not fit.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LayoutProblem {
    /// The type lacks the field.
    #[error("{in_type} has no field `{field}`")]
    NoSuchField {
        /// The field that is not there.
        field: String,
        /// The type that lacks it.
        in_type: TypeName,
        /// The most similar of its fields, if there is one.
        nearest: Option<String>,
        /// The fields it has.
        fields: Vec<String>,
    },
    /// The path continues below something that is not a message.
    #[error("`{field}` is a {ty} and has no fields")]
    NotAMessage {
        /// The field.
        field: String,
        /// Its type.
        ty: String,
    },
    /// Brackets after something that is not an array.
    #[error("`{field}` is a {ty}, not an array")]
    NotAnArray {
        /// The field.
        field: String,
        /// Its type.
        ty: String,
    },
    /// A stamp that is neither a time nor float seconds.
    #[error("a {ty} is not a time")]
    NotATime {
        /// What it is.
        ty: String,
        /// A time below it.
        nearest: Option<String>,
    },
    /// A stamp that is several times.
    #[error("a slice of `{field}` is not one time")]
    ManyTimes {
        /// The array.
        field: String,
    },
    /// `each` names something other than an array of messages.
    #[error("a {ty} is not an array of messages")]
    EachNotMessages {
        /// What it is.
        ty: String,
    },
    /// `each` goes through an array or takes a part of one.
    #[error("`each` can't go through the array `{field}` or take a part of it")]
    EachOfMany {
        /// The array.
        field: String,
    },
    /// A name that is neither a text nor an integer.
    #[error("a {ty} can't be part of a name")]
    NotAName {
        /// What it is.
        ty: String,
    },
    /// The column of a row's time.
    #[error("no field can go to column `{column}`: it is the time of the row")]
    ReservedColumn {
        /// The column.
        column: String,
    },
    /// Two fields have the same column.
    #[error("column `{column}` is already taken by `{taken_by}`")]
    DuplicateColumn {
        /// The column.
        column: String,
        /// The path that it holds.
        taken_by: String,
    },
}

impl LayoutFault {
    /// How to fix it.
    pub fn hint(&self) -> Option<String> {
        Some(match &self.problem {
            LayoutProblem::NoSuchField { nearest: Some(nearest), .. } => {
                format!("did you mean `{nearest}`?")
            }
            LayoutProblem::NoSuchField { fields, .. } if fields.is_empty() => {
                "it has no fields".to_owned()
            }
            LayoutProblem::NoSuchField { fields, .. } => format!("it has {}", fields.join(", ")),
            LayoutProblem::NotAMessage { field, .. } => format!("end the path at `{field}`"),
            LayoutProblem::NotAnArray { .. } => "leave out the brackets".to_owned(),
            LayoutProblem::NotATime { nearest: Some(nearest), .. } => {
                format!("did you mean `{nearest}`?")
            }
            LayoutProblem::NotATime { nearest: None, .. } => {
                "name a builtin_interfaces/msg/Time or a float in seconds".to_owned()
            }
            LayoutProblem::ManyTimes { field } => format!("take one element, as `{field}[0]`"),
            LayoutProblem::EachNotMessages { .. } => {
                "name an array of messages; other arrays are columns".to_owned()
            }
            LayoutProblem::EachOfMany { field } => {
                format!(
                    "take all of one array, for example with `each: {field}` and a path in `fields`"
                )
            }
            LayoutProblem::NotAName { .. } => {
                "name a text or an integer; take one element of an array with `[0]`".to_owned()
            }
            LayoutProblem::ReservedColumn { .. } | LayoutProblem::DuplicateColumn { .. } => {
                "give it another column, as `fields: {column: path}`".to_owned()
            }
        })
    }
}

impl LayoutProblem {
    pub(super) fn no_such_field(field: &str, message: &MessageType) -> Self {
        let names = message.fields().iter().map(|f| &*f.name);
        let nearest = nearest(field, names).map(str::to_owned);
        Self::NoSuchField {
            field: field.to_owned(),
            in_type: message.name().clone(),
            nearest,
            fields: message.fields().iter().map(|f| f.name.to_string()).collect(),
        }
    }

    pub(super) fn not_a_message(field: &Field) -> Self {
        Self::NotAMessage { field: field.name.to_string(), ty: field.ty.to_string() }
    }

    pub(super) fn not_an_array(field: &Field) -> Self {
        Self::NotAnArray { field: field.name.to_string(), ty: field.ty.to_string() }
    }

    pub(super) fn each_not_messages(ty: &FieldType) -> Self {
        Self::EachNotMessages { ty: ty.to_string() }
    }
}
