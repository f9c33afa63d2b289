//! Why files can't be merged.

use super::super::error::PublishError;

/// Why files can't be merged. What counted before counts still.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// As it happens to publishers.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A column has two types, which publishers don't do.
    #[error(transparent)]
    Types(Box<TypesDiffer>),
    /// A file does not hold what its manifest says.
    #[error(
        "{name} has {found} rows of {chunk}, and {expected} by its manifest; nothing was merged with it; publish its experiment \
         again"
    )]
    Rows {
        /// The file.
        name: String,
        /// The chunk.
        chunk: String,
        /// By the manifest.
        expected: u64,
        /// In the file.
        found: usize,
    },
    /// A manifest names a file that is not there.
    #[error(
        "{0} is not there, though a manifest names it; restore it, or remove its experiment's manifest and publish the experiment \
         again"
    )]
    Gone(String),
    /// Publishers and compactors change the same manifests again and again.
    #[error("{name} is changed by others all the time; try again once they have ended")]
    Contended {
        /// The object.
        name: String,
    },
}

impl CompactError {
    /// Returns true if the command line is wrong rather than the store or the network.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Publish(error) if error.is_usage())
    }
}

/// Of a topic, a column has one type in one file, and another in another.
#[derive(Debug, thiserror::Error)]
#[error(
    "{topic}: column `{column}` is {is} in {name}, and {was} in {other}; one of the two was not written by `publish`; remove \
     it, or publish its experiment again"
)]
pub struct TypesDiffer {
    /// The topic.
    pub topic: String,
    /// The column.
    pub column: String,
    /// The file.
    pub name: String,
    /// Its type there.
    pub is: String,
    /// The file that was looked at first.
    pub other: String,
    /// Its type there.
    pub was: String,
}
