//! What a reader asks for: a time range, columns and a number of rows of a track, or the tracks of
//! an experiment.

use std::ops::{Bound, RangeBounds};

use super::json::Columns;

/// Which rows and columns to read.
///
/// ```
/// use mldash_track::Query;
/// let query = Query::range(0.0..=10.0).columns(["q", "e"]).limit(100);
/// assert_eq!(query.end(), 10.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    start: f64,
    end: f64,
    pub(super) columns: Columns,
    pub(super) limit: Option<u64>,
}

impl Query {
    /// Selects every row and every column.
    pub fn all() -> Self {
        Self::range(..)
    }

    /// Selects the rows whose `_ts`, in seconds, lies in `range`.
    pub fn range(range: impl RangeBounds<f64>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.next_up(),
            Bound::Unbounded => f64::NEG_INFINITY,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => *end,
            // Its neighbour would be a number, and so an end.
            Bound::Excluded(end) if *end == f64::INFINITY => f64::INFINITY,
            Bound::Excluded(end) => end.next_down(),
            Bound::Unbounded => f64::INFINITY,
        };
        Self { start, end, columns: Columns::All, limit: None }
    }

    /// Selects only these columns. Rows that have none of them still appear with their time.
    pub fn columns<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.columns = Columns::Named(names.into_iter().map(Into::into).collect());
        self
    }

    /// Selects at most this many rows, the earliest ones.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Selects the columns that `columns` keeps.
    pub(super) fn keeping(self, columns: Columns) -> Self {
        Self { columns, ..self }
    }

    /// The selected columns; `None` means all.
    pub(super) fn column_names(&self) -> Option<&[String]> {
        match &self.columns {
            Columns::All => None,
            Columns::Named(names) => Some(names),
        }
    }

    /// The smallest selected time in seconds, inclusive.
    pub fn start(&self) -> f64 {
        self.start
    }

    /// The largest selected time in seconds, inclusive.
    pub fn end(&self) -> f64 {
        self.end
    }
}

/// Which tracks to list.
///
/// ```
/// use mldash_track::TopicFilter;
/// let robot = TopicFilter::from("robot/*");
/// assert!(robot.accepts("robot/arm/pose") && !robot.accepts("robotics"));
/// assert!(TopicFilter::from("robot/arm").accepts("robot/arm"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TopicFilter {
    /// Every track; written `*`.
    #[default]
    All,
    /// The track of this topic; written as the topic itself.
    Exact(String),
    /// The tracks below this topic, at any depth; written `prefix/*`.
    Below(String),
}

impl TopicFilter {
    /// Returns true if a track of this topic is listed.
    pub fn accepts(&self, topic: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(exact) => topic == exact,
            Self::Below(prefix) => {
                topic.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
            }
        }
    }
}

impl From<&str> for TopicFilter {
    fn from(text: &str) -> Self {
        match text.strip_suffix('*').map(|head| (head, head.strip_suffix('/'))) {
            Some(("" | "/", _)) => Self::All,
            Some((_, Some(prefix))) => Self::Below(prefix.to_owned()),
            Some((_, None)) | None => Self::Exact(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_bounds_leave_out_exactly_the_bound() {
        let query = Query::range((Bound::Excluded(1.0), Bound::Excluded(2.0)));
        assert!(query.start() > 1.0 && query.start() < 1.0 + 1e-12);
        assert!(query.end() < 2.0 && query.end() > 2.0 - 1e-12);
        assert_eq!(Query::range(0.0..f64::INFINITY).end(), f64::INFINITY);
    }

    #[test]
    fn a_filter_takes_one_track_or_those_below_a_prefix() {
        let topics = ["robot", "robot/pose", "robot/arm/pose", "robotics/x"];
        let accepted = |filter: &str| -> Vec<&str> {
            let filter = TopicFilter::from(filter);
            topics.into_iter().filter(|topic| filter.accepts(topic)).collect()
        };
        assert_eq!(accepted("robot/*"), ["robot/pose", "robot/arm/pose"]);
        assert_eq!(accepted("robot"), ["robot"]);
        assert_eq!(accepted("robot*"), [""; 0], "a star after a name is no pattern");
        assert_eq!(accepted("*"), topics);
        assert_eq!(accepted("/*"), topics);
    }
}
