//! A recording's tracks, joined on the recipe's grid, and what each feature has at a tick. The joining is mldash-track's;
//! this says what to join and reads it.

mod joining;
mod joints;

use mldash_track::{Align, Aligned, Experiment, Fields, Value};

use crate::error::ExportError;
use crate::grid::Lack;
use crate::recipe::{Elements, Missing, Recipe};
use crate::values::{length, push_numbers};
use joining::Joining;

/// What becomes of rows that lack a column of a feature: of a track that several topics lead into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartialRows {
    /// They are joined like others, which is quick. [`Joins::meets_partial_row`] tells of them.
    Join,
    /// They have no value, so that the last row with one counts. Every row is parsed for that.
    LeaveOut,
}

/// What to join of a recording, and how to read it.
pub(crate) struct Joins {
    partial: PartialRows,
    align: Align,
    features: Vec<FeatureColumns>,
    policies: Vec<Missing>,
}

/// The joined columns of one feature.
struct FeatureColumns {
    sources: Vec<SourceColumn>,
    tracks: Vec<TrackColumns>,
    is_picture: bool,
    /// Each source is a quaternion.
    is_rotation: bool,
    /// A step's rows are taken together, whichever columns each has.
    is_window: bool,
}

struct SourceColumn {
    value: String,
    /// The last value, however old.
    held: Option<String>,
    elements: Option<Elements>,
    stamp: String,
    /// How a message calls it.
    source: String,
}

struct TrackColumns {
    stamp: String,
    age: String,
    held_stamp: Option<String>,
    /// A row further away than this, in seconds, is behind a gap; infinite if the recipe says how far rows may be.
    gap_secs: f64,
    /// The stamp of the last row before a tick.
    before: String,
}

/// What a feature has at a tick.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) content: Read,
    /// For each track, the `_ts` of the row that it comes from, in seconds.
    pub(crate) stamps: Vec<f64>,
    /// For each track, how far away that is.
    pub(crate) ages: Vec<f64>,
    /// It was computed across a gap in the rows.
    pub(crate) is_bridged: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Read {
    Numbers(Vec<f64>),
    /// The name of a file of the experiment.
    File(String),
}

impl Joins {
    /// What the recipe needs of this recording.
    pub(crate) fn new(
        recipe: &Recipe,
        name: &str,
        experiment: &Experiment,
        partial: PartialRows,
    ) -> Result<Self, ExportError> {
        let tracks = experiment.list().map_err(ExportError::track(name))?;
        let mut joining = Joining::new(recipe, name, experiment, &tracks, partial);
        let features = recipe.features.iter().map(|feature| joining.feature(feature));
        let features = features.collect::<Result<_, _>>()?;
        let policies = recipe.features.iter().map(|feature| feature.missing).collect();
        Ok(Self { partial, align: joining.into_align(), features, policies })
    }

    pub(crate) fn policies(&self) -> Vec<Missing> {
        self.policies.clone()
    }

    pub(crate) fn open(&self, name: &str, experiment: &Experiment) -> Result<Aligned, ExportError> {
        experiment.align(&self.align).map_err(ExportError::track(name))
    }

    /// Which features have no value in a joined row.
    pub(crate) fn lacks(&self, fields: &Fields) -> Vec<Lack> {
        let lack = |(feature, columns): (usize, &FeatureColumns)| {
            let lacks = columns.sources.iter().any(|source| value(fields, &source.value).is_none());
            let before = columns.tracks.iter().filter_map(|track| number(fields, &track.before));
            // Of several tracks, the one that is further behind.
            lacks.then(|| Lack { feature, before: before.reduce(f64::min) })
        };
        self.features.iter().enumerate().filter_map(lack).collect()
    }

    /// Returns true if a feature lacks a value because the row that was joined has none, not because there is no row.
    pub(crate) fn meets_partial_row(&self, fields: &Fields) -> bool {
        let is_partial = |source: &SourceColumn| {
            value(fields, &source.value).is_none() && number(fields, &source.stamp).is_some()
        };
        let mut features = self.features.iter().filter(|feature| !feature.is_window);
        self.partial == PartialRows::Join
            && features.any(|feature| feature.sources.iter().any(is_partial))
    }

    /// What a feature has in a joined row; the last value if it lacks one. The error says what is wrong with a value.
    pub(crate) fn read(&self, feature: usize, fields: &Fields) -> Result<Option<Reading>, String> {
        let Some(columns) = self.features.get(feature) else { return Ok(None) };
        let is_held = columns.sources.iter().any(|source| value(fields, &source.value).is_none());
        let mut numbers = Vec::new();
        for source in &columns.sources {
            let name = if is_held { source.held.as_deref() } else { Some(source.value.as_str()) };
            let Some(value) = name.and_then(|name| value(fields, name)) else { return Ok(None) };
            if columns.is_picture {
                let Value::Text(file) = value else {
                    let value = crate::values::describe(value);
                    return Err(format!("{}: {value} names no file", source.source));
                };
                let content = Read::File(file.clone());
                return Ok(Some(columns.reading(content, fields, is_held)));
            }
            if columns.is_rotation && length(value) != Some(4) {
                return Err(format!(
                    "{}: {} is no quaternion [x, y, z, w], as `method: slerp` needs; give other values a feature of \
                     their own",
                    source.source,
                    crate::values::describe(value)
                ));
            }
            push_numbers(value, source.elements, &mut numbers)
                .map_err(|reason| format!("{}: {reason}", source.source))?;
        }
        Ok(Some(columns.reading(Read::Numbers(numbers), fields, is_held)))
    }
}

impl FeatureColumns {
    fn reading(&self, content: Read, fields: &Fields, is_held: bool) -> Reading {
        let stamp = |track: &TrackColumns| {
            let name = if is_held { track.held_stamp.as_deref() } else { Some(&*track.stamp) };
            name.and_then(|name| number(fields, name)).unwrap_or(f64::NAN)
        };
        let stamps: Vec<f64> = self.tracks.iter().map(stamp).collect();
        let age = |(track, _): (&TrackColumns, &f64)| number(fields, &track.age);
        let ages = self.tracks.iter().zip(&stamps).map(|pair| age(pair).unwrap_or(f64::NAN));
        let ages: Vec<f64> = ages.collect();
        let is_bridged = ages.iter().zip(&self.tracks).any(|(age, track)| *age > track.gap_secs);
        Reading { content, stamps, ages, is_bridged }
    }
}

fn value<'f>(fields: &'f Fields, name: &str) -> Option<&'f Value> {
    fields.get(name).filter(|value| **value != Value::Null)
}

fn number(fields: &Fields, name: &str) -> Option<f64> {
    match fields.get(name)? {
        Value::F64(number) => Some(*number),
        _ => None,
    }
}
