//! Records a robot's pose with a file beside it, and reads it back in every way there is.
//!
//! `cargo run --no-default-features --example append_and_read`

use std::error::Error;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Format, Options, Query};

#[derive(serde::Serialize)]
struct Joints {
    q: [f32; 2],
    mode: &'static str,
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let name = "alice/warehouse/run-1";

    // Record. Rows of one topic that share a time are one row.
    let exp = Experiment::open(name, Options::local(root.path()))?;
    let pose = exp.tracks("robot/pose");
    for i in 0..100 {
        let ts = f64::from(i) * 0.1;
        pose.append(fields! { "position": [ts, 0.0, 0.5], "frame_id": "map" }, ts)?;
        pose.append(fields! { "battery": { "percent": 100 - i } }, ts)?;
    }
    exp.tracks("arm").append_serialize(&Joints { q: [0.1, -0.22], mode: "hold" }, 4.95)?;
    exp.tracks("arm").append_json(r#"{"_ts": 5.05, "q": [0.2, -0.2]}"#)?;
    let frame = exp.files("frames").save_bytes(b"P5 1 1 255 x", "frame_00001.pgm")?;
    exp.tracks("camera").append(fields! { "file": frame.filename.as_str() }, 5.0)?;
    let closed = exp.close()?;
    println!("recorded {} tracks and {} file", closed.tracks.len(), closed.files);

    // Read: another process can, also while it is recorded.
    let exp = Experiment::open_read_only(name, root.path())?;
    for track in exp.list()? {
        println!("{}: {} rows of {}", track.topic, track.total_entries, track.columns.join(", "));
    }
    let pose = exp.tracks("robot/pose");
    let query = Query::range(5.0..=5.2).columns(["battery.percent"]);
    for row in pose.rows(&query)? {
        let row = row?;
        println!("at {}: {:?}", row.ts, row.fields.get("battery.percent"));
    }
    println!("{}", String::from_utf8(pose.export(&query, Format::Jsonl)?)?);
    println!("as Parquet: {} bytes", pose.export(&Query::all(), Format::Parquet)?.len());

    // Single rows by their time, and files by their name.
    let slice = pose.slice(0.0..=10.0)?;
    println!("known at 5.07: the row of {}", slice.find_by_time(5.07)?.ts);
    println!("nearest to 5.07: the row of {}", slice.find_nearest(5.07, 0.05)?.ts);
    println!("the frame has {} bytes", exp.files("frames").read("frame_00001.pgm")?.len());
    Ok(())
}
