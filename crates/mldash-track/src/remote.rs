//! The remote side: what an experiment's local store holds goes to an ML-Dash server, while it is recorded
//! or later, and is read from there.
//!
//! What holds, whatever the network, the server and this process do:
//! 1. Only what the store holds is sent. Nothing waits in memory but the batches under way, whose number
//!    and size are bounded, and the names of files: a server that is down for a day costs disk only.
//! 2. What counts as sent was answered with a 2xx that speaks JSON, or was refused for what is in it and
//!    lies on disk with the server's answer. Progress is written after that; a crash in between sends it
//!    again, which is harmless, since rows of one time merge.
//! 3. Sent is a prefix of a track's file, known by its CRC (`local/follow.rs`). Whatever becomes of the
//!    file, rows that are not provably sent are sent.
//! 4. A track's batches go one after another in the order of its file, so that later fields win there as
//!    they do here.
//! 5. A row that names a file waits until the server has the file; other tracks don't.
//! 6. A token is read for each call and is in no text, file or log.
//!
//! So once both are up and what waits is sent, the server's rows are the local ones. `plan` decides what is
//! next, `batch`, `backoff`, `names` and `progress` are plain code too; `engine` drives them, `session` and `api`
//! speak the protocol.

mod api;
mod backoff;
mod batch;
mod cap;
mod engine;
mod error;
mod names;
mod options;
mod plan;
mod progress;
mod reader;
mod refused;
mod send;
mod session;
mod status;
mod sync;
mod synced;
mod token;
mod upload;
mod uploads;
mod waiter;

pub(super) use cap::LocalCap;
pub use error::RemoteError;
pub use options::{Keep, Remote, WhenLocalFull};
pub use reader::RemoteExperiment;
pub use status::{SyncState, SyncStatus, Synced};
pub(super) use sync::start_upload;
pub use token::TokenError;
pub(super) use upload::Upload;
