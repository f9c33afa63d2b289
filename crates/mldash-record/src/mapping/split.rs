//! `split`: when a part of a recording ends by itself.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use super::bytes::Bytes;
use super::keys;
use super::span::Span;
use crate::yaml::{Item, Problems, Section};

/// Shorter parts would be little else than their folders.
const SPANS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 3600);
const SMALLEST: Bytes = Bytes::new(1 << 20);

/// The limits of a part. It ends at the first that is reached; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// How long it lasts, from the receive time of its first message.
    pub every: Option<SplitEvery>,
    /// The bytes of the messages that gave rows.
    pub size: Option<SplitSize>,
    /// Rows, over all tracks.
    pub rows: Option<u64>,
}

/// How long a part lasts: a second to a year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitEvery(Span);

/// How large a part becomes: at least 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitSize(Bytes);

impl Split {
    /// These limits, completed by those of `below`.
    pub fn over(self, below: Self) -> Self {
        Self {
            every: self.every.or(below.every),
            size: self.size.or(below.size),
            rows: self.rows.or(below.rows),
        }
    }
}

impl SplitEvery {
    /// The span.
    pub fn span(self) -> Span {
        self.0
    }
}

impl SplitSize {
    /// The size.
    pub fn bytes(self) -> Bytes {
        self.0
    }
}

impl FromStr for SplitEvery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span: Span = text.parse().map_err(|error| format!("{error}"))?;
        match SPANS.contains(&span.get()) {
            true => Ok(Self(span)),
            false => Err(format!("{span} is not from a second to a year")),
        }
    }
}

impl FromStr for SplitSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: Bytes = text.parse().map_err(|error| format!("{error}"))?;
        match size >= SMALLEST {
            true => Ok(Self(size)),
            false => Err(format!("{size} is less than {SMALLEST}, the least")),
        }
    }
}

pub(super) fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Split> {
    const HINT: &str = "write `split: {every: 10min, size: 4GiB}`";
    if item.is_scalar() && !item.is_null() {
        item.mismatch("a mapping", Some(HINT), problems);
        return None;
    }
    let section = item.section(&keys::SPLIT, problems)?;
    let split = Split {
        every: limit(&section, "every", "write a span of time, such as `10min` or `2h`", problems),
        size: limit(&section, "size", "write a size, such as `4GiB`", problems),
        rows: section.get("rows").and_then(|item| {
            item.number("a number of rows, at least 1", |n: u64| (n > 0).then_some(n), problems)
        }),
    };
    if item.is_empty() {
        problems.add(&item.spot, "no limit is given", Some(HINT.to_owned()));
    }
    Some(split)
}

fn limit<T: FromStr<Err = String>>(
    section: &Section<'_>,
    key: &str,
    hint: &str,
    problems: &mut Problems,
) -> Option<T> {
    section.get(key)?.parse(hint, problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Mapping;

    fn split(text: &str) -> Result<Split, String> {
        let text = format!("topics: [{{topic: /x}}]\nsplit: {text}\n");
        let mapping = Mapping::parse(&text, "m.yaml");
        mapping.map(|mapping| mapping.split()).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_part_ends_by_time_size_or_rows() {
        let read = split("{every: 10min, size: 4GiB, rows: 1000}").unwrap();
        assert_eq!(read.every.unwrap().span().get(), Duration::from_secs(600));
        assert_eq!(read.size.unwrap().bytes(), Bytes::new(4 << 30));
        assert_eq!(read.rows, Some(1000));
        let flag = Split { every: "90".parse().ok(), ..Split::default() };
        let both = flag.over(read);
        assert_eq!((both.every, both.size, both.rows), (flag.every, read.size, read.rows));
    }

    #[test]
    fn what_is_no_limit_is_reported_at_its_place() {
        for (text, told) in [
            ("{every: 10 parsecs}", "m.yaml:2:16: split.every: `10 parsecs` is not a span"),
            ("{every: 10ms}", "split.every: 10ms is not from a second to a year"),
            ("{every: 9000h}", "is not from a second to a year"),
            ("{size: 4G}", "m.yaml:2:15: split.size: `4G` is not a size"),
            ("{size: 100kB}", "split.size: 97.6 KiB is less than 1 MiB"),
            ("{rows: 0}", "m.yaml:2:15: split.rows: expected a number of rows"),
            ("{row: 5}", "did you mean `rows`?"),
            ("10min", "m.yaml:2:8: split: expected a mapping, found `10min`"),
            ("{}", "split: no limit is given"),
        ] {
            let error = split(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
