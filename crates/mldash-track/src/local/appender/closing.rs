//! The end of a track: its file is checked, sorted and merged. What other programs append meanwhile
//! (the Python SDK ignores our lock) and what was damaged since it was indexed is not left out.

use super::{StoreError, TrackAppender, TrackClosed, kept};
use crate::error::one_line;
use crate::local::beneath::open_to_append;
use crate::local::cursor::Cursor;
use crate::local::index::Index;
use crate::local::lookup::Finder;
use crate::local::recovery::mend_tail;
use crate::local::unconfirmed::Unconfirmed;
use crate::local::{disk, index_file, tidy};

/// How often a file is sorted again because another program appended meanwhile.
const MAX_SORTS: usize = 4;

impl TrackAppender {
    /// Leaves the track sorted, merged, indexed and synced. Metadata and index are made anew when
    /// they are missing, so rows that are safe are closed without them.
    pub(crate) fn close(&mut self) -> Result<TrackClosed, StoreError> {
        self.sync()?;
        self.take_in_foreign_rows()?;
        let lost_rows = self.unconfirmed.lost_rows();
        if lost_rows > 0 || (self.is_index_stored && !self.index.is_tidy()) {
            self.index_anew()?;
        }
        self.despite_damage(Self::count_rows_before)?;
        self.tidy()?;
        // Of rows that another program appended meanwhile, too, before an index says that they are there.
        self.sync()?;
        let topic = Some(self.metadata.topic.clone());
        let index = index_file::save(&self.folder, topic, &*self.data()?, &self.index);
        for unsaved in [self.metadata_version().save(), index].into_iter().filter_map(Result::err) {
            let reason = one_line(&unsaved);
            tracing::warn!("{reason}; the rows are safe, and the next recording writes it anew");
        }
        let rows = self.index.rows();
        let closed = TrackClosed {
            info: self.info(),
            merged_on_disk: (self.rows_before + self.rows_appended).saturating_sub(rows),
        };
        (self.rows_before, self.rows_appended) = (rows, 0);
        if lost_rows > 0 {
            return Err(StoreError::LostOnDisk { path: self.data_path.clone(), rows: lost_rows });
        }
        Ok(closed)
    }

    /// Counts what an earlier run left unmerged as the rows that it is, so that this run's rows are
    /// told from it.
    fn count_rows_before(&mut self) -> Result<(), StoreError> {
        let Some(end) = self.untidy_before else { return Ok(()) };
        let blocks = self.index.blocks().iter().take_while(|block| block.offset < end).copied();
        let lines: u64 = blocks.clone().map(|block| block.rows).sum();
        let mut rows = Cursor::new(self.data_file()?, blocks, f64::NEG_INFINITY, f64::INFINITY);
        let merged = rows.try_fold(0, |count, row| row.map(|_| count + 1))?;
        self.rows_before = (self.rows_before + merged).saturating_sub(lines);
        self.untidy_before = None;
        Ok(())
    }

    /// Rewrites the file sorted and merged, if needed.
    pub(super) fn tidy(&mut self) -> Result<(), StoreError> {
        if self.is_index_stored && !self.index.is_tidy() {
            self.index_anew()?;
        }
        let mut sorts = 0;
        while !self.index.is_tidy() {
            if sorts == MAX_SORTS {
                let path = self.data_path.display();
                tracing::warn!("{path} is not sorted: another program keeps appending to it");
                return Ok(());
            }
            sorts += 1;
            self.indexed = 0;
            let sorted = self.despite_damage(|track| {
                tidy::rewrite(track.data_file()?, &track.index, &track.folder)
            })?;
            let Some(index) = sorted else {
                self.take_in_foreign_rows()?;
                continue;
            };
            self.index = index;
            self.data = kept(open_to_append(&self.data_path)?, &self.data_path)?;
            // It was synced before it took the old one's place.
            (self.unconfirmed, self.safe_index) = (Unconfirmed::default(), None);
            self.finder = Finder::default();
        }
        Ok(())
    }

    /// Does a task, once more if it finds rows that were damaged since they were indexed.
    pub(super) fn despite_damage<T>(
        &mut self,
        task: impl Fn(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match task(self) {
            Err(error) if error.is_misfit() => {
                self.index_anew()?;
                task(self)
            }
            done => done,
        }
    }

    /// Reads the whole file again. The index may be older than damage to rows in the middle.
    pub(super) fn index_anew(&mut self) -> Result<(), StoreError> {
        let known = self.index.rows();
        let mut index = Index::ending_a_block_at(self.untidy_before);
        mend_tail(&*self.data()?, &self.data_path, &mut index)?;
        self.rows_before = (self.rows_before + index.rows()).saturating_sub(known);
        (self.index, self.indexed, self.is_index_stored) = (index, 0, false);
        self.safe_index = None;
        self.finder = Finder::default();
        Ok(())
    }

    /// Indexes rows that another program appended meanwhile. Cuts a failed write of our own that could
    /// not be cut back before. If the file was cut by another program, what is left is what it has.
    pub(super) fn take_in_foreign_rows(&mut self) -> Result<(), StoreError> {
        let data = self.data()?;
        let len = data.metadata().map_err(StoreError::io("read", &self.data_path))?.len();
        if len == self.index.end() {
            self.is_uncut = false;
            return Ok(());
        }
        if self.is_uncut && len > self.index.end() {
            disk::cut(&data, &self.data_path, self.index.end())
                .map_err(StoreError::io("mend", &self.data_path))?;
            self.is_uncut = false;
            return Ok(());
        }
        let known = self.index.rows();
        if len < self.index.end() {
            self.index_anew()?;
            self.unconfirmed.cut(len);
            let (path, gone) = (self.data_path.display(), known.saturating_sub(self.index.rows()));
            tracing::error!("{path} was cut by another program: {gone} rows are gone");
            // None of them was merged.
            (self.rows_before, self.rows_appended) = (self.index.rows(), 0);
            return Ok(());
        }
        mend_tail(&data, &self.data_path, &mut self.index)?;
        self.unsynced.rows = true;
        self.rows_before += self.index.rows() - known;
        Ok(())
    }
}
