//! Joins a fast sensor and a slow one to a camera's frames, the table that learning starts from.
//!
//! `cargo run --no-default-features --example align`

use std::error::Error;

use mldash_bridge::fields;
use mldash_bridge::track::{Align, AlignMethod, Experiment, Format, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let exp = Experiment::open("alice/warehouse/run-1", Options::local(root.path()))?;
    for i in 0..30 {
        let file = format!("frame_{i:05}.jpg");
        exp.tracks("camera").append(fields! { "file": file }, f64::from(i) / 30.0)?;
    }
    for i in 0..500 {
        exp.tracks("imu")
            .append(fields! { "gyro": [0.0, 0.0, f64::from(i)] }, f64::from(i) / 500.0)?;
    }
    for i in 0..2 {
        exp.tracks("battery").append(fields! { "percent": 90 - i }, 0.1 + f64::from(i) / 2.0)?;
    }

    // What was known at each frame: the last row that is not after it.
    let known = exp.align(&Align::on("camera").with(["imu", "battery"]))?;
    for row in known.rows().take(5) {
        let row = row?;
        println!("{}: battery {:?}", row.ts, row.fields.get("battery.percent"));
    }

    // What was seen closest to each frame, if it was within 2 ms.
    let nearest = Align::on("camera").with(["imu"]).method(AlignMethod::Nearest).tolerance(0.002);
    let nearest = exp.align(&nearest)?;
    println!("{}", String::from_utf8(nearest.export(Format::Jsonl)?)?);
    println!("as Parquet: {} bytes", nearest.export(Format::Parquet)?.len());
    Ok(())
}
