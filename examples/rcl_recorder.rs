//! The floor for benchmarks: takes the raw bytes of the given topics and appends them to a file, nothing else. It stands on
//! the same layer as the bridge (`mldash_bridge::ros::rcl`) and waits as the bridge does; `raw_recorder` is the same on r2r.
//!
//! `scripts/with-ros cargo run --release --example rcl_recorder -- -o raw.bin /flood/pose_0 /flood/pose_1`
//!
//! Prints, at SIGINT or after `--duration`, how many messages it took and the CPU it used, DDS threads included.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use mldash_bridge::ros::rcl::{
    Context, Durability, GuardCondition, Node, QosProfile, Ready, Reliability, Subscription,
    TypeSupport, WaitSet,
};
use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

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

/// Under load, messages gather for so long: the bridge's default.
const GATHER: Duration = Duration::from_millis(5);
const QOS: QosProfile = QosProfile {
    reliability: Reliability::Reliable,
    durability: Durability::Volatile,
    depth: 1_000,
};

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse_from(std::env::args().take_while(|arg| arg != "--ros-args"));
    let context = Context::new(&[])?;
    let node = Node::new(&context, "rcl_recorder", "")?;
    let guard = GuardCondition::new(&context)?;
    let stop = stop_on_signals(guard.clone())?;
    let mut recorder = Recorder {
        missing: args.topics,
        subscriptions: Vec::new(),
        file: BufWriter::new(File::create(&args.output)?),
        received: 0,
    };
    let deadline = args.duration.map(|secs| Instant::now() + Duration::from_secs(secs));

    recorder.subscribe_to_published(&node)?;
    let (mut wait_set, mut ready) = (WaitSet::new(&node)?, Ready::default());
    let mut last_drain = Instant::now();
    while !stop.load(Ordering::Relaxed) && deadline.is_none_or(|at| Instant::now() < at) {
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        wait_set.wait(recorder.subscriptions.iter(), &guard, timeout, &mut ready)?;
        let taken = recorder.drain(&ready.subscriptions)?;
        if ready.graph {
            recorder.subscribe_to_published(&node)?;
        }
        let now = Instant::now();
        if taken > 1 || (taken > 0 && now - last_drain < GATHER) {
            thread::sleep(GATHER);
        }
        last_drain = now;
    }
    let all: Vec<usize> = (0..recorder.subscriptions.len()).collect();
    recorder.drain(&all)?;
    recorder.file.flush()?;

    let received = recorder.received;
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let cpu_secs = Duration::try_from(cpu)?.as_secs_f64();
    let micros_each = cpu_secs * 1e6 / received.max(1) as f64;
    println!("messages {received} cpu_secs {cpu_secs:.3} cpu_micros_per_message {micros_each:.1}");
    Ok(())
}

/// What is set at SIGINT or SIGTERM; `guard` wakes whoever waits.
fn stop_on_signals(guard: GuardCondition) -> Result<Arc<AtomicBool>, Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let told = Arc::clone(&stop);
    thread::spawn(move || {
        for _ in signals.forever() {
            told.store(true, Ordering::Relaxed);
            if let Err(error) = guard.trigger() {
                eprintln!("rcl_recorder: can't stop: {error}");
            }
        }
    });
    Ok(stop)
}

struct Recorder {
    /// Topics that nobody has published yet.
    missing: Vec<String>,
    subscriptions: Vec<Subscription>,
    file: BufWriter<File>,
    received: u64,
}

impl Recorder {
    fn subscribe_to_published(&mut self, node: &Node) -> Result<(), Box<dyn Error>> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let graph = node.topics()?;
        let mut still_missing = Vec::new();
        for topic in self.missing.drain(..) {
            match graph.get(&topic).and_then(|types| types.first()) {
                Some(type_name) => {
                    let type_support = TypeSupport::load(type_name)?;
                    self.subscriptions.push(Subscription::new(node, &topic, type_support, QOS)?);
                }
                None => still_missing.push(topic),
            }
        }
        self.missing = still_missing;
        Ok(())
    }

    /// Takes what has arrived on these subscriptions; how much that was.
    fn drain(&mut self, ready: &[usize]) -> Result<u64, Box<dyn Error>> {
        let before = self.received;
        for index in ready {
            let Some(subscription) = self.subscriptions.get_mut(*index) else { continue };
            while let Some(message) = subscription.take()? {
                self.file.write_all(message.cdr)?;
                self.received += 1;
            }
        }
        Ok(self.received - before)
    }
}
