//! Paths to fields of a message, as users write them in a mapping: `pose.position`,
//! `ranges[::4]`, `transforms.header.stamp`.

use std::fmt;
use std::str::FromStr;

/// Names from the message's root to a field, each with the array elements it takes.
///
/// ```
/// use mldash_message::FieldPath;
/// let path: FieldPath = "scan.ranges[0:180:4]".parse()?;
/// assert_eq!(path.steps()[1].name, "ranges");
/// assert_eq!(path.to_string(), "scan.ranges[0:180:4]");
/// # Ok::<(), mldash_message::PathError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath(Vec<Step>);

/// The path to what lies at `path` below `field`, of which both may be elements: `points`, `[3].x`.
pub(crate) fn below(field: &str, path: &str) -> String {
    let dot = if path.is_empty() || path.starts_with('[') { "" } else { "." };
    format!("{field}{dot}{path}")
}

/// One name of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// The field's name in its message.
    pub name: String,
    /// The elements taken, when the field is an array; `None` takes all.
    pub slice: Option<Slice>,
}

/// Which elements of an array, with Python's meaning (negative counts from the end).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Slice {
    /// `[i]`: one element, taken out of its array.
    Index(i64),
    /// `[start:stop:step]`: an array of the elements from `start` (included) to `stop` (excluded).
    Range {
        /// First element; `None` is the array's first.
        start: Option<i64>,
        /// One past the last element; `None` is the array's end.
        stop: Option<i64>,
        /// Distance between elements, at least 1.
        step: usize,
    },
}

/// Why a text is not a field path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A name is missing or holds a character that ROS field names can't.
    #[error("`{path}`: `{name}` is not a field name (letters, digits and `_`, not first a digit)")]
    Name {
        /// The whole path.
        path: String,
        /// The part that is wrong.
        name: String,
    },
    /// The brackets don't hold an index or a slice.
    #[error("`{path}`: `[{slice}]` is not an index `[i]` or a slice `[start:stop:step]`, step ≥ 1")]
    Slice {
        /// The whole path.
        path: String,
        /// What the brackets hold.
        slice: String,
    },
}

impl FieldPath {
    /// The steps from the root; never empty.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl FromStr for FieldPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        path.split('.').map(|part| parse_step(path, part)).collect::<Result<_, _>>().map(Self)
    }
}

fn parse_step(path: &str, part: &str) -> Result<Step, PathError> {
    let (name, slice) = match part.strip_suffix(']').and_then(|p| p.split_once('[')) {
        Some((name, inner)) => (name, Some(parse_slice(path, inner)?)),
        None => (part, None),
    };
    let first_fits = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first_fits || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(PathError::Name { path: path.to_owned(), name: part.to_owned() });
    }
    Ok(Step { name: name.to_owned(), slice })
}

fn parse_slice(path: &str, inner: &str) -> Result<Slice, PathError> {
    let wrong = || PathError::Slice { path: path.to_owned(), slice: inner.to_owned() };
    let bound = |text: &str| match text.trim() {
        "" => Ok(None),
        number => number.parse::<i64>().map(Some).map_err(|_| wrong()),
    };
    let parts: Vec<&str> = inner.split(':').collect();
    match parts[..] {
        [index] => bound(index)?.map(Slice::Index).ok_or_else(wrong),
        [start, stop] => Ok(Slice::Range { start: bound(start)?, stop: bound(stop)?, step: 1 }),
        [start, stop, step] => {
            let step = usize::try_from(bound(step)?.unwrap_or(1)).ok().filter(|s| *s > 0);
            let step = step.ok_or_else(wrong)?;
            Ok(Slice::Range { start: bound(start)?, stop: bound(stop)?, step })
        }
        _ => Err(wrong()),
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            write!(f, "{dot}{}", step.name)?;
            if let Some(slice) = step.slice {
                write!(f, "{slice}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(i) => write!(f, "[{i}]"),
            Self::Range { start, stop, step } => {
                let text = |bound: &Option<i64>| bound.map_or(String::new(), |b| b.to_string());
                write!(f, "[{}:{}", text(start), text(stop))?;
                if *step == 1 { write!(f, "]") } else { write!(f, ":{step}]") }
            }
        }
    }
}

impl Slice {
    /// The element numbers taken from an array of `len`; empty when out of range.
    pub fn indices(self, len: usize) -> impl Iterator<Item = usize> {
        let (start, stop, step) = match self {
            Self::Index(i) => match Self::place(i, len) {
                Some(i) if i < len => (i, i + 1, 1),
                _ => (0, 0, 1),
            },
            Self::Range { start, stop, step } => (
                start.map_or(0, |s| Self::place(s, len).unwrap_or(0)),
                stop.map_or(len, |s| Self::place(s, len).unwrap_or(0)).min(len),
                step,
            ),
        };
        (start..stop).step_by(step)
    }

    /// Where a bound falls, or `None` before the array's first element.
    fn place(bound: i64, len: usize) -> Option<usize> {
        let distance = usize::try_from(bound.unsigned_abs()).unwrap_or(usize::MAX);
        if bound >= 0 { Some(distance) } else { len.checked_sub(distance) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(slice: &str, len: usize) -> Vec<usize> {
        let path: FieldPath = format!("x{slice}").parse().unwrap();
        path.steps()[0].slice.unwrap().indices(len).collect()
    }

    #[test]
    fn slices_mean_what_python_means() {
        assert_eq!(taken("[::4]", 10), [0, 4, 8]);
        assert_eq!(taken("[0:3]", 10), [0, 1, 2]);
        assert_eq!(taken("[-2:]", 10), [8, 9]);
        assert_eq!(taken("[:-8]", 10), [0, 1]);
        assert_eq!(taken("[5:99]", 7), [5, 6]);
        assert_eq!(taken("[-1]", 3), [2]);
        assert_eq!(taken("[3]", 3), [] as [usize; 0]);
        assert_eq!(taken("[-4]", 3), [] as [usize; 0]);
    }

    #[test]
    fn a_wrong_part_is_named() {
        let message = |path: &str| path.parse::<FieldPath>().unwrap_err().to_string();
        assert!(message("pose..x").contains("``"));
        assert!(message("a.9b").contains("`9b`"));
        assert!(message("r[::0]").contains("`[::0]`"));
        assert!(message("r[a]").contains("`[a]`"));
    }

    #[test]
    fn a_path_prints_as_it_was_written() {
        for path in ["a", "a.b_c", "r[3]", "r[-1].x", "r[::4]", "r[1:]", "r[:2:3]"] {
            assert_eq!(path.parse::<FieldPath>().unwrap().to_string(), path);
        }
    }
}
