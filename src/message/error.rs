//! Bytes that are not a message of their type.

use std::fmt;

/// Why a message could not be decoded: what, at which byte, in which field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{trouble}, at byte {offset}{}", Field(path))]
pub struct DecodeError {
    /// Offset from the message's first byte, encapsulation header included.
    offset: usize,
    trouble: Trouble,
    /// From the field to the root.
    path: Vec<String>,
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// The message ends before the value does.
    #[error("{needed} bytes are needed and {remaining} are left")]
    Truncated {
        /// Bytes that the value takes.
        needed: usize,
        /// Bytes that there are.
        remaining: usize,
    },
    /// A sequence or string is longer than the message.
    #[error("a length of {length} does not fit the {remaining} bytes that are left")]
    Length {
        /// The elements that it says to have.
        length: usize,
        /// Bytes that there are.
        remaining: usize,
    },
    /// A sequence is longer than its type allows.
    #[error("a length of {length} is above the type's bound of {at_most}")]
    Bound {
        /// The elements that it says to have.
        length: usize,
        /// What the type allows.
        at_most: usize,
    },
    /// Bytes are left after the last field.
    #[error("{remaining} bytes are left after the last field; is it another version of the type?")]
    Trailing {
        /// How many.
        remaining: usize,
    },
    /// Not plain XCDR1.
    #[error("encapsulation {:#04x}{:02x} is not plain CDR (0x0000 or 0x0001)", .0[0], .0[1])]
    Encapsulation([u8; 2]),
}

impl DecodeError {
    pub(super) fn new(offset: usize, trouble: Trouble) -> Self {
        Self { offset, trouble, path: Vec::new() }
    }

    /// The same inside `name`.
    pub(super) fn within(mut self, name: impl Into<String>) -> Self {
        self.path.push(name.into());
        self
    }

    /// The byte at which it shows, from the message's first, encapsulation header included.
    pub fn offset_bytes(&self) -> usize {
        self.offset
    }

    /// What is wrong.
    pub fn trouble(&self) -> Trouble {
        self.trouble
    }

    /// The field: `transforms[3].header.frame_id`; empty outside of any.
    pub fn field(&self) -> String {
        Field(&self.path).to_string().trim_start_matches(" in ").to_owned()
    }
}

/// A path that was collected from the field up.
struct Field<'a>(&'a [String]);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().rev().enumerate() {
            let before = if i == 0 {
                " in "
            } else if name.starts_with('[') {
                ""
            } else {
                "."
            };
            write!(f, "{before}{name}")?;
        }
        Ok(())
    }
}
