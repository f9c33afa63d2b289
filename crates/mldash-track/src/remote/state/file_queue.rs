//! The files that a server lacks: which they are, which is next, and the durable list of those it
//! has. Needs about 200 bytes of memory for each waiting file and 8 for each sent one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::checkpoint::{make_folder, sent_files};
use crate::local::{FileFollower, FileInfo, FileNews, StoreError};
use crate::remote::plan::{Backoff, Failures, FileId, FileNames};

/// A file that waits to be sent.
#[derive(Clone, Debug)]
pub(crate) struct QueuedFile {
    /// Without a leading or trailing `/`.
    pub(crate) folder: Arc<str>,
    pub(crate) name: Box<str>,
    pub(crate) path: PathBuf,
    pub(crate) size_bytes: u64,
    pub(crate) checksum: Box<str>,
    pub(crate) content_type: Box<str>,
    /// Details that few files have.
    pub(crate) about: Option<Box<About>>,
}

/// Notes on a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) description: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) metadata: Option<Json>,
}

/// An experiment's files, by whether a server has them.
#[derive(Debug)]
pub(crate) struct FileQueue {
    follower: FileFollower,
    waiting: BTreeMap<FileId, QueuedFile>,
    names: FileNames,
    waiting_bytes: u64,
    /// Sent or refused: not to be sent.
    finished: HashSet<FileId>,
    /// The list of sent files, one line each.
    list: Option<PathBuf>,
    under_way: HashSet<FileId>,
    failures: HashMap<FileId, Failures>,
    /// The files that each track's next row waits for.
    awaited: BTreeMap<String, Vec<FileId>>,
}

impl FileQueue {
    pub(crate) fn new(follower: FileFollower) -> Self {
        Self {
            follower,
            waiting: BTreeMap::new(),
            names: FileNames::default(),
            waiting_bytes: 0,
            finished: HashSet::new(),
            list: None,
            under_way: HashSet::new(),
            failures: HashMap::new(),
            awaited: BTreeMap::new(),
        }
    }

    /// Marks the files in the file `list` as sent, and `refused` as not to be sent.
    pub(crate) fn know(&mut self, list: PathBuf, refused: impl Iterator<Item = FileId>) {
        self.finished = sent_files(&list);
        self.finished.extend(refused);
        self.list = Some(list);
        // Files that were sent left the queue. If the server has lost them, they come again.
        self.follower.start_over();
        let finished: Vec<FileId> =
            self.waiting.keys().copied().filter(|id| self.finished.contains(id)).collect();
        finished.into_iter().for_each(|id| self.drop_waiting(id));
    }

    /// Adds newly saved files.
    pub(crate) fn refresh(&mut self) -> Result<(), StoreError> {
        match self.follower.refresh()? {
            FileNews::Same => {}
            FileNews::More(files) => files.into_iter().for_each(|file| self.take_in(file)),
            FileNews::All(files) => {
                self.waiting.clear();
                self.names = FileNames::default();
                self.waiting_bytes = 0;
                files.into_iter().for_each(|file| self.take_in(file));
                self.failures.retain(|id, _| self.waiting.contains_key(id));
            }
        }
        Ok(())
    }

    fn take_in(&mut self, file: FileInfo) {
        let (Ok(id), Ok(path)) = (file.id.parse::<FileId>(), self.follower.data_path(&file)) else {
            tracing::warn!(
                "not uploaded: file `{}`, whose id or path in the list of files is invalid",
                file.filename
            );
            return;
        };
        if self.finished.contains(&id) || self.waiting.contains_key(&id) {
            return;
        }
        let folder: Arc<str> = file.path.trim_matches('/').into();
        self.names.insert(id, folder.clone(), &file.filename);
        self.waiting_bytes += file.size_bytes;
        let is_plain =
            file.description.is_none() && file.tags.is_empty() && file.metadata.is_none();
        let about =
            About { description: file.description, tags: file.tags, metadata: file.metadata };
        let waiting = QueuedFile {
            folder,
            name: file.filename.into(),
            path,
            size_bytes: file.size_bytes,
            checksum: file.checksum.into(),
            content_type: file.content_type.into(),
            about: (!is_plain).then(|| Box::new(about)),
        };
        self.waiting.insert(id, waiting);
    }

