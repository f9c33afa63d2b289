//! Rows as JSON text, both ways, in the two dialects ML-Dash has: the store's, where floats that
//! are not finite are the tokens `NaN`, `Infinity` and `-Infinity` as Python writes them, and the
//! strict one of the wire, where they are `null`. Knows nothing of files.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiter::{Jiter, JiterError, NumberAny, NumberInt, Peek};

use super::row::{Array, Column, Fields, ListBuilder, Row, TIMESTAMP_COLUMN, Timestamp, Value};

/// How a float that is not finite is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonFinite {
    /// `NaN`, `Infinity`, `-Infinity`: what Python's `json` writes and reads.
    Tokens,
    /// `null`: JSON as its standard has it.
    Null,
}

/// Levels of lists and objects that a value may nest; bounds the parser's stack.
pub(super) const MAX_DEPTH: usize = 64;

/// Why a text is not a row.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonRowError {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    Syntax(String),
    /// Lists and objects in one another, deeper than anybody means.
    #[error("values nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The time's key is absent.
    #[error("`{0}` is missing; every row needs one, in seconds")]
    MissingTimestamp(String),
    /// The time is text, null, a list…
    #[error("`{key}` must be a number of seconds, got {got}")]
    TimestampNotANumber {
        /// The time's key.
        key: String,
        /// What stands there, as JSON.
        got: String,
    },
    /// The time is NaN or infinite.
    #[error("`{key}` must be finite, got {got}")]
    TimestampNotFinite {
        /// The time's key.
        key: String,
        /// `NaN`, `Infinity` or `-Infinity`.
        got: String,
    },
}

/// Appends rows and values as JSON to a buffer.
#[derive(Debug)]
pub struct JsonWriter<'a> {
    out: &'a mut Vec<u8>,
    non_finite: NonFinite,
    nulled: u64,
}

impl<'a> JsonWriter<'a> {
    /// Writes behind what `out` already holds.
    pub fn new(out: &'a mut Vec<u8>, non_finite: NonFinite) -> Self {
        Self { out, non_finite, nulled: 0 }
    }

    /// How many floats became `null` so far.
    pub fn nulled(&self) -> u64 {
        self.nulled
    }

    /// One row as an object, its time first under `time_key`; no line end.
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

    /// One value.
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
        if value.is_finite() {
            self.out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.not_finite(value);
        }
    }

    fn f32(&mut self, value: f32) {
        if value.is_finite() {
            self.out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
        } else {
            self.not_finite(value.into());
        }
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

    /// Text with JSON's escapes.
    pub fn string(&mut self, text: &str) {
        let escaped = |b: &u8| *b < 0x20 || *b == b'"' || *b == b'\\';
        let mut rest = text.as_bytes();
        self.out.push(b'"');
        // Most text has nothing to escape; without a way out halfway this looks at many bytes at once.
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

fn token(value: f64) -> &'static str {
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

/// Which columns a reader keeps.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Columns {
    /// Every column.
    #[default]
    All,
    /// These, where a row has them.
    Named(Vec<String>),
}

impl Columns {
    /// Whether a column of this name is kept.
    pub fn keeps(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.iter().any(|n| n == name),
        }
    }
}

/// Reads rows from JSON texts that tend to carry the same columns, whose names it shares.
#[derive(Debug)]
pub struct RowParser {
    time_key: String,
    /// The columns of the row before, in its order.
    recent: Vec<Column>,
    /// Whether these are columns each, none of them twice and none a dict of columns.
    recent_is_flat: bool,
}

impl Default for RowParser {
    /// For the store's lines, whose time stands under `timestamp`.
    fn default() -> Self {
        Self::new(TIMESTAMP_COLUMN)
    }
}

impl RowParser {
    /// For rows whose time stands under `time_key`.
    pub fn new(time_key: &str) -> Self {
        Self { time_key: time_key.to_owned(), recent: Vec::new(), recent_is_flat: false }
    }

