//! One track's rows become messages: drawn where a schema is for them, and JSON of all columns that these don't hold.

use std::collections::BTreeMap;
use std::io;

use foxglove::messages;
use mldash_track::json::{JsonWriter, NonFinite};
use mldash_track::{
    Column, Fields, McapSchema, McapTimes, Row, Slice, TIMESTAMP_COLUMN, Timestamp, TrackError,
    Value, one_line,
};

use super::account::McapTrack;
use super::draw::{self, Canvas, Declared, Drawing, Drawn};
use super::files::RunFiles;
use super::messages::{Messages, Topic};

/// The topic below a drawn track's own for the columns that are not drawn.
const COLUMNS: &str = "columns";
const NANOS: u64 = 1_000_000_000;

/// A track that is being exported.
pub(super) struct TrackExport {
    slice: Slice,
    declared: Declared,
    /// What is drawn, and where.
    drawings: Vec<(Box<dyn Drawing>, Topic)>,
    /// Where rows go as JSON.
    columns: Topic,
    account: McapTrack,
    /// Where a row's JSON is made.
    text: Vec<u8>,
}

impl TrackExport {
    /// `taken` are the names of all tracks, which no other topic may have.
    pub(super) fn new(slice: Slice, taken: &[&str]) -> Self {
        let (drawings, declared) = draw::drawings(&slice);
        let mut about = BTreeMap::from([("track".to_owned(), slice.topic().to_owned())]);
        if !declared.sources().is_empty() {
            about.insert("source".to_owned(), declared.sources().join(" "));
        }
        if !declared.type_name().is_empty() {
            about.insert("type".to_owned(), declared.type_name().to_owned());
        }
        let own = Topic { name: format!("/{}", slice.topic()), about };
        let below = |name: &str| {
            let mut topic = own.below(name);
            while taken.iter().any(|track| topic.name.strip_prefix('/') == Some(*track)) {
                topic.name.push('_');
            }
            topic
        };
        let columns = if drawings.is_empty() { own.clone() } else { below(COLUMNS) };
        let place = |drawing: &dyn Drawing| match drawing.below() {
            "" => own.clone(),
            name => below(name),
        };
        let drawings = drawings.into_iter().map(|drawing| {
            let topic = place(&*drawing);
            (drawing, topic)
        });
        let drawings = drawings.collect();
        let account = McapTrack { name: slice.topic().to_owned(), ..McapTrack::default() };
        Self { slice, declared, drawings, columns, account, text: Vec::new() }
    }

    pub(super) fn slice(&self) -> &Slice {
        &self.slice
    }

    pub(super) fn into_account(self) -> McapTrack {
        self.account
    }

    /// Returns true if its last row before a range says what holds when the range begins.
    pub(super) fn stays(&self) -> bool {
        self.drawings.iter().any(|(drawing, _)| drawing.stays())
    }

    /// Writes a row's messages, at its time.
    pub(super) fn write(
        &mut self,
        row: Row,
        files: &mut RunFiles,
        messages: &mut Messages<'_>,
    ) -> Result<(), TrackError> {
        let times = self.times(row.ts)?;
        self.write_at(times, row, files, messages)
    }

    /// Writes the messages of a row from before the range where readers find them: at its start.
    pub(super) fn write_at_start(
        &mut self,
        start: Timestamp,
        row: Row,
        files: &mut RunFiles,
        messages: &mut Messages<'_>,
    ) -> Result<(), TrackError> {
        let times = McapTimes { log: self.times(start)?.log, ..self.times(row.ts)? };
        self.write_at(times, row, files, messages)
    }

    fn times(&self, ts: Timestamp) -> Result<McapTimes, TrackError> {
        McapTimes::of(ts).map_err(|error| {
            let reason = match error {
                TrackError::Export(reason) => reason.to_string(),
                other => one_line(&other),
            };
            let reason = format!("track `{}`: {reason}", self.slice.topic());
            TrackError::Export(io::Error::other(reason))
        })
    }

    fn write_at(
        &mut self,
        times: McapTimes,
        row: Row,
        files: &mut RunFiles,
        messages: &mut Messages<'_>,
    ) -> Result<(), TrackError> {
        self.account.rows += 1;
        let drawn = self.draw(&row.fields, times, files, messages)?;
        self.attach(&row.fields, &drawn, times, files, messages)?;
        let drawn = drawn.iter().filter(|(_, outcome)| *outcome == Drawn::Yes);
        let drawings: Vec<&dyn Drawing> =
            drawn.filter_map(|(at, _)| Some(&*self.drawings.get(*at)?.0)).collect();
        let is_drawn = |column: &Column| drawings.iter().any(|d| d.holds().contains(column));
        let is_left = |(column, _): &(Column, Value)| !is_drawn(column);
        let fields: Fields = row.fields.into_iter().filter(is_left).collect();
        if fields.is_empty() && !drawings.is_empty() {
            return Ok(());
        }
        self.text.clear();
        let mut writer = JsonWriter::new(&mut self.text, NonFinite::Null);
        writer.row(TIMESTAMP_COLUMN, row.ts, &fields);
        self.account.nulled += writer.nulled();
        let slice = &self.slice;
        let schema = || Ok(McapSchema::json_rows(slice.topic(), &slice.columns()?));
        messages.write(&self.columns, "json", schema, times, &self.text)
    }

    /// Draws a row in every way, and returns what became of each, by its number.
    fn draw(
        &mut self,
        row: &Fields,
        times: McapTimes,
        files: &mut RunFiles,
        messages: &mut Messages<'_>,
    ) -> Result<Vec<(usize, Drawn)>, TrackError> {
        let Some(stamp) = stamp(times) else { return Ok(Vec::new()) };
        let mut all = Vec::with_capacity(self.drawings.len());
        for (at, (drawing, topic)) in self.drawings.iter().enumerate() {
            let mut to = Canvas { messages, files, topic, times, stamp };
            let drawn = drawing.draw(row, &mut to)?;
            if let Drawn::NoFile { path, reason } = &drawn {
                self.account.missing.add(path, reason);
            }
            all.push((at, drawn));
        }
        Ok(all)
    }

    /// Attaches the files that a row names and that were not drawn, nor found missing when they were to be.
    fn attach(
        &mut self,
        row: &Fields,
        drawn: &[(usize, Drawn)],
        times: McapTimes,
        files: &mut RunFiles,
        messages: &mut Messages<'_>,
    ) -> Result<(), TrackError> {
        for (column, value) in row.iter() {
            let (true, Value::Text(path)) = (column.ends_with("path"), value) else { continue };
            let is_settled = drawn.iter().any(|(at, outcome)| {
                let drawing = self.drawings.get(*at);
                *outcome != Drawn::No && drawing.is_some_and(|(d, _)| d.file() == Some(column))
            });
            // Any other text may be called so.
            let is_file = files.find(path).is_some() || self.declared.names_file(column);
            if is_settled || !is_file || files.was_read(path) {
                continue;
            }
            match files.read(path) {
                Ok(bytes) => {
                    let info = files.find(path);
                    let media_type = info.map_or("", |info| &info.content_type);
                    messages.writer().attach(path, media_type, times.log, &bytes)?;
                    self.account.attached += 1;
                }
                Err(error) => self.account.missing.add(path, &one_line(&error)),
            }
        }
        Ok(())
    }
}

/// The time for Foxglove's messages, which count seconds in 32 bits.
fn stamp(times: McapTimes) -> Option<messages::Timestamp> {
    let secs = u32::try_from(times.publish / NANOS).ok()?;
    messages::Timestamp::new_checked(secs, (times.publish % NANOS) as u32)
}
