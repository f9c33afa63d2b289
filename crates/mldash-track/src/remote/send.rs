//! Sending: HTTP, the protocol's calls, and the rows and files that they carry.

mod answer;
mod body;
mod file_sender;
mod http;
mod session;
mod token;
mod track_sender;

pub(super) use answer::number_at;
pub(super) use file_sender::{FileOutcome, send_file};
pub(super) use http::{Api, checked_url};
pub(super) use session::{
    ListedFile, Session, data_path, experiment_id, find_experiment, find_projects, list_files,
    list_tracks, namespace, project_nodes, tell_namespace,
};
pub use token::TokenError;
pub(super) use token::{API_KEY_VARIABLE, Token, TokenSources};
pub(super) use track_sender::{RowsOutcome, SendContext, TrackSender};
