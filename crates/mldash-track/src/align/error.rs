//! Why tracks can't be joined.

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
    /// A column that a track does not have.
    #[error("track `{topic}` has no column `{column}`; there are: {}", existing.join(", "))]
    NoColumn {
        /// The track.
        topic: String,
        /// The requested column.
        column: String,
        /// The track's columns.
        existing: Vec<String>,
    },
    /// A track would be joined twice with the same columns.
    #[error(
        "track `{0}` is named twice; name it once, or choose other columns or names the second time"
    )]
    Twice(String),
    /// Two columns of the joined rows would have one name.
    #[error(
        "tracks `{first}` and `{second}` would both give column `{column}`; rename one of them or join \
         them separately"
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
    /// The rate gives no grid of times.
    #[error(
        "the rate must be a number of ticks per second above 0 whose ticks differ as floats up to the end \
         of the range, got {0}"
    )]
    Rate(f64),
    /// A grid of times without a track.
    #[error("a fixed rate needs at least one track to join")]
    NothingToJoin,
    /// A grid that has no start, since a track has no rows.
    #[error(
        "track `{topic}` has no rows, so there is no time at which all tracks have one; give the start \
         of the range, or leave the track out"
    )]
    NoRows {
        /// The track without rows.
        topic: String,
    },
    /// A track has nothing to join at a time, and [`Missing::Error`](super::Missing::Error) is set.
    #[error("track `{topic}` has nothing to join at {secs}{}", within(*.tolerance_secs))]
    Missing {
        /// The track.
        topic: String,
        /// The time, in seconds.
        secs: f64,
        /// The tolerance, in seconds; infinite if there is none.
        tolerance_secs: f64,
    },
}

fn within(tolerance_secs: f64) -> String {
    if tolerance_secs.is_finite() { format!(" within {tolerance_secs} s") } else { String::new() }
}
