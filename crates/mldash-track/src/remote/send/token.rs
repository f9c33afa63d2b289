//! Finds the bearer token. It is read for every call, so that a token replaced on disk is picked
//! up. It is never shown, logged or written.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fernet::Fernet;
use serde_json::Value as Json;

pub(crate) const API_KEY_VARIABLE: &str = "ML_DASH_API_KEY";
const CONFIG_DIR_VARIABLE: &str = "ML_DASH_CONFIG_DIR";
/// The SDK's key for the token in its token files.
const TOKEN_KEY: &str = "ml-dash-token";
const PLAIN_FILE: &str = "tokens.json";
const ENCRYPTED_FILE: &str = "tokens.encrypted";
const KEY_FILE: &str = "encryption.key";
/// Token files are small; a larger file is something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A bearer token. Its debug text hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

/// Where to look for a token, in order: the given file, the given variable, `ML_DASH_API_KEY`, the
/// SDK's `tokens.json`, its `tokens.encrypted`.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenSources {
    pub(crate) file: Option<PathBuf>,
    pub(crate) variable: Option<String>,
    /// The experiment's owner, to select a token in a file with several.
    pub(crate) namespace: String,
}

/// A token and where it was found.
#[derive(Clone, Debug)]
pub(crate) struct FoundToken {
    pub(crate) token: Token,
    pub(crate) source: TokenSource,
}

/// Where a token was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TokenSource {
    File(PathBuf),
    Variable(String),
}

/// Why there is no token. No text shows any part of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// There is no token anywhere.
    #[error(
        "there is no token: name a file with --token-file, set {}{API_KEY_VARIABLE}, or log in with \
         `ml-dash login`; looked in {} and {} too",
        variable.as_ref().map(|name| format!("{name} or ")).unwrap_or_default(),
        config_dir.join(PLAIN_FILE).display(), ENCRYPTED_FILE
    )]
    Missing {
        /// The environment variable that the mapping names.
        variable: Option<String>,
        /// The SDK's configuration folder.
        config_dir: PathBuf,
    },
    /// A token file can't be read.
    #[error("can't read the token file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A token file has invalid contents.
    #[error("{}: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A text that can't be sent as a token.
    #[error(
        "the token in {found_in} contains characters that are not allowed in a token; write it again"
    )]
    NotAToken {
        /// Where it was found.
        found_in: String,
    },
}

impl Token {
    fn new(text: &str, source: &TokenSource) -> Result<Self, TokenError> {
        // The characters that HTTP allows in a header value.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::NotAToken { found_in: source.to_string() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text itself. Use it only for the header of a request.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
        }
    }
}

impl TokenSources {
    /// The current token, from the first source that has one.
    pub(crate) fn find(&self) -> Result<FoundToken, TokenError> {
        if let Some(path) = &self.file {
            let text =
                read(path)?.ok_or_else(|| unreadable(path, io::ErrorKind::NotFound.into()))?;
            let text = String::from_utf8(text).map_err(|_| TokenError::Malformed {
                path: path.clone(),
                problem: "it is not text",
            })?;
            return found(self.of_lines(&text, path)?, TokenSource::File(path.clone()));
        }
        let named = self.variable.as_deref().into_iter().chain([API_KEY_VARIABLE]);
        for name in named {
            if let Some(text) = env::var(name).ok().filter(|text| !text.trim().is_empty()) {
                return found(text.trim(), TokenSource::Variable(name.to_owned()));
            }
        }
        let config_dir = config_dir();
        for (file, decode) in [(PLAIN_FILE, plain as Decode), (ENCRYPTED_FILE, decrypted)] {
            let path = config_dir.join(file);
            if let Some(text) = read(&path)?
                && let Some(token) = from_sdk(&decode(text, &config_dir)?, &path)?
            {
                return found(&token, TokenSource::File(path));
            }
        }
        Err(TokenError::Missing { variable: self.variable.clone(), config_dir })
    }

    /// Reads a file with one token, or with a line `namespace token` for each namespace.
    fn of_lines<'t>(&self, text: &'t str, path: &Path) -> Result<&'t str, TokenError> {
        let malformed = |problem| TokenError::Malformed { path: path.to_owned(), problem };
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect())
            .collect();
        match lines.as_slice() {
            [] => Err(malformed("it has no token")),
            [one] => match one.as_slice() {
                [token] | [_, token] => Ok(token),
                _ => Err(malformed("a line is a token, or a namespace and its token")),
            },
            several => {
                let own = several.iter().find_map(|words| match words.as_slice() {
                    [namespace, token] if *namespace == self.namespace => Some(*token),
                    _ => None,
                });
                own.ok_or_else(|| malformed("it has no token for the experiment's owner"))
            }
        }
    }
}