    /// The names of the waiting files.
    pub(crate) fn names(&self) -> &FileNames {
        &self.names
    }

    /// The number of waiting files and their bytes.
    pub(crate) fn waiting(&self) -> (u64, u64) {
        (self.waiting.len() as u64, self.waiting_bytes)
    }

    /// Returns true if a file saved no later than `newest` waits.
    pub(crate) fn waits_through(&self, newest: FileId) -> bool {
        self.waiting.first_key_value().is_some_and(|(id, _)| *id <= newest)
    }

    /// The waiting file that was saved last.
    pub(crate) fn newest(&self) -> Option<FileId> {
        self.waiting.last_key_value().map(|(id, _)| *id)
    }

    /// Notes the files that the track's next row waits for.
    pub(crate) fn await_files(&mut self, topic: &str, files: Vec<FileId>) {
        self.awaited.insert(topic.to_owned(), files);
    }

    /// The tracks whose next row no longer waits for a file.
    pub(crate) fn take_freed(&mut self) -> Vec<String> {
        let waiting = &self.waiting;
        let is_free =
            |_: &String, files: &mut Vec<FileId>| !files.iter().any(|id| waiting.contains_key(id));
        self.awaited.extract_if(.., is_free).map(|(topic, _)| topic).collect()
    }

    /// Returns true if there is a file to send now.
    pub(crate) fn has_next(&self, now: Instant) -> bool {
        self.next(now).is_some()
    }

    /// Starts sending the next file.
    pub(crate) fn start_next(&mut self, now: Instant) -> Option<(FileId, QueuedFile)> {
        let id = self.next(now)?;
        self.under_way.insert(id);
        Some((id, self.waiting.get(&id)?.clone()))
    }

    /// Files that rows wait for go first, then the oldest.
    fn next(&self, now: Instant) -> Option<FileId> {
        let may_start = |id: &&FileId| {
            self.waiting.contains_key(id)
                && !self.under_way.contains(id)
                && self.failures.get(id).is_none_or(|failures| failures.is_due(now))
        };
        self.awaited.values().flatten().chain(self.waiting.keys()).find(may_start).copied()
    }

    /// When to retry the first of the failed files.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.failures.values().filter_map(Failures::due).min()
    }

    /// Somebody is waiting: retry failed files now, or when the server said.
    pub(crate) fn hasten(&mut self, now: Instant) {
        self.failures.values_mut().for_each(|failures| failures.hasten(now));
    }

    /// How many times in a row the worst file failed.
    pub(crate) fn worst(&self) -> u32 {
        self.failures.values().map(Failures::count).max().unwrap_or(0)
    }

    /// The server has the file.
    pub(crate) fn sent(&mut self, id: FileId) -> Result<(), StoreError> {
        self.dismiss(id);
        let Some(list) = &self.list else { return Ok(()) };
        make_folder(list)?;
        let appended = OpenOptions::new().create(true).append(true).open(list);
        appended
            .and_then(|mut file| file.write_all(format!("{id}\n").as_bytes()))
            .map_err(StoreError::io("append to", list))
    }

    /// The file is not to be sent: refused or gone.
    pub(crate) fn dismiss(&mut self, id: FileId) {
        self.under_way.remove(&id);
        self.finished.insert(id);
        self.drop_waiting(id);
    }

    /// The file is to be retried.
    pub(crate) fn failed(
        &mut self,
        id: FileId,
        backoff: &Backoff,
        now: Instant,
        retry_after: Option<Duration>,
    ) {
        self.under_way.remove(&id);
        let failures = self.failures.entry(id).or_default();
        failures.note(backoff, now, retry_after, fastrand::f64());
    }

    fn drop_waiting(&mut self, id: FileId) {
        self.failures.remove(&id);
        if let Some(file) = self.waiting.remove(&id) {
            self.names.remove(id, &file.name);
            self.waiting_bytes = self.waiting_bytes.saturating_sub(file.size_bytes);
        }
    }
}
