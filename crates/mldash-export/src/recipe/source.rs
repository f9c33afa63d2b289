//! `track:column[slice]`: where a feature's values come from.

use std::fmt;
use std::str::FromStr;

/// Elements of a list, `start` inclusive and `end` exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elements {
    /// The first element.
    pub start: usize,
    /// The element after the last; `None`: all to the end.
    pub end: Option<usize>,
}

/// A column of a track, or a part of it.
///
/// ```
/// use mldash_export::recipe::Source;
/// let source: Source = "joint_states:position[0:6]".parse()?;
/// assert_eq!((source.track.as_str(), source.column.as_deref()), ("joint_states", Some("position")));
/// assert_eq!(source.width(), Some(6));
/// assert_eq!(source.to_string(), "joint_states:position[0:6]");
/// # Ok::<(), mldash_export::recipe::SourceError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The track, without a leading `/`.
    pub track: String,
    /// The column; `None` means the track as a whole, which is right for pictures.
    pub column: Option<String>,
    /// Which elements of a list; `None` means all, or a single value.
    pub elements: Option<Elements>,
}

/// Why a text is not a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is no track before the `:`.
    #[error("`{0}` names no track")]
    NoTrack(String),
    /// There is nothing after the `:`.
    #[error("`{0}` names no column after the `:`")]
    NoColumn(String),
    /// The brackets hold no slice.
    #[error("`{0}` is not a slice of a list")]
    Slice(String),
    /// The slice selects nothing.
    #[error("`{0}` selects no element")]
    Empty(String),
}

impl Source {
    /// How many values it gives, if the text says so.
    pub fn width(&self) -> Option<usize> {
        self.elements.and_then(|elements| Some(elements.end?.saturating_sub(elements.start)))
    }
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (track, rest) = match text.split_once(':') {
            Some((track, rest)) => (track, Some(rest)),
            None => (text, None),
        };
        let track = track.trim().trim_start_matches('/');
        if track.is_empty() {
            return Err(SourceError::NoTrack(text.to_owned()));
        }
        let Some(rest) = rest else {
            return Ok(Self { track: track.to_owned(), column: None, elements: None });
        };
        let (column, slice) = match rest.split_once('[') {
            Some((column, slice)) => (column.trim(), Some(slice)),
            None => (rest.trim(), None),
        };
        if column.is_empty() {
            return Err(SourceError::NoColumn(text.to_owned()));
        }
        let elements = slice.map(|slice| elements(slice.trim_end())).transpose()?;
        Ok(Self { track: track.to_owned(), column: Some(column.to_owned()), elements })
    }
}

/// Reads what stands after the `[`.
fn elements(slice: &str) -> Result<Elements, SourceError> {
    let wrong = || SourceError::Slice(format!("[{slice}"));
    let inner = slice.strip_suffix(']').ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
    let elements = match inner.split_once(':') {
        None => {
            let start = number(inner)?;
            Elements { start, end: Some(start.checked_add(1).ok_or_else(wrong)?) }
        }
        Some((start, end)) => {
            let start = if start.trim().is_empty() { 0 } else { number(start)? };
            let end = if end.trim().is_empty() { None } else { Some(number(end)?) };
            Elements { start, end }
        }
    };
    match elements.end {
        Some(end) if end <= elements.start => Err(SourceError::Empty(format!("[{slice}"))),
        _ => Ok(elements),
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.track)?;
        if let Some(column) = &self.column {
            write!(f, ":{column}")?;
        }
        match self.elements {
            None => Ok(()),
            Some(Elements { start, end: None }) => write!(f, "[{start}:]"),
            Some(Elements { start, end: Some(end) }) if end == start + 1 => write!(f, "[{start}]"),
            Some(Elements { start, end: Some(end) }) => write!(f, "[{start}:{end}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Source, SourceError> {
        text.parse()
    }

    #[test]
    fn a_source_is_a_track_a_column_and_elements() {
        let odom = parse("/robot/odom:pose.pose.position[0:2]").unwrap();
        assert_eq!((odom.track.as_str(), odom.width()), ("robot/odom", Some(2)));
        assert_eq!(odom.column.as_deref(), Some("pose.pose.position"));
        assert_eq!(parse("cmd_vel:linear[0]").unwrap().width(), Some(1));
        let open = parse("a:b[2:]").unwrap();
        assert_eq!((open.elements, open.width()), (Some(Elements { start: 2, end: None }), None));
        assert_eq!(parse("camera/front").unwrap().column, None);
    }

    #[test]
    fn what_is_no_source_is_told() {
        for (text, error) in [
            (":x", "`:x` names no track"),
            ("a:", "`a:` names no column after the `:`"),
            ("a:b[", "`[` is not a slice of a list"),
            ("a:b[x]", "`[x]` is not a slice of a list"),
            ("a:b[-1]", "`[-1]` is not a slice of a list"),
            ("a:b[3:3]", "`[3:3]` selects no element"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error, "{text}");
        }
    }
}
