//! The tracks that topics are recorded into: which times are taken, and by whom.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;

use super::account::DropReason;
use super::blobs::Refusal;
use super::frames::{FramePart, Frames};
use super::identity;
use super::kinds::{Changed, Kinds};
use super::numbers::{Origin, PATH_COLUMN};
use super::plan::TopicPlan;
use super::slots::{Arrival, Place, Slots, Stored};
use crate::mapping::{SameStamp, TimeColumn, TrackPattern};
use mldash_track::{
    Column, Experiment, Fields, Found, Row, Timestamp, Track, TrackError, TrackNotes, one_line,
    read_the_same,
};

/// Key in a track's metadata: the columns shared by several topics whose rows were merged into it.
const MERGED_COLUMNS: &str = "merged_columns";

/// The tracks of a recording, or of a part of one.
#[derive(Debug, Default)]
pub(super) struct Tracks {
    numbers: HashMap<String, usize>,
    tracks: Vec<TrackInUse>,
}

/// A topic's handle on a track.
#[derive(Clone, Debug)]
pub(super) struct TrackHandle {
    pub(super) track: Track,
    number: usize,
    /// The topic's number in that track.
    topic: u32,
}

/// A message that needs a time, and what is needed to find it.
pub(super) struct Asking<'a> {
    pub(super) exp: &'a Experiment,
    pub(super) frames: &'a mut Frames,
    pub(super) rule: SameStamp,
    pub(super) row: &'a Row,
    pub(super) parts: &'a [FramePart],
    /// The hash of the message.
    pub(super) hash: u64,
}

/// The answer.
#[derive(Debug)]
pub(super) enum Answer {
    Given(GivenTime),
    /// The message's row exists already.
    Repeat,
    /// Another message of its topic holds its time, and the mapping says that the first stays.
    Refused,
}

/// A time for a message's row. It counts as taken once the row is [stored](Tracks::take) or on its
/// way.
#[derive(Clone, Debug)]
pub(super) struct GivenTime {
    arrival: Arrival,
    place: Place,
    pub(super) at: Timestamp,
    returned: Returned,
}

/// Times of rows that were on their way and were not stored.
type Returned = Arc<Mutex<Vec<(u64, Timestamp)>>>;

#[derive(Debug)]
struct TrackInUse {
    track: Track,
    named_by: NamedBy,
    /// Set once the store was asked for the track's last time.
    slots: Option<Slots>,
    topics: Vec<TopicInTrack>,
    /// Columns that several topics have.
    shared_columns: Columns,
    /// The shared columns that were merged, in this recording or an earlier one.
    merged_columns: Columns,
    kinds: Kinds,
    returned: Returned,
    has_frames: bool,
}

/// Names of columns.
type Columns = BTreeSet<Column>;

#[derive(Debug)]
struct TopicInTrack {
    topic: String,
    columns: Columns,
}

/// The pattern and values that a track's name was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NamedBy {
    pattern: TrackPattern,
    values: Vec<String>,
}

impl Tracks {
    /// The handle for those messages of a topic whose values for the track name's placeholders are
    /// `names`.
    pub(super) fn handle(
        &mut self,
        exp: &Experiment,
        plan: &TopicPlan,
        names: &[Option<String>],
    ) -> Result<TrackHandle, Refusal> {
        let (topic, captures) = (&plan.mapped_topic, &plan.captures);
        let refused = |error| Refusal { reason: DropReason::TrackName, why: format!("{error}") };
        let name = plan.track.expand(topic, captures, names).map_err(refused)?;
        let named_by = NamedBy {
            pattern: plan.track.clone(),
            values: plan.track.stands_for(topic, captures, names),
        };
        let new = self.tracks.len();
        let number = *self.numbers.entry(name.as_str().to_owned()).or_insert(new);
        if number == new {
            self.tracks.push(TrackInUse::new(exp.tracks(name.as_str()), named_by.clone()));
        }
        let track = &mut self.tracks[number];
        track.named_by.check(&named_by, name.as_str())?;
        let topic = track.add_topic(plan);
        let track = track.track.clone().with_schema(plan.schema());
        Ok(TrackHandle { track, number, topic })
    }

    /// Finds a time for a message's row.
    ///
    /// # Errors
    /// Fails if the track can't be written or the store can't be read.
    pub(super) fn ask(
        &mut self,
        handle: &TrackHandle,
        asking: Asking<'_>,
    ) -> Result<Answer, TrackError> {
        self.tracks[handle.number].ask(handle.topic, asking)
    }

