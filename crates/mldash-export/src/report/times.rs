//! Times and lengths as text. UTC, so that a page says the same wherever it is opened.

use jiff::{SignedDuration, Timestamp};

/// A clock that shows less than this since 1970 is a simulated one: September 2001.
pub(super) const FIRST_DATE_SECS: f64 = 1e9;
/// The end of the year 9999: what is later has no date.
pub(super) const LAST_DATE_SECS: f64 = 253_402_207_200.0;
/// Shorter times are shown with tenths of a second.
const MINUTE_SECS: f64 = 60.0;

/// Date and time in UTC, or the seconds of a simulated clock: `2006-01-21 09:03:45Z`, `12.500 s`.
pub fn date_text(secs: f64) -> String {
    text(secs, "%Y-%m-%d %H:%M:%SZ")
}

/// The time of day in UTC, or the seconds of a simulated clock: `09:03:45`, `12.500 s`.
pub fn clock_text(secs: f64) -> String {
    text(secs, "%H:%M:%S")
}

/// The date of a time in seconds since 1970, to the microsecond; none for that of a simulated clock.
pub fn date(secs: f64) -> Option<Timestamp> {
    let micros = (secs >= FIRST_DATE_SECS).then(|| (secs * 1e6).round() as i64)?;
    Timestamp::from_microsecond(micros).ok()
}

fn text(secs: f64, format: &str) -> String {
    match date(secs) {
        Some(date) => date.strftime(format).to_string(),
        None => format!("{secs:.3} s"),
    }
}

/// As long as it is useful: `9.8 s`, `1h 2m 3s`.
pub fn length_text(secs: f64) -> String {
    match SignedDuration::try_from_secs_f64(secs.round()) {
        Ok(length) if secs >= MINUTE_SECS => format!("{length:#}"),
        _ => format!("{secs:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_date_unless_the_clock_is_a_simulated_one() {
        assert_eq!(date_text(1_137_834_225.713_385_6), "2006-01-21 09:03:45Z");
        assert_eq!(clock_text(1_137_834_225.713_385_6), "09:03:45");
        assert_eq!(date_text(12.5), "12.500 s");
        assert_eq!(date_text(1e300), format!("{:.3} s", 1e300_f64));
    }

    #[test]
    fn a_length_is_as_long_as_it_is_useful() {
        assert_eq!(length_text(9.81), "9.8 s");
        assert_eq!(length_text(3723.4), "1h 2m 3s");
        assert_eq!(length_text(-1.0), "-1.0 s");
    }
}
