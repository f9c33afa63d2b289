//! A fast scanner for rows that mostly look alike. It expects the names of one row in the next,
//! keeps numbers as text, and leaves anything unusual to `jiter`. It accepts the same texts as
//! `jiter`.

use std::borrow::Cow;

use jiter::{Jiter, JiterError};

use super::values::reader;

#[cfg(test)]
mod tests;

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
