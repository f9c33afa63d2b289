//! The time of a row: seconds as a float, always finite.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Seconds since the epoch of the experiment's clock. Always finite, so rows have a total order.
///
/// The resolution is that of `f64`: about 240 ns for today's Unix time.
///
/// ```
/// use mldash_track::Timestamp;
/// assert!(Timestamp::new(f64::NAN).is_err());
/// assert_eq!(Timestamp::from_sec_nanosec(1, 500_000_000).as_secs(), 1.5);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timestamp(f64);

/// Why a number can't be a row's time.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("timestamp must be a finite number of seconds, got {0}")]
pub struct TimestampError(pub f64);

impl Timestamp {
    /// Converts from seconds.
    ///
    /// # Errors
    /// Fails for NaN and infinities.
    pub fn new(secs: f64) -> Result<Self, TimestampError> {
        // `+ 0.0` turns -0.0 into 0.0, so that one instant has one key.
        if secs.is_finite() { Ok(Self(secs + 0.0)) } else { Err(TimestampError(secs)) }
    }

    /// Converts from a `builtin_interfaces/msg/Time`: seconds and nanoseconds.
    pub fn from_sec_nanosec(sec: i32, nanosec: u32) -> Self {
        Self(f64::from(sec) + f64::from(nanosec) / 1e9)
    }

    /// Converts from integer nanoseconds since the epoch, as MCAP and rcl use.
    pub fn from_nanos(nanos: i64) -> Self {
        // Both have the same sign, so nothing cancels out.
        let (sec, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        Self(sec as f64 + rest as f64 / 1e9)
    }

    /// The nearest whole nanosecond; `None` beyond what 64 bits can hold, 292 years from 1970.
    ///
    /// It converts [back](Self::from_nanos) to the same time, unless that is finer than
    /// nanoseconds.
    ///
    /// ```
    /// use mldash_track::Timestamp;
    /// assert_eq!(Timestamp::from_nanos(-35_000_001).to_nanos(), Some(-35_000_001));
    /// ```
    pub fn to_nanos(self) -> Option<i64> {
        let secs = self.0.floor();
        // Both are exact: the larger a time, the fewer bits it has below a second.
        let nanos = ((self.0 - secs) * 1e9).round();
        let in_range = secs.abs() < (i64::MAX / 1_000_000_000) as f64;
        in_range.then(|| secs as i64 * 1_000_000_000 + nanos as i64)
    }

    /// The next representable time: about 0.24 µs later for today's Unix time. `None` after the
    /// last.
    ///
    /// ```
    /// use mldash_track::Timestamp;
    /// let now = Timestamp::from_sec_nanosec(1_700_000_000, 0);
    /// assert!(now.next().is_some_and(|next| next > now && next < Timestamp::from_nanos(1_700_000_000_000_000_500)));
    /// ```
    pub fn next(self) -> Option<Self> {
        Self::new(self.0.next_up()).ok()
    }

    /// The time in seconds.
    pub fn as_secs(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Timestamp {
    type Error = TimestampError;

    fn try_from(secs: f64) -> Result<Self, TimestampError> {
        Self::new(secs)
    }
}

impl PartialEq for Timestamp {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Timestamp {}

impl PartialOrd for Timestamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timestamp {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Timestamp {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_zero_is_the_same_instant_as_zero() {
        let (minus, plus) = (Timestamp::new(-0.0).unwrap(), Timestamp::new(0.0).unwrap());
        assert_eq!(minus.cmp(&plus), Ordering::Equal);
    }

    proptest::proptest! {
        #[test]
        fn a_time_of_nanoseconds_converts_to_some_that_convert_to_it(
            nanos in proptest::prelude::any::<i64>(), shift in 0..60
        ) {
            let nanos = nanos >> shift;
            let ts = Timestamp::from_nanos(nanos);
            match ts.to_nanos() {
                Some(back) => proptest::prop_assert_eq!(Timestamp::from_nanos(back), ts),
                None => proptest::prop_assert!(nanos.abs() > i64::MAX - 2_000_000_000),
            }
            if nanos.abs() < 1 << 50 {
                proptest::prop_assert_eq!(ts.to_nanos(), Some(nanos));
            }
        }
    }

    #[test]
    fn nanoseconds_before_the_epoch_keep_their_value() {
        for (nanos, secs) in [(-250_000_000, -0.25), (-35_000_000, -0.035), (-1, -1e-9)] {
            assert_eq!(Timestamp::from_nanos(nanos).as_secs(), secs);
        }
    }

    #[test]
    fn both_ros_clocks_give_one_timestamp() {
        let nanos = 1_137_868_461_033_333_333;
        assert_eq!(
            Timestamp::from_nanos(nanos),
            Timestamp::from_sec_nanosec(1_137_868_461, 33_333_333)
        );
    }
}
