//! A time range of a track: iteration over its rows, and lookup of single rows by time.

use std::ops::RangeBounds;

use parking_lot::Mutex;

use super::error::TrackError;
use super::format::{RowSource, TypedColumns};
use super::local::Lookup;
use super::query::Query;
use super::row::{Column, ColumnType, Row, RowSchema, Timestamp};
use super::rows::{Rows, SelectedRows};
use super::track::Track;

/// A snapshot of a track's rows in a time range, from [`Track::slice`]. Nothing is loaded until it
/// is needed.
///
/// ```
/// # use mldash_track::{fields, Experiment, Options};
/// # let root = tempfile::tempdir()?;
/// # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
/// let pose = exp.tracks("robot/pose");
/// for ts in [1.0, 3.0, 5.0] {
///     pose.append(fields! { "q": ts }, ts)?;
/// }
/// let slice = pose.slice(0.0..=10.0)?;
/// assert_eq!(slice.find_by_time(4.9)?.ts.as_secs(), 3.0);
/// assert_eq!(slice.find_nearest(4.9, 0.5)?.ts.as_secs(), 5.0);
/// assert!(slice.find_by_time(0.5).is_err()); // before the first row
/// for row in &slice {
///     println!("{} {:?}", row?.ts, slice.topic());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Slice {
    pub(super) selection: SelectedRows,
    /// Keeps what the last lookup read.
    lookup: Mutex<Option<Lookup>>,
}

/// Why there is no row for a time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The slice is empty.
    #[error("track `{topic}`: the slice has no rows")]
    NoRows {
        /// The track.
        topic: String,
    },
    /// The time is before all rows.
    #[error("track `{topic}`: no row at {secs} or before; the first is at {first}")]
    BeforeFirst {
        /// The track.
        topic: String,
        /// The requested time in seconds.
        secs: f64,
        /// The slice's first row.
        first: Timestamp,
    },
    /// The nearest row is too far away.
    #[error(
        "track `{topic}`: no row within {tolerance_secs} s of {secs}; the nearest is at {nearest}"
    )]
    NoneNear {
        /// The track.
        topic: String,
        /// The requested time in seconds.
        secs: f64,
        /// The maximum distance of a row.
        tolerance_secs: f64,
        /// The nearest row.
        nearest: Timestamp,
    },
    /// The requested time is NaN.
    #[error("track `{topic}`: can't look up the time NaN; give a number of seconds")]
    NotANumber {
        /// The track.
        topic: String,
    },
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] TrackError),
}

/// Returns true if `ts` is within `tolerance_secs` of `secs`, up to the resolution of such times:
/// 1.1 is within 0.1 of 1.0.
pub(super) fn is_within(ts: Timestamp, secs: f64, tolerance_secs: f64) -> bool {
    let larger = ts.as_secs().abs().max(secs.abs());
    let resolution = larger.next_up() - larger;
    (ts.as_secs() - secs).abs() <= tolerance_secs + resolution
}

impl Track {
    /// The rows whose time, in seconds, lies in `range`, for iteration and lookup.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn slice(&self, range: impl RangeBounds<f64>) -> Result<Slice, TrackError> {
        let selection = self.select(&Query::range(range))?;
        let lookup = Mutex::new(selection.lookup());
        Ok(Slice { selection, lookup })
    }
}

impl Slice {
    /// The track's topic.
    pub fn topic(&self) -> &str {
        self.selection.topic()
    }

    /// Iterates over the rows in order of time, holding one at a time.
    pub fn rows(&self) -> Rows {
        self.selection.rows()
    }

    /// What each source of the track, such as a topic, declared of its rows.
    pub fn sources(&self) -> &[RowSchema] {
        self.selection.sources()
    }

