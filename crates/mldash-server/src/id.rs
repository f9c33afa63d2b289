//! The ids that the server gives to projects, folders, experiments and files. An id is the thing's
//! own place, spelled so that it can be part of a URL. It stays the same after a restart and on any
//! machine, and nothing must be remembered to find the thing again.
//!
//! `experiment~~alice~~warehouse~~run-1` is `alice/warehouse/run-1`. `~~` stands for `/`, and `~.`
//! separates an experiment from a place within it. `~` and two hexadecimal digits stand for any
//! byte that is not a letter, a digit, `-`, `_` or `.`.

use std::fmt::{self, Write};
use std::str::FromStr;

use mldash_track::{ExperimentName, FilePath};

/// The place of something that the server stores.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Id {
    /// `owner/project`.
    Project(FolderPath),
    /// `owner/project/folder…`, which contains experiments.
    Folder(FolderPath),
    /// An experiment as ML-Dash's record of it.
    Experiment(ExperimentName),
    /// An experiment as a node in its project's tree.
    Node(ExperimentName),
    /// A folder of an experiment's files. The same rules apply as for a file's path.
    FileFolder(ExperimentName, FilePath),
    /// A file of an experiment.
    File(ExperimentName, FilePath),
}

/// A project or a folder in it: `owner/project/…`, what an experiment's name can start with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FolderPath(String);

/// A text that is not an id of this server.
#[derive(Debug, thiserror::Error)]
#[error("`{}` is not an id that this server gave", .0.escape_debug())]
pub(super) struct IdError(String);

impl FolderPath {
    /// The whole path.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Its owner.
    pub(super) fn owner(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The project that it is, or lies in.
    pub(super) fn project(&self) -> Self {
        Self(self.0.split('/').take(2).collect::<Vec<_>>().join("/"))
    }

    /// The last part.
    pub(super) fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for FolderPath {
    type Err = mldash_track::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // It is valid if an experiment in it is.
        let _: ExperimentName = format!("{text}/x").parse()?;
        Ok(Self(text.to_owned()))
    }
}

impl Id {
    /// The namespace that it belongs to.
    pub(super) fn owner(&self) -> &str {
        match self {
            Self::Project(path) | Self::Folder(path) => path.owner(),
            Self::Experiment(name)
            | Self::Node(name)
            | Self::FileFolder(name, _)
            | Self::File(name, _) => name.owner(),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Project(_) => "project",
            Self::Folder(_) => "folder",
            Self::Experiment(_) => "experiment",
            Self::Node(_) => "node",
            Self::FileFolder(..) => "files",
            Self::File(..) => "file",
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        f.write_str("~~")?;
        match self {
            Self::Project(path) | Self::Folder(path) => escape(path.as_str(), f),
            Self::Experiment(name) | Self::Node(name) => escape(name.as_str(), f),
            Self::FileFolder(name, path) | Self::File(name, path) => {
                escape(name.as_str(), f)?;
                f.write_str("~.")?;
                escape(path.as_str(), f)
            }
        }
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // Each thing has one id. Other spellings are refused.
        let id = parse(text).filter(|id| id.to_string() == text);
        id.ok_or_else(|| IdError(text.chars().take(200).collect()))
    }
}

fn parse(text: &str) -> Option<Id> {
    let (kind, rest) = text.split_once("~~")?;
    let (place, within) = match rest.split_once("~.") {
        Some((place, within)) => (unescape(place)?, Some(unescape(within)?)),
        None => (unescape(rest)?, None),
    };
    Some(match (kind, within) {
        ("project", None) => {
            Id::Project(place.parse().ok().filter(|p: &FolderPath| p.project() == *p)?)
        }
        ("folder", None) => {
            Id::Folder(place.parse().ok().filter(|p: &FolderPath| p.project() != *p)?)
        }
        ("experiment", None) => Id::Experiment(place.parse().ok()?),
        ("node", None) => Id::Node(place.parse().ok()?),
        ("files", Some(within)) => Id::FileFolder(place.parse().ok()?, within.parse().ok()?),
        ("file", Some(within)) => Id::File(place.parse().ok()?, within.parse().ok()?),
        _ => return None,
    })
}

fn escape(path: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    path.bytes().try_for_each(|byte| match byte {
        b'/' => f.write_str("~~"),
        b'-' | b'_' | b'.' => f.write_char(byte.into()),
        byte if byte.is_ascii_alphanumeric() => f.write_char(byte.into()),
        byte => write!(f, "~{byte:02X}"),
    })
}

fn unescape(text: &str) -> Option<String> {
    let mut path = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        path.push(match byte {
            b'~' => match bytes.next()? {
                b'~' => b'/',
                high => hex_digit(high)? << 4 | hex_digit(bytes.next()?)?,
            },
            byte => byte,
        });
    }
    String::from_utf8(path).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_readable_and_leads_back() {
        let id = Id::Experiment("alice/warehouse/run-1".parse().unwrap());
        assert_eq!(id.to_string(), "experiment~~alice~~warehouse~~run-1");
        let file = Id::File("a/b/c d".parse().unwrap(), "frames/ü~.png".parse().unwrap());
        assert_eq!(file.to_string(), "file~~a~~b~~c~20d~.frames~~~C3~BC~7E.png");
        assert_eq!(file.to_string().parse::<Id>().unwrap(), file);
    }

    #[test]
    fn what_would_leave_the_root_is_no_id() {
        let wrong = [
            "",
            "experiment",
            "experiment~~",
            "experiment~~alice",
            "experiment~~alice~~w~~..",
            "experiment~~..~~..~~etc",
            "experiment~~alice~~w~~~2E~2E",
            "experiment~~alice~~w~~run~00",
            "experiment~~alice/w/run",
            "experiment~~alice~~w~~r~75n",
            "project~~alice~~w~~run",
            "folder~~alice~~w",
            "file~~alice~~w~~run~...~~x",
            "files~~alice~~w~~run",
        ];
        for text in wrong {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_name_has_one_id(
            name in prop::collection::vec("[a-zA-Z0-9_~ %äß-][a-zA-Z0-9._~ %äß-]{0,8}", 3..6),
            path in prop::collection::vec("[a-zA-Z0-9_~ %äß-][a-zA-Z0-9._~ %äß-]{0,8}", 1..4),
        ) {
            let id = Id::File(name.join("/").parse().unwrap(), path.join("/").parse().unwrap());
            let text = id.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)));
            prop_assert_eq!(text.parse::<Id>().unwrap(), id);
        }
    }
}
