//! Rows whose byte arrays become files: encoded and saved on threads of their own, the file before
//! the row that names it. When those can't keep up, these messages are dropped and no others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;

use super::account::{DropReason, Note};
use super::blobs::{RawBytes, insert_beside};
use super::ledger::Ledger;
use super::sources::{Source, Sources};
use super::stream::{Outcome, Sink};
use super::tracks::GivenTime;
use super::workers::{Job, Workers};
use crate::blob::{Blob, BlobError, FileFormats};
use mldash_track::{Experiment, Fields, Files, Row, TrackError, Value, one_line};

/// What may wait to become files, in bytes as they were received.
const LIMIT_BYTES: usize = 128 << 20;
/// The same where the recorder waits: more would only be memory.
const WAITING_LIMIT_BYTES: usize = 32 << 20;
/// More would not help: the disk is one.
const MAX_THREADS: usize = 4;
const INDEX_DIGITS: usize = 6;

/// What happens to messages whose files can't be written as fast as they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenBehind {
    /// They are dropped and counted: a live robot does not wait.
    #[default]
    DropNewest,
    /// The recorder waits: a bag does.
    Wait,
}

/// Makes files of byte arrays, and numbers them.
#[derive(Debug)]
pub(super) struct Frames {
    workers: Workers<QueuedFrame>,
    when_behind: WhenBehind,
    /// Set once what waits is to be left out.
    hurried: Arc<AtomicBool>,
    /// The next index, by folder.
    next: HashMap<String, u64>,
    sources: Sources,
}

/// A byte array that becomes a file.
#[derive(Debug)]
pub(super) struct FramePart {
    pub(super) blob: Blob,
    pub(super) raw: RawBytes,
    pub(super) formats: FileFormats,
    /// Below the track's own folder; empty where it is that.
    pub(super) folder: String,
    /// What the columns begin with that tell of it.
    pub(super) prefix: String,
}

/// A row and what becomes its files.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) row: Row,
    pub(super) parts: Vec<FramePart>,
    pub(super) notes: Vec<Note>,
    pub(super) ledger: Ledger,
    pub(super) sink: Sink,
    /// Of the message.
    pub(super) hash: u64,
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
    source: Source,
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
            next: HashMap::new(),
            sources: Sources::default(),
        }
    }

    /// For the part of a recording that comes next; this one still writes what it has.
    pub(super) fn next_part(&self) -> Self {
        Self { when_behind: self.when_behind, hurried: self.hurried.clone(), ..Self::new() }
    }

    /// Once `hurried` is set, what waits is counted and left out.
    pub(super) fn hurry_when(&mut self, hurried: Arc<AtomicBool>) {
        self.hurried = hurried;
    }

    /// What waits to become files, in bytes as they were received, and what may.
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

    /// Whether there is room for what becomes these files; waits for it where the recorder is to wait.
    pub(super) fn has_room(&self, parts: &[FramePart]) -> bool {
        self.make_room(held_bytes(parts))
    }

    /// Takes a message that there is room for. Once its files are in `exp`, the row is appended, and what
    /// became of it is booked.
    ///
    /// # Errors
    /// Files that can't be numbered; the message is the caller's to count then.
    pub(super) fn take(&mut self, exp: &Experiment, frame: Frame) -> Result<(), TrackError> {
        let Frame { row, parts, notes, ledger, sink, hash, given } = frame;
        let cost_bytes = held_bytes(&parts);
        let parts = self.number(exp, &sink, parts, hash)?;
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

    /// Whether a stored row is that of a message of this hash: its first file was made of it.
    pub(super) fn is_row_of(
        &mut self,
        exp: &Experiment,
        parts: &[FramePart],
        row: &Fields,
        hash: u64,
    ) -> bool {
        let Some(first) = parts.first() else { return false };
        let column = format!("{}path", first.prefix);
        // Beside a field of the message that is called so too.
        let names = std::iter::successors(Some(column), |name| Some(format!("{name}_")));
        let paths = names.map_while(|name| row.get(&name));
        paths.into_iter().any(|path| match path {
            Value::Text(path) => self.sources.is_of(exp, path, hash),
            _ => false,
        })
    }

    /// Whether so many bytes can become files soon; waits for it where the recorder is to wait.
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
        hash: u64,
    ) -> Result<Vec<NumberedPart>, TrackError> {
        let track = sink.track().topic();
        let number = |part: FramePart| {
            let slash = if part.folder.is_empty() { "" } else { "/" };
            let folder = format!("{track}{slash}{}", part.folder);
            let index = self.index(exp, &folder)?;
            let source = self.sources.source(exp, &folder, index, hash);
            Ok(NumberedPart { part, folder, index, source })
        };
        parts.into_iter().map(number).collect()
    }

    /// Returns once all files are saved and their rows handed on.
    pub(super) fn wait_until_saved(&self) {
        self.workers.wait_until_idle();
    }

    /// The next number in a folder: behind what is there already.
    fn index(&mut self, exp: &Experiment, folder: &str) -> Result<u64, TrackError> {
        let next = match self.next.get(folder) {
            Some(next) => *next,
            None => first_free(exp, folder)?,
        };
        self.next.insert(folder.to_owned(), next + 1);
        Ok(next)
    }
}