type Decode = fn(Vec<u8>, &Path) -> Result<Vec<u8>, TokenError>;

fn plain(text: Vec<u8>, _config_dir: &Path) -> Result<Vec<u8>, TokenError> {
    Ok(text)
}

/// Decrypts the SDK's format; the key is beside the file.
fn decrypted(text: Vec<u8>, config_dir: &Path) -> Result<Vec<u8>, TokenError> {
    let malformed = |file, problem| TokenError::Malformed { path: config_dir.join(file), problem };
    let key = read(&config_dir.join(KEY_FILE))?
        .ok_or_else(|| malformed(ENCRYPTED_FILE, "its encryption.key is missing"))?;
    let fernet = std::str::from_utf8(&key).ok().and_then(|key| Fernet::new(key.trim()));
    let fernet = fernet.ok_or_else(|| malformed(KEY_FILE, "it is not a Fernet key"))?;
    let text = std::str::from_utf8(&text).ok().and_then(|text| fernet.decrypt(text.trim()).ok());
    text.ok_or_else(|| malformed(ENCRYPTED_FILE, "encryption.key does not open it"))
}

fn from_sdk(text: &[u8], path: &Path) -> Result<Option<String>, TokenError> {
    let malformed = || TokenError::Malformed {
        path: path.to_owned(),
        problem: "it is not what the ML-Dash SDK writes there",
    };
    let tokens: Json = serde_json::from_slice(text).map_err(|_| malformed())?;
    match tokens.as_object().ok_or_else(malformed)?.get(TOKEN_KEY) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(token)) => Ok(Some(token.clone()).filter(|token| !token.is_empty())),
        Some(_) => Err(malformed()),
    }
}

fn found(text: &str, source: TokenSource) -> Result<FoundToken, TokenError> {
    Ok(FoundToken { token: Token::new(text, &source)?, source })
}

/// `None` if there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, TokenError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_FILE_BYTES => {
            let problem = "it is too large to be a token file";
            return Err(TokenError::Malformed { path: path.to_owned(), problem });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    }
    fs::read(path).map(Some).map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, source: io::Error) -> TokenError {
    TokenError::Unreadable { path: path.to_owned(), source }
}

fn config_dir() -> PathBuf {
    let given = env::var_os(CONFIG_DIR_VARIABLE).filter(|dir| !dir.is_empty());
    given.map(PathBuf::from).unwrap_or_else(|| env::home_dir().unwrap_or_default().join(".dash"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(text: &str) -> Result<FoundToken, TokenError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, text).unwrap();
        let namespace = "alice".to_owned();
        TokenSources { file: Some(path), variable: None, namespace }.find()
    }

    #[test]
    fn a_token_file_has_one_token_or_one_for_each_namespace() {
        let token = |text: &str| from_file(text).unwrap().token.secret().to_owned();
        assert_eq!(token("s3cret\n"), "s3cret");
        assert_eq!(token("# of the lab\nbob s3cret\n"), "s3cret");
        assert_eq!(token("bob b0b\n\nalice al1ce\n"), "al1ce");
    }

    #[test]
    fn what_is_wrong_with_a_token_file_is_said_without_showing_it() {
        for text in ["", "# nothing\n", "bob b0b\ncarol s3cret\n", "a s3cret b\n", "s3cr\u{1}et"] {
            let error = from_file(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("/token"), "{shown}");
            assert!(!shown.contains("s3cr") && !shown.contains("b0b"), "{shown}");
        }
    }

    #[test]
    fn the_sdk_s_encrypted_file_opens_with_the_key_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let key = Fernet::generate_key();
        fs::write(folder.path().join(KEY_FILE), &key).unwrap();
        let text = Fernet::new(&key).unwrap().encrypt(br#"{"ml-dash-token":"s3cret"}"#);
        let opened = decrypted(text.into_bytes(), folder.path()).unwrap();
        let path = folder.path().join(ENCRYPTED_FILE);
        assert_eq!(from_sdk(&opened, &path).unwrap().as_deref(), Some("s3cret"));
        assert!(decrypted(b"else".to_vec(), folder.path()).is_err());
    }

    #[test]
    fn a_token_hides_itself() {
        let found = from_file("s3cret").unwrap();
        assert!(!format!("{found:?}").contains("s3cret"));
    }
}
