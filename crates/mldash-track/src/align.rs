//! Tracks joined by time: one row per row of one track, with the values that the others held at
//! that time. Every track is read once, in step; nothing is loaded whole.

mod join;
mod names;

use std::collections::HashSet;
use std::io::Write;
use std::ops::RangeBounds;

use super::error::TrackError;
use super::experiment::Experiment;
use super::format::{self, About, Export, RowSource, RowStream};
use super::query::Query;
use super::row::{Column, ColumnType, Row, TIMESTAMP_COLUMN};
use super::rows::{Rows, SelectedRows};
use join::Joined;
use names::Prefix;

/// Which tracks to join, and how; for [`Experiment::align`].
///
/// ```
/// use mldash_track::{Align, AlignMethod};
/// let align = Align::on("camera/info")
///     .with(["robot/pose", "arm/joints"])
///     .method(AlignMethod::Nearest)
///     .tolerance(0.02);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Align {
    on: String,
    with: Vec<String>,
    method: AlignMethod,
    tolerance_secs: f64,
    query: Query,
}

/// Which row of another track to join at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlignMethod {
    /// The last row at or before it: what was known at that time.
    #[default]
    Floor,
    /// The nearest row; of two equally near, the earlier.
    Nearest,
}

impl Align {
    /// Creates one row per row of the track `on`.
    pub fn on(topic: impl Into<String>) -> Self {
        Self {
            on: topic.into(),
            with: Vec::new(),
            method: AlignMethod::default(),
            tolerance_secs: f64::INFINITY,
            query: Query::all(),
        }
    }

    /// Joins these tracks. Their columns are named `<topic>.<column>`, or `<topic>:<column>` where
    /// one of these names is taken.
    pub fn with<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.with.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Sets which of their rows to join at a time.
    pub fn method(mut self, method: AlignMethod) -> Self {
        self.method = method;
        self
    }

    /// Skips rows that are further away than this, in seconds.
    pub fn tolerance(mut self, secs: f64) -> Self {
        self.tolerance_secs = secs;
        self
    }

    /// Uses only the rows of `on` whose `_ts`, in seconds, lies in `range`.
    pub fn range(mut self, range: impl RangeBounds<f64>) -> Self {
        self.query = Query::range(range);
        self
    }
}

/// Why tracks can't be joined.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AlignError {
    /// A track that was not recorded.
    #[error("there is no track `{topic}` to align; there are: {}", existing.join(", "))]
    NoTrack {
        /// The requested topic.
        topic: String,
        /// The existing topics.
        existing: Vec<String>,
    },
    /// A track would be joined twice.
    #[error("track `{0}` is named twice; name it once")]
    Twice(String),
    /// Two columns of the joined rows would have one name.
    #[error(
        "tracks `{first}` and `{second}` would both give column `{column}`; join them separately"
    )]
    ColumnTwice {
        /// Its name in the joined rows.
        column: String,
        /// A track with this column.
        first: String,
        /// The other one.
        second: String,
    },
    /// The tolerance is not a number from 0 up.
    #[error("the tolerance must be a number of seconds from 0 up, got {0}")]
    Tolerance(f64),
}

/// Tracks joined by time, as a snapshot from when they were aligned. Each row has the columns of
/// the track that it is aligned on under their own names. For every other track it has
/// `<topic>.<column>` and, as `<topic>.timestamp`, the time of the row that was found. These are
/// absent if no row was found.
///
/// If one of a track's names would equal another column's, all of them have `:` in place of the
/// first dot. An example is `pose.pose.position` of the track `pose` beside a track of odometry.
#[derive(Debug)]
pub struct Aligned {
    on: SelectedRows,
    on_columns: HashSet<String>,
    with: Vec<(SelectedRows, Prefix)>,
    method: AlignMethod,
    tolerance_secs: f64,
}

/// Joined rows in order of time.
pub struct AlignedRows {
    on: Rows,
    with: Vec<Joined>,
}

