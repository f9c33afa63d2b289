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

/// Writes an index of so many blocks beside the track's rows, which is as long as that of so many times 64 KiB. It fits no rows, so
/// it is read and made anew.
fn lengthen_index(track: &Path, blocks: usize) {
    let block = |i: usize| {
        let (offset, min) = (i << 16, 1_700_000_000.25 + i as f64);
        json!({"offset": offset, "len": 1 << 16, "rows": 800, "bad": 0, "min": min, "max": min + 0.5, "ascending": true})
    };
    let blocks: Vec<Json> = (0..blocks).map(block).collect();
    let fingerprint = json!({"end": 1, "head_crc": 0, "tail_crc": 0, "modified_nanos": 0});
    let index = json!({"fingerprint": fingerprint, "columns": ["x"], "blocks": blocks});
    let file = json!({"version": 2, "topic": "arm", "checksum": 0, "index": index});
    fs::write(track.join(".index.json"), file.to_string()).unwrap();
}

#[test]
fn a_long_track_that_was_closed_is_opened_again_and_what_never_fits_refuses_no_rows() {
    let lab = Lab::open("16", &["--max-body", "2"]);
    let row = |ts: u32| json!({"entries": [{"timestamp": ts, "x": 1}]});
    let append_to = |topic, ts| lab.alice.post(&batch_path("alice", topic), &row(ts));
    let append = |ts| append_to("arm", ts);
    let one = |ts: u32| {
        let path = format!("{}/append", track_path("alice", "arm"));
        lab.alice.post(&path, &json!({"timestamp": ts, "data": {"x": 1}}))
    };
    let node = "/api/nodes/experiment~~alice~~w~~run";
    // The track is closed, the experiment is not: opening that would make another index at once.
    let close = || {
        let closed = lab.alice.patch(node, &json!({"status": "COMPLETED"}));
        assert_eq!(closed.status, 200, "{}", closed.text());
        assert_eq!(append_to("leg", 1).status, 200);
    };
    let track = lab.server.root().join("alice/w/run/tracks/arm");
    assert_eq!(append(1).status, 200);
    close();
    // As of 400 MB.
    lengthen_index(&track, 6400);
    let stored = append(2);
    assert_eq!(stored.status, 200, "{}", stored.text());
    close();
    // As of 4 GB.
    lengthen_index(&track, 64_000);
    let made = lab.alice.post(TRACKS, &json!({"topic": "arm"}));
    for answer in [append(3), one(3), made] {
        assert_eq!(answer.status, 507, "{}", answer.text());
        assert!(answer.text().contains("--max-memory"), "{}", answer.text());
    }
    fs::remove_file(track.join(".index.json")).unwrap();
    assert_eq!(append(3).status, 200);
    lab.check_peak();
}
