//! Merges small files of a topic into large ones. Each row counts once, whatever is killed, retried or run twice.
//!
//! A chunk of a track keeps its name for good; what changes is the file in which its rows lie, `PublishedFile::compacted` in its experiment's
//! manifest. A merged file lies under
//!
//! ```text
//! compacted/<topic>/owner=O/project=P/day=D/<generation>-<rows>-<hash>.parquet
//! ```
//!
//! and holds the rows of many experiments, so each of its rows says whose it is: the dictionary columns `experiment` and `chunk`. Who reads by manifests takes
//! of a merged file only the rows of the chunks that manifests place there.
//!
//! The order of steps, of which each is finished by whoever comes next:
//!
//! 1. The plan goes into the project's slot (`slot.rs`), under a condition.
//! 2. The merged files are put. No manifest names them yet.
//! 3. The slot says that they stand. Until then a plan whose sources are gone, because their publisher replaced them, is given up.
//! 4. Manifest by manifest, under a condition, chunks move: those that still lie where the plan says. A publisher that was faster keeps what it did.
//! 5. Files that no manifest names any more are removed, then the plan.
//!
//! A reader by manifests sees each row once at every moment, since a chunk moves with one put. A reader that only lists sees rows of step 2 twice until
//! step 5, unless it leaves out of `tracks` what `compacted` has of the same experiment and chunk, as the view in docs/fleet.md does: it sees
//! each row once at every moment, too. What remains: rows that a publisher replaced after they were merged are seen in both versions by readers that only
//! list, until the next compaction writes their file again.

mod chunks;
mod error;
mod manifests;
mod merge;
mod plan;
mod run;
mod slot;
#[cfg(test)]
mod tests;

pub use error::{CompactError, TypesDiffer};
pub use merge::{CHUNK, EXPERIMENT};
pub use plan::{By, Rule};
pub use run::{Compaction, Merged, compact};
pub(super) use slot::each_planned_file;
