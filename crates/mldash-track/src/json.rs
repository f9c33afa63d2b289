//! Rows as JSON text, in both directions and both ML-Dash dialects. The store's dialect writes
//! non-finite floats as the tokens `NaN`, `Infinity` and `-Infinity`, as Python does. The strict
//! dialect of the wire writes them as `null`. This module knows nothing of files.

mod rows;
mod scanner;
mod values;
mod weight;
mod writer;

pub use rows::{Columns, RowParser};
pub(crate) use rows::{project_row, scan_row};
pub(crate) use scanner::{RowShape, ScanError, Scanner};
pub(crate) use values::MAX_DEPTH;
#[cfg(feature = "parquet")]
pub(crate) use values::known_value;
pub use values::{WalkError, walk_object};
pub use weight::JsonWeight;
pub(crate) use writer::to_text;
pub use writer::{JsonWriter, NonFinite};

use crate::row::RepeatedNames;

/// Why a text is not a row.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonRowError {
    /// Not a JSON object.
    #[error("not a JSON object: {0}")]
    Syntax(String),
    /// Lists and objects nest too deeply.
    #[error("values nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Its dicts' names would be repeated too often.
    #[error(transparent)]
    RepeatedNames(RepeatedNames),
    /// The time's key is absent.
    #[error("`{0}` is missing; every row needs one, in seconds")]
    MissingTimestamp(String),
    /// The time is a string, null, a list…
    #[error("`{key}` must be a number of seconds, got {got}")]
    TimestampNotANumber {
        /// The time's key.
        key: String,
        /// The value found, as JSON.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fields;
    use crate::row::{Array, Fields, Row, TIMESTAMP_COLUMN, Timestamp, Value};

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

    /// Formats a finite float with `zmij` alone, as all floats once were.
    fn plain(value: impl zmij::Float) -> String {
        zmij::Buffer::new().format_finite(value).to_owned()
    }

    fn number(value: Value) -> String {
        to_text(&value)
    }

    #[test]
    fn floats_without_a_fraction_are_written_as_all_others_are() {
        let wholes = (0..=1_100).map(f64::from).chain([1e6, 1e15, 1e16, 4_294_967_296.0]);
        for whole in wholes {
            for value in [whole, -whole, whole + 0.5, whole.next_down()] {
                assert_eq!(number(value.into()), plain(value));
                assert_eq!(number((value as f32).into()), plain(value as f32));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn floats_are_written_whole_whatever_their_length(bits: u64, short in -1e7..1e7, digits in 0..6) {
            let scale = 10_f64.powi(digits);
            for value in [f64::from_bits(bits), short, (short * scale).round() / scale] {
                let single = value as f32;
                prop_assert!(!value.is_finite() || number(value.into()) == plain(value));
                prop_assert!(!single.is_finite() || number(single.into()) == plain(single));
            }
        }
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
