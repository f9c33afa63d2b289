//! How one topic is recorded: the keys of an entry, and the settings once the defaults of its type
//! and the built-in ones complete them.

use std::fmt;

use super::blobs::Blobs;
use super::fields;
use super::qos::Qos;
use super::track_pattern::TrackPattern;
use crate::yaml::{Item, Placed, Problems, Section, Spot};
use mldash_message::{Decoder, FieldPath, FieldSelection, Layout, SelectedField, StampSource};

/// How to write a value, for hints.
pub(super) const TRACK: &str = "write a name such as `robot/pose`; `{topic}`, a wildcard's `{1}` and fields such as `{child_frame_id}` fill in";
pub(super) const PATH: &str =
    "write names joined by dots, such as `pose.position` or `ranges[::4]`";
/// The key of [`SameStamp`], of an entry and of the whole mapping.
pub(super) const SAME_STAMP: &str = "same_stamp";
pub(super) const SAME_STAMPS: [(&str, SameStamp); 3] =
    [("keep", SameStamp::Keep), ("merge", SameStamp::Merge), ("drop", SameStamp::Drop)];
/// The key of [`OnTypeChange`], likewise.
pub(super) const ON_TYPE_CHANGE: &str = "on_type_change";
pub(super) const ON_TYPE_CHANGES: [(&str, OnTypeChange); 2] =
    [("refuse", OnTypeChange::Refuse), ("split_track", OnTypeChange::SplitTrack)];
const STAMP: &str =
    "write `header`, `receive`, `source` or a field such as `transforms.header.stamp`";

/// How a topic is recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The name of the track.
    pub track: TrackPattern,
    /// Where `_ts` comes from.
    pub stamp: Stamp,
    /// What to add to the time that `stamp` selects.
    pub stamp_offset: StampOffset,
    /// The columns.
    pub fields: FieldSelection,
    /// Further columns for times.
    pub time_columns: TimeColumns,
    /// At most this many rows per second, by their stamps.
    pub max_rate: Option<Hz>,
    /// Only rows in which a field other than the stamp differs from the row before.
    pub on_change: bool,
    /// What to do with a message if another message of its topic has the same `_ts`.
    pub same_stamp: SameStamp,
    /// How the topic is subscribed to.
    pub qos: Qos,
    /// What happens when the topic is published as another type.
    pub on_type_change: OnTypeChange,
    /// What happens to byte arrays, images and clouds.
    pub blobs: Blobs,
    /// An array whose elements become a row each.
    pub each: Option<FieldPath>,
}

/// Where a row's `_ts` comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Stamp {
    /// The message's `header.stamp`.
    #[default]
    Header,
    /// When the message was received.
    Receive,
    /// When its publisher sent it, by the publisher's clock.
    Source,
    /// A field of the message.
    Field(FieldPath),
}

/// What happens to messages of a topic that is already recorded with another type: a node was
/// replaced by one that publishes something else, or two nodes disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTypeChange {
    /// They are not recorded, and the account says so.
    #[default]
    Refuse,
    /// They are recorded in their own track, `<track>.<package>.<Type>`.
    SplitTrack,
}

/// What to do with a message if a different message of its topic has the same `_ts`. A message with
/// the same bytes is a repeat and gives no row in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameStamp {
    /// It gets its own row, at the next free float time.
    #[default]
    Keep,
    /// The two become one row, with the later one's fields winning.
    Merge,
    /// The first stays; the others are counted.
    Drop,
}

/// What to add to stamps: a known latency, or the offset of a device's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StampOffset {
    nanos: i64,
}

/// Columns for times, besides a row's `_ts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeColumns {
    /// `receive_ts`: when the message was received, float seconds.
    pub receive_ts: bool,
    /// `stamp_ns`: the message's stamp as it came, in whole nanoseconds, whether `_ts` is made from
    /// it or not; for a message without one, its receive time.
    pub stamp_ns: bool,
}

/// A column for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeColumn {
    /// `receive_ts`.
    ReceiveTs,
    /// `stamp_ns`.
    StampNs,
}

/// A rate: finite and above 0.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Hz(f64);

/// The keys of an entry that a message type can contradict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKey {
    /// `type`.
    Type,
    /// `track`.
    Track,
    /// `stamp`.
    Stamp,
    /// `fields`.
    Fields,
    /// `each`.
    Each,
    /// `receive_ts` or `stamp_ns`.
    TimeColumn(TimeColumn),
}

