//! What a list of experiments tells of one of them, without reading its rows.

use std::path::Path;

use super::error::StoreError;
use super::experiment_dir::ExperimentDir;
use super::metadata::TrackMetadata;
use super::row_file;
use super::snapshot::Snapshot;
use crate::error::one_line;

/// How much of a track's data file may be read, if it is not indexed yet.
const MAX_READ_BYTES: u64 = 1 << 20;

/// An experiment's tracks, summed up.
#[derive(Debug, Default)]
pub(crate) struct Brief {
    pub(crate) tracks: u64,
    pub(crate) rows: u64,
    /// Smallest and largest timestamp in seconds.
    pub(crate) span: Option<(f64, f64)>,
    /// Size of the rows on disk.
    pub(crate) size_bytes: u64,
    /// Whether `rows` and `span` are exact. They are not while rows are unsorted or have just been
    /// written.
    pub(crate) is_exact: bool,
    /// What could not be read.
    pub(crate) problems: Vec<String>,
}

impl Brief {
    /// Adds the rows of a track.
    pub(crate) fn add(&mut self, rows: u64, span: Option<(f64, f64)>, size_bytes: u64) {
        self.tracks += 1;
        self.rows += rows;
        self.size_bytes += size_bytes;
        self.span = match (self.span, span) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
    }

    fn add_track(&mut self, folder: &Path, metadata: &TrackMetadata) -> Result<(), StoreError> {
        let size_bytes = row_file::stored_bytes(folder)?.unwrap_or(0);
        // Without a count in the metadata, only the rows can tell.
        let max_bytes = if metadata.total_entries > 0 { MAX_READ_BYTES } else { u64::MAX };
        match Snapshot::open_within(folder, max_bytes)? {
            Some(snapshot) => {
                let (rows, is_exact) = snapshot.lines();
                let span = snapshot.span().map(|(first, last)| (first.as_secs(), last.as_secs()));
                self.add(rows, span, size_bytes);
                self.is_exact &= is_exact;
            }
            None if size_bytes == 0 => self.add(0, None, 0),
            None => {
                let span = metadata.first_timestamp.zip(metadata.last_timestamp);
                self.add(metadata.total_entries, span, size_bytes);
                self.is_exact = false;
            }
        }
        Ok(())
    }
}

impl ExperimentDir {
    /// Sums up the tracks from their indexes, or from `metadata.json` where an index is behind.
    pub(crate) fn brief(&self) -> Brief {
        let mut brief = Brief { is_exact: true, ..Brief::default() };
        match self.found_tracks() {
            Ok(tracks) => {
                for track in tracks {
                    let added = track.and_then(|t| brief.add_track(&t.folder, &t.metadata));
                    if let Err(error) = added {
                        brief.problems.push(one_line(&error));
                        brief.is_exact = false;
                    }
                }
            }
            Err(error) => brief.problems.push(one_line(&error)),
        }
        brief.problems.sort();
        brief
    }
}
