//! How one topic is recorded: what an entry of the mapping says, key by key, and what holds once
//! its type's defaults and the built-in ones fill in the rest.

use std::fmt;

use super::problem::{Placed, Problems, Spot};
use super::qos::Qos;
use super::reader::{Item, Section};
use super::track_pattern::TrackPattern;
use crate::message::{FieldPath, Layout, SelectedField, Selection, StampSource};
use crate::track::row::TIMESTAMP_COLUMN;

/// How things are written, for whoever wrote them otherwise.
pub(super) const TRACK: &str = "write a name such as `robot/pose`; `{topic}`, a wildcard's `{1}` and fields such as `{child_frame_id}` fill in";
const PATH: &str = "write names joined by dots, such as `pose.position` or `ranges[::4]`";
const STAMP: &str = "write `header`, `receive` or a field such as `transforms.header.stamp`";

/// How a topic is recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The name of the track.
    pub track: TrackPattern,
    /// Where `_ts` comes from.
    pub stamp: Stamp,
    /// The columns.
    pub fields: Selection,
    /// At most so many rows a second, by their stamps.
    pub max_rate: Option<Hz>,
    /// Only rows in which a field other than the stamp differs from the row before.
    pub on_change: bool,
    /// How the topic is subscribed to.
    pub qos: Qos,
    /// What happens to byte arrays, images and clouds; `None` leaves it to the recorder.
    pub blobs: Option<Blobs>,
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
    /// A field of the message.
    Field(FieldPath),
}

/// What happens to byte arrays, images and clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blobs {
    /// They become files beside the tracks.
    File,
    /// They stay in the row as numbers.
    Inline,
    /// They are left out.
    Drop,
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
}

