//! How much memory reading takes, before it is read: for programs that read for others and must
//! stay within a limit. All figures are upper bounds of what the text on disk can become.

use std::io::Write;

use super::error::TrackError;
use super::experiment::Experiment;
use super::files::Files;
use super::format::{self, Export};
use super::query::Query;
use super::rows::SelectedRows;
use super::track::Track;

impl Experiment {
    /// Bytes of memory that [`notes`](Self::notes) takes, at most.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn notes_weight(&self) -> Result<usize, TrackError> {
        Ok(self.shared.dir.notes_weight()?)
    }

    /// Bytes of memory that [`list`](Self::list) takes, at most.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn list_weight(&self) -> Result<usize, TrackError> {
        Ok(self.shared.dir.tracks_weight()?)
    }

    /// The memory that the tracks keep that were opened to write, about: most of it are the names of their columns. It is
    /// free once the experiment is closed.
    pub fn kept_bytes(&self) -> usize {
        self.shared.kept_bytes()
    }
}

impl Track {
    /// The memory that opening the track to write takes, at most; 0 if it is open.
    ///
    /// # Errors
    /// Fails if the topic is invalid, or the store can't be read.
    pub fn opening_bytes(&self) -> Result<usize, TrackError> {
        let name = self.name()?;
        Ok(match self.shared().open_track(name) {
            Some(_) => 0,
            None => self.shared().dir.track_weight(name)?,
        })
    }
}

impl Files {
    /// Bytes of memory that [`list`](Self::list) takes, at most.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn list_weight(&self) -> Result<usize, TrackError> {
        Ok(self.store().list_weight()?)
    }
}

impl Track {
    /// Bytes of memory that [`rows`](Self::rows) takes for all rows, at most: what is opened, the blocks that are loaded
    /// together, and one row once it is parsed. Rows that are kept come on top.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn rows_weight(&self) -> Result<usize, TrackError> {
        let opened = self.opened_weight()?;
        let rows = self.select(&Query::all())?;
        let Some((snapshot, start, end)) = rows.snapshot_between() else { return Ok(opened) };
        let loaded = snapshot.loaded_bytes(start, end, 1);
        let rows = loaded.saturating_add(snapshot.parsed_bytes(start, end)?);
        Ok(opened.saturating_add(usize::try_from(rows).unwrap_or(usize::MAX)))
    }

    /// Like [`export_to`](Self::export_to), but asks `has_room` for memory before it takes it, in
    /// bytes. Everything is asked for before the first byte is written.
    ///
    /// # Errors
    /// As [`export_to`](Self::export_to), and with [`TrackError::Memory`] if there is no room.
    pub fn export_within(
        &self,
        query: &Query,
        export: impl Into<Export>,
        out: &mut (dyn Write + Send),
        mut has_room: impl FnMut(usize) -> bool,
    ) -> Result<(), TrackError> {
        let mut ask = |bytes: usize| match has_room(bytes) {
            true => Ok(()),
            false => Err(TrackError::Memory { topic: self.topic(), bytes }),
        };
        let export = export.into();
        ask(self.opened_weight()?)?;
        let rows = self.select(query)?;
        ask_for_rows(&rows, export, &mut ask)?;
        format::write(export, &rows, out)
    }
}

/// A line takes at least this much: `{"timestamp":1}`.
const LINE_BYTES: u64 = 15;

fn ask_for_rows(
    rows: &SelectedRows,
    export: Export,
    ask: &mut impl FnMut(usize) -> Result<(), TrackError>,
) -> Result<(), TrackError> {
    let Some((snapshot, start, end)) = rows.snapshot_between() else { return Ok(()) };
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let (columns, name_bytes) = rows.column_bytes();
    export.check_width(rows.topic(), columns)?;
    ask(bytes(snapshot.loaded_bytes(start, end, export.readers())))?;
    ask(bytes(snapshot.parsed_bytes(start, end)?))?;
    let text_bytes = snapshot.bytes_between(start, end);
    let lines = snapshot.lines().0.min(text_bytes / LINE_BYTES);
    ask(export.weight((columns, name_bytes), lines, bytes(text_bytes)))
}
