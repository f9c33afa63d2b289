//! What is wrong with a text: the place, the problem, and how to fix it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A place in a text. Both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

impl Place {
    /// The start of the text.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// One thing that is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    spot: Spot,
    message: String,
    hint: Option<String>,
}

/// Why a file of YAML can't be used.
#[derive(Debug, thiserror::Error)]
pub enum YamlErrors {
    /// The file can't be read.
    #[error("can't read the {what} {}", path.display())]
    Unreadable {
        /// What the file is: `mapping`, `recipe`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text does not say what it should.
    #[error("{}", Listing { what, path, problems })]
    Invalid {
        /// What the text is: `mapping`, `recipe`.
        what: &'static str,
        /// The file, or what stands for it.
        path: PathBuf,
        /// Everything that is wrong, in the order of the text; at least one problem.
        problems: Vec<Problem>,
    },
}

impl YamlErrors {
    /// Everything that is wrong with the text, in its order; empty if it could not be read.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Invalid { problems, .. } => problems,
        }
    }
}

impl Problem {
    /// The place of the problem.
    pub fn place(&self) -> Place {
        self.spot.place
    }

    /// The keys that lead there, such as `topics[2].max_rate`; empty for the whole text.
    pub fn key_path(&self) -> &str {
        &self.spot.key_path
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// A place in the text, and the keys that lead there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The place.
    pub place: Place,
    /// The keys, such as `topics[2].max_rate`; empty for the whole text.
    pub key_path: String,
}

impl Spot {
    /// A place in the text as a whole, below no key.
    pub fn of_text(place: Place) -> Self {
        Self { place, key_path: String::new() }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.key_path)
    }
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub spot: Spot,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Reports a problem, and how to fix it if that is known.
    pub fn add(&mut self, spot: &Spot, message: impl Into<String>, hint: Option<String>) {
        self.0.push(Problem { spot: spot.clone(), message: message.into(), hint });
    }

    /// Returns true if nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in the order of the text.
    pub fn sorted(mut self) -> Vec<Problem> {
        self.0.sort_by(|a, b| (a.place(), &a.message).cmp(&(b.place(), &b.message)));
        // A fault that two entries inherit from a third is reported once.
        self.0.dedup_by(|a, b| a.place() == b.place() && a.message == b.message);
        self.0
    }

    /// `value` if nothing is wrong, else everything that is, in the order of the text.
    ///
    /// # Errors
    /// Fails with all problems of `path`, which is a `what`.
    pub fn none_or_all<T>(
        self,
        what: &'static str,
        path: &Path,
        value: Option<T>,
    ) -> Result<T, YamlErrors> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(YamlErrors::Invalid { what, path: path.to_owned(), problems: self.sorted() }),
        }
    }
}

/// All problems, each on its own lines like a compiler's, after a line that counts them.
struct Listing<'a> {
    what: &'a str,
    path: &'a Path,
    problems: &'a [Problem],
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, path, problems } = self;
        let path = path.display();
        let plural = if problems.len() == 1 { "" } else { "s" };
        write!(f, "{} problem{plural} in the {what} {path}", problems.len())?;
        problems.iter().try_for_each(|problem| write!(f, "\n{path}:{problem}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place())?;
        if !self.key_path().is_empty() {
            write!(f, "{}: ", self.key_path())?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  hint: {hint}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}
