//! What a message type consists of: fields with their types, and nested types. Knows nothing of
//! bytes. [`parse`] reads `.msg` texts and [`idl`] IDL, [`bundle`] splits the texts in bags,
//! [`interface`] knows the messages of services and actions, [`texts`] finds texts, [`resolve`]
//! combines them, [`written`] makes one text of them again, and [`alike`] compares them.

mod alike;
mod bundle;
mod error;
mod idl;
mod interface;
mod parse;
mod recorded;
mod resolve;
#[cfg(test)]
mod testing;
mod texts;
mod written;

use std::fmt;
use std::sync::Arc;

pub use error::{DefinitionError, Lack, LookedIn, Origin, Reference, SyntaxProblem};
pub use recorded::RecordedDefinition;
pub use resolve::Definitions;

use super::type_name::TypeName;
use written::OwnText;

/// The limit on nesting, of messages and everything else in a definition. Nobody writes more, and
/// recursive code goes as deep.
const MAX_NESTED: usize = 64;

/// A message type with everything that it consists of.
#[derive(Debug)]
pub struct MessageType {
    name: TypeName,
    fields: Vec<Field>,
    /// The least bytes that a message of this type takes; at least 1.
    min_bytes: usize,
    /// Set if all of it, including nested messages, is consecutive numbers of one type.
    uniform: Option<Uniform>,
    role: Role,
    /// The number of single values and arrays in it, to limit what may be compiled.
    leaves: usize,
    text: OwnText,
}

/// A field of a message.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name, as the definition spells it.
    pub name: Arc<str>,
    /// Its type.
    pub ty: FieldType,
}

/// The language of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    /// `.msg`
    Msg,
    /// OMG IDL, as rosidl understands it.
    Idl,
    /// `.srv`: two sections, each as a `.msg`.
    Srv,
    /// `.action`: three of them.
    Action,
}

impl Language {
    fn extension(self) -> &'static str {
        match self {
            Self::Msg => "msg",
            Self::Idl => "idl",
            Self::Srv => "srv",
            Self::Action => "action",
        }
    }
}

/// The type of a field: one or several of an element.
#[derive(Clone, Debug)]
pub struct FieldType {
    /// The element.
    pub element: ElementType,
    /// How many of it.
    pub arity: Arity,
}

/// The type of a single value.
#[derive(Clone, Debug)]
pub enum ElementType {
    /// A number or a bool.
    Primitive(Primitive),
    /// A text.
    Text(TextKind),
    /// Another message.
    Message(Arc<MessageType>),
}

/// How many of an element a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// `T`
    One,
    /// `T[N]`
    Fixed(usize),
    /// `T[]`, or `T[<=max]`
    Variable {
        /// The limit, if there is one.
        max: Option<usize>,
    },
}

/// Numbers and bool. `byte` and `char` are `uint8` in the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the primitive types of their names")]
pub enum Primitive {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

/// Which text type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// `string`
    Narrow,
    /// `wstring`
    Wide,
}

/// `count` numbers of one type and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uniform {
    pub(super) primitive: Primitive,
    pub(super) count: usize,
}

/// Message types that rows treat in their own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    /// A point, vector or quaternion: in rows, an array of its components.
    Vector(Uniform),
    /// `builtin_interfaces/msg/Time`.
    Time,
    /// `std_msgs/msg/Header`.
    Header,
}

impl MessageType {
    /// A type with these fields. The caller has resolved what they refer to.
    fn new(name: TypeName, fields: Vec<Field>, text: OwnText) -> Self {
        let uniform = uniform(&fields);
        let role = role(&name, &fields, uniform);
        let min_bytes = fields.iter().fold(0, |sum: usize, f| sum.saturating_add(f.ty.min_bytes()));
        let leaves = fields.iter().fold(0, |sum: usize, f| sum.saturating_add(f.ty.leaves()));
        let min_bytes = min_bytes.max(1);
        Self { name, fields, min_bytes, uniform, role, leaves, text }
    }

    /// Package and name.
    pub fn name(&self) -> &TypeName {
        &self.name
    }

    /// The fields in the order of the definition, which is that of the bytes.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The number of single values and arrays in it, including those of nested messages.
    pub fn leaves(&self) -> usize {
        self.leaves
    }

    pub(super) fn position(&self, field: &str) -> Option<usize> {
        self.fields.iter().position(|f| &*f.name == field)
    }

    pub(super) fn uniform(&self) -> Option<Uniform> {
        self.uniform
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }
}

