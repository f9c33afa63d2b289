//! The columns that a topic's rows can have, known before any row: those of its message type as the
//! mapping selects them, those of times, and those that describe files.

use super::blobs::BlobPlan;
use super::time::TimeRule;
use mldash_message::Decoder;
use mldash_track::{ColumnType, RowSchema};

/// The columns of the rows of `topic`, in the order of the rows.
pub(super) fn row_schema(
    topic: &str,
    decoder: &Decoder,
    times: &TimeRule,
    blobs: &BlobPlan,
) -> RowSchema {
    let byte_arrays = decoder.byte_array_columns();
    let mut schema = RowSchema::new(topic).type_name(decoder.type_name().to_string());
    for (name, ty) in decoder.columns().iter().zip(decoder.column_types()) {
        let array = byte_arrays.iter().find(|array| array.name == *name);
        if array.is_none_or(|array| blobs.may_be_a_column(array)) {
            schema = schema.column(name.clone(), ty.clone());
        }
    }
    for (name, message) in decoder.column_messages() {
        schema = schema.message(name.clone(), message.to_string());
    }
    for (name, ty) in times.column_types() {
        schema = schema.column(name, ty);
    }
    for (prefix, kind) in byte_arrays.iter().filter_map(|array| blobs.file_columns(array)) {
        schema = beside(schema, format!("{prefix}path"), ColumnType::Text);
        schema = beside(schema, format!("{prefix}frame"), ColumnType::Text);
        schema = beside(schema, format!("{prefix}index"), ColumnType::Int);
        for (name, ty) in kind.fact_types() {
            schema = schema.column(format!("{prefix}{name}"), ty);
        }
        schema = beside(schema, format!("{prefix}bytes"), ColumnType::Int);
    }
    schema
}

/// Adds a column like rows do: under another name if its name is taken.
fn beside(schema: RowSchema, mut name: String, ty: ColumnType) -> RowSchema {
    while schema.columns().iter().any(|(known, _)| **known == *name) {
        name.push('_');
    }
    schema.column(name, ty)
}