impl Settings {
    /// A column for a time whose name one of the message's fields has.
    pub(crate) fn taken_time_column(&self, decoder: &Decoder) -> Option<TimeColumn> {
        let is_taken =
            |column: &TimeColumn| decoder.columns().iter().any(|taken| **taken == *column.name());
        self.time_columns.wanted().find(is_taken)
    }

    /// What becomes a row. `names` holds the fields that the track's name needs.
    pub fn layout(&self) -> Layout {
        Layout {
            each: self.each.clone(),
            stamp: match &self.stamp {
                Stamp::Header => StampSource::Header,
                Stamp::Receive if self.time_columns.stamp_ns => StampSource::Aside,
                Stamp::Receive | Stamp::Source => StampSource::None,
                Stamp::Field(path) => StampSource::Field(path.clone()),
            },
            fields: self.fields.clone(),
            names: self.track.fields().to_vec(),
            ..Layout::default()
        }
    }
}

impl Hz {
    /// A rate, if it is finite and above 0.
    pub fn new(per_second: f64) -> Option<Self> {
        (per_second.is_finite() && per_second > 0.0).then_some(Self(per_second))
    }

    /// The rate in 1/s.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Hz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

impl StampOffset {
    /// Converts from seconds. `None` unless they are finite and at most 292 years.
    pub fn from_secs(secs: f64) -> Option<Self> {
        let nanos = (secs * 1e9).round();
        // Beyond that, the conversion would saturate.
        (nanos.abs() < i64::MAX as f64).then_some(Self { nanos: nanos as i64 })
    }

    /// The offset in nanoseconds.
    pub fn nanos(self) -> i64 {
        self.nanos
    }
}

impl TimeColumns {
    /// The columns that are wanted.
    pub fn wanted(self) -> impl Iterator<Item = TimeColumn> {
        let columns =
            [(self.receive_ts, TimeColumn::ReceiveTs), (self.stamp_ns, TimeColumn::StampNs)];
        columns.into_iter().filter_map(|(wanted, column)| wanted.then_some(column))
    }
}

impl TimeColumn {
    /// The name of the column, and of its key.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReceiveTs => "receive_ts",
            Self::StampNs => "stamp_ns",
        }
    }
}

/// The keys of an entry; `None` for keys that are missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Keys {
    pub(super) track: Option<Placed<TrackPattern>>,
    stamp: Option<Placed<Stamp>>,
    stamp_offset: Option<StampOffset>,
    receive_ts: Option<Placed<bool>>,
    stamp_ns: Option<Placed<bool>>,
    fields: Option<Placed<Vec<Placed<SelectedField>>>>,
    max_rate: Option<Hz>,
    on_change: Option<bool>,
    same_stamp: Option<SameStamp>,
    qos: Option<Qos>,
    on_type_change: Option<OnTypeChange>,
    blobs: Option<Blobs>,
    each: Option<Placed<FieldPath>>,
}

impl Keys {
    pub(super) fn read(section: &Section<'_>, problems: &mut Problems) -> Self {
        let mut read = Reading { section, problems };
        Self {
            track: read.placed("track", |item, problems| item.parse(TRACK, problems)),
            stamp: read.placed("stamp", stamp),
            stamp_offset: read.plain("stamp_offset", |item, problems| {
                item.number("a number of seconds, such as -0.035", StampOffset::from_secs, problems)
            }),
            receive_ts: read.placed(TimeColumn::ReceiveTs.name(), Item::truth),
            stamp_ns: read.placed(TimeColumn::StampNs.name(), Item::truth),
            fields: read.placed("fields", fields::read),
            max_rate: read.plain("max_rate", |item, problems| {
                item.number("a rate in Hz above 0", Hz::new, problems)
            }),
            on_change: read.plain("on_change", Item::truth),
            same_stamp: read.plain(SAME_STAMP, same_stamp),
            qos: read.plain("qos", Qos::read),
            on_type_change: read.plain(ON_TYPE_CHANGE, on_type_change),
            blobs: read.plain("blobs", Blobs::read),
            each: read.placed("each", |item, problems| item.parse(PATH, problems)),
        }
    }

    /// The defaults that a mapping sets for all its topics.
    pub(super) fn read_defaults(section: &Section<'_>, problems: &mut Problems) -> Self {
        let mut read = Reading { section, problems };
        Self {
            same_stamp: read.plain(SAME_STAMP, same_stamp),
            on_type_change: read.plain(ON_TYPE_CHANGE, on_type_change),
            ..Self::default()
        }
    }