fn uniform(fields: &[Field]) -> Option<Uniform> {
    let mut whole: Option<Uniform> = None;
    for field in fields {
        let one = match &field.ty.element {
            ElementType::Primitive(primitive) => Uniform { primitive: *primitive, count: 1 },
            ElementType::Text(_) => return None,
            ElementType::Message(m) => m.uniform?,
        };
        let times = match field.ty.arity {
            Arity::One => 1,
            Arity::Fixed(n) => n,
            Arity::Variable { .. } => return None,
        };
        let count = one.count.checked_mul(times)?;
        whole = match whole {
            None => Some(Uniform { primitive: one.primitive, count }),
            Some(w) if w.primitive == one.primitive => {
                Some(Uniform { primitive: w.primitive, count: w.count.checked_add(count)? })
            }
            Some(_) => return None,
        };
    }
    whole
}

/// By name and content: a bag may have another definition under a well-known name.
fn role(name: &TypeName, fields: &[Field], uniform: Option<Uniform>) -> Role {
    let are = |expected: &[(&str, Primitive)]| {
        fields.len() == expected.len()
            && fields.iter().zip(expected).all(|(f, (name, primitive))| {
                matches!(f.ty.element, ElementType::Primitive(p) if p == *primitive)
                    && &*f.name == *name
                    && f.ty.arity == Arity::One
            })
    };
    let components = |names: &str| fields.iter().map(|f| &*f.name).eq(names.split(','));
    let is_time = |f: &Field| match &f.ty.element {
        ElementType::Message(m) => m.role == Role::Time && f.ty.arity == Arity::One,
        ElementType::Primitive(_) | ElementType::Text(_) => false,
    };
    match (name.package(), name.name(), uniform) {
        ("geometry_msgs", "Point" | "Point32" | "Vector3", Some(u))
            if u.count == 3 && components("x,y,z") =>
        {
            Role::Vector(u)
        }
        ("geometry_msgs", "Quaternion", Some(u)) if u.count == 4 && components("x,y,z,w") => {
            Role::Vector(u)
        }
        ("builtin_interfaces", "Time", _)
            if are(&[("sec", Primitive::I32), ("nanosec", Primitive::U32)]) =>
        {
            Role::Time
        }
        ("std_msgs", "Header", _) if fields.iter().any(|f| &*f.name == "stamp" && is_time(f)) => {
            Role::Header
        }
        _ => Role::Plain,
    }
}

impl FieldType {
    /// The message type of the field, or of its elements.
    pub fn message(&self) -> Option<&Arc<MessageType>> {
        match &self.element {
            ElementType::Message(m) => Some(m),
            ElementType::Primitive(_) | ElementType::Text(_) => None,
        }
    }

    /// Returns true if it is bytes of variable length: an image, a cloud, a file.
    pub fn is_byte_array(&self) -> bool {
        matches!(self.element, ElementType::Primitive(Primitive::U8))
            && matches!(self.arity, Arity::Variable { .. })
    }

    fn min_bytes(&self) -> usize {
        match self.arity {
            Arity::One => self.element.min_bytes(),
            Arity::Fixed(n) => self.element.min_bytes().saturating_mul(n),
            Arity::Variable { .. } => 4,
        }
    }

    fn leaves(&self) -> usize {
        self.message().map_or(1, |m| m.leaves.max(1))
    }
}

impl ElementType {
    /// The least bytes that one takes, without padding; at least 1.
    pub(super) fn min_bytes(&self) -> usize {
        match self {
            Self::Primitive(p) => p.size_bytes(),
            Self::Text(_) => 4,
            Self::Message(m) => m.min_bytes,
        }
    }
}

impl Primitive {
    /// Bytes in the message; its position there is a multiple of this.
    pub(super) fn size_bytes(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.element {
            ElementType::Primitive(p) => p.fmt(f)?,
            ElementType::Text(TextKind::Narrow) => f.write_str("string")?,
            ElementType::Text(TextKind::Wide) => f.write_str("wstring")?,
            ElementType::Message(m) => m.name.fmt(f)?,
        }
        match self.arity {
            Arity::One => Ok(()),
            Arity::Fixed(n) => write!(f, "[{n}]"),
            Arity::Variable { max: None } => f.write_str("[]"),
            Arity::Variable { max: Some(max) } => write!(f, "[<={max}]"),
        }
    }
}

impl fmt::Display for Primitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::I16 => "int16",
            Self::U16 => "uint16",
            Self::I32 => "int32",
            Self::U32 => "uint32",
            Self::I64 => "int64",
            Self::U64 => "uint64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        })
    }
}
