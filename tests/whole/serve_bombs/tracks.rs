//! What tracks keep in the server's memory as long as they are open.

use super::*;

const TRACKS: &str = "/api/experiments/experiment~~alice~~w~~run/tracks";

/// The answer once the server has closed what Alice's open tracks keep too much.
fn once_there_is_room(send: impl Fn() -> Answer) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = send();
        if answer.status != 429 || Instant::now() > deadline {
            return answer;
        }
        thread::sleep(RETRY_AFTER);
    }
}

/// Appends to one of Alice's tracks.
fn append(lab: &Lab, topic: &str, gzipped: &[u8]) {
    let path = batch_path("alice", topic);
    let send = || lab.alice.send("POST", &path, &["Content-Encoding: gzip"], gzipped);
    let stored = once_there_is_room(send);
    assert_eq!(stored.status, 200, "{}", stored.text());
}

#[test]
fn declarations_of_columns_end_at_a_limit_and_rows_go_on() {
    let lab = Lab::open("256", &[]);
    let declare = |topic: &str, schemas: Vec<Json>| {
        let track = json!({"topic": topic, "metadata": {"mldash_bridge.schema": schemas}});
        let body = gzip(track.to_string().as_bytes());
        let send = || lab.alice.send("POST", TRACKS, &["Content-Encoding: gzip"], &body);
        once_there_is_room(send)
    };
    let refusal = |answer: Answer| {
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
        assert!(answer.text().contains("256 declarations"), "{}", answer.text());
    };
    let tiny = (0..20_000).map(|i| json!({"source": i.to_string(), "columns": []}));
    refusal(declare("tiny", tiny.collect()));
    let folder = lab.server.root().join("alice/w/run/tracks");
    for name in [".schema.json", ".schema.new.json"] {
        assert!(!folder.join("tiny").join(name).exists(), "all of them or none");
    }

    let wide = |i: usize| {
        let columns: Vec<Json> = (0..5000).map(|k| json!([format!("{i}_{k}"), "int64"])).collect();
        json!({"source": i.to_string(), "columns": columns})
    };
    for i in 0..13 {
        let declared = declare("wide", vec![wide(i)]);
        assert_eq!(declared.status, 200, "{}", declared.text());
    }
    refusal(declare("wide", vec![wide(13)]));
    assert_eq!(declare("wide", vec![wide(0), wide(12)]).status, 200, "they are known");

    let long =
        |i: usize| json!({"source": i.to_string(), "type": "x".repeat(3 * MIB), "columns": []});
    for i in 0..5 {
        let declared = declare("long", vec![long(i)]);
        assert_eq!(declared.status, 200, "{}", declared.text());
    }
    refusal(declare("long", vec![long(5)]));
    let row = json!({"entries": [{"timestamp": 1, "x": 1}]});
    let row = gzip(row.to_string().as_bytes());
    for topic in ["tiny", "wide", "long"] {
        append(&lab, topic, &row);
    }
    for name in [".schema.json", ".schema.new.json"] {
        let bytes = fs::metadata(folder.join("long").join(name)).map_or(0, |file| file.len());
        assert!(bytes < 17 << 20, "{bytes} bytes in {name}");
    }
    lab.check_peak();
}

#[test]
fn many_tracks_with_long_names_of_columns_do_not_add_up() {
    let lab = Lab::open("64", &["--max-body", "8"]);
    let name = "k".repeat(300);
    let columns: Vec<String> = (0..15_000).map(|i| format!("\"{i}{name}\":0")).collect();
    let body =
        gzip(format!("{{\"entries\":[{{\"timestamp\":1,{}}}]}}", columns.join(",")).as_bytes());
    for track in 0..14 {
        append(&lab, &format!("t{track}"), &body);
    }
    lab.check_peak();
    // Each can go on.
    let row = json!({"entries": [{"timestamp": 2, "x": 1}]});
    let row = gzip(row.to_string().as_bytes());
    for topic in ["t0", "t13"] {
        append(&lab, topic, &row);
        let rows = lab.server.root().join("alice/w/run/tracks").join(topic).join("data.jsonl");
        assert_eq!(fs::read_to_string(rows).unwrap().lines().count(), 2);
    }
    lab.check_peak();
}

#[test]
fn many_tracks_that_had_a_large_row_do_not_keep_room_for_it() {
    let lab = Lab::open("64", &["--max-body", "8"]);
    let text = "x".repeat(4 * MIB);
    let body = gzip(json!({"entries": [{"timestamp": 1, "text": text}]}).to_string().as_bytes());
    for track in 0..60 {
        append(&lab, &format!("t{track}"), &body);
    }
    lab.check_peak();
}
