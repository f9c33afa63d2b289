//! Tracks joined by time: one row per row of one track, or per tick of a fixed rate, with the values
//! that the others had then. Every track is read in step, forwards; nothing is loaded whole.

mod aligned;
mod error;
mod interpolate;
mod join;
mod names;
mod ticks;
mod window;

use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;

use super::query::Query;
use super::row::Fields;
pub use aligned::{Aligned, AlignedRows};
pub use error::AlignError;

/// Which tracks to join, when, and how; for [`Experiment::align`](super::Experiment::align).
///
/// ```
/// use mldash_track::{Align, AlignMethod, Join, Missing};
/// let joints = Join::track("arm/joints")
///     .method(AlignMethod::Linear)
///     .columns(["position"])
///     .rename("position", "q")
///     .age("q.age");
/// let align = Align::on("camera/info").join(joints).with(["robot/pose"]).tolerance(0.02);
/// let grid = Align::at_rate(20.0).with(["robot/pose"]).missing(Missing::Drop).range(10.0..=60.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Align {
    base: Base,
    joins: Vec<Join>,
    defaults: Rules,
    query: Query,
}

/// When there is a row.
#[derive(Clone, Debug, PartialEq)]
enum Base {
    /// At each row of a track, which also gives its columns.
    Track { topic: String, columns: Option<Vec<String>>, renames: Vec<(String, String)> },
    /// So many times a second.
    Rate(f64),
}

/// A track to join, and how; for [`Align::join`]. What it leaves open is as [`Align`] says.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    topic: String,
    rules: Rules,
    columns: Option<Vec<String>>,
    renames: Vec<(String, String)>,
    age: Option<String>,
    quaternions: Vec<String>,
    each_row: Option<EachRow>,
}

/// What is done with each row of a joined track before it is joined.
#[derive(Clone)]
struct EachRow(Arc<dyn Fn(&mut Fields) -> bool + Send + Sync>);

/// How to join, as far as it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rules {
    method: Option<AlignMethod>,
    tolerance_secs: Option<f64>,
    missing: Option<Missing>,
}

/// Which values of another track belong to a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlignMethod {
    /// Those of the last row at or before it: what was known at that time.
    #[default]
    Floor,
    /// Those of the nearest row; of two equally near, the earlier.
    Nearest,
    /// Those on the line between the rows before and after it. Numbers, and lists of numbers of one
    /// length, become floats; quaternions turn along the shortest arc. Other values are those of the
    /// row before. There is nothing before the first row and after the last.
    Linear,
    /// What the rows of the step that ends at the time come to: those after the row or tick before,
    /// up to this one.
    Window(Aggregate),
}

/// What the values of a column within a step come to. Nulls are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregate {
    /// The mean of numbers, item by item of lists of one length, as floats; of quaternions, the
    /// direction of their sum. Of other values, the last.
    Mean,
    /// The smallest number, item by item of lists of one length; of other values, the last.
    Min,
    /// The largest number, item by item of lists of one length; of other values, the last.
    Max,
    /// The last value of each column.
    Last,
    /// How many values the column had. Zero is a number: then nothing is missing.
    Count,
}

/// What becomes of a time at which a track has nothing to join.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The row lacks the track's columns.
    #[default]
    Null,
    /// The row has the values of the track's last row at or before the time, however old; before
    /// the first row it lacks them.
    Hold,
    /// There is no row at that time.
    Drop,
    /// The join fails there, with [`AlignError::Missing`].
    Error,
}

impl Align {
    /// Creates one row per row of the track `topic`, with its columns under their own names.
    pub fn on(topic: impl Into<String>) -> Self {
        Self::new(Base::Track { topic: topic.into(), columns: None, renames: Vec::new() })
    }

    /// Creates `hz` rows a second: row `i` is at `start + i / hz` seconds. The grid starts where the
    /// [`range`](Self::range) does, else at the first time at which all tracks have a row. Its end
    /// is that of the range, else the time of the last row of any track.
    pub fn at_rate(hz: f64) -> Self {
        Self::new(Base::Rate(hz))
    }

    fn new(base: Base) -> Self {
        Self { base, joins: Vec::new(), defaults: Rules::default(), query: Query::all() }
    }

    /// Joins a track.
    pub fn join(mut self, join: impl Into<Join>) -> Self {
        self.joins.push(join.into());
        self
    }

