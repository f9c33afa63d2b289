//! Pictures and clouds: found by what rows say, put once under a name from their content, and named in the rows by URL; or, if
//! they are small and that is wanted, put into the rows.

use std::collections::{HashMap, HashSet};

use mldash_track::{
    Experiment, ExperimentName, Files, Row, StoredFile, Value, hex, one_line, parse_sha256,
};

use super::Transfer;
use super::chunks::{Beside, Named};
use super::error::PublishError;
use super::layout::Layout;
use super::rows::MAX_INLINE_BYTES;
use super::store::{Created, Source, Store};
use crate::at_once::at_once;
use crate::error::ExportError;
use crate::mcap::MissingFiles;

/// Files that are put at the same time.
const AT_ONCE: usize = 4;

/// A SHA-256, and the ending of a name.
type Content = ([u8; 32], Box<str>);

/// The files of an experiment. There may be very many: of each, no more is kept than it takes.
pub(super) struct PublishedFiles {
    experiment: ExperimentName,
    files: Files,
    /// By folder and name, as rows name them.
    listed: HashMap<Box<str>, StoredFile>,
    /// Files up to this size are in the rows.
    inline_bytes: Option<u64>,
    /// Whether this track's files are tried.
    is_checked: bool,
    /// Columns of this track that name files.
    columns: HashSet<String>,
    /// What is on the store, by the hashes in their names and their endings.
    there: HashSet<Content>,
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
        let files = experiment.files("");
        let mut listed = HashMap::new();
        let listing = files.for_each(|place, file| drop(listed.insert(place.into(), file)));
        listing.map_err(PublishError::track(name))?;
        Ok(Self {
            experiment: experiment.name().clone(),
            files,
            listed,
            inline_bytes: inline_bytes.map(|most| most.min(MAX_INLINE_BYTES)),
            is_checked: false,
            columns: HashSet::new(),
            there: HashSet::new(),
            is_listed: false,
            missing: MissingFiles::default(),
        })
    }

    /// Begins another track. `is_checked` if it is to be looked at whether the files can be read that it names.
    pub(super) fn begin_track(&mut self, is_checked: bool) {
        self.is_checked = is_checked;
        self.columns.clear();
    }

    /// The columns of the track that name files.
    pub(super) fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self.columns.iter().cloned().collect();
        columns.sort();
        columns
    }

    /// What is known of the file that a row names.
    pub(super) fn find(&self, value: &str) -> Option<&StoredFile> {
        self.listed.get(value)
    }

    /// Whether a file goes into the rows.
    pub(super) fn is_inline(&self, file: &StoredFile) -> bool {
        self.inline_bytes.is_some_and(|most| file.size_bytes <= most)
    }

    /// The name of the object with this content.
    fn name_of(&self, (sha256, ending): &Content) -> String {
        let ending = if ending.is_empty() { String::new() } else { format!(".{ending}") };
        format!("{}/{}{ending}", Layout::files(&self.experiment), hex(sha256))
    }

    /// Finds out what an earlier call put already.
    pub(super) fn list_there(&mut self, store: &Store) -> Result<(), PublishError> {
        if !self.is_listed && !self.listed.is_empty() {
            store.list(&Layout::files(&self.experiment), |object| {
                self.there.extend(content_of_object(&object.name));
                store.check_stop()
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
        let mut work: Vec<(Content, &str, &StoredFile)> = Vec::new();
        let mut unknown = Vec::new();
        let mut named = HashSet::new();
        for value in wanted {
            let Some((place, file)) = self.listed.get_key_value(value.as_str()) else { continue };
            match content_of(place, file) {
                Some(content)
                    if self.there.contains(&content) || !named.insert(content.clone()) => {}
                Some(content) => work.push((content, place, file)),
                None => unknown.push(value.clone()),
            }
        }
        work.sort_by(|a, b| a.0.cmp(&b.0));
        let put = at_once(&work, AT_ONCE, |(content, place, file)| {
            match self.put_one(store, content, place, file, transfer) {
                Ok(()) => Ok(None),
                Err(PublishError::Export(ExportError::Track { source, .. })) => {
                    Ok(Some(one_line(&source)))
                }
                Err(PublishError::Export(error)) => Ok(Some(one_line(&error))),
                Err(error) => Err(error),
            }
        })?;
        let done: Vec<(Content, String, Option<String>)> = work
            .into_iter()
            .zip(put)
            .map(|((content, place, _), failed)| (content, place.to_owned(), failed))
            .collect();
        for value in unknown {
            self.missing.add(&value, "the list of files has no SHA-256 of it");
        }
        for (content, place, failed) in done {
            match failed {
                None => {
                    self.there.insert(content);
                }
                Some(reason) => self.missing.add(&place, &reason),
            }
        }
        Ok(())
    }

    /// The URL of a file that is on the store.
    pub(super) fn url_of(&self, store: &Store, value: &str) -> Option<String> {
        let content = content_of(value, self.find(value)?)?;
        self.there.contains(&content).then(|| store.url_of(&self.name_of(&content)))
    }

    /// The bytes of a file that goes into its row.
    pub(super) fn read(&mut self, value: &str) -> Option<Vec<u8>> {
        match self.files.read_stored(value, self.find(value)?) {
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
        content: &Content,
        place: &str,
        file: &StoredFile,
        transfer: &Transfer,
    ) -> Result<(), PublishError> {
        let opened = self.files.open_stored(place, file);
        let experiment = self.experiment.to_string();
        let (file, path) = opened.map_err(PublishError::track(&experiment))?;
        let bytes = file.metadata().map_err(PublishError::io("read", &path))?.len();
        let (name, sha256) = (self.name_of(content), hex(&content.0));
        let mut source = Source { file, path: &path, bytes, sha256: Some(&sha256) };
        let created = store.put_file(&name, &mut source, &mut |bytes| transfer.add(bytes))?;
        if created == Created::Existed && store.size_of(&name)? != Some(bytes) {
            // Its name says that it holds this content, and it does not: somebody else put it.
            store.put_over(&name, &mut source)?;
        }
        transfer.count_file();
        Ok(())
    }
}

/// What decides the name of a file's object; `None` if its content is not known.
fn content_of(place: &str, file: &StoredFile) -> Option<Content> {
    let name = place.rsplit('/').next().unwrap_or(place);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is_word = ending.len() <= 8 && ending.bytes().all(|b| b.is_ascii_alphanumeric());
    Some((file.sha256?, if is_word { ending.into() } else { "".into() }))
}

/// The same of the object itself; `None` for one that is no file of ours.
fn content_of_object(name: &str) -> Option<Content> {
    let name = name.rsplit('/').next()?;
    let (sha256, ending) = name.split_once('.').unwrap_or((name, ""));
    Some((parse_sha256(sha256)?, ending.into()))
}

/// A row's files are part of its content.
impl Beside for PublishedFiles {
    fn note(&mut self, row: &Row, text: &mut Vec<u8>) -> Named {
        let mut named = Named::default();
        for (name, value) in row.fields.iter() {
            let Value::Text(value) = value else { continue };
            let Some(file) = self.listed.get(value.as_str()) else { continue };
            let is_inline = self.is_inline(file);
            named.count += 1;
            named.any_object |= !is_inline;
            let inline_bytes = if is_inline { file.size_bytes } else { 0 };
            named.inline_bytes = named.inline_bytes.saturating_add(inline_bytes);
            text.push(u8::from(is_inline));
            text.extend(file.sha256.iter().flat_map(|sha256| hex(sha256).into_bytes()));
            if self.is_checked
                && let Err(error) = self.files.open_stored(value, file)
            {
                named.any_unreadable = true;
                self.missing.add(value, &one_line(&error));
            }
            if !self.columns.contains(&**name) {
                self.columns.insert(name.to_string());
            }
        }
        named
    }
}
