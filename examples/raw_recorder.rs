//! The floor for benchmarks: takes the raw bytes of the given topics and appends them to a file, nothing else.
//!
//! `scripts/with-ros cargo run --release --example raw_recorder -- -o raw.bin /flood/pose_0 /flood/pose_1`
//!
//! Prints, at SIGINT or after `--duration`, how many messages it took and the CPU it used, DDS threads included.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use futures::{FutureExt, Stream, StreamExt};
use r2r::QosProfile;
use rustix::time::{ClockId, clock_gettime};

/// Appends the raw bytes of topics to a file and prints what that cost.
#[derive(Parser)]
struct Args {
    /// Where the bytes go, one message after the other.
    #[arg(short, long, default_value = "/dev/null")]
    output: PathBuf,
    /// Stop after this many seconds; default: at SIGINT or SIGTERM.
    #[arg(long, value_name = "S")]
    duration: Option<u64>,
    /// Topics, fully resolved; types come from the graph once somebody publishes them.
    #[arg(required = true)]
    topics: Vec<String>,
}

/// How soon a new topic or the end is noticed.
const POLL: Duration = Duration::from_millis(20);

type Messages = Box<dyn Stream<Item = Vec<u8>> + Unpin>;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse_from(std::env::args().take_while(|arg| arg != "--ros-args"));
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut node = r2r::Node::create(r2r::Context::create()?, "raw_recorder", "")?;
    let mut file = BufWriter::new(File::create(&args.output)?);
    let deadline = args.duration.map(|secs| Instant::now() + Duration::from_secs(secs));

    let mut missing = args.topics;
    let mut streams: Vec<Messages> = Vec::new();
    let mut received = 0_u64;
    while !stop.load(Ordering::Relaxed) && deadline.is_none_or(|at| Instant::now() < at) {
        if !missing.is_empty() {
            subscribe_to_published(&mut node, &mut missing, &mut streams)?;
        }
        if streams.is_empty() {
            // rcl takes it for an error to wait for nothing.
            sleep(POLL);
            continue;
        }
        node.spin_once(POLL);
        // r2r queues ten messages a subscription and drops the rest; a spin takes at most one of each.
        for stream in &mut streams {
            while let Some(Some(bytes)) = stream.next().now_or_never() {
                file.write_all(&bytes)?;
                received += 1;
            }
        }
    }
    file.flush()?;

    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_secs = Duration::try_from(cpu)?.as_secs_f64();
    let micros_each = cpu_secs * 1e6 / received.max(1) as f64;
    println!("messages {received} cpu_secs {cpu_secs:.3} cpu_micros_per_message {micros_each:.1}");
    Ok(())
}

/// Subscribes to those of `missing` that somebody publishes by now, and takes them off the list.
fn subscribe_to_published(
    node: &mut r2r::Node,
    missing: &mut Vec<String>,
    streams: &mut Vec<Messages>,
) -> r2r::Result<()> {
    let graph = node.get_topic_names_and_types()?;
    let mut still_missing = Vec::new();
    for topic in missing.drain(..) {
        match graph.get(&topic).and_then(|types| types.first()) {
            Some(message_type) => {
                let qos = QosProfile::default().keep_last(1_000).reliable();
                streams.push(Box::new(node.subscribe_raw(&topic, message_type, qos)?));
            }
            None => still_missing.push(topic),
        }
    }
    *missing = still_missing;
    Ok(())
}