    /// Joins these tracks, with all their columns.
    pub fn with<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.joins.extend(topics.into_iter().map(Join::track));
        self
    }

    /// Sets which values to join, for tracks that say nothing else.
    pub fn method(mut self, method: AlignMethod) -> Self {
        self.defaults.method = Some(method);
        self
    }

    /// Leaves rows out that are further away than this, in seconds, for tracks that say nothing
    /// else. Without a tolerance, no row is too far.
    pub fn tolerance(mut self, secs: f64) -> Self {
        self.defaults.tolerance_secs = Some(secs);
        self
    }

    /// Sets what becomes of a time without anything to join, for tracks that say nothing else.
    pub fn missing(mut self, missing: Missing) -> Self {
        self.defaults.missing = Some(missing);
        self
    }

    /// Uses only times, in seconds, in `range`.
    pub fn range(mut self, range: impl RangeBounds<f64>) -> Self {
        self.query = Query::range(range);
        self
    }

    /// Uses no time before `secs`, in seconds. An end that was set stays.
    pub fn since(mut self, secs: f64) -> Self {
        self.query = Query::range(secs..=self.query.end());
        self
    }

    /// Uses no time after `secs`, in seconds. A start that was set stays.
    pub fn until(mut self, secs: f64) -> Self {
        self.query = Query::range(self.query.start()..=secs);
        self
    }

    /// Keeps only these columns of the track that the others are joined to. Says nothing about a
    /// fixed rate, which has no columns.
    pub fn columns<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        if let Base::Track { columns, .. } = &mut self.base {
            *columns = Some(names.into_iter().map(Into::into).collect());
        }
        self
    }

    /// Gives a column of the track that the others are joined to another name. Says nothing about a
    /// fixed rate.
    pub fn rename(mut self, column: impl Into<String>, name: impl Into<String>) -> Self {
        if let Base::Track { renames, .. } = &mut self.base {
            renames.push((column.into(), name.into()));
        }
        self
    }
}

impl Join {
    /// Joins the track `topic`. Its columns are named `<topic>.<column>`, or `<topic>:<column>` where
    /// one of these names is taken.
    pub fn track(topic: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            rules: Rules::default(),
            columns: None,
            renames: Vec::new(),
            age: None,
            quaternions: Vec::new(),
            each_row: None,
        }
    }

    /// Sets which of its values belong to a time.
    pub fn method(mut self, method: AlignMethod) -> Self {
        self.rules.method = Some(method);
        self
    }

    /// Leaves rows out that are further away than this, in seconds. Under
    /// [`Linear`](AlignMethod::Linear), both rows must be as near.
    pub fn tolerance(mut self, secs: f64) -> Self {
        self.rules.tolerance_secs = Some(secs);
        self
    }

    /// Sets what becomes of a time without anything to join.
    pub fn missing(mut self, missing: Missing) -> Self {
        self.rules.missing = Some(missing);
        self
    }

    /// Joins only these columns; `timestamp`, the time of the row, only if it is one of them.
    pub fn columns<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Gives a column, or `timestamp`, this name in the joined rows.
    pub fn rename(mut self, column: impl Into<String>, name: impl Into<String>) -> Self {
        self.renames.push((column.into(), name.into()));
        self
    }

    /// Adds a column of this name: how old the joined values are, in seconds. This is the time
    /// minus that of the row, and below zero if the row is later. Under
    /// [`Linear`](AlignMethod::Linear) it is the distance to the farther of the two rows, and in a
    /// [`Window`](AlignMethod::Window) the age of its last row.
    pub fn age(mut self, name: impl Into<String>) -> Self {
        self.age = Some(name.into());
        self
    }

    /// Takes these columns for quaternions `[x, y, z, w]`, besides those that were recorded from a
    /// `geometry_msgs/msg/Quaternion`.
    pub fn quaternions<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.quaternions = names.into_iter().map(Into::into).collect();
        self
    }

    /// Changes each of its rows before it is joined, or leaves it out by returning false. The
    /// fields have the track's own names, and are those of the columns that it joins. Formats with typed
    /// columns take their types from the changed values.
    ///
    /// ```
    /// # use mldash_track::{fields, Align, AlignMethod, Experiment, Join, Options, Value};
    /// # let root = tempfile::tempdir()?;
    /// # let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
    /// let arm = exp.tracks("arm");
    /// arm.append(fields! { "q": 1.0 }, 1.0)?;
    /// arm.append(fields! { "q": 7.0, "is_test": true }, 1.1)?;
    /// let join = Join::track("arm").each_row(|fields| fields.get("is_test").is_none());
    /// let row = exp.align(&Align::at_rate(1.0).join(join).range(1.2..=1.2))?.rows().next();
    /// assert_eq!(row.ok_or("no row")??.fields.get("arm.q"), Some(&Value::F64(1.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn each_row(
        mut self,
        change: impl Fn(&mut Fields) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.each_row = Some(EachRow(Arc::new(change)));
        self
    }

    /// The name of the track.
    pub fn topic(&self) -> &str {
        &self.topic
    }
}

impl<T: Into<String>> From<T> for Join {
    fn from(topic: T) -> Self {
        Self::track(topic)
    }
}

impl fmt::Debug for EachRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EachRow")
    }
}

impl PartialEq for EachRow {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Rules {
    /// These rules, and `defaults` for what they leave open.
    fn or(self, defaults: Self) -> Self {
        Self {
            method: self.method.or(defaults.method),
            tolerance_secs: self.tolerance_secs.or(defaults.tolerance_secs),
            missing: self.missing.or(defaults.missing),
        }
    }
}