    /// Notes that the row for a given time is stored or on its way.
    pub(super) fn take(&mut self, handle: &TrackHandle, given: &GivenTime) {
        self.tracks[handle.number].take(given);
    }

    /// The columns of a row whose kind differs from the track's rows before.
    pub(super) fn changed_kinds(&mut self, handle: &TrackHandle, fields: &Fields) -> Vec<Changed> {
        self.tracks[handle.number].kinds.take(fields)
    }
}

impl GivenTime {
    /// Returns true if it is not the message's own time.
    pub(super) fn is_moved(&self) -> bool {
        self.at != self.arrival.ts
    }

    /// Returns true if there is no row at that time yet.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.place, Place::Free(_))
    }

    /// Returns true if the row overwrites another of its topic.
    pub(super) fn is_over_another(&self) -> bool {
        self.place == Place::Over
    }

    /// Gives the time back: the row was not stored.
    pub(super) fn give_back(&self) {
        self.returned.lock().push((self.arrival.identity, self.at));
    }
}

impl TrackInUse {
    fn new(track: Track, named_by: NamedBy) -> Self {
        Self {
            track,
            named_by,
            slots: None,
            topics: Vec::new(),
            shared_columns: Columns::new(),
            merged_columns: Columns::new(),
            kinds: Kinds::default(),
            returned: Returned::default(),
            has_frames: false,
        }
    }

    /// The number of a topic, which may already be known with another definition.
    fn add_topic(&mut self, plan: &TopicPlan) -> u32 {
        let columns: Columns = plan.column_names().into_iter().collect();
        for other in self.topics.iter().filter(|other| other.topic != plan.topic) {
            self.shared_columns.extend(columns.intersection(&other.columns).cloned());
        }
        let number = match self.topics.iter().position(|known| known.topic == plan.topic) {
            Some(number) => {
                self.topics[number].columns.extend(columns);
                number
            }
            None => {
                self.topics.push(TopicInTrack { topic: plan.topic.clone(), columns });
                self.topics.len() - 1
            }
        };
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    fn ask(&mut self, topic: u32, asking: Asking<'_>) -> Result<Answer, TrackError> {
        if self.slots.is_none() {
            self.slots = Some(self.open()?);
        }
        let (Some(slots), Some(leading)) = (&mut self.slots, self.topics.get(topic as usize))
        else {
            return Ok(Answer::Refused);
        };
        let Asking { exp, frames, rule, row, parts, hash } = asking;
        self.has_frames |= !parts.is_empty();
        if self.has_frames {
            for (identity, at) in self.returned.lock().drain(..) {
                slots.give_back(identity, at);
            }
        }
        let arrival = Arrival {
            topic,
            ts: row.ts,
            identity: identity::at(hash, row.ts, topic),
            is_written_over: !leading.columns.is_empty()
                && leading.columns.is_subset(&self.merged_columns),
        };
        let beside = Beside { row, parts, columns: &leading.columns, merged: &self.merged_columns };
        let stored_at = |at| {
            if self.has_frames {
                // Rows on their way are not in the store yet.
                frames.wait_until_saved();
            }
            let origin = Origin::new(hash, row.ts);
            let is_row_of = |has: &Fields| frames.is_row_of(exp, parts, has, origin);
            beside.stored_at(&self.track, at, is_row_of)
        };
        let place = slots.place(arrival, rule, stored_at)?;
        let at = match place {
            Place::Free(at) => at,
            Place::Join | Place::Over => row.ts,
            Place::Repeat => return Ok(Answer::Repeat),
            Place::Refused => return Ok(Answer::Refused),
        };
        let returned = self.returned.clone();
        Ok(Answer::Given(GivenTime { arrival, place, at, returned }))
    }

    /// Reads the track's state from the store when the first message needs a time in it.
    fn open(&mut self) -> Result<Slots, TrackError> {
        let last = self.track.last_timestamp()?;
        if let Some(last) = last {
            let metadata = self.track.notes()?.metadata.unwrap_or_default();
            let merged = metadata.get(MERGED_COLUMNS).and_then(|columns| columns.as_array());
            let names = merged.into_iter().flatten().filter_map(|name| name.as_str());
            self.merged_columns.extend(names.map(Column::from));
            if let Found::Other(fields) = self.track.find_beside(last, &Fields::new())? {
                self.kinds.take(&fields);
            }
        }
        Ok(Slots::behind(last))
    }

    fn take(&mut self, given: &GivenTime) {
        if let Some(slots) = &mut self.slots {
            slots.take(given.arrival, given.at, given.is_new());
        }
        if given.place == Place::Join && !self.shared_columns.is_subset(&self.merged_columns) {
            self.merged_columns.extend(self.shared_columns.iter().cloned());
            self.note_merged_columns();
        }
    }

    /// Notes the merged columns, so that rows of a bag that is imported again are recognized even
    /// if another topic overwrote them.
    fn note_merged_columns(&self) {
        let columns: Vec<&str> = self.merged_columns.iter().map(|column| &**column).collect();
        let noted = self.track.notes().and_then(|notes| {
            let mut metadata = notes.metadata.unwrap_or_default();
            metadata.insert(MERGED_COLUMNS.to_owned(), json!(columns));
            self.track.annotate(TrackNotes { metadata: Some(metadata), ..TrackNotes::default() })
        });
        if let Err(error) = noted {
            tracing::warn!("{}: {}", self.track.topic(), one_line(&error));
        }
    }
}

/// Compares a message with what the store holds.
struct Beside<'a> {
    row: &'a Row,
    parts: &'a [FramePart],
    /// The columns of its topic.
    columns: &'a Columns,
    /// The columns that other topics may have overwritten.
    merged: &'a Columns,
}

