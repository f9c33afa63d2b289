//! Which server an experiment is uploaded to, and how.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::backoff::Backoff;
use super::token::{API_KEY_VARIABLE, TokenSources};
use crate::name::ExperimentName;
use crate::options::EnvError;

/// As the SDK waits.
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A server to upload to or to read from, and the token to do it with.
///
/// The token comes from the file, else the variable given here, else `ML_DASH_API_KEY`, else from where the
/// Python SDK keeps it (`ML_DASH_CONFIG_DIR`, default `~/.dash`). It is looked up for every request: one that
/// is replaced is picked up.
///
/// ```
/// use mldash_track::{Options, Remote};
/// let remote = Remote::new("https://api.example.org").token_variable("LAB_TOKEN");
/// let options = Options::local(".dash").remote(remote);
/// ```
#[derive(Clone, Debug)]
pub struct Remote {
    pub(super) url: String,
    pub(super) token_file: Option<PathBuf>,
    pub(super) token_variable: Option<String>,
    pub(super) request_timeout: Duration,
    retry_delays: Option<(Duration, Duration)>,
    pub(crate) keep: Keep,
    pub(crate) max_local: Option<(u64, WhenLocalFull)>,
}

/// What stays in the local store of what the server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// All of it.
    #[default]
    All,
    /// Nothing, once the experiment is closed: its rows and files are removed, its descriptions stay.
    Unsynced,
}

/// What happens when the local store has reached its bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenLocalFull {
    /// Nothing more is recorded until there is room; appends are errors.
    #[default]
    Stop,
    /// What the server has is removed, the oldest first: earlier experiments, then files of this one. What
    /// it has not stays; where that is too much, as [`Stop`](Self::Stop).
    DropSynced,
}

impl Remote {
    /// The server at `url`, http or https.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token_file: None,
            token_variable: None,
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
            retry_delays: None,
            keep: Keep::default(),
            max_local: None,
        }
    }

    /// The file that holds the token, alone or in a line `namespace token`.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token_file = Some(path.into());
        self
    }

    /// The environment variable that holds the token.
    pub fn token_variable(mut self, name: impl Into<String>) -> Self {
        self.token_variable = Some(name.into());
        self
    }

    /// How long a request may take; large bodies get more, by their size.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The wait after a first failure, and the longest one; else as `ML_DASH_RETRY_BASE_DELAY` and
    /// `ML_DASH_RETRY_MAX_DELAY` say, seconds, else 1 s and 30 s.
    pub fn retry_delays(mut self, base: Duration, max: Duration) -> Self {
        self.retry_delays = Some((base, max));
        self
    }

    /// What stays in the local store of what the server has.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// At most this many bytes in the local store, all its experiments together; measured every few
    /// seconds.
    pub fn max_local(mut self, bytes: u64, when_full: WhenLocalFull) -> Self {
        self.max_local = Some((bytes, when_full));
        self
    }

    pub(super) fn backoff(&self) -> Result<Backoff, EnvError> {
        let backoff = Backoff::from_env()?;
        Ok(match self.retry_delays {
            Some((base, max)) => Backoff { base, max, ..backoff },
            None => backoff,
        })
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a shell takes to upload the experiment `name` under `root` with the same token.
    pub(crate) fn sync_command(&self, name: &ExperimentName, root: &Path) -> String {
        let root = root.display().to_string();
        let mut words = vec!["mldash_bridge", "sync", name.as_str(), "--root", &root];
        words.extend(["--remote", &self.url]);
        let file = self.token_file.as_ref().map(|file| file.display().to_string());
        words.extend(file.iter().flat_map(|file| ["--token-file", file]));
        let command = words.into_iter().map(quoted).collect::<Vec<_>>().join(" ");
        match (&self.token_file, &self.token_variable) {
            (None, Some(variable)) if variable != API_KEY_VARIABLE => {
                format!("{API_KEY_VARIABLE}=\"${variable}\" {command}")
            }
            _ => command,
        }
    }

    pub(super) fn token_sources(&self, owner: &str) -> TokenSources {
        TokenSources {
            file: self.token_file.clone(),
            variable: self.token_variable.clone(),
            namespace: owner.to_owned(),
        }
    }
}

/// As one word of a shell.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', r"'\''")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_uploads_the_rest_can_be_pasted_into_a_shell() {
        let name: ExperimentName = "alice/lab/it's monday".parse().unwrap();
        let remote = Remote::new("http://127.0.0.1:3000");
        let said = |remote: &Remote| remote.sync_command(&name, Path::new("/data/my robot"));
        let command = r"mldash_bridge sync 'alice/lab/it'\''s monday' --root '/data/my robot' --remote http://127.0.0.1:3000";
        assert_eq!(said(&remote), command);
        let remote = remote.token_variable("LAB_TOKEN");
        assert_eq!(said(&remote), format!(r#"ML_DASH_API_KEY="$LAB_TOKEN" {command}"#));
        let remote = remote.token_file("lab token");
        assert_eq!(said(&remote), format!("{command} --token-file 'lab token'"));
    }
}
