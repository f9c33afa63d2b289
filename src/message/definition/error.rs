//! Why a message type can't be known.

use std::fmt;
use std::path::PathBuf;

use super::super::type_name::TypeName;

/// Why a message type can't be resolved.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Nobody has the type.
    #[error("message type {type_name} is not known{}: {looked_in}", used_by(referred_by))]
    Unknown {
        /// The type.
        type_name: TypeName,
        /// Who wants it; `None`: the caller.
        referred_by: Option<Box<Reference>>,
        /// Where it was looked for.
        looked_in: LookedIn,
    },
    /// Its file is there but can't be read.
    #[error("definition of message type {type_name} in {} can't be read", path.display())]
    Unreadable {
        /// The type.
        type_name: TypeName,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line that is not one of a definition.
    #[error("message type {type_name}, {origin}, line {line}: {problem}")]
    Syntax {
        /// The type.
        type_name: TypeName,
        /// Its text.
        origin: Box<Origin>,
        /// The line, the first being 1.
        line: usize,
        /// What is wrong.
        problem: SyntaxProblem,
    },
    /// A type that holds itself has no end.
    #[error("message type {} holds itself: {}", chain.first().map_or_else(String::new, ToString::to_string), arrows(chain))]
    Recursive {
        /// The types from the first to its second mention.
        chain: Vec<TypeName>,
    },
    /// A definition made to exhaust whoever reads it.
    #[error("message type {type_name} is too large: more than {what}")]
    TooLarge {
        /// The type.
        type_name: TypeName,
        /// The bound.
        what: &'static str,
    },
}

/// A field whose type is another message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The message that has the field.
    pub type_name: TypeName,
    /// The field.
    pub field: String,
    /// The text that says so.
    pub origin: Origin,
    /// The line of the text.
    pub line: usize,
}

/// The text of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An installed file.
    File(PathBuf),
    /// The definitions that came with recorded messages of this type.
    Bundle(TypeName),
}

/// Where a definition was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookedIn {
    /// These files.
    Files(Vec<PathBuf>),
    /// Nowhere, as no prefixes are known.
    NoPrefixes,
    /// The definitions that came with recorded messages of this type.
    Bundle(TypeName),
}

/// What is wrong with a line of a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxProblem {
    /// Neither a primitive nor the name of a message.
    #[error("`{ty}` is not a type such as `float64`, `string<=8[<=3]` or `pkg/Name[]`")]
    Type {
        /// What there is.
        ty: String,
    },
    /// No name, or one with other characters.
    #[error("`{name}` is not a field name (letters, digits and `_`, first a letter)")]
    FieldName {
        /// What there is.
        name: String,
    },
    /// Two fields of one name.
    #[error("field `{name}` is there twice")]
    DuplicateField {
        /// The name.
        name: String,
    },
    /// Only primitives and texts have constants.
    #[error("a constant can't be of type `{ty}`, only of a primitive type or a string")]
    ConstantType {
        /// The type.
        ty: String,
    },
    /// IDL that stands for nothing in a ROS message.
    #[error("ROS messages have no {what}")]
    IdlUnsupported {
        /// What there is.
        what: String,
    },
    /// IDL that goes on otherwise than it must.
    #[error("expected {expected}, found `{found}`")]
    IdlUnexpected {
        /// What must follow.
        expected: String,
        /// What does.
        found: String,
    },
    /// IDL that ends too early.
    #[error("the definition ends where {expected} was expected")]
    IdlEnds {
        /// What must follow.
        expected: String,
    },
    /// Not the name of a message.
    #[error("`{ty}` is not a type such as `double`, `sequence<octet>` or `pkg::msg::Name`")]
    IdlType {
        /// What there is.
        ty: String,
    },
    /// The text defines other types than the one it is named after.
    #[error("there is no `struct {name}` in `module {package}`")]
    IdlNoStruct {
        /// The package of the type that was looked for.
        package: String,
        /// Its name.
        name: String,
    },
    /// A part of a bundle has no name.
    #[error(
        "`MSG: package/Name` or `IDL: package/msg/Name` must follow a line of `=`, found `{found}`"
    )]
    BundleHead {
        /// What there is.
        found: String,
    },
}

fn used_by(reference: &Option<Box<Reference>>) -> String {
    reference.as_ref().map_or_else(String::new, |r| {
        let Reference { type_name, field, origin, line } = &**r;
        format!(" (field `{field}` of {type_name}, {origin}, line {line})")
    })
}

fn arrows(chain: &[TypeName]) -> String {
    chain.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ")
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Bundle(root) => write!(f, "recorded definition of {root}"),
        }
    }
}

impl fmt::Display for LookedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(files) => {
                f.write_str("no file")?;
                for (i, file) in files.iter().enumerate() {
                    write!(f, "{} {}", if i == 0 { "" } else { "," }, file.display())?;
                }
                f.write_str("; source the workspace that has the package")
            }
            Self::NoPrefixes => f.write_str(
                "AMENT_PREFIX_PATH is not set; source the ROS 2 workspace that has the package",
            ),
            Self::Bundle(root) => {
                write!(f, "the definition recorded with {root} lacks it; record the bag again")
            }
        }
    }
}
