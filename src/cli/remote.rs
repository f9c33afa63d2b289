//! The server and its token, for every command that can use a server.

use std::path::PathBuf;

use clap::Args;
use mldash_bridge::track::Remote;

#[derive(Debug, Args)]
pub(crate) struct RemoteArgs {
    /// Read from the ML-Dash server at this URL instead of the local store.
    #[arg(long, value_name = "URL", conflicts_with = "root")]
    remote: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// The file that holds the token, alone or after its namespace; else ML_DASH_API_KEY, else what
    /// the ML-Dash SDK has stored.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl RemoteArgs {
    /// The server, if one was given.
    pub(crate) fn remote(&self) -> Option<Remote> {
        self.remote.as_ref().map(|url| self.token.at(url))
    }
}

impl TokenArgs {
    /// The server at `url`, with this token.
    pub(crate) fn at(&self, url: &str) -> Remote {
        let remote = Remote::new(url);
        match &self.token_file {
            Some(path) => remote.token_file(path),
            None => remote,
        }
    }

    /// The given token file.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.token_file.clone()
    }
}
