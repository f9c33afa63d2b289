//! Rows whose byte arrays become files. Threads of their own encode and save the files, each file
//! before the row that names it. If they can't keep up, only these messages are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use super::account::{DropReason, Note};
use super::blobs::{RawBytes, insert_beside};
use super::ledger::Ledger;
use super::numbers::{FrameNumbers, Origin, PATH_COLUMN};
use super::stream::{Outcome, Sink};
use super::tracks::GivenTime;
use super::workers::{Job, Workers};
use crate::blob::{Blob, BlobError, FileFormats};
use mldash_track::{Experiment, Fields, Files, Row, TrackError, Value, one_line};

/// The limit on messages that wait to become files, in bytes as received.
const LIMIT_BYTES: usize = 128 << 20;
/// The same where the recorder waits. More would only use memory.
const WAITING_LIMIT_BYTES: usize = 32 << 20;
/// More threads don't help: there is one disk.
const MAX_THREADS: usize = 4;
const INDEX_DIGITS: usize = 6;

/// What happens to messages whose files can't be written fast enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenBehind {
    /// Drop and count them: a live robot does not wait.
    #[default]
    DropNewest,
    /// Wait, as for a bag.
    Wait,
}

/// Makes files of byte arrays, and numbers them.
#[derive(Debug)]
pub(super) struct Frames {
    workers: Workers<QueuedFrame>,
    when_behind: WhenBehind,
    /// Once set, waiting messages are left out.
    hurried: Arc<AtomicBool>,
    numbers: FrameNumbers,
}

/// A byte array that becomes a file.
#[derive(Debug)]
pub(super) struct FramePart {
    pub(super) blob: Blob,
    pub(super) raw: RawBytes,
    pub(super) formats: FileFormats,
    /// The folder below the track's own; empty for the track's own.
    pub(super) folder: String,
    /// The prefix of the columns that describe it.
    pub(super) prefix: String,
}

/// A row, and the byte arrays that become its files.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) row: Row,
    pub(super) parts: Vec<FramePart>,
    pub(super) notes: Vec<Note>,
    pub(super) ledger: Ledger,
    pub(super) sink: Sink,
    /// The message that it is made of.
    pub(super) origin: Origin,
    /// To be given back if the row is not stored.
    pub(super) given: GivenTime,
}

/// A row that waits for its files.
#[derive(Debug)]
struct QueuedFrame {
    row: Row,
    notes: Vec<Note>,
    sink: Sink,
    ledger: Ledger,
    given: GivenTime,
    files: Files,
    parts: Vec<NumberedPart>,
    cost_bytes: usize,
    hurried: Arc<AtomicBool>,
    failed: Option<Failed>,
}

#[derive(Debug)]
struct NumberedPart {
    part: FramePart,
    folder: String,
    index: u64,
}

/// Why a frame is not stored.
#[derive(Debug)]
enum Failed {
    LeftOut,
    Encode(String),
    Save(TrackError),
}

impl Frames {
    pub(super) fn new() -> Self {
        let threads = available_parallelism().map_or(1, |cores| cores.get().min(MAX_THREADS));
        Self {
            workers: Workers::new(threads, LIMIT_BYTES),
            when_behind: WhenBehind::default(),
            hurried: Arc::default(),
            numbers: FrameNumbers::default(),
        }
    }

    /// For the next part of a recording. This one still writes what it has.
    pub(super) fn next_part(&self) -> Self {
        Self { when_behind: self.when_behind, hurried: self.hurried.clone(), ..Self::new() }
    }

    /// Looks up where the numbers of the experiment's files go on, so that no message waits for that. Ends
    /// early once `is_stopped`.
    ///
    /// # Errors
    /// Fails if the store can't be read. What is missing is looked up when a message needs it.
    pub(super) fn look_ahead(
        &mut self,
        exp: &Experiment,
        is_stopped: impl FnMut() -> bool,
    ) -> Result<(), TrackError> {
        self.numbers.look_ahead(exp, is_stopped)
    }

    /// Once `hurried` is set, waiting messages are counted and left out.
    pub(super) fn hurry_when(&mut self, hurried: Arc<AtomicBool>) {
        self.hurried = hurried;
    }

