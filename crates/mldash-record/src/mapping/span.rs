//! Spans of time as people write them: `30s`, `1.5 min`, `250ms`, `90`.

use std::str::FromStr;
use std::time::Duration;

/// Units by name, and their seconds.
const UNITS: [(&str, f64); 6] =
    [("ms", 1e-3), ("s", 1.0), ("sec", 1.0), ("min", 60.0), ("m", 60.0), ("h", 3600.0)];

/// A span of time; a number without a unit is in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span(pub(super) Duration);

/// Why a text is not a span.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time such as `30s`, `1.5min`, `250ms` or `2h`")]
pub(super) struct SpanError(String);

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let wrong = || SpanError(text.to_owned());
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim_start());
        let unit_secs = match unit {
            "" => 1.0,
            _ => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1,
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        Duration::try_from_secs_f64(number * unit_secs).map(Self).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read_with_its_unit_and_without_one_as_seconds() {
        for (text, millis) in
            [("30s", 30_000), ("1.5 min", 90_000), ("250ms", 250), ("2h", 7_200_000), ("9", 9_000)]
        {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for wrong in ["", "s", "1.2.3s", "30 sheep", "-1s", "1e400", "99999999999999999999999h"] {
            assert_eq!(wrong.parse::<Span>(), Err(SpanError(wrong.to_owned())));
        }
    }
}
