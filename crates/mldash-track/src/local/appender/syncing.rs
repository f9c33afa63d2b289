//! Making what was appended safe from a power cut, and storing what describes it.

use std::time::Instant;

use super::{StoreError, TrackAppender};
use crate::local::schema_file;
use crate::local::track_sync::{
    DataSync, IndexVersion, MetadataVersion, Outcome, SchemaVersion, SyncWork, Unsynced,
    is_index_due, is_metadata_due,
};

/// How often a close tries to sync: after a failure, rows can be written again.
const TRIES_AT_CLOSE: usize = 2;

impl TrackAppender {
    /// Notes what to sync, so that flushed rows survive a power cut. Fails if they are gone.
    pub(crate) fn begin_sync(&mut self) -> Result<SyncWork, StoreError> {
        self.check_in_place()?;
        let data = match self.unsynced.rows {
            true => Some(self.begin_data_sync()?),
            false => None,
        };
        let names = self.unsynced.names.then(|| self.folder.clone());
        let schema = self.unsynced.schema.then(|| SchemaVersion {
            folder: self.folder.clone(),
            topic: self.metadata.topic.clone(),
            schema: self.schema.clone(),
        });
        self.unsynced = Unsynced { rows: false, names: false, schema: false };
        Ok(SyncWork { schema, data, names })
    }

    fn begin_data_sync(&mut self) -> Result<DataSync, StoreError> {
        let end = self.index.end();
        Ok(DataSync {
            file: self.data()?,
            path: self.data_path.clone(),
            end,
            again: self.unconfirmed.begin_sync(),
            index: is_index_due(self.indexed, end).then(|| self.index.clone()),
            outcome: Outcome::NotTried,
        })
    }

    /// Notes how a sync ended. After a failure, it is due again.
    pub(crate) fn end_sync(&mut self, work: SyncWork, is_done: bool) {
        if !is_done {
            self.unsynced.names |= work.names.is_some();
            self.unsynced.schema |= work.schema.is_some();
        } else if work.schema.is_some() && !self.unsynced.schema {
            schema_file::forget_new(&self.folder);
        }
        let Some(data) = work.data else { return };
        match data.outcome {
            Outcome::NotTried => self.unsynced.rows = true,
            Outcome::Failed => {
                self.unsynced.rows = true;
                self.unconfirmed.doubt();
            }
            Outcome::Synced { lost } => {
                self.unconfirmed.confirm(data.end, &data.again, &lost);
                self.unsynced.rows |= self.unconfirmed.is_in_doubt();
                if !self.unconfirmed.is_in_doubt() && self.unconfirmed.lost_rows() == 0 {
                    self.safe_index = data.index.or(self.safe_index.take());
                }
            }
        }
    }

    /// Syncs all there is. Rows that the disk failed to store and that are lost are no failure here:
    /// they are told at the end.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        let mut failed = 0;
        loop {
            let mut work = self.begin_sync()?;
            if work.is_empty() {
                return Ok(());
            }
            let done = work.run();
            self.end_sync(work, done.is_ok());
            match done {
                Ok(()) | Err(StoreError::LostOnDisk { .. }) => {}
                Err(error) => {
                    failed += 1;
                    if failed == TRIES_AT_CLOSE {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The index to save now, if the stored one has fallen behind. It covers only what is safe from a
    /// power cut: whoever opens the track after one takes the rows of an index for read.
    pub(crate) fn due_index(&mut self) -> Option<IndexVersion> {
        let index = self.safe_index.take()?;
        if !is_index_due(self.indexed, index.end()) || self.check_in_place().is_err() {
            return None;
        }
        let data = self.data().ok()?;
        self.indexed = index.end();
        let (folder, topic) = (self.folder.clone(), self.metadata.topic.clone());
        Some(IndexVersion { folder, topic, data, index })
    }

    /// The metadata to save now, if it is time to.
    pub(crate) fn due_metadata(&mut self) -> Option<MetadataVersion> {
        let is_due = self.is_metadata_new
            && is_metadata_due(self.metadata_saved)
            && self.check_in_place().is_ok();
        is_due.then(|| self.metadata_version())
    }

    pub(super) fn metadata_version(&mut self) -> MetadataVersion {
        let span = self.index.span();
        self.metadata.columns = self.index.columns().iter().cloned().collect();
        self.metadata.total_entries = self.index.rows();
        self.metadata.first_timestamp = span.map(|(first, _)| first);
        self.metadata.last_timestamp = span.map(|(_, last)| last);
        self.metadata_number += 1;
        (self.metadata_saved, self.is_metadata_new) = (Instant::now(), false);
        let (file, metadata) = (self.metadata_file.clone(), self.metadata.clone());
        MetadataVersion { file, metadata, number: self.metadata_number }
    }
}