    /// The row that `text` holds, with the columns that `columns` keeps.
    ///
    /// # Errors
    /// Text that is not one JSON object, or whose time is absent, not a number or not finite.
    pub fn row(&mut self, text: &[u8], columns: &Columns) -> Result<Row, JsonRowError> {
        let mut ts = None;
        let mut pairs: Vec<(Column, Value)> = Vec::with_capacity(self.recent.len());
        // Whether the columns are those of the row before, which were told apart already.
        let mut as_before = std::mem::take(&mut self.recent_is_flat);
        let Self { time_key, recent, .. } = self;
        let mut jiter = reader(text);
        walk_object(&mut jiter, |jiter, name| {
            if name == time_key {
                ts = Some(next_value(jiter)?);
            } else if columns.keeps(name) {
                let (column, is_known) = shared_name(recent, pairs.len(), name);
                let value = next_value(jiter)?;
                as_before &= is_known && !matches!(value, Value::Map(_));
                pairs.push((column, value));
            } else {
                jiter.next_skip()?;
            }
            Ok(())
        })
        .map_err(|error: WalkError| error.at(&jiter))?;
        let ts = self.timestamp(ts)?;
        if as_before {
            self.recent_is_flat = true;
            return Ok(Row::new(ts, Fields::from_distinct(pairs)));
        }
        self.recent.truncate(pairs.len());
        let read = pairs.len();
        let fields: Fields = pairs.into_iter().collect();
        self.recent_is_flat =
            fields.len() == read && fields.iter().zip(&self.recent).all(|((a, _), b)| a == b);
        Ok(Row::new(ts, fields))
    }

    fn timestamp(&self, value: Option<Value>) -> Result<Timestamp, JsonRowError> {
        let key = || self.time_key.clone();
        let secs = match value {
            None => return Err(JsonRowError::MissingTimestamp(key())),
            Some(Value::Int(i)) => i as f64,
            Some(Value::UInt(u)) => u as f64,
            Some(Value::F64(f)) => f,
            Some(other) => {
                return Err(JsonRowError::TimestampNotANumber { key: key(), got: to_text(&other) });
            }
        };
        Timestamp::new(secs).map_err(|_| JsonRowError::TimestampNotFinite {
            key: key(),
            got: token(secs).to_owned(),
        })
    }
}

/// `name` as a column, shared with the row before if that has it at `place` too, and whether so.
fn shared_name(recent: &mut Vec<Column>, place: usize, name: &str) -> (Column, bool) {
    match recent.get_mut(place) {
        Some(known) if **known == *name => (known.clone(), true),
        Some(known) => {
            *known = name.into();
            (known.clone(), false)
        }
        None => {
            let column: Column = name.into();
            recent.push(column.clone());
            (column, false)
        }
    }
}

/// The time of one of the store's lines and, through `on_column`, its columns' names, without
/// building their values.
///
/// # Errors
/// As [`RowParser::row`].
pub(crate) fn scan_row(
    line: &[u8],
    mut on_column: impl FnMut(&str),
) -> Result<Timestamp, JsonRowError> {
    let mut ts = None;
    let mut jiter = reader(line);
    walk_object(&mut jiter, |jiter, name| {
        if name == TIMESTAMP_COLUMN {
            ts = Some(next_value(jiter)?);
            Ok(())
        } else {
            on_column(name);
            Ok(jiter.next_skip()?)
        }
    })
    .map_err(|error: WalkError| error.at(&jiter))?;
    RowParser::default().timestamp(ts)
}

/// Appends to `out` the row in `line`, one of the store's, with the columns that `columns` keeps,
/// their values as they stand there, and its time under `time_key`.
///
/// # Errors
/// As [`RowParser::row`], except that the time is not looked at.
pub(crate) fn project_row(
    line: &[u8],
    columns: &Columns,
    time_key: &str,
    out: &mut Vec<u8>,
) -> Result<(), JsonRowError> {
    let mut separator = b'{';
    let mut jiter = reader(line);
    walk_object(&mut jiter, |jiter, name| {
        let peek = jiter.peek()?;
        let start = jiter.current_index();
        jiter.known_skip(peek)?;
        let key = if name == TIMESTAMP_COLUMN { time_key } else { name };
        if name == TIMESTAMP_COLUMN || columns.keeps(name) {
            out.push(std::mem::replace(&mut separator, b','));
            JsonWriter::new(out, NonFinite::Tokens).string(key);
            out.push(b':');
            out.extend_from_slice(jiter.slice_to_current(start));
        }
        Ok(())
    })
    .map_err(|error: WalkError| error.at(&jiter))?;
    out.push(b'}');
    Ok(())
}

/// What can go wrong inside a text; becomes a [`JsonRowError`] where the text is at hand.
pub(crate) enum WalkError {
    Json(JiterError),
    TooDeep,
}

impl From<JiterError> for WalkError {
    fn from(error: JiterError) -> Self {
        Self::Json(error)
    }
}

impl WalkError {
    fn at(self, jiter: &Jiter<'_>) -> JsonRowError {
        match self {
            Self::Json(error) => JsonRowError::Syntax(error.description(jiter)),
            Self::TooDeep => JsonRowError::TooDeep,
        }
    }
}

