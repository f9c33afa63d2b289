//! What a track already has at a time, for callers that must not overwrite it.

use super::error::TrackError;
use super::json::{Columns, JsonWriter, NonFinite, RowParser, to_text};
use super::local::{RawRow, TrackNotes};
use super::row::{Fields, TIMESTAMP_COLUMN, Timestamp};
use super::track::Track;

/// What a track has at one time, compared with a row that could go there.
#[derive(Debug, PartialEq)]
pub enum Found {
    /// No row.
    Nothing,
    /// The same row.
    Same,
    /// Another row.
    Other(Fields),
}

impl Track {
    /// The latest time of the track's rows, on disk or waiting to be written.
    ///
    /// # Errors
    /// As for an append: fails if the topic is invalid or shares its folder with another, or the
    /// store can't be written.
    pub fn last_timestamp(&self) -> Result<Option<Timestamp>, TrackError> {
        Ok(self.state()?.last())
    }

    /// Compares `fields` with what the track has at `ts`. Two rows are the same if they read back
    /// the same.
    ///
    /// # Errors
    /// As [`last_timestamp`](Self::last_timestamp). Also fails if the store can't be read.
    pub fn find_beside(&self, ts: Timestamp, fields: &Fields) -> Result<Found, TrackError> {
        let has = match self.shared().row_at(self.state()?, ts)? {
            (None, None) => return Ok(Found::Nothing),
            (Some(raw), None) if is_line_of(&raw, ts, fields) => return Ok(Found::Same),
            (None, Some(waiting)) => waiting,
            (Some(raw), waiting) => {
                let mut row = raw.parse(&mut RowParser::default(), &Columns::All).map_err(|e| {
                    TrackError::Corrupt { topic: self.topic(), reason: e.to_string() }
                })?;
                row.fields.merge(waiting.unwrap_or_default());
                row.fields
            }
        };
        Ok(if read_the_same(&has, fields) { Found::Same } else { Found::Other(has) })
    }

    /// The track's notes.
    ///
    /// # Errors
    /// As [`last_timestamp`](Self::last_timestamp).
    pub fn notes(&self) -> Result<TrackNotes, TrackError> {
        self.shared().notes(self.state()?)
    }
}

/// Returns true if a row is stored as exactly the line that `fields` would give. Most equal rows
/// are, and this is faster than parsing.
fn is_line_of(raw: &RawRow, ts: Timestamp, fields: &Fields) -> bool {
    let Some(line) = raw.single_line() else { return false };
    let mut text = Vec::with_capacity(line.len() + 1);
    JsonWriter::new(&mut text, NonFinite::Tokens).row(TIMESTAMP_COLUMN, ts, fields);
    text == line.trim_ascii_end()
}

/// Returns true if the columns are the same in any order. Values are compared as they are written.
pub fn read_the_same(a: &Fields, b: &Fields) -> bool {
    a.len() == b.len()
        && a.iter().all(|(name, value)| {
            b.get(name).is_some_and(|other| value == other || to_text(value) == to_text(other))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields;
    use crate::{Experiment, Options};

    fn at(secs: f64) -> Timestamp {
        Timestamp::new(secs).unwrap()
    }

    #[test]
    fn a_row_is_found_wherever_it_is_on_its_way_to_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("tests/found/run", Options::local(root.path())).unwrap();
        let track = exp.tracks("arm");
        assert_eq!(track.last_timestamp().unwrap(), None);
        let row =
            |i: u32| fields! { "q": [f32::NAN, 0.1, i as f32], "n": u64::from(i), "on": true };
        // More than a few blocks, and an out-of-order row.
        for i in (0..4000).chain([5000]).chain(4001..4100) {
            track.append(row(i), f64::from(i)).unwrap();
            if i == 2000 {
                exp.flush().unwrap();
            }
        }
        assert_eq!(track.last_timestamp().unwrap(), Some(at(5000.0)));
        let check = |track: &Track| {
            for i in [0, 1, 1999, 2000, 2001, 3999, 4001, 4099, 5000] {
                let ts = at(f64::from(i));
                assert_eq!(track.find_beside(ts, &row(i)).unwrap(), Found::Same, "{i}");
                let other = track.find_beside(ts, &row(i + 1)).unwrap();
                assert!(
                    matches!(other, Found::Other(ref has) if read_the_same(has, &row(i))),
                    "{i}"
                );
                let nothing = track.find_beside(at(ts.as_secs().next_up()), &row(i)).unwrap();
                assert_eq!(nothing, Found::Nothing, "{i}");
            }
        };
        check(&track);
        exp.flush().unwrap();
        check(&track);
        exp.close().unwrap();
        let exp = Experiment::open("tests/found/run", Options::local(root.path())).unwrap();
        check(&exp.tracks("arm"));
    }

    #[test]
    fn a_row_that_is_partly_on_disk_and_partly_waiting_is_one() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("tests/found/run", Options::local(root.path())).unwrap();
        let track = exp.tracks("arm");
        track.append(fields! { "a": 1, "b": 1 }, 1.0).unwrap();
        exp.flush().unwrap();
        track.append(fields! { "c": 3, "a": 2 }, 1.0).unwrap();
        let whole = fields! { "c": 3, "b": 1, "a": 2 };
        assert_eq!(track.find_beside(at(1.0), &whole).unwrap(), Found::Same);
        exp.flush().unwrap();
        assert_eq!(track.find_beside(at(1.0), &whole).unwrap(), Found::Same);
        let found = track.find_beside(at(1.0), &fields! { "a": 1, "b": 1 }).unwrap();
        assert_eq!(found, Found::Other(fields! { "a": 2, "b": 1, "c": 3 }));
    }

    #[test]
    fn rows_that_the_sdk_wrote_are_compared_by_what_they_say() {
        let root = tempfile::tempdir().unwrap();
        let exp = Experiment::open("tests/found/run", Options::local(root.path())).unwrap();
        exp.tracks("arm").append(fields! { "a": 1 }, 1.0).unwrap();
        let folder = exp.folder().join("tracks/arm");
        exp.close().unwrap();
        let text = "{\"timestamp\": 1.0, \"b\": [1.5, 2.0], \"a\": \"x\"}\n";
        std::fs::write(folder.join("data.jsonl"), text).unwrap();
        let exp = Experiment::open("tests/found/run", Options::local(root.path())).unwrap();
        let found = exp.tracks("arm").find_beside(at(1.0), &fields! { "a": "x", "b": [1.5, 2.0] });
        assert_eq!(found.unwrap(), Found::Same);
    }
}
