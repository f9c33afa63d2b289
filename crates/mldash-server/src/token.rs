//! Authentication by the token file: one `namespace token` pair a line, `#` starts a comment. The
//! file is read again when it changes, so tokens can be added, replaced and removed without a
//! restart. Tokens are kept as hashes and compared in constant time; none is ever shown.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::id::FolderPath;
use mldash_track::{FileStamp, one_line};

/// Much more than the tokens of a lab.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Whose data a request may access: the first part of its experiments' names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Namespace(Arc<str>);

impl Namespace {
    /// The namespace of this name.
    pub(super) fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A token file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It can't be read.
    #[error("can't read the token file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A line is invalid.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: TokenLineProblem,
    },
    /// It has no token.
    #[error(
        "the token file {} has no token, so nobody could use the server; add a line `namespace token`",
        path.display()
    )]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is too large.
    #[error("the token file {} is larger than {MAX_FILE_BYTES} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// What is wrong with a line of a token file.
#[derive(Debug, thiserror::Error)]
pub enum TokenLineProblem {
    /// It does not have two words.
    #[error("expected `namespace token`, two words, found {0}")]
    Words(usize),
    /// The first word can't be a namespace. It is not shown: it may be the token.
    #[error(
        "the first word can't be a namespace, which is a folder's name; a line is `namespace token`"
    )]
    Namespace,
    /// The second word can't be part of an HTTP header.
    #[error("a token is made of visible ASCII characters")]
    Characters,
    /// The token is repeated.
    #[error("this token is already in line {0}; give each namespace its own")]
    Twice(usize),
}

/// The tokens in the file.
#[derive(Debug)]
pub(super) struct Tokens {
    path: PathBuf,
    loaded: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    known: Vec<(TokenHash, Namespace)>,
    stamp: FileStamp,
}

/// What is kept of a token.
pub(super) type TokenHash = [u8; 32];

impl Tokens {
    /// Loads the file at `path`.
    pub(super) fn load(path: &Path) -> Result<Self, TokenFileError> {
        let stamp = FileStamp::of(path);
        let known = read(path)?;
        warn_if_readable_by_others(path);
        Ok(Self { path: path.to_owned(), loaded: RwLock::new(Loaded { known, stamp }) })
    }

    /// The namespace of a token. For an unknown token, checks first whether the file has changed.
    pub(super) fn namespace_of(&self, token: &str) -> Option<Namespace> {
        self.admit(token).map(|(_, namespace)| namespace)
    }

    /// As [`namespace_of`](Self::namespace_of), with what [`find`](Self::find) takes.
    pub(super) fn admit(&self, token: &str) -> Option<(TokenHash, Namespace)> {
        let hash: TokenHash = Sha256::digest(token).into();
        let namespace = self.find(&hash).or_else(|| {
            self.reload_if_changed();
            self.find(&hash)
        });
        Some((hash, namespace?))
    }

    /// Returns true if all tokens are of one namespace.
    pub(super) fn name_one_namespace(&self) -> bool {
        let loaded = self.loaded.read();
        loaded.known.windows(2).all(|pair| pair[0].1 == pair[1].1)
    }

    /// The namespace of a token, by its hash. Compares with every token, so that the time taken reveals nothing.
    pub(super) fn find(&self, hash: &TokenHash) -> Option<Namespace> {
        let loaded = self.loaded.read();
        let matches = loaded.known.iter().filter(|(known, _)| bool::from(known.ct_eq(hash)));
        matches.fold(None, |_, (_, namespace)| Some(namespace.clone()))
    }

