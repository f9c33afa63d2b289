//! Pictures and clouds: found by what rows say, put once under a name from their content, and named in the rows by URL; or, if
//! they are small and that is wanted, put into the rows.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mldash_record::mapping::MAX_INLINE_FILES;
use mldash_track::{Experiment, ExperimentName, FileInfo, Row, Value, one_line};
use parking_lot::Mutex;

use super::Transfer;
use super::chunks::Beside;
use super::error::PublishError;
use super::layout::Layout;
use super::store::{Created, Source, Store};
use crate::error::ExportError;
use crate::files::RecordedFiles;
use crate::mcap::MissingFiles;

/// Files that are put at the same time.
const AT_ONCE: usize = 4;
/// Hexadecimal digits of a SHA-256.
const CHECKSUM_CHARS: usize = 64;

/// The files of an experiment.
pub(super) struct PublishedFiles {
    recorded: RecordedFiles,
    experiment: ExperimentName,
    /// Files up to this size are in the rows.
    inline_bytes: Option<u64>,
    /// Whether this track's files are tried.
    is_checked: bool,
    /// Whether all that were tried since the last question could be read.
    can_be_read: bool,
    /// Columns of this track that name files.
    columns: HashSet<String>,
    /// Names of objects that are on the store.
    there: HashSet<String>,
    /// What was listed there is known.
    is_listed: bool,
    pub(super) missing: MissingFiles,
}

impl PublishedFiles {
    pub(super) fn new(
        name: &str,
        experiment: &Experiment,
        inline_bytes: Option<u64>,
    ) -> Result<Self, PublishError> {
        Ok(Self {
            recorded: RecordedFiles::new(name, experiment)?,
            experiment: experiment.name().clone(),
            // They are in memory together with those of other rows.
            inline_bytes: inline_bytes.map(|most| most.min(MAX_INLINE_FILES.get())),
            is_checked: false,
            can_be_read: true,
            columns: HashSet::new(),
            there: HashSet::new(),
            is_listed: false,
            missing: MissingFiles::default(),
        })
    }

    /// Begins another track. `is_checked` if it is to be looked at whether the files can be read that it names.
    pub(super) fn begin_track(&mut self, is_checked: bool) {
        (self.is_checked, self.can_be_read) = (is_checked, true);
        self.columns.clear();
    }