/// A reader of one text in the store's dialect.
pub(crate) fn reader(text: &[u8]) -> Jiter<'_> {
    Jiter::new(text).with_allow_inf_nan()
}

/// Calls `entry` for each key of the object that is all of a text; it consumes the value.
pub(crate) fn walk_object<E: From<JiterError>>(
    jiter: &mut Jiter<'_>,
    mut entry: impl FnMut(&mut Jiter<'_>, &str) -> Result<(), E>,
) -> Result<(), E> {
    let mut name = String::new();
    let mut next = jiter.next_object()?;
    while let Some(key) = next {
        name.clear();
        name.push_str(key);
        entry(jiter, &name)?;
        next = jiter.next_key()?;
    }
    Ok(jiter.finish()?)
}

fn next_value(jiter: &mut Jiter<'_>) -> Result<Value, WalkError> {
    let peek = jiter.peek()?;
    known_value(jiter, peek, MAX_DEPTH)
}

/// The value that begins with `peek`, if it nests no deeper than `depth`.
pub(crate) fn known_value(
    jiter: &mut Jiter<'_>,
    peek: Peek,
    depth: usize,
) -> Result<Value, WalkError> {
    Ok(match peek {
        Peek::Null => jiter.known_null().map(|()| Value::Null)?,
        Peek::True | Peek::False => jiter.known_bool(peek).map(Value::Bool)?,
        Peek::String => jiter.known_str().map(Value::from)?,
        Peek::Array => list(jiter, depth.checked_sub(1).ok_or(WalkError::TooDeep)?)?,
        Peek::Object => map(jiter, depth.checked_sub(1).ok_or(WalkError::TooDeep)?)?,
        number => match jiter.known_number(number)? {
            NumberAny::Float(float) => Value::F64(float),
            NumberAny::Int(NumberInt::Int(int)) => Value::Int(int),
            NumberAny::Int(big @ NumberInt::BigInt(_)) => big_int(big),
        },
    })
}

/// Integers past `i64`: as `u64` where they fit, else as the nearest float.
fn big_int(number: NumberInt) -> Value {
    let exact = match &number {
        NumberInt::BigInt(big) => u64::try_from(big).ok(),
        NumberInt::Int(int) => u64::try_from(*int).ok(),
    };
    exact.map_or_else(|| Value::F64(number.into()), Value::UInt)
}

fn map(jiter: &mut Jiter<'_>, depth: usize) -> Result<Value, WalkError> {
    let mut entries = Vec::new();
    let mut key = jiter.known_object()?.map(Column::from);
    while let Some(name) = key {
        let peek = jiter.peek()?;
        entries.push((name, known_value(jiter, peek, depth)?));
        key = jiter.next_key()?.map(Column::from);
    }
    Ok(Value::Map(entries))
}

fn list(jiter: &mut Jiter<'_>, depth: usize) -> Result<Value, WalkError> {
    let mut items = ListBuilder::default();
    let mut next = jiter.known_array()?;
    while let Some(peek) = next {
        items.push(known_value(jiter, peek, depth)?);
        next = jiter.array_step()?;
    }
    Ok(items.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields;

    fn parse(text: &str) -> Result<Row, JsonRowError> {
        RowParser::default().row(text.as_bytes(), &Columns::All)
    }

    fn written(row: &Row, non_finite: NonFinite) -> (String, u64) {
        let mut out = Vec::new();
        let mut writer = JsonWriter::new(&mut out, non_finite);
        writer.row(TIMESTAMP_COLUMN, row.ts, &row.fields);
        let nulled = writer.nulled();
        (String::from_utf8(out).unwrap(), nulled)
    }

    fn row(ts: f64, fields: Fields) -> Row {
        Row::new(Timestamp::new(ts).unwrap(), fields)
    }

    #[test]
    fn floats_that_are_not_finite_survive_as_tokens_and_are_counted_as_null() {
        let scan =
            row(1.5, fields! { "ranges": [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 2.0] });
        let (text, _) = written(&scan, NonFinite::Tokens);
        assert_eq!(text, r#"{"timestamp":1.5,"ranges":[Infinity,-Infinity,NaN,2.0]}"#);
        let (strict, nulled) = written(&scan, NonFinite::Null);
        assert_eq!(strict, r#"{"timestamp":1.5,"ranges":[null,null,null,2.0]}"#);
        assert_eq!(nulled, 3);

        let back = parse(&text).unwrap();
        let Some(Value::Array(Array::F64(ranges))) = back.fields.get("ranges") else {
            panic!("{back:?}")
        };
        assert!(ranges[2].is_nan());
        assert_eq!(ranges[..2], [f64::INFINITY, f64::NEG_INFINITY]);
    }

    #[test]
    fn single_precision_is_written_in_its_own_shortest_form() {
        let (text, _) =
            written(&row(0.0, fields! { "a": 0.1_f32, "b": 0.1_f64 }), NonFinite::Tokens);
        assert_eq!(text, r#"{"timestamp":0.0,"a":0.1,"b":0.1}"#);
    }

    #[test]
    fn text_is_escaped_as_serde_json_does() {
        for text in ["", "plain", "q\"uote\\ \n\r\t", "\u{1}\u{1f}\u{7f}", "håndflade 手"] {
            let mut out = Vec::new();
            JsonWriter::new(&mut out, NonFinite::Null).string(text);
            let back: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(back, text);
        }
    }

    #[test]
    fn lists_of_one_number_kind_come_back_typed_and_mixed_ones_as_they_were() {
        let back = parse(r#"{"timestamp":1,"f":[0.5,1.0],"i":[1,-2],"m":[1,0.5],"n":[1,null]}"#);
        let expected = fields! {
            "f": [0.5, 1.0],
            "i": [1_i64, -2],
            "m": vec![Value::Int(1), Value::F64(0.5)],
            "n": vec![Value::Int(1), Value::Null],
        };
        assert_eq!(back.unwrap(), row(1.0, expected));
    }

    #[test]
    fn large_integers_keep_their_value() {
        let back = parse(r#"{"timestamp":0,"u":18446744073709551615,"i":-9223372036854775808}"#);
        let expected = fields! { "u": u64::MAX, "i": i64::MIN };
        assert_eq!(back.unwrap().fields, expected);
    }

    #[test]
    fn rows_are_read_alike_whatever_rows_were_read_before() {
        let texts = [
            r#"{"timestamp":1,"a":1,"b":2}"#,
            r#"{"timestamp":1,"a":3,"b":4}"#,
            r#"{"timestamp":1,"a":3,"b":{"c":4}}"#,
            r#"{"timestamp":1,"a":3,"a":5}"#,
            r#"{"timestamp":1,"a":3,"a":6}"#,
            r#"{"timestamp":1,"b.c":3,"b":{"c":7}}"#,
            r#"{"timestamp":1,"a":1}"#,
            r#"{"timestamp":1}"#,
            r#"{"timestamp":1,"a":3,"a":3"#,
        ];
        for first in texts {
            for second in texts {
                let mut parser = RowParser::default();
                for text in [first, second, second] {
                    assert_eq!(parser.row(text.as_bytes(), &Columns::All), parse(text), "{first}");
                }
            }
        }
        assert_eq!(parse(texts[4]).unwrap().fields, fields! { "a": 6 });
        assert_eq!(parse(texts[5]).unwrap().fields, fields! { "b.c": 7 });
    }

    #[test]
    fn only_the_wanted_columns_are_kept() {
        let wanted = Columns::Named(vec!["b".into(), "absent".into()]);
        let text = br#"{"a":{"x":[1]},"b":2,"timestamp":3,"c":"\u00e5"}"#;
        let back = RowParser::default().row(text, &wanted).unwrap();
        assert_eq!(back, row(3.0, fields! { "b": 2 }));
    }

    #[test]
    fn a_row_without_a_usable_time_is_refused_with_the_reason() {
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert!(message(r#"{"a":1}"#).contains("`timestamp` is missing"));
        assert!(message(r#"{"timestamp":"1.5"}"#).contains(r#"got "1.5""#));
        assert!(message(r#"{"timestamp":NaN}"#).contains("finite, got NaN"));
        assert!(message(r#"{"timestamp":1"#).contains("not a JSON object"));
        assert!(message(r#"{"timestamp":1} x"#).contains("not a JSON object"));
        assert!(message(r#"[1]"#).contains("not a JSON object"));
    }

    #[test]
    fn nesting_is_bounded_so_that_no_text_can_exhaust_the_stack() {
        let deep =
            format!("{{\"timestamp\":1,\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parse(&deep), Err(JsonRowError::TooDeep));
    }

    #[test]
    fn a_scan_sees_the_time_and_the_columns_without_their_values() {
        let mut columns = Vec::new();
        let line = br#"{"timestamp": 2.5, "a": [1, {"b": NaN}], "c": "}"}"#;
        let ts = scan_row(line, |c| columns.push(c.to_owned())).unwrap();
        assert_eq!(ts.as_secs(), 2.5);
        assert_eq!(columns, ["a", "c"]);
    }
}
