//! CDR bytes and a message definition in, rows out. Knows neither the graph nor the store.

mod layout;
mod path;
mod type_name;

pub use layout::{ByteArrays, Layout, SelectedField, Selection, StampSource};
pub use path::{FieldPath, PathError, Slice, Step};
pub use type_name::{TypeName, TypeNameError};