impl Experiment {
    /// Joins tracks by time.
    ///
    /// ```
    /// # use mldash_track::{fields, Align, Experiment, Format, Options};
    /// # let root = tempfile::tempdir()?;
    /// # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
    /// exp.tracks("camera").append(fields! { "frame": 7 }, 1.0)?;
    /// exp.tracks("arm").append(fields! { "q": [0.5, 1.5] }, 0.98)?;
    /// let aligned = exp.align(&Align::on("camera").with(["arm"]).tolerance(0.05))?;
    /// let text = String::from_utf8(aligned.export(Format::Jsonl)?)?;
    /// assert_eq!(text, r#"{"timestamp":1.0,"frame":7,"arm.timestamp":0.98,"arm.q":[0.5,1.5]}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Fails if a track was not recorded or is named twice, the tolerance is not a number from 0
    /// up, or the store can't be read.
    pub fn align(&self, align: &Align) -> Result<Aligned, TrackError> {
        if align.tolerance_secs.is_nan() || align.tolerance_secs < 0.0 {
            return Err(AlignError::Tolerance(align.tolerance_secs).into());
        }
        let on = self.select_recorded(&align.on, &align.query)?;
        let with: Vec<SelectedRows> = (align.with.iter())
            .map(|topic| self.select_recorded(topic, &Query::all())?.reaching(&align.query))
            .collect::<Result<_, _>>()?;
        let prefixes = names::prefixes(&on, &with)?;
        let with = with.into_iter().zip(prefixes).collect();
        let on_columns = on.columns().into_iter().collect();
        let (method, tolerance_secs) = (align.method, align.tolerance_secs);
        Ok(Aligned { on, on_columns, with, method, tolerance_secs })
    }

    /// A misspelt name must not look like a track without rows.
    fn select_recorded(&self, topic: &str, query: &Query) -> Result<SelectedRows, TrackError> {
        let selection = self.tracks(topic).select(query)?;
        if !selection.exists() {
            let existing = self.list()?.into_iter().map(|track| track.topic).collect();
            return Err(AlignError::NoTrack { topic: topic.to_owned(), existing }.into());
        }
        Ok(selection)
    }
}

impl Aligned {
    /// Iterates over the joined rows from the first. Every call gives the same rows.
    pub fn rows(&self) -> AlignedRows {
        let with = self.with.iter();
        AlignedRows {
            on: self.on.rows(),
            with: with
                .map(|(s, prefix)| Joined::new(s, prefix, self.method, self.tolerance_secs))
                .collect(),
        }
    }

    /// Returns the joined rows as a file.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn export(&self, export: impl Into<Export>) -> Result<Vec<u8>, TrackError> {
        let mut out = Vec::new();
        self.export_to(export, &mut out)?;
        Ok(out)
    }

    /// Like [`export`](Self::export), but writes to `out` as it goes.
    ///
    /// # Errors
    /// Fails if the store can't be read or `out` can't be written.
    pub fn export_to(
        &self,
        export: impl Into<Export>,
        out: &mut (dyn Write + Send),
    ) -> Result<(), TrackError> {
        format::write(export.into(), self, out)
    }
}

impl RowSource for Aligned {
    type Rows = AlignedRows;

    fn rows(&self) -> AlignedRows {
        self.rows()
    }

    fn declared(&self) -> Vec<(Column, ColumnType)> {
        let joined = self.with.iter().flat_map(|(selection, prefix)| {
            let timestamp = (TIMESTAMP_COLUMN.into(), ColumnType::Float);
            let columns = [timestamp].into_iter().chain(selection.declared());
            columns.map(|(name, ty)| (prefix.joined(&name), ty))
        });
        self.on.declared().into_iter().chain(joined).collect()
    }

    fn group(&self, column: &str) -> usize {
        let with = self.with.iter().position(|(_, prefix)| prefix.is_of(column));
        with.filter(|_| !self.on_columns.contains(column)).map_or(0, |place| place + 1)
    }

    fn about(&self) -> About {
        About::topic(self.on.topic().to_owned(), true)
    }
}

impl Iterator for AlignedRows {
    type Item = Result<Row, TrackError>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.on.next()?;
        Some(row.and_then(|mut row| {
            for joined in &mut self.with {
                joined.add_to(&mut row.fields, row.ts)?;
            }
            Ok(row)
        }))
    }
}

impl RowStream for AlignedRows {}
