//! CDR bytes and a message definition in, rows out. Knows neither the graph nor the store.
//!
//! [`Definitions`] finds what a [`TypeName`] stands for, [`Decoder`] is compiled once from that and a
//! [`Layout`], and turns each message into [`Element`]s.

mod cdr;
mod compile;
mod decoder;
mod definition;
mod error;
mod fault;
mod layout;
mod path;
mod plan;
mod type_name;

pub use decoder::{Decoder, Element, LeftOut};
pub use definition::{
    Arity, DefinitionError, Definitions, ElementType, Field, FieldType, LookedIn, MessageType,
    Origin, Primitive, Reference, SyntaxProblem, TextKind,
};
pub use error::{DecodeError, Trouble};
pub use fault::{LayoutFault, LayoutPart, LayoutProblem};
pub use layout::{ByteArrays, Layout, SelectedField, Selection, StampSource};
pub use path::{FieldPath, PathError, Slice, Step};
pub use type_name::{TypeName, TypeNameError};
