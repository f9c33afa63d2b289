//! Records three tracks at 1 kHz and uploads them meanwhile; says how far that is, and what memory it takes.
//! Start it with the server off, and switch the server on later: nothing is lost, memory stays flat.
//!
//! ```text
//! mldash_bridge serve --root there --token-file tokens
//! cargo run --no-default-features --example upload -- http://127.0.0.1:3000 tokens 60
//! ```

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options, Remote};

const TRACKS: [&str; 3] = ["robot/arm", "robot/base", "robot/imu"];
const RATE_HZ: u32 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, token_file, secs] = args.as_slice() else {
        return Err("usage: upload URL TOKEN_FILE SECONDS".into());
    };
    let remote = Remote::new(url).token_file(token_file);
    let exp = Experiment::open("alice/warehouse/upload", Options::local(".dash").remote(remote))?;
    let start = Instant::now();
    for i in 0..secs.parse::<u32>()? * RATE_HZ {
        let ts = f64::from(i) / f64::from(RATE_HZ);
        for track in TRACKS {
            let row = fields! { "q": [ts.sin(), ts.cos(), ts], "effort": i, "mode": "hold" };
            exp.tracks(track).append(row, ts)?;
        }
        if i % (5 * RATE_HZ) == 0 {
            report(&exp, ts);
        }
        let due = start + Duration::from_secs_f64(ts);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    // Waits for the server, up to 30 s; what it lacks then, `mldash_bridge sync` uploads.
    let closed = exp.close()?;
    if let Some(sync) = closed.sync {
        println!("{sync}");
    }
    Ok(())
}

fn report(exp: &Experiment, secs: f64) {
    if let Some(status) = exp.sync_status() {
        println!("{secs:6.1} s, {} MiB of memory; {status}", resident_bytes() >> 20);
    }
}

/// Memory of this process.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096
}
