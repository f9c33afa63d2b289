//! Spans of time as people write them: `10min`, `1h 30m`, `500ms`, `90`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

/// A span of time. A number without a unit is seconds.
///
/// ```
/// use mldash_record::mapping::Span;
/// let span: Span = "1h 30min".parse()?;
/// assert_eq!(span.get().as_secs(), 5400);
/// assert_eq!(span.to_string(), "1h 30m");
/// # Ok::<(), mldash_record::mapping::SpanError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// Why a text is not a span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a span of time such as `10min`, `30s`, `1h 30min` or a number of seconds")]
pub struct SpanError(pub String);

impl Span {
    /// This span.
    pub const fn new(span: Duration) -> Self {
        Self(span)
    }

    /// The span.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError(text.to_owned());
        let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        let span = match is_number {
            true => text.parse().ok().and_then(|secs| Duration::try_from_secs_f64(secs).ok()),
            false => {
                let signed = text.parse::<SignedDuration>().ok();
                signed.and_then(|signed| Duration::try_from(signed).ok())
            }
        };
        span.map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(signed) => write!(f, "{signed:#}"),
            // Longer than 292 billion years.
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_units_and_a_number_alone_is_seconds() {
        for (text, millis, shown) in [
            ("10min", 600_000, "10m"),
            ("10 minutes", 600_000, "10m"),
            ("1h30m", 5_400_000, "1h 30m"),
            ("30s", 30_000, "30s"),
            ("500ms", 500, "500ms"),
            ("90", 90_000, "1m 30s"),
            ("0.25", 250, "250ms"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.get().as_millis(), span.to_string().as_str()), (millis, shown));
            assert_eq!(shown.parse(), Ok(span), "it is read as it is shown");
        }
    }

    #[test]
    fn what_is_no_span_is_named() {
        for text in ["", "min", "-5s", "5 parsecs", "1.2.3", "10 min ago", "1e400", "nan", "inf"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError(text.to_owned())), "{text}");
        }
    }
}
