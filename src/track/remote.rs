//! The remote side: what an experiment's local store holds goes to an ML-Dash server.

mod status;

pub use status::{SyncState, SyncStatus};
