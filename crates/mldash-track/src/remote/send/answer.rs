//! Reads a server's answers: ids, numbers, what it confirms, and its words on an error. Pure.

use serde_json::Value as Json;

use super::session::FileUpload;
use crate::remote::error::{CallError, Fault};

/// How much of a server's text an error repeats.
const SHOWN_CHARS: usize = 300;

/// An id is a string, or a number that is converted to one.
pub(super) fn id_at(json: &Json, pointer: &str) -> Result<String, CallError> {
    match json.pointer(pointer) {
        Some(Json::String(id)) if !id.is_empty() => Ok(id.clone()),
        Some(Json::Number(id)) => Ok(id.to_string()),
        _ => Err(unexpected(pointer)),
    }
}

/// A number. Some servers write large numbers as text, since JavaScript can't represent them all.
pub(crate) fn number_at(json: &Json, pointer: &str) -> Option<u64> {
    match json.pointer(pointer)? {
        Json::Number(number) => number.as_u64(),
        Json::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Succeeds if `answer` says that the server took `rows` rows.
pub(super) fn confirm_rows(answer: &Json, topic: &str, rows: usize) -> Result<(), CallError> {
    let said = match number_at(answer, "/count") {
        Some(count) if count == rows as u64 => return Ok(()),
        Some(count) => format!("answers that it took {count}"),
        None => "does not answer how many it took (`count`)".to_owned(),
    };
    let text = format!(
        "track `{topic}`: the server got {rows} rows and {said}; they stay here; check that the address \
         is that of an ML-Dash server"
    );
    Err(CallError::new(Fault::Unconfirmed, text))
}

/// Succeeds if `answer` names the saved file, and has its checksum and size if it has any.
pub(super) fn confirm_file(answer: &Json, file: &FileUpload<'_>) -> Result<(), CallError> {
    let checksum = answer.pointer("/physicalFile/checksum").and_then(Json::as_str);
    let size_bytes = number_at(answer, "/physicalFile/sizeBytes");
    let said = if id_at(answer, "/node/id").is_err() {
        "does not answer where it saved it (`node.id`)"
    } else if checksum.is_some_and(|checksum| !checksum.eq_ignore_ascii_case(file.checksum))
        || size_bytes.is_some_and(|bytes| bytes != file.size_bytes)
    {
        "answers with another size or checksum"
    } else {
        return Ok(());
    };
    let text = format!(
        "file `{}`: the server got it and {said}; it stays here; check that the address is that of an \
         ML-Dash server",
        file.name
    );
    Err(CallError::new(Fault::Unconfirmed, text))
}

/// The error for an answer that lacks something.
pub(super) fn unexpected(lacking: &str) -> CallError {
    CallError::new(Fault::Server, format!("the answer lacks `{}`", lacking.trim_matches('/')))
}

/// The server's error text, as long as it is: the message in its JSON, else the whole body.
pub(super) fn words_of(body: &str) -> String {
    let json: Option<Json> = serde_json::from_str(body).ok();
    let message = json.as_ref().and_then(|json| {
        ["message", "detail", "error"].iter().find_map(|key| json.get(key)?.as_str())
    });
    message.unwrap_or(body).to_owned()
}

/// The start of a text, on one line.
pub(super) fn shorten(text: &str) -> String {
    let mut shown: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = shown.char_indices().nth(SHOWN_CHARS) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_s_words_are_short_and_on_one_line() {
        assert_eq!(
            shorten(&words_of(r#"{"error":"Bad Request","message":"no\ntimestamp"}"#)),
            "no timestamp"
        );
        assert_eq!(shorten(&words_of("<html>\n oops")), "<html> oops");
        assert_eq!(shorten(&words_of(&"x".repeat(1000))).chars().count(), SHOWN_CHARS + 1);
    }

    #[test]
    fn rows_are_confirmed_only_by_their_number() {
        let confirmed =
            |answer: Json| confirm_rows(&answer, "arm", 300).map_err(|error| error.text);
        assert_eq!(confirmed(json!({"count": 300, "trackId": "7"})), Ok(()));
        assert_eq!(confirmed(json!({"count": "300"})), Ok(()));
        for (answer, said) in [
            (json!({}), "does not answer how many"),
            (json!([]), "does not answer how many"),
            (json!({"count": null}), "does not answer how many"),
            (json!({"count": -300}), "does not answer how many"),
            (json!({"count": 0}), "took 0"),
            (json!({"count": 299}), "took 299"),
            (json!({"count": 301}), "took 301"),
        ] {
            let error = confirmed(answer.clone()).unwrap_err();
            assert!(error.contains("track `arm`") && error.contains(said), "{answer}: {error}");
        }
    }

    #[test]
    fn a_file_is_confirmed_by_its_node_and_never_by_another_files_checksum() {
        let file = FileUpload {
            parent_id: "1",
            name: "a.jpg",
            content_type: "image/jpeg",
            checksum: "c0ffee",
            size_bytes: 7,
            description: None,
            tags: &[],
            metadata: None,
        };
        let is_confirmed = |answer: Json| confirm_file(&answer, &file).is_ok();
        let node = json!({"id": "12345678901234567"});
        assert!(is_confirmed(json!({"node": node})));
        let data = json!({"checksum": "C0FFEE", "sizeBytes": "7"});
        assert!(is_confirmed(json!({"node": node, "physicalFile": data})));
        assert!(!is_confirmed(json!({})));
        assert!(!is_confirmed(json!({"node": node, "physicalFile": {"checksum": "bad"}})));
        assert!(!is_confirmed(json!({"node": node, "physicalFile": {"sizeBytes": 0}})));
    }
}
