//! Reads back what a server has, before anything is removed here. An upload that the server
//! accepted is its word; rows that it returns are proof.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;

use crate::error::TrackError;
use crate::format::{Format, RowSource};
use crate::json::scan_row;
use crate::local::FileInfo;
use crate::name::ExperimentName;
use crate::query::Query;
use crate::remote::options::Remote;
use crate::remote::plan::FileId;
use crate::remote::reader::RemoteExperiment;
use crate::row::{TIMESTAMP_COLUMN, Timestamp};
use crate::rows::SelectedRows;

/// Rows to ask for at a time. Each needs about 20 bytes of memory and 30 on the wire.
const ROWS_PER_REQUEST: usize = 50_000;
/// Longer lines do not count as rows.
const MAX_LINE_BYTES: usize = 64 << 20;
/// What a server may send of others before it sends something that was asked for. One that sends more sends without end.
const MAX_STRANGE_BYTES: usize = 256 << 20;
const MAX_STRANGE_FILES: usize = 10_000_000;

/// When to give up a comparison.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    /// Whether failed calls are retried.
    pub(crate) retries: bool,
    /// Asked again and again, also while an answer comes; `false` ends the comparison.
    pub(crate) goes_on: &'a dyn Fn() -> bool,
}

/// An experiment on the server.
pub(super) struct ServerCopy<'a> {
    experiment: RemoteExperiment,
    patience: Patience<'a>,
}

/// The result of comparing a track or the files with the server.
#[derive(Debug)]
pub(super) enum Compared<M> {
    /// The server returns everything.
    Same,
    /// The server lacks this.
    Missing(M),
    /// Told to give up.
    Interrupted,
}

/// Rows that the server does not return.
#[derive(Debug)]
pub(super) struct MissingRows {
    pub(super) missing: u64,
    pub(super) rows: u64,
    pub(super) first: Timestamp,
}

impl<'a> ServerCopy<'a> {
    /// The experiment that the server knows by `id`. Makes no call.
    pub(super) fn of_id(
        id: &str,
        name: &ExperimentName,
        remote: &Remote,
        patience: Patience<'a>,
    ) -> Result<Self, TrackError> {
        let experiment = RemoteExperiment::of_id(id.to_owned(), name, remote)?;
        let experiment = if patience.retries { experiment } else { experiment.without_retries() };
        Ok(Self { experiment, patience })
    }

    /// Asks the server for the time of each row of the track in `folder`.
    pub(super) fn compare_track(
        &self,
        topic: &str,
        folder: &Path,
    ) -> Result<Compared<MissingRows>, TrackError> {
        let mut stored = SelectedRows::open(topic.to_owned(), folder, Query::all())?.rows();
        let (mut rows, mut missing, mut first) = (0, 0, None);
        loop {
            let mut times = AwaitedTimes::default();
            while times.awaited.len() < ROWS_PER_REQUEST
                && let Some(raw) = stored.next_raw()
            {
                times.awaited.insert(raw?.ts);
            }
            if times.awaited.is_empty() {
                break;
            }
            rows += times.awaited.len() as u64;
            // A server may return only so many rows at a time: ask for the rest while some come.
            let mut awaited = usize::MAX;
            while let Some((from, to)) = times.span()
                && times.awaited.len() < awaited
            {
                if !self.goes_on() {
                    return Ok(Compared::Interrupted);
                }
                awaited = times.awaited.len();
                let query = Query::range(from.as_secs()..=to.as_secs()).columns([TIMESTAMP_COLUMN]);
                self.experiment.each_part(topic, &query, Format::Jsonl, |part| {
                    times.take(part);
                    let is_enough = times.awaited.is_empty() || times.is_astray();
                    Ok(match is_enough || !self.goes_on() {
                        true => ControlFlow::Break(()),
                        false => ControlFlow::Continue(()),
                    })
                })?;
                times.end_answer();
            }
            if !self.goes_on() {
                return Ok(Compared::Interrupted);
            }
            missing += times.awaited.len() as u64;
            first = first.or(times.span().map(|(first, _)| first));
        }
        Ok(match first {
            None => Compared::Same,
            Some(first) => Compared::Missing(MissingRows { missing, rows, first }),
        })
    }

