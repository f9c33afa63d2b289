//! CDR bytes + message definition → row. Knows neither the graph nor the store.

pub mod path;

pub use path::{FieldPath, PathError, Slice, Step};