    /// Returns true if what waits is left out.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::Relaxed)
    }

    /// The bytes, as received, that wait to become files, and their limit.
    pub(super) fn fill(&self) -> (usize, usize) {
        (self.workers.waiting_bytes(), self.workers.limit_bytes())
    }

    pub(super) fn set_when_behind(&mut self, when_behind: WhenBehind) {
        self.when_behind = when_behind;
        self.workers.set_limit_bytes(match when_behind {
            WhenBehind::DropNewest => LIMIT_BYTES,
            WhenBehind::Wait => WAITING_LIMIT_BYTES,
        });
    }

    /// Returns true if there is room for these files. Waits for room if the recorder waits.
    pub(super) fn has_room(&self, parts: &[FramePart]) -> bool {
        self.make_room(held_bytes(parts))
    }

    /// Takes a message for which there is room. Once its files are in `exp`, its row is appended
    /// and counted.
    ///
    /// # Errors
    ///
    /// Fails if the files can't be numbered. The caller counts the message then.
    pub(super) fn take(&mut self, exp: &Experiment, frame: Frame) -> Result<(), TrackError> {
        let Frame { row, parts, notes, ledger, sink, origin, given } = frame;
        let cost_bytes = held_bytes(&parts);
        let parts = self.number(exp, &sink, parts, origin)?;
        self.workers.submit(QueuedFrame {
            row,
            notes,
            sink,
            ledger,
            given,
            files: exp.files(""),
            parts,
            cost_bytes,
            hurried: self.hurried.clone(),
            failed: None,
        });
        Ok(())
    }

    /// Returns true if a stored row is that of this message: its first file was made of it.
    pub(super) fn is_row_of(
        &mut self,
        exp: &Experiment,
        parts: &[FramePart],
        row: &Fields,
        origin: Origin,
    ) -> bool {
        // Every part is asked for: that takes its number.
        let of_parts = parts.iter().map(|part| self.is_file_of(exp, part, row, origin));
        of_parts.reduce(|of_first, _| of_first).unwrap_or_default()
    }

    fn is_file_of(
        &mut self,
        exp: &Experiment,
        part: &FramePart,
        row: &Fields,
        origin: Origin,
    ) -> bool {
        let column = format!("{}{PATH_COLUMN}", part.prefix);
        // If a field of the message has that name too, the column has another.
        let names = std::iter::successors(Some(column), |name| Some(format!("{name}_")));
        let mut paths = names.map_while(|name| row.get(&name));
        paths.any(|path| match path {
            Value::Text(path) => self.numbers.is_of(exp, path, origin),
            _ => false,
        })
    }

    /// Returns true if this many bytes can become files soon. Waits for that if the recorder waits.
    fn make_room(&self, bytes: usize) -> bool {
        match self.when_behind {
            WhenBehind::DropNewest => self.workers.has_room(bytes),
            WhenBehind::Wait => {
                self.workers.wait_for_room(bytes);
                true
            }
        }
    }

    fn number(
        &mut self,
        exp: &Experiment,
        sink: &Sink,
        parts: Vec<FramePart>,
        origin: Origin,
    ) -> Result<Vec<NumberedPart>, TrackError> {
        let track = sink.track().topic();
        let number = |part: FramePart| {
            let slash = if part.folder.is_empty() { "" } else { "/" };
            let folder = format!("{track}{slash}{}", part.folder);
            let index = self.numbers.number(exp, &folder, origin)?;
            Ok(NumberedPart { part, folder, index })
        };
        parts.into_iter().map(number).collect()
    }

    /// Returns once all files are saved and their rows appended.
    pub(super) fn wait_until_saved(&self) {
        self.workers.wait_until_idle();
    }
}

/// The memory that these parts hold: at least the message that they are parts of.
fn held_bytes(parts: &[FramePart]) -> usize {
    let raw = || parts.iter().map(|part| &part.raw);
    let of_parts: usize = raw().map(|raw| raw.len()).sum();
    raw().map(RawBytes::message_bytes).max().unwrap_or_default().max(of_parts)
}

impl QueuedFrame {
    fn save_all(&mut self) -> Result<(), Failed> {
        if self.hurried.load(Ordering::Relaxed) {
            return Err(Failed::LeftOut);
        }
        for NumberedPart { part, folder, index } in std::mem::take(&mut self.parts) {
            let encode = |error: BlobError| Failed::Encode(one_line(&error));
            let encoded = part.blob.encode(&part.raw, &part.formats).map_err(encode)?;
            let name = format!("{index:0INDEX_DIGITS$}.{}", encoded.extension);
            let path = format!("{folder}/{name}");
            let saved = self.files.save_bytes(&encoded.bytes, &path).map_err(Failed::Save)?;
            let fields = &mut self.row.fields;
            let column = |name: &str| format!("{}{name}", part.prefix);
            insert_beside(fields, column(PATH_COLUMN), path);
            insert_beside(fields, column("frame"), name);
            insert_beside(fields, column("index"), index);
            for (name, value) in encoded.facts {
                fields.insert(column(&name), value);
            }
            insert_beside(fields, column("bytes"), saved.size_bytes);
        }
        Ok(())
    }
}

impl Job for QueuedFrame {
    fn cost_bytes(&self) -> usize {
        self.cost_bytes
    }

    fn work(&mut self) {
        self.failed = self.save_all().err();
    }

    fn panicked(&mut self, text: String) {
        self.failed = Some(Failed::Encode(text));
    }

    fn commit(self) {
        let Self { row, notes, sink, ledger, given, .. } = self;
        let outcome = match self.failed {
            None => sink.append(row, given.is_new()),
            Some(Failed::LeftOut) => {
                given.give_back();
                return ledger.drop_lost(DropReason::Stopped, 1);
            }
            Some(Failed::Encode(why)) => {
                given.give_back();
                return ledger.drop_one(DropReason::BlobMalformed, || why);
            }
            Some(Failed::Save(error)) => Outcome::Refused(error),
        };
        if matches!(outcome, Outcome::Refused(_)) {
            given.give_back();
        }
        ledger.book(outcome, &notes);
    }
}

#[cfg(test)]
mod tests;