    /// Asks the server for its list of files. Returns those of `files` that are not in it with
    /// their name and checksum.
    pub(super) fn compare_files<'f>(
        &self,
        files: impl Iterator<Item = &'f FileInfo>,
    ) -> Result<Compared<HashSet<FileId>>, TrackError> {
        let mut awaited: HashMap<(String, String), Vec<FileId>> = HashMap::new();
        for file in files {
            let Ok(id) = file.id.parse() else { continue };
            let key = (file.filename.clone(), file.checksum.to_ascii_lowercase());
            awaited.entry(key).or_default().push(id);
        }
        let (mut offset, mut strange) = (0, 0);
        while !awaited.is_empty() {
            if !self.goes_on() {
                return Ok(Compared::Interrupted);
            }
            let (page, has_more) = self.experiment.files_page(offset)?;
            offset += page.len();
            for file in page {
                let found = awaited.remove(&(file.name, file.checksum.to_ascii_lowercase()));
                strange = if found.is_some() { 0 } else { strange + 1 };
            }
            if !has_more || strange > MAX_STRANGE_FILES {
                break;
            }
        }
        let missing: HashSet<FileId> = awaited.into_values().flatten().collect();
        Ok(if missing.is_empty() { Compared::Same } else { Compared::Missing(missing) })
    }

    fn goes_on(&self) -> bool {
        (self.patience.goes_on)()
    }
}

/// Times of rows that the server has not returned yet, while its JSON lines come.
#[derive(Debug, Default)]
struct AwaitedTimes {
    awaited: HashSet<Timestamp>,
    /// The beginning of the current line.
    line: Vec<u8>,
    is_overlong: bool,
    /// Bytes since the last row that was awaited, or since the answer began.
    strange_bytes: usize,
}

impl AwaitedTimes {
    /// The first and the last.
    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.awaited.iter().min().copied()?, self.awaited.iter().max().copied()?))
    }

    fn end_line(&mut self) {
        if !self.is_overlong
            && let Ok(ts) = scan_row(&self.line, |_| {})
            && self.awaited.remove(&ts)
        {
            self.strange_bytes = 0;
        }
        self.line.clear();
        self.is_overlong = false;
    }

    /// The last line may have no end.
    fn end_answer(&mut self) {
        self.end_line();
        self.strange_bytes = 0;
    }

    /// Returns true if the server sends only what was not asked for.
    fn is_astray(&self) -> bool {
        self.strange_bytes > MAX_STRANGE_BYTES
    }

    /// Takes what comes next.
    fn take(&mut self, text: &[u8]) {
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            self.strange_bytes = self.strange_bytes.saturating_add(part.len());
            self.is_overlong |= self.line.len() + part.len() > MAX_LINE_BYTES;
            if self.is_overlong {
                self.line.clear();
            } else {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end_line();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rows_that_the_server_returns_are_no_longer_awaited() {
        let ts = |secs| Timestamp::new(secs).unwrap();
        let mut times = AwaitedTimes::default();
        times.awaited.extend([1.0, 2.5, 3.0, 1_700_000_000.033].map(ts));
        // In any order and in any pieces, the last line without its end.
        for piece in
            ["{\"timestamp\": 2", ".5}\n{\"timestamp\":1.7000000", "00033e9, \"q\": 1}\nno row\n"]
        {
            times.take(piece.as_bytes());
        }
        times.take(b"{\"timestamp\":1}");
        times.end_answer();
        assert_eq!(times.awaited, HashSet::from([ts(3.0)]));
        assert_eq!(times.span(), Some((ts(3.0), ts(3.0))));
    }

    #[test]
    fn a_server_is_astray_once_it_has_sent_much_and_nothing_of_it_was_asked_for() {
        let mut times = AwaitedTimes::default();
        times.awaited.extend([1.0, 2.0].map(|secs| Timestamp::new(secs).unwrap()));
        let junk = [&[b'x'; MAX_STRANGE_BYTES / 2][..], b"\n"].concat();
        for row in ["{\"timestamp\":1}\n", "{\"timestamp\":2}\n", "{\"timestamp\":1}\n"] {
            times.take(&junk);
            times.take(row.as_bytes());
            assert!(!times.is_astray(), "{row}");
        }
        times.take(&junk);
        assert!(times.is_astray());
    }
}
