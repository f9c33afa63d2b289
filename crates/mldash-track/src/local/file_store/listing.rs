//! Reads the list of all files. The list is cached until something changes on disk, so that reading
//! many files by name is fast.

use std::sync::Arc;

use super::folding::FilesMetadata;
use super::journal::UnfoldedFiles;
use super::new_list::for_each_listed;
use super::newcomers::Newcomers;
use super::{FileInfo, FileStore};
use crate::local::error::StoreError;
use crate::local::metadata::json_weight;
use crate::local::{FileStamp, damage};

/// The existing files, by folder and name.
pub(crate) type Listing = Arc<Vec<FileInfo>>;

/// What was read, and the stamps of the files on disk just before.
#[derive(Debug, Default)]
pub(super) struct KeptListing {
    stamps: [FileStamp; 3],
    files: Option<Listing>,
}

impl FileStore {
    /// The existing files.
    pub(crate) fn list(&self) -> Result<Listing, StoreError> {
        let mut kept = self.kept.lock();
        let stamps = self.stamps();
        if let Some(files) = kept.files.as_ref().filter(|_| kept.stamps == stamps) {
            return Ok(files.clone());
        }
        let files = Arc::new(self.read_list()?);
        *kept = KeptListing { stamps, files: Some(files.clone()) };
        Ok(files)
    }

    /// Passes the existing files to `take`, one after the other, so that memory does not depend on their number. In no order; one
    /// may come twice.
    pub(crate) fn for_each(&self, mut take: impl FnMut(&FileInfo)) -> Result<(), StoreError> {
        let waiting = UnfoldedFiles::read(&self.folder)?;
        let newcomers = |files| Newcomers::new(files, |file| self.has_data(file));
        let (mut aside, mut journal) = (newcomers(waiting.aside), newcomers(waiting.journal));
        let mut meet_journal = |file: FileInfo| {
            if let Some(file) = journal.meet(file).filter(|file| file.deleted_at.is_none()) {
                take(&file);
            }
        };
        let listed = for_each_listed(&self.metadata_path(), |file| {
            aside.meet(file).into_iter().for_each(&mut meet_journal);
        });
        if let Err(error) = listed {
            if error.is_out_of_handles() {
                return Err(error);
            }
            // It may be half written, or damaged: that is told there.
            self.list()?.iter().for_each(take);
            return Ok(());
        }
        aside.rest().into_iter().for_each(&mut meet_journal);
        journal.rest().iter().for_each(take);
        Ok(())
    }

    /// How much memory [`list`](Self::list) takes, at most.
    pub(crate) fn list_weight(&self) -> Result<usize, StoreError> {
        let [journal, aside] = UnfoldedFiles::paths(&self.folder);
        let weights = [journal, aside, self.metadata_path()].map(|path| json_weight(&path));
        weights.into_iter().try_fold(0_usize, |sum, weight| Ok(sum.saturating_add(weight?)))
    }

    /// The stamps of the journal, the journal set aside and the metadata.
    pub(super) fn stamps(&self) -> [FileStamp; 3] {
        let [journal, aside] = UnfoldedFiles::paths(&self.folder);
        [&journal, &aside, &self.metadata_path()].map(|path| FileStamp::of(path))
    }

    pub(super) fn read_list(&self) -> Result<Vec<FileInfo>, StoreError> {
        let waiting = UnfoldedFiles::read(&self.folder)?;
        // The SDK writes in place: an unreadable file may be half written, and whole a moment
        // later.
        let metadata = self.load().or_else(|error| match self.keep_sdk_out() {
            Ok(_lock) => self.load(),
            Err(_) => Err(error),
        });
        let metadata = match metadata {
            Err(error) if !error.is_out_of_handles() => {
                damage::report(&self.metadata_path(), &error.reason());
                FilesMetadata { files: self.files_on_disk()?, ..FilesMetadata::default() }
            }
            loaded => loaded?,
        };
        let files = self.with(metadata.files, waiting.aside);
        let mut files = self.with(files, waiting.journal);
        files.retain(|file| file.deleted_at.is_none());
        files.sort_by(|a, b| (&a.path, &a.filename).cmp(&(&b.path, &b.filename)));
        Ok(files)
    }

    /// The list with what waits to be folded.
    fn with(&self, listed: Vec<FileInfo>, waiting: Vec<FileInfo>) -> Vec<FileInfo> {
        let mut new = Newcomers::new(waiting, |file| self.has_data(file));
        let mut files: Vec<_> = listed.into_iter().filter_map(|file| new.meet(file)).collect();
        files.extend(new.rest());
        files
    }
}
