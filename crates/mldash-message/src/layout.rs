//! What of a message becomes a row: plain data, made by a caller that knows the mapping.

use super::path::FieldPath;

/// Which parts of a message become rows.
///
/// Under `each`, paths start at the array's element. A path that starts with the path of `each`
/// itself is understood too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// An array of messages whose elements become a row each.
    pub each: Option<FieldPath>,
    /// Where a row's time comes from.
    pub stamp: StampSource,
    /// The columns.
    pub fields: FieldSelection,
    /// Values needed as text besides the columns, for the names of tracks.
    pub names: Vec<FieldPath>,
    /// What happens to byte arrays of variable length.
    pub byte_arrays: ByteArrays,
}

/// Where the time of a message is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum StampSource {
    /// `header.stamp`, if the type has one. It is then not a column.
    #[default]
    Header,
    /// A `builtin_interfaces/msg/Time`, or a float in seconds. An array on the way stands for its
    /// first element.
    Field(FieldPath),
    /// Nowhere: rows have no time of their own. If the type has a `header.stamp`, it stays a column
    /// and is also [`Element::stamp_nanos`](super::Element::stamp_nanos).
    Aside,
    /// Nowhere: rows have no time of their own.
    None,
}

/// The columns of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum FieldSelection {
    /// Every field under its own path.
    #[default]
    All,
    /// These, in this order.
    Only(Vec<SelectedField>),
}

/// A part of a message and the column it goes to.
#[derive(Clone, Debug, PartialEq)]
pub struct SelectedField {
    /// The column. A message below it is expanded into `column.field` columns.
    pub column: String,
    /// The part.
    pub path: FieldPath,
}

/// What happens to `uint8[]`, `byte[]` and `char[]` of variable length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteArrays {
    /// They are numbers like any others.
    #[default]
    Keep,
    /// Arrays over this size are left out of the row, and reported.
    KeepUpTo {
        /// The largest size that stays.
        max_bytes: usize,
    },
    /// They are left out of the row, and reported.
    LeaveOut,
}
