//! State: what the server has, what waits, and what was refused. It is stored in `.sync/` in the
//! experiment's folder.

mod checkpoint;
mod file_queue;
mod refusals;
mod status;

pub(super) use checkpoint::{CheckpointFile, FOLDER, sent_files};
pub(super) use file_queue::{FileQueue, QueuedFile};
pub(super) use refusals::{MAX_REFUSED, Refusal, Refusals, Refused};
pub use status::{SyncState, SyncStatus, Synced};
