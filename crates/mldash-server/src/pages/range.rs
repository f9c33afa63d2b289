//! Which part of a file is asked for (RFC 9110, 14), so that a download that broke off can go on.

use axum::http::{HeaderMap, HeaderName, header};

/// What to send of a file.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Whole,
    /// From a byte on, so many of them: at least one.
    Of {
        from: u64,
        length: u64,
    },
    /// There is nothing there.
    Beyond,
}

impl Part {
    /// What is asked for of a file of this length and tag. What is not understood, or may be of another file, is the whole.
    pub(super) fn of(headers: &HeaderMap, length: u64, tag: Option<&str>) -> Self {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let is_of_this = !headers.contains_key(header::IF_RANGE)
            || tag.is_some_and(|tag| text(header::IF_RANGE) == Some(tag));
        let asked = text(header::RANGE)
            .filter(|_| is_of_this && headers.get_all(header::RANGE).iter().count() == 1);
        let bounds = asked.and_then(|asked| asked.strip_prefix("bytes=")?.trim().split_once('-'));
        let number = |text: &str| match text {
            "" => Some(None),
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok().map(Some),
            _ => None,
        };
        let bounds = bounds.and_then(|(first, last)| Some((number(first)?, number(last)?)));
        let (from, until) = match bounds {
            None | Some((None, None)) => return Self::Whole,
            Some((Some(first), Some(last))) if last < first => return Self::Whole,
            Some((Some(first), last)) => {
                (first, last.map_or(length, |last: u64| last.saturating_add(1).min(length)))
            }
            Some((None, Some(last))) => (length.saturating_sub(last), length),
        };
        match until.checked_sub(from) {
            None | Some(0) => Self::Beyond,
            Some(length) => Self::Of { from, length },
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn part(range: &'static str) -> Part {
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(range))]);
        Part::of(&headers, 100, Some("\"a\""))
    }

    #[test]
    fn one_part_is_taken_and_what_is_not_understood_is_the_whole() {
        for (range, from, length) in [
            ("bytes=0-0", 0, 1),
            ("bytes=40-", 40, 60),
            ("bytes=40-59", 40, 20),
            ("bytes=40-999", 40, 60),
            ("bytes=40-18446744073709551615", 40, 60),
            ("bytes=-30", 70, 30),
            ("bytes=-999", 0, 100),
        ] {
            assert_eq!(part(range), Part::Of { from, length }, "{range}");
        }
        for odd in [
            "bytes=-",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=0-1,5-6",
            "bytes=+1-2",
            "rows=0-1",
            "",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(part(odd), Part::Whole, "{odd}");
        }
        for beyond in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(part(beyond), Part::Beyond, "{beyond}");
        }
        assert_eq!(Part::of(&HeaderMap::new(), 0, None), Part::Whole);
    }

    #[test]
    fn a_part_of_a_file_that_is_another_now_is_the_whole() {
        let with = |asked: &'static str, tag| {
            let of = [(header::RANGE, "bytes=1-"), (header::IF_RANGE, asked)];
            let of = of.map(|(name, value)| (name, HeaderValue::from_static(value)));
            Part::of(&HeaderMap::from_iter(of), 3, tag)
        };
        let a = Some("\"a\"");
        assert_eq!(with("\"a\"", a), Part::Of { from: 1, length: 2 });
        assert_eq!(with("\"b\"", a), Part::Whole);
        assert_eq!(with("Sat, 29 Oct 1994 19:43:31 GMT", a), Part::Whole);
        assert_eq!(with("\"\"", None), Part::Whole, "nobody knows which file that is");
    }
}
