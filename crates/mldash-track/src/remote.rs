//! The remote side: uploads an experiment's local store to an ML-Dash server, during or after
//! recording, and reads from the server.
//!
//! What holds, whatever the network, the server and this process do:
//! 1. Only stored data is sent. Memory holds only the batches in flight, whose number and size are
//!    bounded, and the names of files. A server that is down for a day costs only disk space.
//! 2. Data counts as sent once the server confirmed it, a 2xx whose answer has the right number of
//!    rows or names the saved file, or refused its content. Refusals are saved to disk with the
//!    server's answer. Progress is written after that. A crash in between sends the data again, which
//!    is harmless, since rows of one time merge.
//! 3. The sent part is a prefix of a track's file, identified by its CRC (`local/follow.rs`).
//!    Whatever happens to the file, rows that are not provably sent are sent.
//! 4. A track's batches are sent one after another in file order, so that later fields win on the
//!    server as they do here.
//! 5. A row that names a file waits until the server has the file; other tracks do not wait.
//! 6. The token is read for each call and appears in no text, file or log.
//! 7. Nothing is removed here because it was sent: the server is asked for its copy of the rows and
//!    files first (`room/server_copy.rs`).
//!
//! So once both sides are up and everything waiting is sent, the server's rows equal the local
//! ones. `plan` decides what is next and is pure; `send` makes the calls; `state` knows what the
//! server has. `upload` runs them as one state machine (`upload/engine.rs`). `room` makes room in
//! the local store, `reader` and `listing` read from the server.

mod error;
mod listing;
mod options;
mod plan;
mod reader;
mod room;
mod send;
mod state;
mod sync;
mod upload;

pub use error::RemoteError;
pub use listing::list_remote_experiments;
pub use options::{Keep, Remote, WhenLocalFull};
pub use reader::RemoteExperiment;
pub(super) use room::LocalCap;
pub use send::TokenError;
pub use state::{SyncState, SyncStatus, Synced};
pub(super) use sync::start_upload;
pub(super) use upload::Upload;
