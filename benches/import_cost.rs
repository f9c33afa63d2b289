//! What the program takes to import a bag of 455 MB with scans in it: CPU, time and memory. Compared with
//! reading and unpacking it with the `mcap` crate alone, and with doing that and writing the scans' numbers
//! as text, which no import into JSON lines can do without.
//!
//! `cargo bench --no-default-features --bench import_cost` writes the bag to a temporary folder and
//! measures; `… -- FILE` takes FILE, which is written first if it is not there and is kept;
//! `… -- --write FILE` only writes it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that can't run says so by its panic"
)]

mod robot_bag;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mcap::records::op;
use mcap::sans_io::{LinearReadEvent, LinearReader};
use rustix::time::{ClockId, clock_gettime};

/// GNU time, which tells what a program took.
const TIME: &str = "/usr/bin/time";

fn main() {
    // cargo itself adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let is_only_written = args.iter().any(|arg| arg == "--write");
    let folder = tempfile::tempdir().unwrap();
    let given = args.iter().find(|arg| !arg.starts_with('-')).map(PathBuf::from);
    let bag = given.unwrap_or_else(|| folder.path().join("robot.mcap"));
    if !bag.exists() {
        let written = robot_bag::write(&bag, robot_bag::HALF_GIGABYTE_SECS);
        println!("{}: {} messages, {} bytes", bag.display(), written.messages, written.bytes);
    }
    println!("{} bytes on disk", fs::metadata(&bag).unwrap().len());
    if is_only_written {
        return;
    }
    // From the page cache, all.
    read(&bag, |_| {});
    let reading = timed("mcap alone", || read(&bag, |_| {}));
    let mut text = File::create(folder.path().join("text")).unwrap();
    timed("mcap, and its scans as text", || read(&bag, |message| write_scan(message, &mut text)));
    let import = import(&bag, folder.path());
    println!(
        "import: {:.2} s of CPU ({:.1} times), {:.2} s, {} MB at most",
        import.cpu_secs,
        import.cpu_secs / reading,
        import.wall_secs,
        import.peak_kib * 1024 / 1_000_000
    );
}

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap())
}

/// Says what some work took; returns its CPU in seconds.
fn timed(what: &str, work: impl FnOnce() -> u64) -> f64 {
    let (wall_before, cpu_before) = (Instant::now(), cpu());
    let messages = work();
    let (wall, cpu) = (wall_before.elapsed().as_secs_f64(), (cpu() - cpu_before).as_secs_f64());
    println!("{what}: {messages} messages, {cpu:.2} s of CPU, {wall:.2} s");
    cpu
}

/// Reads and unpacks every message, its header included. Returns how many there are.
fn read(bag: &Path, mut take: impl FnMut(&[u8])) -> u64 {
    let mut file = File::open(bag).unwrap();
    let mut reader = LinearReader::new();
    let mut messages = 0;
    while let Some(event) = reader.next_event() {
        match event.unwrap() {
            LinearReadEvent::ReadRequest(wanted) => {
                let read = file.read(reader.insert(wanted)).unwrap();
                reader.notify_read(read);
            }
            LinearReadEvent::Record { opcode: op::MESSAGE, data } => {
                messages += 1;
                take(data);
            }
            LinearReadEvent::Record { .. } => {}
        }
    }
    messages
}

/// Writes the ranges and intensities of a scan, which its message ends with, as text. Whole numbers are
/// written by the quickest way there is.
fn write_scan(message: &[u8], to: &mut File) {
    const NUMBERS: usize = 2 * robot_bag::RAYS;
    if message.len() < 4 * NUMBERS {
        return;
    }
    // With the length of the second array between them.
    let (_, numbers) = message.split_at(message.len() - 4 * (NUMBERS + 1));
    let mut text = Vec::with_capacity(NUMBERS * 16);
    for number in numbers.as_chunks().0 {
        let number = f32::from_le_bytes(*number);
        if number.fract() == 0.0 {
            text.extend_from_slice(itoa::Buffer::new().format(number as u32).as_bytes());
            text.extend_from_slice(b".0,");
        } else {
            text.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
            text.push(b',');
        }
    }
    to.write_all(&text).unwrap();
}

/// What an import took.
struct Cost {
    cpu_secs: f64,
    wall_secs: f64,
    peak_kib: u64,
}

/// Runs the program, as users do.
fn import(bag: &Path, folder: &Path) -> Cost {
    let (config, cost) = (folder.join("all.yaml"), folder.join("cost"));
    fs::write(&config, "topics: [{topic: /**}]\n").unwrap();
    let done = Command::new(TIME)
        .args(["-f", "%U %S %e %M", "-o"])
        .arg(&cost)
        .arg(env!("CARGO_BIN_EXE_mldash_bridge"))
        .args(["import", "--json", "--experiment", "alice/bench/run", "--root"])
        .arg(folder.join("root"))
        .arg("--config")
        .args([&config, bag])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let figures: Vec<f64> =
        fs::read_to_string(cost).unwrap().split_whitespace().map(|n| n.parse().unwrap()).collect();
    let [user, system, wall_secs, peak_kib] = figures[..] else { panic!("{figures:?}") };
    Cost { cpu_secs: user + system, wall_secs, peak_kib: peak_kib as u64 }
}