impl Beside<'_> {
    /// What the store holds at a time.
    fn stored_at(
        &self,
        track: &Track,
        at: Timestamp,
        is_row_of: impl FnOnce(&Fields) -> bool,
    ) -> Result<Stored, TrackError> {
        let has = match track.find_beside(at, &self.row.fields)? {
            Found::Nothing => return Ok(Stored::Nothing),
            Found::Same if self.parts.is_empty() => return Ok(Stored::Same),
            Found::Same => self.row.fields.clone(),
            Found::Other(has) => has,
        };
        Ok(if !has.iter().any(|(name, _)| self.is_mine(name)) && !self.row.fields.is_empty() {
            Stored::Foreign
        } else if self.parts.is_empty() {
            self.compare(has, at == self.row.ts)
        } else if is_row_of(&has) {
            Stored::Same
        } else {
            Stored::Other
        })
    }

    fn is_mine(&self, name: &str) -> bool {
        self.columns.contains(name)
            || self.row.fields.get(name).is_some()
            || self.parts.iter().any(|part| name.strip_prefix(&*part.prefix) == Some(PATH_COLUMN))
    }

    /// Compares a row with the message. The row may contain other topics' columns only at the
    /// message's own time.
    fn compare(&self, mut has: Fields, is_home: bool) -> Stored {
        let mut says = self.row.fields.clone();
        // The receive time is not part of the message's content.
        for fields in [&mut has, &mut says] {
            fields.retain(|name| {
                name != TimeColumn::ReceiveTs.name() || !self.columns.contains(name)
            });
        }
        let whole = has.len();
        has.retain(|name| self.is_mine(name));
        let is_alone = has.len() == whole;
        if read_the_same(&has, &says) && (is_home || is_alone) {
            return Stored::Same;
        }
        if is_home && !is_alone {
            // Columns shared with other topics may hold their values by now.
            for fields in [&mut has, &mut says] {
                fields.retain(|name| !self.merged.contains(name));
            }
            if !says.is_empty() && read_the_same(&has, &says) {
                return Stored::Same;
            }
        }
        Stored::Other
    }
}

impl NamedBy {
    /// Checks that a track named by these values may also get its name from `other`. Two frames
    /// `/base` and `base` give the same track name but are different; the error then asks for
    /// another pattern.
    fn check(&self, other: &Self, track: &str) -> Result<(), Refusal> {
        if self.pattern != other.pattern || self.values == other.values {
            return Ok(());
        }
        let mut values = self.values.iter().zip(&other.values);
        let Some((first, second)) = values.find(|(a, b)| a != b) else { return Ok(()) };
        Err(Refusal {
            reason: DropReason::TrackCollision,
            why: format!(
                "`{second}` and `{first}` would both be the track `{track}`, which is that of `{first}`; \
                 give them a `track:` that tells them apart, or one without `{}`",
                self.pattern
            ),
        })
    }
}
