//! Makes messages again from the rows of a track: the inverse of recording, for topics of which
//! every field was recorded. Knows neither where messages go nor how files are stored.

use std::path::Path;
use std::sync::Arc;

use super::blobs::BlobPlan;
use super::how::HowRecorded;
use super::offered_qos::OfferedQos;
use crate::blob::{BlobKind, UnblobError};
use crate::mapping::{Blobs, TimeColumn};
use mldash_message::{Decoder, EncodeError, Encoder, MessageType, TypeName};
use mldash_track::{Column, Fields, Row, RowSchema, Timestamp, TrackError, Value, one_line};

/// Makes the messages of one topic from the rows of one track.
#[derive(Debug)]
pub struct Restorer {
    how: HowRecorded,
    type_name: TypeName,
    definition: String,
    message: Arc<MessageType>,
    encoder: Encoder,
    arrays: Vec<ArrayColumn>,
    /// Whether `stamp_ns`, and the row's time, is the receive time, since messages have no stamp.
    has_received_nanos: bool,
}

/// A byte array, which is in the row or in a file.
#[derive(Debug)]
struct ArrayColumn {
    column: Column,
    kind: BlobKind,
    /// The columns with the file's path and with the parameters of a compressed depth.
    path: String,
    depth: String,
    /// The fields that describe the bytes, and their columns.
    about: Vec<(&'static str, String)>,
}

/// Why messages can't be made from a track's rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRestorable {
    /// No recorder said what the rows were made of.
    #[error(
        "no recording of ROS messages wrote it, or one before mldash_bridge kept their definitions"
    )]
    NoOrigin,
    /// The definition of the messages is gone.
    #[error("the definition of {type_name} is missing in `.definitions`, or damaged")]
    NoDefinition {
        /// The messages' type.
        type_name: String,
    },
    /// The definition can't be used.
    #[error("the definition of {type_name} can't be used: {reason}")]
    Definition {
        /// The messages' type.
        type_name: String,
        /// Why.
        reason: String,
    },
    /// Rows were made of part of a message.
    #[error("it does not hold whole messages: {0}")]
    NotWhole(String),
}

/// Why a row can't become its message again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The row does not fit the message.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The row names no file, and does not have the bytes either.
    #[error("the row has neither the bytes of `{column}` nor the path of their file")]
    NoBytes {
        /// The column of the byte array.
        column: String,
    },
    /// Rows of two messages were merged into one.
    #[error(
        "the row has the bytes of `{column}` and the path of a file for them: two messages with the \
         same stamp were merged into it (`same_stamp: merge`)"
    )]
    TwoMessages {
        /// The column of the byte array.
        column: String,
    },
    /// The file does not give the bytes of the message.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: UnblobError,
    },
    /// The file can't be read.
    #[error("{path}: {}", one_line(source))]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: Box<TrackError>,
    },
    /// Its time is no time in nanoseconds.
    #[error("its time, {0} s, does not fit in 64-bit nanoseconds")]
    Time(f64),
}

impl Restorer {
    /// For the rows that `schema` declares, whose messages have this definition.
    ///
    /// # Errors
    ///
    /// Fails if rows lack a part of their messages, or what the messages were is not known.
    pub fn new(schema: &RowSchema, definition: Option<String>) -> Result<Self, NotRestorable> {
        let origin = schema.noted_origin().ok_or(NotRestorable::NoOrigin)?;
        let how = HowRecorded::read(origin).ok_or(NotRestorable::NoOrigin)?;
        if let Some(lacks) = how.lacks {
            return Err(NotRestorable::NotWhole(lacks));
        }
        let type_name = schema.of_type().unwrap_or_default().to_owned();
        let unusable = |reason: String| {
            let type_name = type_name.clone();
            NotRestorable::Definition { type_name, reason }
        };
        let definition = definition
            .ok_or_else(|| NotRestorable::NoDefinition { type_name: type_name.clone() })?;
        let name: TypeName = type_name.parse().map_err(|error| unusable(format!("{error}")))?;
        let message = MessageType::from_bundle(&name, &definition)
            .map_err(|error| unusable(one_line(&error)))?;
        let layout = how.layout().ok_or(NotRestorable::NoOrigin)?;
        let encoder = Encoder::compile(&message, &layout)
            .map_err(|error| NotRestorable::NotWhole(one_line(&error)))?;
        let decoder = Decoder::compile(&message, &layout)
            .map_err(|faults| unusable(faults.iter().map(ToString::to_string).collect()))?;
        let blobs = BlobPlan::new(Blobs::default(), &message, layout.each.is_some());
        let arrays = decoder.byte_array_columns().iter().filter_map(|array| {
            let (prefix, kind) = blobs.file_columns(array)?;
            let is_taken = |name: &str| decoder.columns().iter().any(|column| **column == *name);
            let mut path = format!("{prefix}path");
            while is_taken(&path) {
                path.push('_');
            }
            let about = blobs.described_by(array).collect();
            let depth = format!("{prefix}depth_quantization");
            Some(ArrayColumn { column: array.name.clone(), kind, path, depth, about })
        });
        let arrays = arrays.collect();
        let has_received_nanos = how.stamps_are_of_messages() && !decoder.notes_stamp();
        Ok(Self { how, type_name: name, definition, message, encoder, arrays, has_received_nanos })
    }

