//! The program's limit of open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the hard one, which needs no privileges. Every open track and every
/// connection holds a file open, so the usual limit of 1024 is soon reached.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        // Tracks also work with fewer.
        tracing::warn!(%error, "can't raise the limit of open files");
    }
}
