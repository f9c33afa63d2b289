//! Names of experiments and tracks (placeholder until the mapping branch lands).

use std::fmt;
use std::str::FromStr;

/// A track's topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackName(String);

/// An experiment's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExperimentName(String);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name")]
pub struct NameError(String);

impl NameError {
    /// The text that is no name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl TrackName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The folder's name.
    pub fn folder(&self) -> String {
        self.0.replace('/', "_")
    }
}

impl ExperimentName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The second segment.
    pub fn project(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }
    /// The last segment.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for TrackName {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        if s.is_empty() { Err(NameError(s.into())) } else { Ok(Self(s.into())) }
    }
}

impl FromStr for ExperimentName {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        if s.split('/').count() < 3 { Err(NameError(s.into())) } else { Ok(Self(s.into())) }
    }
}

impl fmt::Display for TrackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ExperimentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
