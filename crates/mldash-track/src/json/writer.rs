//! Writes values and rows as JSON text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::row::{Array, Fields, Timestamp, Value};

/// How to write a non-finite float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonFinite {
    /// `NaN`, `Infinity`, `-Infinity`: what Python's `json` writes and reads.
    Tokens,
    /// `null`: standard JSON.
    Null,
}

/// Appends rows and values as JSON to a buffer.
#[derive(Debug)]
pub struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
    non_finite: NonFinite,
    nulled: u64,
}

impl<'a> JsonWriter<'a> {
    /// Appends to `out`.
    pub fn new(out: &'a mut Vec<u8>, non_finite: NonFinite) -> Self {
        Self { out, non_finite, nulled: 0 }
    }

    /// How many floats became `null` so far.
    pub fn nulled(&self) -> u64 {
        self.nulled
    }

    /// Writes one row as an object, with its time first under `time_key` and no line end.
    pub fn row(&mut self, time_key: &str, ts: Timestamp, fields: &Fields) {
        self.out.push(b'{');
        self.string(time_key);
        self.out.push(b':');
        self.f64(ts.as_secs());
        for (name, value) in fields.iter() {
            self.out.push(b',');
            self.string(name);
            self.out.push(b':');
            self.value(value);
        }
        self.out.push(b'}');
    }

    /// Writes one value.
    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.extend_from_slice(b"null"),
            Value::Bool(b) => self.bool(*b),
            Value::Int(i) => self.int(*i),
            Value::UInt(u) => self.int(*u),
            Value::F32(f) => self.f32(*f),
            Value::F64(f) => self.f64(*f),
            Value::Text(s) => self.string(s),
            Value::Bytes(b) => self.string(&BASE64.encode(b)),
            Value::Array(array) => self.array(array),
            Value::List(items) => self.sequence(items, |w, v| w.value(v)),
            Value::Map(entries) => {
                self.out.push(b'{');
                for (i, (name, value)) in entries.iter().enumerate() {
                    if i > 0 {
                        self.out.push(b',');
                    }
                    self.string(name);
                    self.out.push(b':');
                    self.value(value);
                }
                self.out.push(b'}');
            }
        }
    }

    fn array(&mut self, array: &Array) {
        match array {
            Array::Bool(v) => self.sequence(v, |w, x| w.bool(*x)),
            Array::I8(v) => self.sequence(v, |w, x| w.int(*x)),
            Array::U8(v) => self.sequence(v, |w, x| w.int(*x)),
            Array::I16(v) => self.sequence(v, |w, x| w.int(*x)),
            Array::U16(v) => self.sequence(v, |w, x| w.int(*x)),
            Array::I32(v) => self.sequence(v, |w, x| w.int(*x)),
            Array::U32(v) => self.sequence(v, |w, x| w.int(*x)),
            Array::I64(v) => self.sequence(v, |w, x| w.int(*x)),
            Array::U64(v) => self.sequence(v, |w, x| w.int(*x)),
            Array::F32(v) => self.sequence(v, |w, x| w.f32(*x)),
            Array::F64(v) => self.sequence(v, |w, x| w.f64(*x)),
        }
    }

    fn sequence<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.out.push(b'[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            each(self, item);
        }
        self.out.push(b']');
    }

    fn bool(&mut self, value: bool) {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn int(&mut self, value: impl itoa::Integer) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    fn f64(&mut self, value: f64) {
        match small_whole(value) {
            Some(whole) => self.whole_float(whole),
            None if value.is_finite() => self.float(value),
            None => self.not_finite(value),
        }
    }

    fn f32(&mut self, value: f32) {
        match small_whole(value.into()) {
            Some(whole) => self.whole_float(whole),
            None if value.is_finite() => self.float(value),
            None => self.not_finite(value.into()),
        }
    }

    fn float(&mut self, value: impl zmij::Float) {
        push_short(self.out, zmij::Buffer::new().format_finite(value).as_bytes());
    }

    /// Writes a float without a fraction. Sensors send these often, and this takes a third of the
    /// work.
    fn whole_float(&mut self, whole: u32) {
        let digit = |unit: u32| b'0' + (whole / unit % 10) as u8;
        let text = [digit(100), digit(10), digit(1), b'.', b'0', 0, 0, 0];
        let leading_zeros = 2 - usize::from(whole >= 10) - usize::from(whole >= 100);
        let text = u64::from_le_bytes(text) >> (8 * leading_zeros);
        // Copying eight bytes takes one instruction; any other number takes a call.
        self.out.extend_from_slice(&text.to_le_bytes());
        self.out.truncate(self.out.len() - 3 - leading_zeros);
    }

    fn not_finite(&mut self, value: f64) {
        match self.non_finite {
            NonFinite::Tokens => self.out.extend_from_slice(token(value).as_bytes()),
            NonFinite::Null => {
                self.nulled += 1;
                self.out.extend_from_slice(b"null");
            }
        }
    }

    /// Writes a string with JSON's escapes.
    pub fn string(&mut self, text: &str) {
        let escaped = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
        let mut rest = text.as_bytes();
        self.out.push(b'"');
        // Most text has nothing to escape. Without an early exit, this checks many bytes at once.
        let any_escaped = rest.iter().fold(false, |any, b| any | escaped(b));
        while any_escaped && let Some(at) = rest.iter().position(escaped) {
            let (head, tail) = rest.split_at(at);
            self.out.extend_from_slice(head);
            match tail[0] {
                b'"' => self.out.extend_from_slice(b"\\\""),
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'\n' => self.out.extend_from_slice(b"\\n"),
                b'\r' => self.out.extend_from_slice(b"\\r"),
                b'\t' => self.out.extend_from_slice(b"\\t"),
                control => {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    self.out.extend_from_slice(b"\\u00");
                    self.out.push(HEX[usize::from(control >> 4)]);
                    self.out.push(HEX[usize::from(control & 15)]);
                }
            }
            rest = &tail[1..];
        }
        self.out.extend_from_slice(rest);
        self.out.push(b'"');
    }
}

/// Floats without a fraction below this are written the quick way.
const SMALL: u32 = 1_000;

/// The integer that a float equals, if it is a small one. Not for -0.0, which would lose its sign.
#[inline]
fn small_whole(value: f64) -> Option<u32> {
    // Beyond `u32` the cast gives the nearest one, which is not small.
    let whole = value as u32;
    let is_same = f64::from(whole).to_bits() == value.to_bits();
    (is_same && whole < SMALL).then_some(whole)
}

/// Appends a number's text. Copies of fixed length need no call; others do.
#[inline]
fn push_short(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        8..=16 => push_overlapping::<8>(out, text),
        17..=32 => push_overlapping::<16>(out, text),
        _ => out.extend_from_slice(text),
    }
}

/// Appends `N` to twice `N` bytes: the first `N` and the last `N`, which may overlap.
#[inline]
fn push_overlapping<const N: usize>(out: &mut Vec<u8>, text: &[u8]) {
    let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else {
        return out.extend_from_slice(text);
    };
    out.extend_from_slice(first);
    out.truncate(out.len() + text.len() - 2 * N);
    out.extend_from_slice(last);
}

pub(super) fn token(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// One value as JSON text, for messages to people.
pub(crate) fn to_text(value: &Value) -> String {
    let mut out = Vec::new();
    JsonWriter::new(&mut out, NonFinite::Tokens).value(value);
    String::from_utf8_lossy(&out).into_owned()
}
