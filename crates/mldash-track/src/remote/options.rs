//! The server to upload an experiment to, and how to upload.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::plan::Backoff;
use super::send::{API_KEY_VARIABLE, TokenSources};
use crate::name::ExperimentName;
use crate::options::EnvError;

/// The SDK's default.
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A server to upload to or to read from, with its token.
///
/// The token comes from the file, else the variable given here, else `ML_DASH_API_KEY`, else from
/// where the Python SDK keeps it (`ML_DASH_CONFIG_DIR`, default `~/.dash`). It is looked up for
/// every request, so a replaced token is picked up.
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
    longest_retry_after: Option<Duration>,
    pub(crate) keep: Keep,
    pub(crate) max_local: Option<(u64, WhenLocalFull)>,
}

/// What to keep in the local store of data that the server has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Keep everything.
    #[default]
    All,
    /// Remove the rows and files once the experiment is closed and the server returns them; keep the
    /// descriptions.
    Unsynced,
}

/// What to do when the local store reaches its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenLocalFull {
    /// Stop recording until there is room; appends fail.
    #[default]
    Stop,
    /// Remove data that the server has, the oldest first: earlier experiments, then files of this
    /// one. Data not yet uploaded stays; if that is too much, act as [`Stop`](Self::Stop).
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
            longest_retry_after: None,
            keep: Keep::default(),
            max_local: None,
        }
    }

    /// Reads the token from this file, which holds it alone or in a line `namespace token`.
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token_file = Some(path.into());
        self
    }

    /// Reads the token from this environment variable.
    pub fn token_variable(mut self, name: impl Into<String>) -> Self {
        self.token_variable = Some(name.into());
        self
    }

    /// How long a request may take. Large bodies get more time, by size.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// The wait after a first failure, and the longest wait. The defaults are
    /// `ML_DASH_RETRY_BASE_DELAY` and `ML_DASH_RETRY_MAX_DELAY` in seconds, else 1 s and 30 s.
    pub fn retry_delays(mut self, base: Duration, max: Duration) -> Self {
        self.retry_delays = Some((base, max));
        self
    }

    /// The longest `Retry-After` of a server that is followed; 10 minutes by default. A server that
    /// asks for more is tried again then.
    pub fn longest_retry_after(mut self, wait: Duration) -> Self {
        self.longest_retry_after = Some(wait);
        self
    }

    /// What to keep in the local store of data that the server has.
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// What is kept in the local store of data that the server has.
    pub fn kept(&self) -> Keep {
        self.keep
    }

    /// Limits the local store, all its experiments together, to this many bytes. What is recorded
    /// here is looked at every 5 s. What other programs write or remove is seen when the store is
    /// counted: every 5 s, or for a store that takes long to count after a hundred times as long
    /// (twenty times while it is full).
    pub fn max_local(mut self, bytes: u64, when_full: WhenLocalFull) -> Self {
        self.max_local = Some((bytes, when_full));
        self
    }

    pub(super) fn backoff(&self) -> Result<Backoff, EnvError> {
        let mut backoff = Backoff::from_env()?;
        if let Some((base, max)) = self.retry_delays {
            (backoff.base, backoff.max) = (base, max);
        }
        if let Some(longest) = self.longest_retry_after {
            backoff.longest_retry_after = longest;
        }
        Ok(backoff)
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The shell command to upload the experiment `name` under `root` with the same token.
    pub(crate) fn sync_command(&self, name: &ExperimentName, root: &Path) -> String {
        let root = root.display().to_string();
        let mut words = vec!["mldash_bridge", "sync", name.as_str(), "--root", &root];
        words.extend(["--remote", &self.url]);
        if self.keep == Keep::Unsynced {
            words.push("--drop-synced");
        }
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

/// Quotes `word` as one shell word.
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