    /// The columns of the track that name files.
    pub(super) fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self.columns.iter().cloned().collect();
        columns.sort();
        columns
    }

    /// What is known of the file that a row names.
    pub(super) fn find(&self, value: &str) -> Option<&FileInfo> {
        self.recorded.find(value)
    }

    /// Whether a file goes into the rows.
    pub(super) fn is_inline(&self, file: &FileInfo) -> bool {
        self.inline_bytes.is_some_and(|most| file.size_bytes <= most)
    }

    /// The name of a file's object; `None` if its content is not known.
    pub(super) fn name_of(&self, file: &FileInfo) -> Option<String> {
        let checksum = &file.checksum;
        let is_known =
            checksum.len() == CHECKSUM_CHARS && checksum.bytes().all(|b| b.is_ascii_hexdigit());
        let extension = file.filename.rsplit_once('.').map(|(_, extension)| extension);
        let is_word = |text: &&str| {
            text.len() <= 8 && text.bytes().all(|b| b.is_ascii_alphanumeric()) && !text.is_empty()
        };
        let extension = extension.filter(is_word).map(|extension| format!(".{extension}"));
        let extension = extension.unwrap_or_default();
        is_known.then(|| format!("{}/{checksum}{extension}", Layout::files(&self.experiment)))
    }

    /// Finds out what an earlier call put already.
    pub(super) fn list_there(&mut self, store: &Store) -> Result<(), PublishError> {
        if !self.is_listed && self.recorded.names().next().is_some() {
            store.list(&Layout::files(&self.experiment), |object| {
                self.there.insert(object.name);
                Ok(())
            })?;
        }
        self.is_listed = true;
        Ok(())
    }

    /// Sees to it that these files are on the store. Those that can't be read here are noted as missing, and have no name.
    pub(super) fn put(
        &mut self,
        store: &Store,
        wanted: &HashSet<String>,
        transfer: &Transfer,
    ) -> Result<(), PublishError> {
        let mut work: Vec<(String, &FileInfo)> = Vec::new();
        let mut unknown = Vec::new();
        let mut named = HashSet::new();
        for value in wanted {
            let Some(file) = self.recorded.find(value) else { continue };
            match self.name_of(file) {
                Some(name) if self.there.contains(&name) || !named.insert(name.clone()) => {}
                Some(name) => work.push((name, file)),
                None => unknown.push(value.clone()),
            }
        }
        work.sort_by(|a, b| a.0.cmp(&b.0));
        let next = AtomicUsize::new(0);
        let done = Mutex::new(Vec::new());
        let put_all = || -> Result<(), PublishError> {
            while let Some((name, file)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                let put = self.put_one(store, name, file, transfer);
                let failed = match put {
                    Ok(()) => None,
                    Err(PublishError::Export(ExportError::Track { source, .. })) => {
                        Some(one_line(&source))
                    }
                    Err(PublishError::Export(error)) => Some(one_line(&error)),
                    Err(error) => {
                        // The others end too.
                        next.store(work.len(), Ordering::Relaxed);
                        return Err(error);
                    }
                };
                done.lock().push((name.clone(), file.filename.clone(), failed));
            }
            Ok(())
        };
        let results: Vec<Result<(), PublishError>> = thread::scope(|scope| {
            let threads = AT_ONCE.min(work.len());
            let threads: Vec<_> = (1..threads).map(|_| scope.spawn(put_all)).collect();
            let own = put_all();
            let ended = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            ended.chain([own]).collect()
        });
        for value in unknown {
            self.missing.add(&value, "the list of files has no SHA-256 of it");
        }
        for (name, filename, failed) in done.into_inner() {
            match failed {
                None => {
                    self.there.insert(name);
                }
                Some(reason) => self.missing.add(&filename, &reason),
            }
        }
        results.into_iter().collect()
    }

    /// The URL of a file that is on the store.
    pub(super) fn url_of(&self, store: &Store, value: &str) -> Option<String> {
        let name = self.name_of(self.find(value)?)?;
        self.there.contains(&name).then(|| store.url_of(&name))
    }

    /// The bytes of a file that goes into its row.
    pub(super) fn read(&mut self, value: &str) -> Option<Vec<u8>> {
        match self.recorded.try_read(value) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.missing.add(value, &one_line(&error));
                None
            }
        }
    }

    fn put_one(
        &self,
        store: &Store,
        name: &str,
        info: &FileInfo,
        transfer: &Transfer,
    ) -> Result<(), PublishError> {
        let opened = self.recorded.open(info);
        let (file, path) = opened.map_err(PublishError::track(self.recorded.experiment()))?;
        let bytes = file.metadata().map_err(PublishError::io("read", &path))?.len();
        let sha256 = Some(info.checksum.as_str());
        let mut source = Source { file, path: &path, bytes, sha256 };
        let created = store.put_file(name, &mut source, &mut |bytes| transfer.add(bytes))?;
        if created == Created::Existed && store.size_of(name)? != Some(bytes) {
            // Its name says that it holds this content, and it does not: somebody else put it.
            store.put_over(name, &mut source)?;
        }
        transfer.count_file();
        Ok(())
    }
}

/// A row's files are part of its content.
impl Beside for PublishedFiles {
    fn note(&mut self, row: &Row, text: &mut Vec<u8>) -> u64 {
        let mut inline = 0;
        for (name, value) in row.fields.iter() {
            let Value::Text(value) = value else { continue };
            let Some(file) = self.recorded.find(value) else { continue };
            let is_inline = self.is_inline(file);
            inline += if is_inline { file.size_bytes } else { 0 };
            text.push(u8::from(is_inline));
            text.extend_from_slice(file.checksum.as_bytes());
            if self.is_checked
                && let Err(error) = self.recorded.open(file)
            {
                self.can_be_read = false;
                self.missing.add(value, &one_line(&error));
            }
            if !self.columns.contains(&**name) {
                self.columns.insert(name.to_string());
            }
        }
        inline
    }

    fn can_be_read(&mut self) -> bool {
        std::mem::replace(&mut self.can_be_read, true)
    }
}