    /// Returns true if `other` makes the same messages of the same rows.
    pub fn is_like(&self, other: &Self) -> bool {
        self.how.is_like(&other.how) && self.message.is_like(&other.message)
    }

    /// The topic on the graph.
    pub fn topic(&self) -> &str {
        &self.how.topic
    }

    /// The messages' type.
    pub fn type_name(&self) -> &TypeName {
        &self.type_name
    }

    /// The messages' definition: `ros2msg`, with those that it needs.
    pub fn definition(&self) -> &str {
        &self.definition
    }

    /// What the topic's publishers offered; none if that is not known.
    pub fn offered_qos(&self) -> &[OfferedQos] {
        &self.how.qos
    }

    /// When the message of this row was received, in nanoseconds; its own time if that is not
    /// known.
    ///
    /// # Errors
    ///
    /// Fails for a time that nanoseconds can't hold.
    pub fn log_nanos(&self, row: &Row) -> Result<i64, RestoreError> {
        if let Some(nanos) = self.noted_nanos(row).filter(|_| self.has_received_nanos) {
            return Ok(nanos);
        }
        let is_column = !self.is_of_message(TimeColumn::ReceiveTs);
        let received = match row.fields.get(TimeColumn::ReceiveTs.name()) {
            Some(Value::F64(secs)) if is_column => Timestamp::new(*secs).ok(),
            Some(Value::Int(secs)) if is_column => Timestamp::new(*secs as f64).ok(),
            _ => None,
        };
        match received {
            Some(received) => nanos(received),
            None => self.own_nanos(row),
        }
    }

    /// The row's `_ts` without what the mapping added to it.
    fn own_nanos(&self, row: &Row) -> Result<i64, RestoreError> {
        // The offset of a stamp that messages don't have was not added to their receive time.
        let offset_nanos = if self.has_received_nanos { 0 } else { self.how.offset_nanos };
        Ok(nanos(row.ts)?.saturating_sub(offset_nanos))
    }

    fn stamp_nanos(&self, row: &Row) -> Result<i64, RestoreError> {
        self.noted_nanos(row).map_or_else(|| self.own_nanos(row), Ok)
    }

    /// What `stamp_ns` says.
    fn noted_nanos(&self, row: &Row) -> Option<i64> {
        match row.fields.get(TimeColumn::StampNs.name()) {
            Some(Value::Int(nanos)) if !self.is_of_message(TimeColumn::StampNs) => Some(*nanos),
            _ => None,
        }
    }

    /// Returns true if messages have a field of the name of a column for times, which then is none.
    fn is_of_message(&self, column: TimeColumn) -> bool {
        self.encoder.columns().any(|name| **name == *column.name())
    }

    /// Makes the message of a row: CDR with its 4-byte header, into `cdr`. `file` reads the file of
    /// this path within the experiment.
    ///
    /// # Errors
    ///
    /// Fails if the row or a file of it does not have all that the message had. `cdr` is empty then.
    pub fn restore(
        &self,
        mut row: Row,
        mut file: impl FnMut(&str) -> Result<Vec<u8>, TrackError>,
        cdr: &mut Vec<u8>,
    ) -> Result<(), RestoreError> {
        cdr.clear();
        let stamp_nanos = if self.encoder.has_stamp() { self.stamp_nanos(&row)? } else { 0 };
        for array in &self.arrays {
            if row.fields.get(&array.column).is_none() {
                let bytes = array.bytes(&row.fields, &mut file)?;
                row.fields.insert(array.column.clone(), Value::Bytes(bytes));
            } else if row.fields.get(&array.path).is_some() {
                return Err(RestoreError::TwoMessages { column: array.column.to_string() });
            }
        }
        Ok(self.encoder.encode(&row.fields, stamp_nanos, cdr)?)
    }
}

impl ArrayColumn {
    fn bytes(
        &self,
        row: &Fields,
        file: &mut impl FnMut(&str) -> Result<Vec<u8>, TrackError>,
    ) -> Result<Vec<u8>, RestoreError> {
        let Some(Value::Text(path)) = row.get(&self.path) else {
            return Err(RestoreError::NoBytes { column: self.column.to_string() });
        };
        let read = file(path).map_err(|source| {
            let (path, source) = (path.clone(), Box::new(source));
            RestoreError::Read { path, source }
        })?;
        let extension = Path::new(path).extension().and_then(|text| text.to_str());
        let about = self
            .about
            .iter()
            .filter_map(|(field, column)| Some((*field, row.get(column)?.clone())));
        self.kind
            .restore(&about.collect(), read, extension.unwrap_or_default(), row.get(&self.depth))
            .map_err(|source| RestoreError::File { path: path.clone(), source })
    }
}

fn nanos(ts: Timestamp) -> Result<i64, RestoreError> {
    ts.to_nanos().ok_or(RestoreError::Time(ts.as_secs()))
}
