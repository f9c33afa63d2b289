//! Files go before the rows that name them.

use std::time::Duration;

use mldash_bridge::fields;
use mldash_bridge::track::Experiment;

use super::lab::{Lab, RUN, append};
use crate::fault_proxy::Fault;

#[test]
fn no_row_on_the_server_ever_names_a_file_that_is_not_there() {
    const FRAMES: u32 = 40;
    let lab = Lab::new();
    lab.proxy
        .set(Fault::Slow { latency: Duration::from_millis(2), bytes_per_sec: Some(2_000_000) });
    let exp = lab.record();
    for i in 0..FRAMES {
        let name = format!("frame_{i:05}.jpg");
        let data = vec![i as u8; 20_000];
        let saved = exp.files("frames/left").save_bytes(&data, &name).unwrap();
        let ts = f64::from(i) / 30.0;
        exp.tracks("camera").append(fields! { "frame": saved.filename, "index": i }, ts).unwrap();
    }
    append(&exp, "joints", 0..500);
    let done = std::thread::scope(|scope| {
        let flush = scope.spawn(|| exp.flush());
        while !flush.is_finished() {
            rows_name_files_that_are_there(&lab);
            std::thread::sleep(Duration::from_millis(5));
        }
        flush.join().unwrap()
    });
    done.unwrap();
    assert_eq!(rows_name_files_that_are_there(&lab), FRAMES as usize);
    lab.assert_same("flushed");
    let there = Experiment::open_read_only(RUN, lab.server_root()).unwrap();
    for i in 0..FRAMES {
        let name = format!("frame_{i:05}.jpg");
        assert_eq!(there.files("frames/left").read(&name).unwrap(), vec![i as u8; 20_000]);
    }
    let sync = exp.close().unwrap().sync.unwrap();
    assert_eq!((sync.files_sent, sync.files_waiting), (u64::from(FRAMES), 0));
    // Nothing is sent twice.
    let again = lab.sync(&lab.remote());
    assert_eq!((again.status.files_sent, again.status.rows_sent), (0, 0));
}

/// How many rows there are on the server.
fn rows_name_files_that_are_there(lab: &Lab) -> usize {
    // The rows first: what they name was there before.
    let rows = lab.on_server("camera");
    if rows.is_empty() {
        return 0;
    }
    let there = Experiment::open_read_only(RUN, lab.server_root()).unwrap();
    let files = there.files("frames/left");
    for row in &rows {
        let name = row["frame"].as_str().unwrap();
        assert!(files.find(name).unwrap().is_some(), "{name}");
    }
    rows.len()
}
