//! Why a message type is not known.

use std::fmt;
use std::path::PathBuf;

use super::super::type_name::TypeName;

/// How much of an outside text an error repeats.
const SHOWN_CHARS: usize = 80;

/// Why a message type can't be resolved.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The type is not defined anywhere.
    #[error("message type {type_name} is not known{}: {looked_in}", used_by(referred_by))]
    Unknown {
        /// The type.
        type_name: TypeName,
        /// The field that refers to it; `None` if the caller asked for it.
        referred_by: Option<Box<Reference>>,
        /// Where it was searched for.
        looked_in: Box<LookedIn>,
    },
    /// Its file exists but can't be read.
    #[error("definition of message type {type_name} in {} can't be read", path.display())]
    Unreadable {
        /// The type.
        type_name: TypeName,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line that is not valid in a definition.
    #[error("message type {type_name}, {origin}, line {line}: {problem}")]
    Syntax {
        /// The type.
        type_name: TypeName,
        /// The text that contains it.
        origin: Box<Origin>,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        problem: SyntaxProblem,
    },
    /// A type that contains itself has no end.
    #[error("message type {} contains itself: {}", chain.first().map_or_else(String::new, ToString::to_string), arrows(chain))]
    Recursive {
        /// The types from the first to its second mention.
        chain: Vec<TypeName>,
    },
    /// A definition in a language that ROS 2 does not use.
    #[error(
        "the definition of message type {type_name} is written in `{}`; ROS 2 uses `ros2msg` and `ros2idl`",
        clip(encoding)
    )]
    Encoding {
        /// The type.
        type_name: TypeName,
        /// The recording's name for the language.
        encoding: String,
    },
    /// A definition made to exhaust its reader.
    #[error("message type {type_name} is too large: more than {what}")]
    TooLarge {
        /// The type.
        type_name: TypeName,
        /// The limit.
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
    /// What ROS adds to this service or action.
    Interface(TypeName),
    /// This program.
    BuiltIn,
}

/// Where a definition was searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedIn {
    /// In a recording, and what was found there instead; `None` if there is none.
    pub recorded: Option<Lack>,
    /// In these files of the sourced workspaces; `None` if they were not searched.
    pub files: Option<Vec<PathBuf>>,
}

/// What a recording has instead of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nothing.
    Nothing,
    /// A blank text.
    Empty,
    /// Only the type's name.
    OnlyName(String),
    /// A text whose language the recorder did not know.
    Unreadable {
        /// The recording's name for the language.
        encoding: String,
        /// What is wrong with the text, read as a `.msg`.
        problem: String,
    },
    /// The definitions of this type, which don't include it.
    Part(TypeName),
}

/// What is wrong with a line of a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxProblem {
    /// Neither a primitive nor the name of a message.
    #[error("`{}` is not a type such as `float64`, `string<=8[<=3]` or `pkg/Name[]`", clip(ty))]
    Type {
        /// What there is.
        ty: String,
    },
    /// No name, or one with invalid characters.
    #[error("`{}` is not a field name (letters, digits and `_`, first a letter)", clip(name))]
    FieldName {
        /// What there is.
        name: String,
    },
    /// Deeper nesting than anybody writes.
    #[error("nested more than {limit} levels deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// A `.srv` or `.action` with too few `---` lines.
    #[error("it has no section {number}; sections are separated by lines of `---`")]
    NoSection {
        /// Which one, counted from 1.
        number: usize,
    },
    /// Two fields with the same name.
    #[error("field `{}` is there twice", clip(name))]
    DuplicateField {
        /// The name.
        name: String,
    },
    /// Only primitives and texts have constants.
    #[error("a constant can't be of type `{}`, only of a primitive type or a string", clip(ty))]
    ConstantType {
        /// The type.
        ty: String,
    },
    /// IDL without a meaning in a ROS message.
    #[error("ROS messages have no {what}")]
    IdlUnsupported {
        /// What there is.
        what: String,
    },
    /// IDL that continues with something unexpected.
    #[error("expected {expected}, found `{}`", clip(found))]
    IdlUnexpected {
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// IDL that ends too early.
    #[error("the definition ends where {expected} was expected")]
    IdlEnds {
        /// What was expected.
        expected: String,
    },
    /// Not the name of a message.
    #[error("`{}` is not a type such as `double`, `sequence<octet>` or `pkg::msg::Name`", clip(ty))]
    IdlType {
        /// What there is.
        ty: String,
    },
    /// The text defines other types than the one it is named after.
    #[error("there is no `struct {name}` in `module {package}`")]
    IdlNoStruct {
        /// The package of the type that was searched for.
        package: String,
        /// Its name.
        name: String,
    },
    /// A part of a bundle has no name.
    #[error(
        "`MSG: package/Name` or `IDL: package/msg/Name` must follow a line of `=`, found `{}`",
        clip(found)
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
            Self::Interface(base) => write!(f, "what ROS adds to {base}"),
            Self::BuiltIn => f.write_str("built-in definition"),
        }
    }
}

impl fmt::Display for LookedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(lack) = &self.recorded {
            lack.fmt(f)?;
        }
        match (&self.recorded, self.files.as_deref()) {
            (Some(_), None) => f.write_str("; record the bag again"),
            (None, None) => f.write_str("no place to search was given"),
            (recorded, Some(files)) => {
                f.write_str(if recorded.is_some() { ", and " } else { "" })?;
                no_file(files, f)
            }
        }
    }
}

fn no_file(files: &[PathBuf], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if files.is_empty() {
        return f.write_str(
            "AMENT_PREFIX_PATH is not set; source the ROS 2 workspace that has the package",
        );
    }
    f.write_str("no file")?;
    for (i, file) in files.iter().enumerate() {
        write!(f, "{} {}", if i == 0 { "" } else { "," }, file.display())?;
    }
    f.write_str("; source the workspace that has the package")
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("the bag does not have its definition"),
            Self::Empty => f.write_str("its definition in the bag is empty"),
            Self::OnlyName(text) => {
                write!(f, "its definition in the bag is only its name, `{}`", clip(text))
            }
            Self::Unreadable { encoding, problem } => {
                write!(
                    f,
                    "its definition in the bag is in `{}`, which ROS 2 does not use, and is not a .msg either \
                     ({problem})",
                    clip(encoding)
                )
            }
            Self::Part(root) => write!(f, "the definition recorded with {root} lacks it"),
        }
    }
}

/// As much of an outside text as a line of an error holds, without control characters.
fn clip(text: &str) -> String {
    let mut clipped: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        clipped.push('…');
    }
    clipped
}
