//! Parses the bodies of `append` and `append_batch`: JSON to rows, all of them or none. The JSON is
//! strict: `NaN` and `Infinity` are errors.

use jiter::{Jiter, JiterError};
use serde::Deserialize;

use super::error::ApiError;
use super::memory::Memory;
use mldash_track::json::{Columns, JsonWeight, RowParser, WalkError, walk_object};
use mldash_track::{Fields, MAX_REPEATED_NAME_BYTES, Row, Timestamp};

/// `{"timestamp":…,"data":{…}}`.
#[derive(Deserialize)]
struct Append {
    timestamp: f64,
    data: serde_json::Map<String, serde_json::Value>,
}

/// Why the entries of a batch were refused.
enum BatchError {
    Walk(WalkError),
    Refused(ApiError),
}

impl From<WalkError> for BatchError {
    fn from(error: WalkError) -> Self {
        Self::Walk(error)
    }
}

impl From<JiterError> for BatchError {
    fn from(error: JiterError) -> Self {
        Self::Walk(error.into())
    }
}

/// What a row of an `append` becomes on its way: a tree, a row, its text, and the answer's tree.
const APPEND_COPIES: usize = 4;

/// The row of an `append`.
pub(super) fn row(body: &[u8], memory: &mut Memory) -> Result<Row, ApiError> {
    memory.hold(JsonWeight::of(body).saturating_mul(APPEND_COPIES))?;
    let append: Append = serde_json::from_slice(body).map_err(|error| {
        ApiError::bad_request(format!("expected `timestamp` and `data`: {error}"))
    })?;
    let ts = Timestamp::new(append.timestamp)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let fields = Fields::from_serialize(&append.data)
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(Row::new(ts, fields))
}

/// The rows of an `append_batch`: `{"entries":[{"timestamp":…,…},…]}`.
/// Asks for the memory of each row before it is parsed.
pub(super) fn rows(
    body: &[u8],
    max_rows: usize,
    memory: &mut Memory,
) -> Result<Vec<Row>, ApiError> {
    let mut rows = None;
    let mut jiter = Jiter::new(body);
    let walked = walk_object(&mut jiter, |jiter, key| match key {
        "entries" if rows.is_some() => {
            let message = "`entries` is there twice; send it once";
            Err(BatchError::Refused(ApiError::bad_request(message)))
        }
        "entries" => {
            rows = Some(entries(jiter, max_rows, memory)?);
            Ok(())
        }
        _ => Ok(jiter.next_skip()?),
    });
    match walked {
        Ok(()) => rows.ok_or_else(|| ApiError::bad_request("`entries` is missing")),
        Err(BatchError::Walk(error)) => Err(ApiError::bad_request(error.at(&jiter).to_string())),
        Err(BatchError::Refused(error)) => Err(error),
    }
}

fn entries(
    jiter: &mut Jiter<'_>,
    max_rows: usize,
    memory: &mut Memory,
) -> Result<Vec<Row>, BatchError> {
    let mut parser = RowParser::default();
    let mut rows = Vec::new();
    let mut next = jiter.next_array()?;
    while let Some(peek) = next {
        if rows.len() == max_rows {
            let message = format!("more than {max_rows} entries; send them in smaller batches");
            return Err(BatchError::Refused(ApiError::too_large(message)));
        }
        let start = jiter.current_index();
        // This also checks that the entry is standard JSON.
        jiter.known_skip(peek)?;
        let text = jiter.slice_to_current(start);
        // While it is parsed it takes more than afterwards.
        let mut weight = JsonWeight::rows();
        weight.scan(text);
        let has_dicts = text.iter().skip(1).any(|byte| *byte == b'{');
        let repeated = if has_dicts { MAX_REPEATED_NAME_BYTES } else { 0 };
        let weight = weight.bytes().saturating_add(repeated);
        memory.hold(weight).map_err(BatchError::Refused)?;
        let row = parser.row(text, &Columns::All).map_err(|error| {
            let message = format!("entry {} of `entries`: {error}", rows.len());
            BatchError::Refused(ApiError::bad_request(message))
        })?;
        memory.hold(row.size_bytes()).map_err(BatchError::Refused)?;
        memory.release(weight);
        rows.push(row);
        next = jiter.array_step()?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;
    use mldash_track::fields;

    fn memory() -> Memory {
        Memory::alone(64 << 20)
    }

    fn refusal(body: &str) -> (u16, String) {
        let error = rows(body.as_bytes(), 2, &mut memory()).unwrap_err();
        let text = format!("{error:?}");
        (error.into_response().status().as_u16(), text)
    }

    #[test]
    fn rows_come_as_the_store_has_them() {
        let body = br#"{"entries":[{"timestamp":1,"q":[1.5,2.0],"grip":{"closed":true}},{"timestamp":2.5}]}"#;
        let rows = rows(body, 2, &mut memory()).unwrap();
        assert_eq!(rows[0].ts.as_secs(), 1.0);
        assert_eq!(rows[0].fields, fields! { "q": [1.5, 2.0], "grip.closed": true });
        assert_eq!((rows.len(), rows[1].ts.as_secs()), (2, 2.5));
        let one =
            row(br#"{"timestamp":3,"data":{"grip":{"closed":true}}}"#, &mut memory()).unwrap();
        assert_eq!(one.fields, fields! { "grip.closed": true });
    }

    #[test]
    fn what_is_no_batch_is_refused_with_the_entry_that_is_wrong() {
        let wrong = [
            ("", 400, "not a JSON object"),
            ("[]", 400, "not a JSON object"),
            ("{\"entries\":[{\"timestamp\":1}", 400, "not a JSON object"),
            ("{\"entries\":[{\"timestamp\":1}]} x", 400, "not a JSON object"),
            ("{}", 400, "`entries` is missing"),
            ("{\"entries\":{}}", 400, "not a JSON object"),
            ("{\"entries\":[],\"entries\":[]}", 400, "twice"),
            (
                "{\"entries\":[{\"timestamp\":1},{\"q\":1}]}",
                400,
                "entry 1 of `entries`: `timestamp` is missing",
            ),
            (
                "{\"entries\":[{\"timestamp\":\"1\"}]}",
                400,
                "entry 0 of `entries`: `timestamp` must be a number",
            ),
            ("{\"entries\":[{\"timestamp\":null}]}", 400, "must be a number"),
            ("{\"entries\":[{\"timestamp\":NaN}]}", 400, "not a JSON object"),
            ("{\"entries\":[{\"timestamp\":1,\"q\":[Infinity]}]}", 400, "not a JSON object"),
            ("{\"entries\":[{\"timestamp\":1e999}]}", 400, "must be finite"),
            ("{\"entries\":[1]}", 400, "entry 0"),
            (
                "{\"entries\":[{\"timestamp\":1},{\"timestamp\":2},{\"timestamp\":3}]}",
                413,
                "more than 2 entries",
            ),
        ];
        for (body, status, expected) in wrong {
            let (found, error) = refusal(body);
            assert!(found == status && error.contains(expected), "{body}: {found} {error}");
        }
    }
}