/// What these hold in memory: at least the message that they are parts of.
fn held_bytes(parts: &[FramePart]) -> usize {
    let raw = || parts.iter().map(|part| &part.raw);
    let of_parts: usize = raw().map(|raw| raw.len()).sum();
    raw().map(RawBytes::message_bytes).max().unwrap_or_default().max(of_parts)
}

/// The number behind those of the files that are in a folder.
fn first_free(exp: &Experiment, folder: &str) -> Result<u64, TrackError> {
    let files = exp.files(folder).list()?;
    let here = files.iter().filter(|file| file.path.trim_matches('/') == folder);
    let numbers = here.filter_map(|file| file.filename.split('.').next()?.parse::<u64>().ok());
    Ok(numbers.max().map_or(0, |last| last.saturating_add(1)))
}

impl QueuedFrame {
    fn save_all(&mut self) -> Result<(), Failed> {
        if self.hurried.load(Ordering::Relaxed) {
            return Err(Failed::LeftOut);
        }
        for NumberedPart { part, folder, index, source } in std::mem::take(&mut self.parts) {
            let encode = |error: BlobError| Failed::Encode(one_line(&error));
            let encoded = part.blob.encode(&part.raw, &part.formats).map_err(encode)?;
            let name = format!("{index:0INDEX_DIGITS$}.{}", encoded.extension);
            let path = format!("{folder}/{name}");
            let saved = self.files.save_bytes(&encoded.bytes, &path).map_err(Failed::Save)?;
            source.note();
            let fields = &mut self.row.fields;
            let column = |name: &str| format!("{}{name}", part.prefix);
            insert_beside(fields, column("path"), path);
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
mod tests {
    use super::super::{Received, Recorder, TopicPlan};
    use super::*;
    use crate::mapping::Mapping;
    use mldash_message::MessageType;
    use mldash_track::Options;

    const HEADER: &str = "\n===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n\
                          ===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n";

    fn topic(recorder: &mut Recorder, topic: &str, type_name: &str, fields: &str) -> usize {
        let mapping = Mapping::parse(&format!("topics: [topic: {topic}]"), "m.yaml").unwrap();
        let name = type_name.parse().unwrap();
        let message: Arc<MessageType> =
            MessageType::from_bundle(&name, &format!("std_msgs/Header header\n{fields}{HEADER}"))
                .unwrap();
        let rule = mapping.rule_for(topic, &name).unwrap();
        recorder.add_topic(TopicPlan::new(topic, topic, &message, &rule).unwrap())
    }

    /// A header with this stamp and, behind an empty frame id, `rest`.
    fn stamped(sec: u8, rest: &[&[u8]]) -> Vec<u8> {
        let header = [0, 1, 0, 0, sec, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        [&header[..], &rest.concat()].concat()
    }

    fn recorder() -> (tempfile::TempDir, Recorder) {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("tests/frames/run", Options::local(root.path())).unwrap();
        (root, Recorder::new(exp))
    }

    fn camera(recorder: &mut Recorder) -> usize {
        let fields = "string format\nuint8[] data";
        topic(recorder, "/camera", "sensor_msgs/msg/CompressedImage", fields)
    }

    /// 600 bytes that call themselves a picture.
    fn picture(sec: u8) -> Vec<u8> {
        let length = 600_u32.to_le_bytes();
        stamped(sec, &[&1_u32.to_le_bytes(), &[0, 0, 0, 0], &length, &[7; 600]])
    }

    #[test]
    fn pictures_that_come_too_fast_are_dropped_counted_and_cost_other_topics_nothing() {
        let (_root, mut recorder) = recorder();
        // Nobody works: what is taken waits.
        recorder.frames.workers = Workers::new(0, 1000);
        let camera = camera(&mut recorder);
        let arm = topic(&mut recorder, "/arm", "my_msgs/msg/Arm", "uint32 joint");

        for sec in 1..=3 {
            recorder.record(camera, picture(sec), Received::At(1));
            recorder.record(arm, stamped(sec, &[&[5, 0, 0, 0]]), Received::At(1));
        }
        let account = recorder.account();
        assert!(account.adds_up());
        let [camera, arm] = &account.topics[..] else { panic!("{account:?}") };
        // The first is in nobody's account before it is stored.
        assert_eq!((camera.received, camera.stored), (2, 0));
        assert_eq!(camera.dropped[&DropReason::BlobQueueFull], 2);
        assert!(camera.errors[0].contains("max_rate"), "{:?}", camera.errors);
        assert_eq!((arm.received, arm.stored), (3, 3));
    }

    #[test]
    fn in_a_hurry_what_waits_is_counted_and_left_out() {
        let (_root, mut recorder) = recorder();
        let camera = camera(&mut recorder);
        recorder.record(camera, picture(1), Received::At(1));
        recorder.flush().unwrap();
        assert_eq!(recorder.account().topics[0].stored, 1, "flushed is stored");
        recorder.hurry_when(Arc::new(AtomicBool::new(true)));
        recorder.record(camera, picture(2), Received::At(1));
        let (account, closed) = recorder.finish(None);
        closed.unwrap();
        assert!(account.adds_up());
        assert_eq!((account.topics[0].received, account.topics[0].stored), (2, 1));
        assert_eq!(account.topics[0].dropped[&DropReason::Stopped], 1);
    }
}
