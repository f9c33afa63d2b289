//! What passes between messages and storage: a timestamp and named values. It knows nothing of ROS,
//! files or formats.

mod column_type;
mod fields;
mod list;
mod origin;
mod schema;
mod timestamp;
mod value;

pub use column_type::ColumnType;
pub use fields::{
    Column, Fields, MAX_REPEATED_NAME_BYTES, RepeatedNames, TIMESTAMP_COLUMN, TIMESTAMP_KEY,
};
pub(crate) use list::ListBuilder;
pub use origin::Origin;
pub(crate) use origin::definition_id;
pub(crate) use schema::{MAX_DECLARATIONS, TrackSchema};
pub use schema::{RowSchema, TooManyDeclarations};
pub use timestamp::{Timestamp, TimestampError};
pub use value::{Array, Value};

/// One entry of a track: a time and the values at that time.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Seconds on the clock that all topics of the experiment share.
    pub ts: Timestamp,
    /// The columns of this row: flat, each name once.
    pub fields: Fields,
}

impl Row {
    /// Creates a row of `fields` at `ts`.
    pub fn new(ts: Timestamp, fields: Fields) -> Self {
        Self { ts, fields }
    }

    /// Heap and inline bytes that this row occupies, names included. Used to limit buffers.
    pub fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.fields.heap_bytes()
    }
}