impl Settings {
    /// What becomes a row; `names` holds the fields that the track's name takes.
    pub fn layout(&self) -> Layout {
        Layout {
            each: self.each.clone(),
            stamp: match &self.stamp {
                Stamp::Header => StampSource::Header,
                Stamp::Receive => StampSource::None,
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

    /// How often a second.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for Hz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// What an entry says; `None` where it leaves a key out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Keys {
    pub(super) track: Option<Placed<TrackPattern>>,
    stamp: Option<Placed<Stamp>>,
    fields: Option<Placed<Vec<Placed<SelectedField>>>>,
    max_rate: Option<Hz>,
    on_change: Option<bool>,
    qos: Option<Qos>,
    blobs: Option<Blobs>,
    each: Option<Placed<FieldPath>>,
}

impl Keys {
    /// The keys that are read here.
    pub(super) const NAMES: [&str; 8] =
        ["track", "stamp", "fields", "max_rate", "on_change", "qos", "blobs", "each"];

    pub(super) fn read(section: &Section<'_>, problems: &mut Problems) -> Self {
        let mut read = Reading { section, problems };
        Self {
            track: read.placed("track", |item, problems| item.parse(TRACK, problems)),
            stamp: read.placed("stamp", stamp),
            fields: read.placed("fields", fields),
            max_rate: read.plain("max_rate", |item, problems| {
                item.number("a rate in Hz above 0", Hz::new, problems)
            }),
            on_change: read.plain("on_change", Item::truth),
            qos: read.plain("qos", Qos::read),
            blobs: read.plain("blobs", blobs),
            each: read.placed("each", |item, problems| item.parse(PATH, problems)),
        }
    }

    /// These, and where they leave a key out, those below.
    pub(super) fn over(&self, below: &Self) -> Self {
        fn first<T: Clone>(own: &Option<T>, below: &Option<T>) -> Option<T> {
            own.as_ref().or(below.as_ref()).cloned()
        }
        Self {
            track: first(&self.track, &below.track),
            stamp: first(&self.stamp, &below.stamp),
            fields: first(&self.fields, &below.fields),
            max_rate: self.max_rate.or(below.max_rate),
            on_change: self.on_change.or(below.on_change),
            qos: self.qos.or(below.qos),
            blobs: self.blobs.or(below.blobs),
            each: first(&self.each, &below.each),
        }
    }

    /// With the built-in defaults for what is left open.
    pub(super) fn settle(&self) -> Settings {
        fn value<T: Clone>(placed: &Option<Placed<T>>) -> Option<T> {
            placed.as_ref().map(|placed| placed.value.clone())
        }
        Settings {
            track: value(&self.track).unwrap_or_default(),
            stamp: value(&self.stamp).unwrap_or_default(),
            fields: value(&self.fields).map_or(Selection::All, |fields| {
                Selection::Only(fields.into_iter().map(|field| field.value).collect())
            }),
            max_rate: self.max_rate,
            on_change: self.on_change.unwrap_or_default(),
            qos: self.qos.unwrap_or_default(),
            blobs: self.blobs,
            each: value(&self.each),
        }
    }

    /// Where a key's value stands, or the given entry of it.
    pub(super) fn spot(&self, key: SettingKey, item: Option<usize>) -> Option<&Spot> {
        match key {
            SettingKey::Type => None,
            SettingKey::Track => self.track.as_ref().map(|track| &track.spot),
            SettingKey::Stamp => self.stamp.as_ref().map(|stamp| &stamp.spot),
            SettingKey::Each => self.each.as_ref().map(|each| &each.spot),
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
        _ => item.parse(STAMP, problems).map(Stamp::Field),
    }
}

fn blobs(item: &Item<'_>, problems: &mut Problems) -> Option<Blobs> {
    let choices = [("file", Blobs::File), ("inline", Blobs::Inline), ("drop", Blobs::Drop)];
    item.choice(&choices, problems)
}

/// A list of paths, or a mapping from columns to paths.
/// A projected field keeps the column that it has without projection: the elements taken of an
/// array are not part of its name.
fn default_column(path: &FieldPath) -> String {
    let names: Vec<&str> = path.steps().iter().map(|step| step.name.as_str()).collect();
    match names[..] {
        ["header", "frame_id"] => "frame_id".to_owned(),
        _ => names.join("."),
    }
}

fn fields(item: &Item<'_>, problems: &mut Problems) -> Option<Vec<Placed<SelectedField>>> {
    let mut fields: Vec<Placed<SelectedField>> = Vec::new();
    if item.is_list() {
        for path in item.list(problems)? {
            if let Some(read) = path.parse::<FieldPath>(PATH, problems) {
                let column = default_column(&read);
                fields.push(path.place(SelectedField { column, path: read }));
            }
        }
    } else if item.is_scalar() {
        item.mismatch("a list of field paths, or `column: path` lines", None, problems);
        return None;
    } else {
        for entry in item.entries(problems)? {
            check_column(&entry.key, problems);
            if let Some(path) = entry.value.parse(PATH, problems) {
                let column = entry.key.value.to_owned();
                fields.push(entry.value.place(SelectedField { column, path }));
            }
        }
    }
    if item.is_empty() {
        let hint = "leave `fields` out to record all of them";
        problems.add(&item.spot, "no field is selected", Some(hint.to_owned()));
    }
    for (i, field) in fields.iter().enumerate() {
        let column = &field.value.column;
        if fields[..i].iter().any(|before| before.value.column == *column) {
            let message = format!("the column `{column}` is there twice");
            problems.add(&field.spot, message, Some("keep one of them".to_owned()));
        }
    }
    Some(fields)
}

fn check_column(column: &Placed<&str>, problems: &mut Problems) {
    let name = column.value;
    if name.is_empty() || name.chars().any(char::is_control) {
        let message = format!("`{}` can't name a column", name.escape_debug());
        problems.add(&column.spot, message, Some("write a word such as `position`".to_owned()));
    }
    if name == TIMESTAMP_COLUMN || name == "_ts" {
        let message = format!("a column can't be called `{name}`, the row's own time is");
        let hint = "choose another name; `stamp:` says where the row's time comes from";
        problems.add(&column.spot, message, Some(hint.to_owned()));
    }
}
