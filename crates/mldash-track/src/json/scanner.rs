//! A fast scanner for rows that mostly look alike. It expects the names of one row in the next,
//! keeps numbers as text, and leaves anything unusual to `jiter`. It accepts the same texts as
//! `jiter`.

use std::borrow::Cow;

use jiter::{Jiter, JiterError};

use super::values::reader;

/// The text is not what the scanner expects; holds the byte offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unexpected text at byte {0}")]
pub(crate) struct ScanError(pub(crate) usize);

/// A position in a row's text.
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of `text`.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// Number of bytes before this position.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Moves to a position where the scanner was before.
    pub(crate) fn seek(&mut self, at: usize) {
        self.at = at;
    }

    /// The text from `start` to here.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The next byte, after any white space.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    /// Skips `expected`, if it is next.
    #[inline]
    pub(crate) fn skip(&mut self, expected: &[u8]) -> bool {
        let is_next = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(expected));
        if is_next {
            self.at += expected.len();
        }
        is_next
    }

    /// Skips `byte` and white space before it.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.peek() != Some(byte) {
            return Err(self.error());
        }
        self.at += 1;
        Ok(())
    }

    /// Skips `word`, with which the next value begins.
    pub(crate) fn expect_word(&mut self, word: &[u8]) -> Result<(), ScanError> {
        if self.skip(word) { Ok(()) } else { Err(self.error()) }
    }

    /// Returns true if the list or dict that ends with `close` has another item, and moves to it.
    #[inline]
    pub(crate) fn next_item(&mut self, is_first: bool, close: u8) -> Result<bool, ScanError> {
        let next = self.peek();
        if next == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if !is_first {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// A number as text, or Python's token for a non-finite one.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<&'a [u8], ScanError> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = number_len(rest).ok_or_else(|| self.error())?;
        self.at += len;
        Ok(&rest[..len])
    }

    /// A string with its escapes resolved.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, ScanError> {
        self.expect(b'"')?;
        let rest = self.text.get(self.at..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(end) if rest[end] == b'"' && !has_control(&rest[..end]) => {
                let text = std::str::from_utf8(&rest[..end]).map_err(|_| self.error())?;
                self.at += end + 1;
                Ok(Cow::Borrowed(text))
            }
            _ => {
                self.at -= 1;
                self.by_jiter(|jiter| jiter.next_str().map(|text| Cow::Owned(text.to_owned())))
            }
        }
    }

    /// The name of a dict's next entry, with the scanner at its value; `None` after the last.
    pub(crate) fn key(&mut self, is_first: bool) -> Result<Option<Cow<'a, str>>, ScanError> {
        if !self.next_item(is_first, b'}')? {
            return Ok(None);
        }
        let key = self.text()?;
        self.expect(b':')?;
        self.peek();
        Ok(Some(key))
    }

    /// Lets `jiter` read the next value.
    pub(crate) fn by_jiter<T, E: From<JiterError>>(
        &mut self,
        read: impl FnOnce(&mut Jiter<'a>) -> Result<T, E>,
    ) -> Result<T, ScanError> {
        let mut jiter = reader(self.text.get(self.at..).unwrap_or_default());
        let value = read(&mut jiter).map_err(|_| self.error())?;
        self.at += jiter.current_index();
        Ok(value)
    }

    /// The error for this position.
    pub(crate) fn error(&self) -> ScanError {
        ScanError(self.at)
    }
}

/// Returns true if there is a control character, which JSON only accepts escaped.
fn has_control(text: &[u8]) -> bool {
    // Without an early exit, this checks many bytes at once.
    text.iter().fold(false, |any, byte| any | (*byte < 0x20))
}

/// The length of the number at the start of `text`, if there is one: JSON's grammar plus Python's
/// tokens.
#[inline]
fn number_len(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| digits(text.get(from..).unwrap_or_default());
    let sign = usize::from(text.first() == Some(&b'-'));
    let mut end = match text.get(sign)? {
        b'0' => sign + 1,
        b'1'..=b'9' => sign + digits(sign),
        _ => {
            let mut tokens = ["NaN", "Infinity", "-Infinity"].into_iter();
            return tokens.find(|token| text.starts_with(token.as_bytes())).map(str::len);
        }
    };
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent == 0 {
            return None;
        }
        end += 1 + sign + exponent;
    }
    Some(end)
}

