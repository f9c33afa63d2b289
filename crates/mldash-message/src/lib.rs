//! CDR bytes and a message definition in, rows out, and back. Knows neither the graph nor the store.
//!
//! [`Definitions`] finds the definition of a [`TypeName`]. A [`Decoder`] is compiled once from that
//! and a [`Layout`], and turns each message into [`Element`]s. An [`Encoder`] is its inverse for
//! layouts that leave nothing out.

mod decoder;
mod definition;
mod encoder;
mod layout;
mod nearest;
mod package;
mod path;
mod type_name;

pub use decoder::{
    DecodeError, DecodeProblem, Decoder, Element, LayoutFault, LayoutPart, LayoutProblem, LeftOut,
    LeftOutColumn,
};
pub use definition::{
    Arity, DefinitionError, Definitions, ElementType, Field, FieldType, Lack, LookedIn,
    MessageType, Origin, Primitive, RecordedDefinition, Reference, SyntaxProblem, TextKind,
};
pub use encoder::{EncodeError, EncodeProblem, Encoder, NotWhole};
pub use layout::{ByteArrays, FieldSelection, Layout, SelectedField, StampSource};
pub use nearest::nearest;
pub use package::meant_package;
pub use path::{FieldPath, PathError, Slice, Step};
pub use type_name::{TypeName, TypeNameError};
