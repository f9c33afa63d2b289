//! Says what to join for each feature, and under which names.

use std::collections::HashMap;

use mldash_track::{
    Aggregate, Align, AlignMethod, Column, Experiment, Join, TIMESTAMP_COLUMN, TrackInfo,
};

use super::joints::{check_names, in_order, names_beside};
use super::{FeatureColumns, PartialRows, SourceColumn, TrackColumns, value};
use crate::error::ExportError;
use crate::recipe::{Content, Feature, Method, Missing, Numbers, Recipe, Source, WindowValue};

/// The column that names a picture's file, and the end of its name within other messages.
const FILE_COLUMN: &str = "path";

/// So many times the usual distance between a track's rows make a gap.
const GAP_PERIODS: f64 = 5.0;

/// Collects joins.
pub(super) struct Joining<'a> {
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

/// A track, as a feature takes it.
#[derive(Clone, Copy)]
struct TrackOf<'a> {
    feature: &'a Feature,
    track: &'a str,
    joints: Option<&'a [String]>,
}

impl TrackOf<'_> {
    /// The joined name of a column. No feature's name has a `/`, so that no two are the same.
    fn joined(&self, column: &str) -> String {
        format!("{}/{}/:{column}", self.feature.name, self.track)
    }

    /// The joined name of a column's last value, however old.
    fn held(&self, column: &str) -> String {
        format!("{}/{}/held:{column}", self.feature.name, self.track)
    }

    /// The joined name of the time of the last row before a tick.
    fn before(&self) -> String {
        format!("{}/{}/before", self.feature.name, self.track)
    }
}

impl<'a> Joining<'a> {
    pub(super) fn new(
        recipe: &Recipe,
        name: &'a str,
        experiment: &'a Experiment,
        tracks: &[TrackInfo],
        partial: PartialRows,
    ) -> Self {
        Self {
            partial,
            align: Align::at_rate(f64::from(recipe.fps)),
            experiment,
            name,
            topics: tracks.iter().map(|track| track.topic.clone()).collect(),
            periods: tracks.iter().filter_map(|t| Some((t.topic.clone(), period(t)?))).collect(),
            columns: HashMap::new(),
        }
    }

    /// All joins so far.
    pub(super) fn into_align(self) -> Align {
        self.align
    }

    /// Adds what a feature needs.
    pub(super) fn feature(&mut self, feature: &Feature) -> Result<FeatureColumns, ExportError> {
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
        let columns =
            tracks.iter().map(|track| self.join(TrackOf { feature, track, joints }, &sources));
        let track_columns = columns.collect::<Result<_, _>>()?;
        let holds = feature.missing == Missing::Hold;
        let named = |source: &Source| {
            let column = source.column.as_deref().unwrap_or_default();
            let of = TrackOf { feature, track: &source.track, joints };
            SourceColumn {
                value: of.joined(column),
                held: holds.then(|| of.held(column)),
                elements: source.elements,
                stamp: of.joined(TIMESTAMP_COLUMN),
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
    fn join(&mut self, of: TrackOf<'_>, sources: &[Source]) -> Result<TrackColumns, ExportError> {
        let TrackOf { feature, track, joints } = of;
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
        let stamp = of.joined(TIMESTAMP_COLUMN);
        let age = of.joined("");
        let mut join = self.named(of, &wanted, |column| of.joined(column));
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
            self.add(self.named(of, &wanted, |column| of.held(column)));
            held_stamp = Some(of.held(TIMESTAMP_COLUMN));
        }
        let before = of.before();
        let last = Join::track(track).columns([TIMESTAMP_COLUMN]).rename(TIMESTAMP_COLUMN, &before);
        self.add(self.whole_rows(last, of, &wanted));
        let is_between = matches!(feature.method, Method::Linear | Method::Slerp);
        let period =
            self.periods.get(track).filter(|_| is_between && feature.tolerance_secs.is_infinite());
        let gap_secs = period.map_or(f64::INFINITY, |period| period * GAP_PERIODS);
        Ok(TrackColumns { stamp, age, held_stamp, gap_secs, before })
    }

    /// A join of these columns under names of their own.
    fn named(&self, of: TrackOf<'_>, columns: &[String], name: impl Fn(&str) -> String) -> Join {
        let columns: Vec<&str> =
            columns.iter().map(String::as_str).chain([TIMESTAMP_COLUMN]).collect();
        let mut join = Join::track(of.track).columns(columns.iter().copied());
        for column in &columns {
            join = join.rename(*column, name(column));
        }
        self.whole_rows(join, of, &columns)
    }

    /// Leaves rows out that have no value for the feature, and puts joints in order.
    fn whole_rows<C: AsRef<str>>(&self, join: Join, of: TrackOf<'_>, columns: &[C]) -> Join {
        let TrackOf { feature, track, joints } = of;
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

fn period(track: &TrackInfo) -> Option<f64> {
    let steps = track.total_entries.checked_sub(1).filter(|steps| *steps > 0)?;
    Some((track.last_timestamp? - track.first_timestamp?) / steps as f64)
}