/// How many digits `text` starts with.
#[inline]
fn digits(text: &[u8]) -> usize {
    /// The same byte eight times.
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    let mut len = 0;
    while let Some(chunk) = text.get(len..).and_then(|rest| rest.first_chunk::<8>()) {
        // A digit becomes 0 to 9; anything else gets a high bit by itself or when 0x76 is added. A
        // carry comes out of such a byte only, so the first byte with a high bit is the first other.
        let values = u64::from_le_bytes(*chunk) ^ each(b'0');
        let others = (values.wrapping_add(each(0x76)) | values) & each(0x80);
        if others != 0 {
            return len + (others.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    let rest = text.get(len..).unwrap_or_default();
    len + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len())
}

/// The text before each value in the rows so far, and the name that it stands for.
#[derive(Debug)]
pub(crate) struct RowShape<T> {
    keys: Vec<(Vec<u8>, T)>,
}

impl<T> Default for RowShape<T> {
    fn default() -> Self {
        Self { keys: Vec::new() }
    }
}

impl<T: Copy> RowShape<T> {
    /// Walks through a row. `name` gives the meaning of a column that the row before did not have
    /// at that place; `value` reads the next value.
    pub(crate) fn walk<E: From<ScanError>>(
        &mut self,
        row: &[u8],
        mut name: impl FnMut(&str) -> Result<T, E>,
        mut value: impl FnMut(T, &mut Scanner<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut scanner = Scanner::new(row);
        for place in 0.. {
            if let Some((expected, known)) = self.keys.get(place)
                && scanner.skip(expected)
            {
                scanner.peek();
                value(*known, &mut scanner)?;
                continue;
            }
            let start = scanner.at();
            if place == 0 {
                scanner.expect(b'{')?;
            }
            let Some(key) = scanner.key(place == 0)? else { break };
            let known = name(&key)?;
            self.keys.truncate(place);
            self.keys.push((scanner.since(start).to_vec(), known));
            value(known, &mut scanner)?;
        }
        match scanner.peek() {
            None => Ok(()),
            Some(_) => Err(scanner.error().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::super::values::walk_object;
    use super::*;

    /// The values of a row as text, with their names.
    fn walked(
        shape: &mut RowShape<usize>,
        names: &mut Vec<String>,
        row: &str,
    ) -> Result<Vec<(String, String)>, ScanError> {
        let mut values = Vec::new();
        let known = std::cell::RefCell::new(names);
        shape.walk(
            row.as_bytes(),
            |name| {
                known.borrow_mut().push(name.to_owned());
                Ok(known.borrow().len() - 1)
            },
            |place, scanner| {
                let start = scanner.at();
                scanner.by_jiter(|jiter| jiter.next_skip())?;
                let value = String::from_utf8(scanner.since(start).to_vec()).unwrap();
                values.push((known.borrow()[place].clone(), value));
                Ok(())
            },
        )?;
        Ok(values)
    }

    #[test]
    fn rows_are_read_alike_whatever_rows_were_read_before() {
        let rows = [
            r#"{"timestamp":1,"a":1,"b":[2, 3]}"#,
            r#"{"timestamp":1,"a":1}"#,
            r#"{"timestamp":1,"b":1,"a":"x,}"}"#,
            r#"{"timestamp": 1, "a": {"b": 2}, "c": null}"#,
            r#"{"a":1,"timestamp":1}"#,
            r#"{"q\"uo":1}"#,
            "{}",
            " { } ",
        ];
        for first in rows {
            for second in rows {
                let alone = walked(&mut RowShape::default(), &mut Vec::new(), second).unwrap();
                let (mut shape, mut names) = (RowShape::default(), Vec::new());
                for row in [first, second] {
                    let walked = walked(&mut shape, &mut names, row).unwrap();
                    if row == second {
                        assert_eq!(walked, alone, "{second} behind {first}");
                    }
                }
            }
        }
        let quoted = walked(&mut RowShape::default(), &mut Vec::new(), rows[5]).unwrap();
        assert_eq!(quoted, [("q\"uo".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn what_is_no_row_is_an_error() {
        for row in ["", "{", "[1]", r#"{"a":1"#, r#"{"a":1}x"#, r#"{"a" 1}"#, r#"{"a":1,}"#, "null"]
        {
            let walked = walked(&mut RowShape::default(), &mut Vec::new(), row);
            assert!(walked.is_err(), "{row}: {walked:?}");
        }
    }

    #[test]
    fn numbers_are_taken_as_they_stand() {
        let numbers = ["1", "-0.5", "1e-7", "2E+3", "NaN", "Infinity", "-Infinity", "0"];
        let list = format!("[{}]", numbers.join(", "));
        let mut scanner = Scanner::new(list.as_bytes());
        scanner.expect(b'[').unwrap();
        for (i, number) in numbers.iter().enumerate() {
            assert!(scanner.next_item(i == 0, b']').unwrap());
            assert_eq!(scanner.number().unwrap(), number.as_bytes());
        }
        assert!(!scanner.next_item(false, b']').unwrap());
        assert_eq!(Scanner::new(b"\"1\"").number(), Err(ScanError(0)));
        assert_eq!(Scanner::new(b"  null").number(), Err(ScanError(2)));
    }

    /// What `jiter` finds with `next` at the start of a text, and where that ends.
    fn by_jiter<T: PartialEq + std::fmt::Debug>(
        text: &[u8],
        next: impl FnOnce(&mut Jiter<'_>) -> Result<T, JiterError>,
    ) -> Option<(T, usize)> {
        let mut jiter = reader(text);
        let value = next(&mut jiter).ok()?;
        Some((value, jiter.current_index()))
    }

    /// What the scanner finds there.
    fn scanned<'a, T>(
        text: &'a [u8],
        next: impl FnOnce(&mut Scanner<'a>) -> Result<T, ScanError>,
    ) -> Option<(T, usize)> {
        let mut scanner = Scanner::new(text);
        let value = next(&mut scanner).ok()?;
        Some((value, scanner.at()))
    }

    const TEXT_PARTS: &[&[u8]] =
        &[b"\"", b"\\", b"\\n", b"\\u00e5", b"a", b"\n", b"\x7f", b"\xc3\xa5", b"\xe5", b","];

    const ROW_PARTS: &[&str] = &[
        "{",
        "}",
        "\"a\":",
        "\"b\" :",
        "\"\\u0061\":",
        "1",
        "[2,3]",
        "{\"c\":\"}\"}",
        ",",
        ",\"a\":1",
        ",\"b\":null",
        "{\"a\":0.5",
        "{\"b\":-1",
        " ",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn the_same_texts_are_numbers_as_to_jiter(
            text in "[-+.0-9eE,NaInfity]{0,8}\
                | ?-?[0-9]{1,25}([.][0-9]{1,20})?(e[-+]?[0-9]{1,3})?",
        ) {
            let text = text.as_bytes();
            let is_all = |(_, end): &(Vec<u8>, usize)| *end == text.len();
            let expected = by_jiter(text, |jiter| jiter.next_number_bytes().map(<[u8]>::to_vec));
            let found = scanned(text, |scanner| scanner.number().map(<[u8]>::to_vec));
            prop_assert_eq!(found.filter(is_all), expected.filter(is_all));
        }

        #[test]
        fn the_same_texts_are_strings_as_to_jiter(
            text in vec(select(TEXT_PARTS), 0..6),
            is_quoted in proptest::bool::weighted(0.9),
        ) {
            let quote = if is_quoted { &b"\""[..] } else { b"" };
            let text = [quote, &text.concat(), quote].concat();
            let expected = by_jiter(&text, |jiter| jiter.next_str().map(str::to_owned));
            let found = scanned(&text, |scanner| scanner.text().map(Cow::into_owned));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn the_same_texts_are_rows_as_to_jiter(
            rows in vec(vec(select(ROW_PARTS), 0..7), 1..4),
        ) {
            let (mut shape, mut names) = (RowShape::default(), Vec::new());
            for row in rows.iter().map(|parts| parts.concat()) {
                let mut expected = Vec::new();
                let read = walk_object(&mut reader(row.as_bytes()), |jiter, name| {
                    jiter.peek()?;
                    let start = jiter.current_index();
                    jiter.next_skip()?;
                    let value = String::from_utf8(jiter.slice_to_current(start).to_vec()).unwrap();
                    expected.push((name.to_owned(), value));
                    Ok::<_, JiterError>(())
                });
                let expected = read.ok().map(|()| expected);
                prop_assert_eq!(walked(&mut shape, &mut names, &row).ok(), expected, "{}", row);
            }
        }
    }

    #[test]
    fn texts_lose_their_escapes() {
        for (json, text) in [(r#""""#, ""), (r#""plain å""#, "plain å"), (r#" "\u00e5\n""#, "å\n")]
        {
            assert_eq!(Scanner::new(json.as_bytes()).text().unwrap(), text);
        }
        for torn in [r#""abc"#, r#""ab\""#, "abc"] {
            assert!(Scanner::new(torn.as_bytes()).text().is_err(), "{torn}");
        }
    }
}
