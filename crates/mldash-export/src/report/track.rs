//! One pass over a track's rows: everything that the report says of it, in bounded memory. Columns that are not shown are
//! not decoded.

use std::collections::{BTreeSet, HashMap};

use mldash_track::{Experiment, Query, Row, TrackError, TrackInfo, Value, one_line};

use super::columns::{self, MAX_NAMED, MAX_SERIES, MAX_TEXTS, MAX_WIDTH, Role, Shown};
use super::envelope::{Envelope, Points};
use super::intervals::{IntervalMeter, Intervals};
use super::limits::ReportLimits;
use super::samples::samples;
use super::spread::{Bulk, Spread};
use super::texts::{Texts, cut};
use super::views::{Pictures, Scans};
use crate::error::ExportError;
use crate::progress::Progress;
use crate::values::{describe, push_numbers};

/// Rows between looks at whether the report is to stop.
const CHECK_ROWS: u64 = 4096;
/// The elements of points and rotations.
const AXES: [&str; 4] = ["x", "y", "z", "w"];
/// Names of frames of one track.
const MAX_FRAMES: usize = 1000;
/// Of the lags' histogram.
const LAG_BARS: usize = 60;

/// A track before the pass over it: what there is to see.
pub(crate) struct Opened {
    pub(crate) info: TrackInfo,
    /// Topics that it is recorded from, with their types.
    pub(crate) sources: Vec<(String, Option<String>)>,
    pub(crate) shown: Shown,
}

/// How much may be kept of each track, so that all of them fit on the page.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) max_points: usize,
    /// Of a column of text.
    pub(crate) max_changes: usize,
    /// For names of frames.
    pub(crate) frames_bytes: usize,
}

/// What a pass over a track's rows has found. Times are in seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrackSummary {
    pub(crate) topic: String,
    pub(crate) sources: Vec<(String, Option<String>)>,
    pub(crate) rows: u64,
    pub(crate) span: Option<(f64, f64)>,
    pub(crate) intervals: Option<Intervals>,
    /// Receive time less stamp, where the receive time was recorded.
    pub(crate) lag: Option<Bulk>,
    pub(crate) points: Points,
    /// What the points' series are.
    pub(crate) series: Vec<SeriesName>,
    /// The series of x and y of a path.
    pub(crate) path: Option<(usize, usize)>,
    pub(crate) texts: Vec<(String, Texts)>,
    /// Frames that its rows name; of transforms, both ends.
    pub(crate) frames: BTreeSet<String>,
    pub(crate) shown: Shown,
    pub(crate) scans: Option<Scans>,
    pub(crate) pictures: Option<Pictures>,
    /// Why not all of it could be read.
    pub(crate) problem: Option<String>,
}

/// The name of a curve.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeriesName {
    pub(crate) column: String,
    /// Of an element of a list.
    pub(crate) element: Option<String>,
}

impl Opened {
    /// Looks at some rows of a track.
    pub(crate) fn new(
        experiment: &Experiment,
        info: TrackInfo,
        limits: &ReportLimits,
    ) -> Result<Self, String> {
        let track = experiment.tracks(&info.topic);
        // To find out takes a look at the rows, which is spared where all may be taken.
        if limits.max_row_bytes < usize::MAX {
            let bytes = track.rows_weight().map_err(|error| one_line(&error))?;
            if bytes > limits.max_row_bytes {
                return Err(format!(
                    "its rows take up to {} MiB of memory, and {} MiB are allowed here",
                    bytes.div_ceil(1 << 20),
                    limits.max_row_bytes >> 20
                ));
            }
        }
        Self::look(experiment, info).map_err(|error| one_line(&error))
    }

