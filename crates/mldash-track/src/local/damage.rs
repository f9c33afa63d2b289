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
    if is_news(path) {
        tracing::warn!(
            "{} is unusable ({reason}); rows are read without it, and it is written anew by the \
             next recording",
            path.display()
        );
    }
}

/// Warns, once in this process, that lines of a data file are not rows.
pub(super) fn report_lines(path: &Path, lines: u64) {
    if lines > 0 && is_news(path) {
        tracing::warn!(
            "{}: {lines} lines are damaged and left out; all others are read, and the next recording \
             keeps these lines in a file beside it",
            path.display()
        );
    }
}

/// Warns, once in this process, of damage in a packed file, or in one of its frames.
pub(super) fn report_packed(path: &Path, frame: Option<usize>, said: &str) {
    let key = frame.map_or_else(|| path.to_owned(), |frame| path.join(frame.to_string()));
    if is_news(&key) {
        tracing::warn!("{}: {said}; `mldash_bridge unpack` keeps the damaged file", path.display());
    }
}

/// Returns true if the file has not been reported yet.
fn is_news(path: &Path) -> bool {
    let mut reported = REPORTED.lock();
    let reported = reported.get_or_insert_default();
    if reported.len() >= MAX_KNOWN {
        reported.clear();
    }
    reported.insert(path.to_owned())
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
