//! Rows and files that the server won't have.

use std::fs::OpenOptions;
use std::io::Write;

use mldash_bridge::track::{RemoteError, TrackError};

use super::lab::{Lab, RUN, append};

/// A row that readers here take and the server refuses: another program wrote bytes that are no text.
fn append_bad_row(lab: &Lab, topic: &str, ts: f64) {
    let path = lab.root().join(RUN).join("tracks").join(topic).join("data.jsonl");
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    let row = format!("{{\"timestamp\": {ts}, \"q\": 1, \"text\": \"X\"}}\n");
    let row: Vec<u8> = row.bytes().map(|byte| if byte == b'X' { 0xff } else { byte }).collect();
    file.write_all(&row).unwrap();
}

#[test]
fn a_row_that_is_refused_is_set_aside_with_the_answer_and_the_others_go_on() {
    let lab = Lab::new();
    let exp = lab.record();
    append(&exp, "arm", 0..200);
    exp.flush().unwrap();
    append_bad_row(&lab, "arm", 100.0);
    append(&exp, "arm", 200..400);
    let error = exp.flush().unwrap_err();
    let TrackError::Remote(RemoteError::SetAside { rows, answers, .. }) = error else { panic!() };
    assert_eq!(rows, 1);
    assert_eq!(lab.on_server("arm").len(), 400);
    let kept = std::fs::read_dir(answers).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.into_iter().find(|path| path.to_string_lossy().contains("refused")).unwrap();
    let text = std::fs::read_to_string(kept).unwrap();
    assert!(
        text.contains("\"track\":\"arm\",\"timestamp\":100.0") && text.contains("400"),
        "{text}"
    );
    exp.flush().unwrap();
    let sync = exp.close().unwrap().sync.unwrap();
    assert_eq!((sync.rows_set_aside, sync.is_complete()), (1, false));
    // It is tried again, and refused again.
    let again = lab.sync(&lab.remote());
    assert!(again.failure.is_none());
    assert_eq!((again.status.rows_set_aside, again.status.rows_sent), (1, 0));
}