    /// Reads the file if it has changed. If it can't be used, the tokens stay as they were.
    pub(super) fn reload_if_changed(&self) {
        let now = FileStamp::of(&self.path);
        if now == self.loaded.read().stamp {
            return;
        }
        let mut loaded = self.loaded.write();
        loaded.stamp = now;
        match read(&self.path) {
            Ok(known) => {
                tracing::info!(tokens = known.len(), "the token file has changed");
                loaded.known = known;
                warn_if_readable_by_others(&self.path);
            }
            Err(error) => {
                tracing::error!("{}; the tokens stay as they were", one_line(&error));
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<(TokenHash, Namespace)>, TokenFileError> {
    let failed = |source| TokenFileError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(TokenFileError::TooLarge { path: path.to_owned() });
    }
    let at = |line| move |problem| TokenFileError::Line { path: path.to_owned(), line, problem };
    let mut known: Vec<(TokenHash, Namespace)> = Vec::new();
    let mut lines = Vec::new();
    for (text, line) in text.lines().zip(1..) {
        let Some((token, namespace)) = parse_line(text).map_err(at(line))? else { continue };
        let hash: TokenHash = Sha256::digest(token).into();
        if let Some(before) = known.iter().position(|(known, _)| *known == hash) {
            return Err(at(line)(TokenLineProblem::Twice(lines[before])));
        }
        known.push((hash, namespace));
        lines.push(line);
    }
    if known.is_empty() {
        return Err(TokenFileError::Empty { path: path.to_owned() });
    }
    Ok(known)
}

/// The token and its namespace; `None` for a line without them.
fn parse_line(line: &str) -> Result<Option<(&str, Namespace)>, TokenLineProblem> {
    // A token may contain a `#`; a comment starts a word.
    let words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
    let words: Vec<&str> = words.collect();
    match words[..] {
        [] => Ok(None),
        [namespace, token] => {
            let is_folder = format!("{namespace}/x").parse::<FolderPath>().is_ok();
            if namespace.contains('/') || !is_folder {
                return Err(TokenLineProblem::Namespace);
            }
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(TokenLineProblem::Characters);
            }
            Ok(Some((token, Namespace::new(namespace))))
        }
        _ => Err(TokenLineProblem::Words(words.len())),
    }
}

fn warn_if_readable_by_others(path: &Path) {
    if fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o007 != 0) {
        tracing::warn!("other users can read the token file; run: chmod 600 {}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn names(tokens: &Tokens, token: &str) -> Option<String> {
        tokens.namespace_of(token).map(|namespace| namespace.as_str().to_owned())
    }

    #[test]
    fn a_token_leads_to_its_namespace_and_to_no_other() {
        let (_folder, path) =
            file("# the lab\nalice s3cret#1  # her laptop\n\nalice other\nbob b0b\n");
        let tokens = Tokens::load(&path).unwrap();
        assert_eq!(names(&tokens, "s3cret#1").as_deref(), Some("alice"));
        assert_eq!(names(&tokens, "other").as_deref(), Some("alice"));
        assert_eq!(names(&tokens, "b0b").as_deref(), Some("bob"));
        for wrong in ["", "alice", "s3cret", "s3cret#1 ", "laptop"] {
            assert_eq!(names(&tokens, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_line_and_without_the_token() {
        let wrong = [
            ("alice s3cret\nbob\n", "2: expected `namespace token`, two words, found 1"),
            ("alice s3cret extra\n", "1: expected `namespace token`, two words, found 3"),
            ("../etc s3cret\n", "1: the first word can't be a namespace"),
            (".. s3cret\n", "1: the first word can't be a namespace"),
            ("s3cret/x alice\n", "1: the first word can't be a namespace"),
            ("alice s3crét\n", "1: a token is made of visible ASCII characters"),
            ("alice s3cret\n\nbob s3cret\n", "3: this token is already in line 1"),
        ];
        for (text, expected) in wrong {
            let (_folder, path) = file(text);
            let error = Tokens::load(&path).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{}:{expected}", path.display())), "{error}");
            assert!(!error.contains("s3cr"), "{error}");
        }
        let (_folder, path) = file("# nobody yet\n");
        assert!(Tokens::load(&path).unwrap_err().to_string().contains("has no token"));
    }

    #[test]
    fn a_token_that_is_replaced_is_known_at_once_and_the_old_one_no_more() {
        let (_folder, path) = file("alice old\n");
        let tokens = Tokens::load(&path).unwrap();
        fs::write(&path, "alice renewed\n").unwrap();
        assert_eq!(names(&tokens, "renewed").as_deref(), Some("alice"));
        assert_eq!(names(&tokens, "old"), None);
        // A file that can't be used locks nobody out.
        fs::write(&path, "alice\n").unwrap();
        tokens.reload_if_changed();
        assert_eq!(names(&tokens, "renewed").as_deref(), Some("alice"));
    }
}