    /// The columns of the rows with the types that typed formats give them: the declared ones, then
    /// others. Looks through all rows.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn columns(&self) -> Result<Vec<(Column, ColumnType)>, TrackError> {
        Ok(TypedColumns::of(&self.selection)?.columns)
    }

    /// The times of the track's first and last row, in the slice or not.
    pub fn track_span(&self) -> Option<(Timestamp, Timestamp)> {
        self.selection.span()
    }

    /// Number of rows.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn count_rows(&self) -> Result<u64, TrackError> {
        self.rows().count_unparsed()
    }

    /// The row in effect at `secs`: the last one at or before it.
    ///
    /// # Errors
    /// Fails if the time is before the first row, the slice is empty or the store can't be read.
    pub fn find_by_time(&self, secs: f64) -> Result<Row, FindError> {
        let mut lookup = self.lookup.lock();
        let lookup = self.non_empty(&mut lookup, secs)?;
        match lookup.floor(secs).map_err(TrackError::from)? {
            Some(ts) => self.row(lookup, ts),
            None => match lookup.ceil(secs).map_err(TrackError::from)? {
                Some(first) => {
                    Err(FindError::BeforeFirst { topic: self.topic().to_owned(), secs, first })
                }
                None => Err(self.no_rows()),
            },
        }
    }

    /// Like [`find_by_time`](Self::find_by_time) for each of `times`, in order.
    ///
    /// # Errors
    /// As [`find_by_time`](Self::find_by_time), for the first time that has no row.
    pub fn find_by_times(
        &self,
        times: impl IntoIterator<Item = f64>,
    ) -> Result<Vec<Row>, FindError> {
        times.into_iter().map(|secs| self.find_by_time(secs)).collect()
    }

    /// The row nearest to `secs` and at most `tolerance_secs` away; of two equally near, the
    /// earlier.
    ///
    /// # Errors
    /// Fails if no row is that near, the slice is empty or the store can't be read.
    pub fn find_nearest(&self, secs: f64, tolerance_secs: f64) -> Result<Row, FindError> {
        let mut lookup = self.lookup.lock();
        let lookup = self.non_empty(&mut lookup, secs)?;
        let floor = lookup.floor(secs).map_err(TrackError::from)?;
        let ceil = lookup.ceil(secs).map_err(TrackError::from)?;
        let nearest = nearer(floor, ceil, secs).ok_or_else(|| self.no_rows())?;
        if !is_within(nearest, secs, tolerance_secs) {
            let topic = self.topic().to_owned();
            return Err(FindError::NoneNear { topic, secs, tolerance_secs, nearest });
        }
        self.row(lookup, nearest)
    }

    fn non_empty<'a>(
        &self,
        lookup: &'a mut Option<Lookup>,
        secs: f64,
    ) -> Result<&'a mut Lookup, FindError> {
        if secs.is_nan() {
            return Err(FindError::NotANumber { topic: self.topic().to_owned() });
        }
        lookup.as_mut().ok_or_else(|| self.no_rows())
    }

    fn no_rows(&self) -> FindError {
        FindError::NoRows { topic: self.topic().to_owned() }
    }

    fn row(&self, lookup: &mut Lookup, ts: Timestamp) -> Result<Row, FindError> {
        let raw = lookup.row(ts).map_err(TrackError::from)?.ok_or_else(|| self.no_rows())?;
        Ok(self.selection.parse(&raw)?)
    }
}

impl IntoIterator for &Slice {
    type Item = Result<Row, TrackError>;
    type IntoIter = Rows;

    fn into_iter(self) -> Rows {
        self.rows()
    }
}

impl IntoIterator for Slice {
    type Item = Result<Row, TrackError>;
    type IntoIter = Rows;

    fn into_iter(self) -> Rows {
        self.rows()
    }
}

/// The nearer of the times below and above `secs`; the earlier of two equally near.
pub(super) fn nearer(
    below: Option<Timestamp>,
    above: Option<Timestamp>,
    secs: f64,
) -> Option<Timestamp> {
    match (below, above) {
        (Some(below), Some(above)) if above.as_secs() - secs < secs - below.as_secs() => {
            Some(above)
        }
        (below, above) => below.or(above),
    }
}
