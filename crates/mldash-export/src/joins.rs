//! A recording's tracks, joined on the recipe's grid, and what each feature has at a tick. The joining is mldash-track's;
//! this says what to join and reads it.

mod joints;

use std::collections::HashMap;

use mldash_track::{
    Aggregate, Align, AlignMethod, Aligned, Column, Experiment, Fields, Join, TIMESTAMP_COLUMN,
    TrackInfo, Value,
};

use crate::error::ExportError;
use crate::grid::Lack;
use crate::recipe::{
    Content, Elements, Feature, Method, Missing, Numbers, Recipe, Source, WindowValue,
};
use crate::values::{length, push_numbers};
use joints::{check_names, in_order, names_beside};

/// The column that names a picture's file, and the end of its name within other messages.
const FILE_COLUMN: &str = "path";

/// So many times the usual distance between a track's rows make a gap.
const GAP_PERIODS: f64 = 5.0;

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
        let topics: Vec<String> = tracks.iter().map(|track| track.topic.clone()).collect();
        let mut joining = Joining {
            partial,
            align: Align::at_rate(f64::from(recipe.fps)),
            experiment,
            name,
            topics,
            periods: tracks.iter().filter_map(|t| Some((t.topic.clone(), period(t)?))).collect(),
            columns: HashMap::new(),
        };
        let features = recipe.features.iter().map(|feature| joining.feature(feature));
        let features = features.collect::<Result<_, _>>()?;
        let policies = recipe.features.iter().map(|feature| feature.missing).collect();
        Ok(Self { partial, align: joining.align, features, policies })
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

fn period(track: &TrackInfo) -> Option<f64> {
    let steps = track.total_entries.checked_sub(1).filter(|steps| *steps > 0)?;
    Some((track.last_timestamp? - track.first_timestamp?) / steps as f64)
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

/// Collects joins.
struct Joining<'a> {
    partial: PartialRows,
    align: Align,
    experiment: &'a Experiment,
    name: &'a str,
    topics: Vec<String>,
    /// How far apart a track's rows are, on average, in seconds.
    periods: HashMap<String, f64>,
    /// The columns of tracks that were looked at.
    columns: HashMap<String, Vec<String>>,
}