    fn look(experiment: &Experiment, info: TrackInfo) -> Result<Self, TrackError> {
        let track = experiment.tracks(&info.topic);
        let schemas = track.schemas()?;
        let samples = samples(experiment, &info)?;
        let shown = columns::choose(&info.columns, &samples, &schemas);
        let mut sources: Vec<(String, Option<String>)> = Vec::new();
        for schema in &schemas {
            let source = (schema.source().to_owned(), schema.of_type().map(str::to_owned));
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        Ok(Self { info, sources, shown })
    }

    /// How many columns of text it has.
    pub(crate) fn texts(&self) -> usize {
        let is_text = |(_, role): &&(String, Role)| *role == Role::Text;
        self.shown.columns.iter().filter(is_text).count()
    }

    /// How many curves it has.
    pub(crate) fn width(&self) -> usize {
        let width = |role: &Role| match role {
            Role::Numbers(width) => *width,
            _ => 0,
        };
        self.shown.columns.iter().map(|(_, role)| width(role)).sum()
    }
}

/// What to do with a column of a row.
#[derive(Clone, Copy)]
enum Sink {
    /// The first of its series, and how many there are.
    Series(usize, usize),
    Text(usize),
    Frame,
    Received,
    Unknown,
    /// Not shown, as is said.
    LeftOut,
}

/// Takes rows one by one.
struct Pass {
    sinks: Vec<(String, Sink)>,
    by_name: HashMap<String, usize>,
    intervals: IntervalMeter,
    /// Has many bins, of which only the bulk is kept.
    lag: Spread,
    room: Room,
    envelope: Envelope,
    summary: TrackSummary,
    numbers: Vec<f64>,
}

impl TrackSummary {
    /// Goes through all rows of a track. A track that can't be read to its end has what was read, and a problem.
    pub(crate) fn of(
        experiment: &Experiment,
        opened: &Opened,
        room: Room,
        progress: &Progress,
    ) -> Result<Self, ExportError> {
        let mut pass = Pass::new(opened, room);
        let names = opened.shown.columns.iter().map(|(name, _)| name.clone());
        let rows = experiment.tracks(&opened.info.topic).rows(&Query::all().columns(names));
        let mut rows = match rows {
            Ok(rows) => rows,
            Err(error) => return Ok(pass.finish(Some(one_line(&error)))),
        };
        let mut since_check = 0;
        let problem = loop {
            match rows.next() {
                None => break None,
                Some(Err(error)) => break Some(one_line(&error)),
                Some(Ok(row)) => pass.take(&row),
            }
            since_check += 1;
            if since_check == CHECK_ROWS {
                progress.add(since_check);
                progress.check()?;
                since_check = 0;
            }
        };
        progress.add(since_check);
        Ok(pass.finish(problem))
    }
}

impl Pass {
    fn new(opened: &Opened, room: Room) -> Self {
        let Opened { info, sources, shown } = opened;
        let mut pass = Self {
            sinks: Vec::new(),
            by_name: HashMap::new(),
            intervals: IntervalMeter::default(),
            lag: Spread::default(),
            room,
            envelope: Envelope::new(room.max_points),
            summary: TrackSummary {
                topic: info.topic.clone(),
                sources: sources.clone(),
                shown: shown.clone(),
                ..TrackSummary::default()
            },
            numbers: Vec::new(),
        };
        for (name, role) in &shown.columns {
            let sink = match role {
                Role::Numbers(width) => pass.add_series(name, *width),
                Role::Text => pass.add_text(name),
                Role::Frame => Sink::Frame,
                Role::Received => Sink::Received,
                Role::Unknown => Sink::Unknown,
            };
            pass.by_name.insert(name.clone(), pass.sinks.len());
            pass.sinks.push((name.clone(), sink));
        }
        pass
    }

    fn add_series(&mut self, name: &str, width: usize) -> Sink {
        let first = self.summary.series.len();
        for element in 0..width {
            self.envelope.add_series();
            let shown = &self.summary.shown;
            let axis = AXES.get(element).filter(|_| shown.axes.iter().any(|axes| axes == name));
            let label = || match (axis, shown.labels.get(element)) {
                (Some(axis), _) => (*axis).to_owned(),
                (None, Some(label)) => label.clone(),
                (None, None) => element.to_string(),
            };
            let element = (width > 1).then(label);
            self.summary.series.push(SeriesName { column: name.to_owned(), element });
        }
        if self.summary.shown.path.as_deref() == Some(name) && width > 1 {
            self.summary.path = Some((first, first + 1));
        }
        Sink::Series(first, width)
    }

