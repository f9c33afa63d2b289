//! Files of the layout that can't be used: empty after a power cut, garbage, a folder of that name.
//! Rows don't depend on them, so each is reported once and work goes on.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::atomic::put_aside;

/// How many reported files to remember.
const MAX_KNOWN: usize = 4096;

static REPORTED: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);

/// Warns that the file is unusable, once in this process.
pub(super) fn report(path: &Path, reason: &str) {
    let mut reported = REPORTED.lock();
    let reported = reported.get_or_insert_default();
    if reported.len() >= MAX_KNOWN {
        reported.clear();
    }
    if reported.insert(path.to_owned()) {
        tracing::warn!(
            "{} is unusable ({reason}); rows are read without it, and it is written anew by the \
             next recording",
            path.display()
        );
    }
}

/// Makes room for a new version of a file that can't be used. What it holds is kept beside it.
pub(super) fn clear_the_way(path: &Path, reason: &str) {
    let is_empty = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() == 0);
    if is_empty {
        report(path, "it is empty");
    } else if let Err(error) = put_aside(path, reason) {
        // Replacing it may work all the same.
        tracing::warn!(%error, "can't put {} aside", path.display());
    }
}
