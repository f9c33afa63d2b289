//! How many files the program may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the hard one, which anybody may. Every track that is written to and every connection
/// holds a file open, and the usual limit of 1024 is soon reached.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        // Tracks make do with fewer.
        tracing::warn!(%error, "can't raise the limit of open files");
    }
}