    fn add_text(&mut self, name: &str) -> Sink {
        self.summary.texts.push((name.to_owned(), Texts::new(self.room.max_changes)));
        Sink::Text(self.summary.texts.len() - 1)
    }

    fn take(&mut self, row: &Row) {
        let ts = row.ts.as_secs();
        self.summary.rows += 1;
        self.summary.span = Some((self.summary.span.map_or(ts, |(first, _)| first), ts));
        self.intervals.step(ts);
        self.envelope.begin_row(ts);
        // Rows mostly have the same columns in the same order.
        let mut hint = 0;
        for (name, value) in row.fields.iter() {
            let place = match self.sinks.get(hint) {
                Some((known, _)) if **known == **name => Some(hint),
                _ => self.by_name.get(&**name).copied(),
            };
            let Some(place) = place else { continue };
            hint = place + 1;
            self.take_value(place, ts, value);
        }
    }

    fn take_value(&mut self, place: usize, ts: f64, value: &Value) {
        let Some((name, sink)) = self.sinks.get(place) else { return };
        let sink = match sink {
            Sink::Unknown => {
                let name = name.clone();
                let sink = self.sink_of(&name, value);
                if let Some((_, known)) = self.sinks.get_mut(place) {
                    *known = sink;
                }
                sink
            }
            known => *known,
        };
        match (sink, value) {
            (Sink::Series(first, width), value) => {
                self.numbers.clear();
                // A value of another kind has no place in a curve.
                if push_numbers(value, None, &mut self.numbers).is_ok() {
                    for (place, number) in self.numbers.iter().take(width).enumerate() {
                        self.envelope.put(first + place, *number);
                    }
                }
            }
            (Sink::Text(place), Value::Text(text)) => {
                if let Some((_, texts)) = self.summary.texts.get_mut(place) {
                    texts.put(ts, text);
                }
            }
            (Sink::Frame, Value::Text(text)) => {
                let frames = &mut self.summary.frames;
                let name = text.trim_start_matches('/');
                if frames.len() < MAX_FRAMES && !frames.contains(name) && !name.is_empty() {
                    let name = cut(name);
                    if let Some(left) = self.room.frames_bytes.checked_sub(name.len()) {
                        self.room.frames_bytes = left;
                        frames.insert(name);
                    }
                }
            }
            (Sink::Received, value) => {
                self.numbers.clear();
                if push_numbers(value, None, &mut self.numbers).is_ok()
                    && let [received] = self.numbers[..]
                    && received.is_finite()
                {
                    self.lag.add(received - ts);
                }
            }
            (Sink::Text(_) | Sink::Frame | Sink::Unknown | Sink::LeftOut, _) => {}
        }
    }

    /// What a column is that none of the samples had, now that it has a value.
    fn sink_of(&mut self, name: &str, value: &Value) -> Sink {
        self.numbers.clear();
        let is_text = matches!(value, Value::Text(_));
        let is_number = push_numbers(value, None, &mut self.numbers).is_ok();
        let (width, series) = (self.numbers.len(), self.summary.series.len());
        if matches!(value, Value::Null) || (is_number && width == 0) {
            return Sink::Unknown;
        }
        if is_text && self.summary.texts.len() < MAX_TEXTS {
            return self.add_text(name);
        }
        let is_plotted = is_number && width <= MAX_WIDTH;
        if is_plotted && series + width <= MAX_SERIES {
            return self.add_series(name, width);
        }
        let what = if is_text || is_plotted { "one too many".to_owned() } else { describe(value) };
        let left_out = &mut self.summary.shown.left_out;
        if left_out.len() < MAX_NAMED {
            left_out.push(format!("{name} ({what})"));
        }
        Sink::LeftOut
    }

    fn finish(self, problem: Option<String>) -> TrackSummary {
        let Self { intervals, lag, envelope, mut summary, .. } = self;
        summary.intervals = intervals.finish();
        summary.lag = lag.bulk(LAG_BARS);
        summary.points = envelope.finish();
        summary.problem = problem;
        summary.texts.iter_mut().for_each(|(_, texts)| texts.finish());
        summary
    }
}