impl Joining<'_> {
    fn feature(&mut self, feature: &Feature) -> Result<FeatureColumns, ExportError> {
        let (sources, joints, is_picture) = match &feature.content {
            Content::Numbers(Numbers { sources, joints, .. }) => {
                (sources.clone(), joints.as_deref(), false)
            }
            Content::Picture(picture) => {
                (vec![self.file_source(feature, &picture.source)?], None, true)
            }
        };
        let mut tracks: Vec<&str> = Vec::new();
        for source in &sources {
            if !tracks.contains(&source.track.as_str()) {
                tracks.push(&source.track);
            }
        }
        let columns = tracks.iter().map(|track| self.join(feature, track, &sources, joints));
        let track_columns = columns.collect::<Result<_, _>>()?;
        let holds = feature.missing == Missing::Hold;
        let named = |source: &Source| {
            let column = source.column.as_deref().unwrap_or_default();
            SourceColumn {
                value: joined(feature, &source.track, column),
                held: holds.then(|| held(feature, &source.track, column)),
                elements: source.elements,
                stamp: joined(feature, &source.track, TIMESTAMP_COLUMN),
                source: source.to_string(),
            }
        };
        let sources = sources.iter().map(named).collect();
        let is_rotation = feature.method == Method::Slerp;
        let is_window = matches!(feature.method, Method::Window(_));
        let tracks = track_columns;
        Ok(FeatureColumns { sources, tracks, is_picture, is_rotation, is_window })
    }

    /// Joins one track for one feature, with all columns that it needs.
    fn join(
        &mut self,
        feature: &Feature,
        track: &str,
        sources: &[Source],
        joints: Option<&[String]>,
    ) -> Result<TrackColumns, ExportError> {
        let known = self.columns_of(feature, track)?;
        let mut wanted: Vec<String> = Vec::new();
        for source in sources.iter().filter(|source| source.track == track) {
            let column = source.column.clone().unwrap_or_default();
            self.check(feature, &known, &format!("column `{column}` of track `{track}`"), &column)?;
            if !wanted.contains(&column) {
                wanted.push(column);
            }
        }
        let values = wanted.clone();
        for column in joints.map(|_| &values).into_iter().flatten() {
            let names = names_beside(column);
            let what = format!("column `{names}` with the names of joints in track `{track}`");
            self.check(feature, &known, &what, &names)?;
            if let Some(joints) = joints {
                let seen = check_names(self.experiment, track, &names, joints);
                let seen = seen.map_err(ExportError::track(self.name))?;
                if let Some((what, existing)) = seen {
                    let (experiment, feature) = (self.name.to_owned(), feature.name.clone());
                    return Err(ExportError::NotRecorded { experiment, feature, what, existing });
                }
            }
            wanted.push(names);
        }
        let stamp = joined(feature, track, TIMESTAMP_COLUMN);
        let age = joined(feature, track, "");
        let mut join = self.named(feature, track, &wanted, joints, joined);
        join = match feature.method {
            Method::Floor => join.method(AlignMethod::Floor),
            Method::Nearest => join.method(AlignMethod::Nearest),
            Method::Linear => join.method(AlignMethod::Linear),
            Method::Slerp => join.method(AlignMethod::Linear).quaternions(values.clone()),
            Method::Window(of) => join.method(AlignMethod::Window(match of {
                WindowValue::Mean => Aggregate::Mean,
                WindowValue::Min => Aggregate::Min,
                WindowValue::Max => Aggregate::Max,
                WindowValue::Last => Aggregate::Last,
                WindowValue::Count => Aggregate::Count,
            })),
        };
        self.add(join.tolerance(feature.tolerance_secs).age(&age));
        let mut held_stamp = None;
        if feature.missing == Missing::Hold {
            self.add(self.named(feature, track, &wanted, joints, held));
            held_stamp = Some(held(feature, track, TIMESTAMP_COLUMN));
        }
        let before = format!("{}/{track}/before", feature.name);
        let last = Join::track(track).columns([TIMESTAMP_COLUMN]).rename(TIMESTAMP_COLUMN, &before);
        self.add(self.whole_rows(last, feature, track, &wanted, joints));
        let is_between = matches!(feature.method, Method::Linear | Method::Slerp);
        let period =
            self.periods.get(track).filter(|_| is_between && feature.tolerance_secs.is_infinite());
        let gap_secs = period.map_or(f64::INFINITY, |period| period * GAP_PERIODS);
        Ok(TrackColumns { stamp, age, held_stamp, gap_secs, before })
    }

    /// A join of these columns under names of their own.
    fn named(
        &self,
        feature: &Feature,
        track: &str,
        columns: &[String],
        joints: Option<&[String]>,
        name: fn(&Feature, &str, &str) -> String,
    ) -> Join {
        let columns: Vec<&str> =
            columns.iter().map(String::as_str).chain([TIMESTAMP_COLUMN]).collect();
        let mut join = Join::track(track).columns(columns.iter().copied());
        for column in &columns {
            join = join.rename(*column, name(feature, track, column));
        }
        self.whole_rows(join, feature, track, &columns, joints)
    }

    /// Leaves rows out that have no value for the feature, and puts joints in order.
    fn whole_rows<C: AsRef<str>>(
        &self,
        join: Join,
        feature: &Feature,
        track: &str,
        columns: &[C],
        joints: Option<&[String]>,
    ) -> Join {
        let is_window = matches!(feature.method, Method::Window(_));
        match (joints, self.partial) {
            (Some(joints), _) => in_order(join, feature, track, joints),
            (None, PartialRows::LeaveOut) if !is_window => {
                let columns = columns.iter().map(AsRef::as_ref);
                let columns = columns.filter(|column| *column != TIMESTAMP_COLUMN);
                let columns: Vec<Column> = columns.map(Column::from).collect();
                join.each_row(move |fields| {
                    columns.iter().all(|column| value(fields, column).is_some())
                })
            }
            (None, _) => join,
        }
    }

    fn add(&mut self, join: Join) {
        let align = std::mem::replace(&mut self.align, Align::at_rate(1.0));
        self.align = align.join(join);
    }

    /// The source of a picture, with the column that names its file.
    fn file_source(&mut self, feature: &Feature, source: &Source) -> Result<Source, ExportError> {
        let known = self.columns_of(feature, &source.track)?;
        let column = match &source.column {
            None => FILE_COLUMN.to_owned(),
            Some(prefix) => {
                let below = format!("{prefix}.{FILE_COLUMN}");
                if known.contains(&below) { below } else { prefix.clone() }
            }
        };
        Ok(Source { column: Some(column), ..source.clone() })
    }

    fn columns_of(&mut self, feature: &Feature, track: &str) -> Result<Vec<String>, ExportError> {
        if let Some(columns) = self.columns.get(track) {
            return Ok(columns.clone());
        }
        let columns = self.experiment.tracks(track).columns();
        let columns = columns.map_err(ExportError::track(self.name))?.unwrap_or_default();
        self.check(feature, &self.topics, &format!("track `{track}`"), track)?;
        self.columns.insert(track.to_owned(), columns.clone());
        Ok(columns)
    }

    fn check(
        &self,
        feature: &Feature,
        existing: &[String],
        what: &str,
        wanted: &str,
    ) -> Result<(), ExportError> {
        if existing.iter().any(|known| known == wanted) {
            return Ok(());
        }
        Err(ExportError::NotRecorded {
            experiment: self.name.to_owned(),
            feature: feature.name.clone(),
            what: what.to_owned(),
            existing: existing.to_vec(),
        })
    }
}

/// The joined name of a column. No feature's name has a `/`, so that no two are the same.
fn joined(feature: &Feature, track: &str, column: &str) -> String {
    format!("{}/{track}/:{column}", feature.name)
}

fn held(feature: &Feature, track: &str, column: &str) -> String {
    format!("{}/{track}/held:{column}", feature.name)
}