    /// These keys, completed by those of `below`.
    pub(super) fn over(&self, below: &Self) -> Self {
        fn first<T: Clone>(own: &Option<T>, below: &Option<T>) -> Option<T> {
            own.as_ref().or(below.as_ref()).cloned()
        }
        Self {
            track: first(&self.track, &below.track),
            stamp: first(&self.stamp, &below.stamp),
            stamp_offset: self.stamp_offset.or(below.stamp_offset),
            receive_ts: first(&self.receive_ts, &below.receive_ts),
            stamp_ns: first(&self.stamp_ns, &below.stamp_ns),
            fields: first(&self.fields, &below.fields),
            max_rate: self.max_rate.or(below.max_rate),
            on_change: self.on_change.or(below.on_change),
            same_stamp: self.same_stamp.or(below.same_stamp),
            qos: self.qos.or(below.qos),
            on_type_change: self.on_type_change.or(below.on_type_change),
            blobs: self.blobs.or(below.blobs),
            each: first(&self.each, &below.each),
        }
    }

    /// Completed by the built-in defaults.
    pub(super) fn with_defaults(&self) -> Settings {
        fn value<T: Clone>(placed: &Option<Placed<T>>) -> Option<T> {
            placed.as_ref().map(|placed| placed.value.clone())
        }
        Settings {
            track: value(&self.track).unwrap_or_default(),
            stamp: value(&self.stamp).unwrap_or_default(),
            stamp_offset: self.stamp_offset.unwrap_or_default(),
            time_columns: TimeColumns {
                receive_ts: value(&self.receive_ts).unwrap_or_default(),
                stamp_ns: value(&self.stamp_ns).unwrap_or_default(),
            },
            fields: value(&self.fields).map_or(FieldSelection::All, |fields| {
                FieldSelection::Only(fields.into_iter().map(|field| field.value).collect())
            }),
            max_rate: self.max_rate,
            on_change: self.on_change.unwrap_or_default(),
            same_stamp: self.same_stamp.unwrap_or_default(),
            qos: self.qos.unwrap_or_default(),
            on_type_change: self.on_type_change.unwrap_or_default(),
            blobs: self.blobs.unwrap_or_default(),
            each: value(&self.each),
        }
    }

    /// The place of a key's value, or of the given item in it.
    pub(super) fn spot(&self, key: SettingKey, item: Option<usize>) -> Option<&Spot> {
        match key {
            SettingKey::Type => None,
            SettingKey::Track => self.track.as_ref().map(|track| &track.spot),
            SettingKey::Stamp => self.stamp.as_ref().map(|stamp| &stamp.spot),
            SettingKey::Each => self.each.as_ref().map(|each| &each.spot),
            SettingKey::TimeColumn(TimeColumn::ReceiveTs) => {
                self.receive_ts.as_ref().map(|wanted| &wanted.spot)
            }
            SettingKey::TimeColumn(TimeColumn::StampNs) => {
                self.stamp_ns.as_ref().map(|wanted| &wanted.spot)
            }
            SettingKey::Fields => {
                let fields = self.fields.as_ref()?;
                let field = item.and_then(|i| fields.value.get(i)).map(|field| &field.spot);
                Some(field.unwrap_or(&fields.spot))
            }
        }
    }
}

/// Reads the keys of one entry.
struct Reading<'a, 'n> {
    section: &'a Section<'n>,
    problems: &'a mut Problems,
}

impl<'n> Reading<'_, 'n> {
    fn plain<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Item<'n>, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        self.section.get(key).and_then(|item| read(item, self.problems))
    }

    fn placed<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Item<'n>, &mut Problems) -> Option<T>,
    ) -> Option<Placed<T>> {
        let item = self.section.get(key)?;
        read(item, self.problems).map(|value| item.place(value))
    }
}

fn stamp(item: &Item<'_>, problems: &mut Problems) -> Option<Stamp> {
    match item.text(problems)? {
        "header" => Some(Stamp::Header),
        "receive" => Some(Stamp::Receive),
        "source" => Some(Stamp::Source),
        _ => item.parse(STAMP, problems).map(Stamp::Field),
    }
}

fn same_stamp(item: &Item<'_>, problems: &mut Problems) -> Option<SameStamp> {
    item.choice(&SAME_STAMPS, problems)
}

fn on_type_change(item: &Item<'_>, problems: &mut Problems) -> Option<OnTypeChange> {
    item.choice(&ON_TYPE_CHANGES, problems)
}
