//! Floods the ROS graph with `PoseStamped`: N topics at R Hz each for S seconds, every stamp and value its own.
//!
//! `scripts/with-ros cargo run --release --example flood -- --topics 3 --rate 1000 --duration 8`
//!
//! Message `i` (from 0) of topic `/flood/pose_<k>` has stamp `1_700_000_000 s + i / rate`, frame id `flood_<k>`,
//! position `[i, k, i / 8]` and orientation `[0, 0, 0, 1]`, so that a reader can check every row.

use std::error::Error;
use std::io::stdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use clap::Parser;
use r2r::QosProfile;
use r2r::builtin_interfaces::msg::Time;
use r2r::geometry_msgs::msg::{Point, Pose, PoseStamped, Quaternion};
use r2r::std_msgs::msg::Header;

/// Publishes numbered poses at a steady rate, reliably and with a deep queue.
#[derive(Parser)]
struct Args {
    /// How many topics: /flood/pose_0, /flood/pose_1, …
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    topics: u32,
    /// Messages per second on each topic.
    #[arg(long, value_name = "HZ", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// Seconds to publish for.
    #[arg(long, value_name = "S", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: u64,
    /// Publish until a line comes on standard input instead, and stay until the next one.
    #[arg(long, conflicts_with_all = ["duration", "linger"])]
    until_told: bool,
    /// Fail unless every topic has a subscriber within this many seconds.
    #[arg(long, value_name = "S", default_value_t = 20)]
    wait_for_subscribers: u64,
    /// Seconds to stay after the last message, so that it can be delivered.
    #[arg(long, value_name = "S", default_value_t = 1)]
    linger: u64,
}

const FIRST_STAMP_NANOS: u64 = 1_700_000_000 * NANOS_PER_SEC;
const NANOS_PER_SEC: u64 = 1_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse_from(std::env::args().take_while(|arg| arg != "--ros-args"));
    let mut node = r2r::Node::create(r2r::Context::create()?, "flood", "")?;
    let qos = QosProfile::default().keep_last(10_000).reliable();
    let publishers = (0..args.topics)
        .map(|k| node.create_publisher::<PoseStamped>(&format!("/flood/pose_{k}"), qos.clone()))
        .collect::<Result<Vec<_>, _>>()?;

    let waiting_since = Instant::now();
    for publisher in &publishers {
        while publisher.get_inter_process_subscription_count()? == 0 {
            if waiting_since.elapsed() > Duration::from_secs(args.wait_for_subscribers) {
                return Err(format!("no subscriber within {} s", args.wait_for_subscribers).into());
            }
            sleep(Duration::from_millis(20));
        }
    }

    let told = args.until_told.then(Told::listen);
    let started = Instant::now();
    let is_over = |i: u64| match &told {
        Some(told) => told.is_told.load(Ordering::Relaxed),
        None => i == args.rate * args.duration,
    };
    let mut i = 0;
    while !is_over(i) {
        let offset_nanos = i * NANOS_PER_SEC / args.rate;
        let due = started + Duration::from_nanos(offset_nanos);
        sleep(due.saturating_duration_since(Instant::now()));
        for (k, publisher) in (0_u32..).zip(&publishers) {
            publisher.publish(&pose(i, k, FIRST_STAMP_NANOS + offset_nanos))?;
        }
        i += 1;
    }
    let published = i * u64::from(args.topics);
    eprintln!("flood: published in {:.2} s", started.elapsed().as_secs_f64());
    println!("{published}");
    match told {
        Some(told) => told.wait_for_another()?,
        None => sleep(Duration::from_secs(args.linger)),
    }
    Ok(())
}

/// Whoever started this, and says by lines on standard input when to go on.
struct Told {
    is_told: Arc<AtomicBool>,
    listening: JoinHandle<()>,
}

impl Told {
    fn listen() -> Self {
        let is_told = Arc::new(AtomicBool::new(false));
        let tell = is_told.clone();
        let listening = spawn(move || {
            // The end of the input tells as much as a line.
            let _ = stdin().read_line(&mut String::new());
            tell.store(true, Ordering::Relaxed);
        });
        Self { is_told, listening }
    }

    fn wait_for_another(self) -> Result<(), Box<dyn Error>> {
        self.listening.join().map_err(|_| "the input could not be read")?;
        stdin().read_line(&mut String::new())?;
        Ok(())
    }
}

fn pose(i: u64, k: u32, stamp_nanos: u64) -> PoseStamped {
    PoseStamped {
        header: Header {
            stamp: Time {
                sec: (stamp_nanos / NANOS_PER_SEC) as i32,
                nanosec: (stamp_nanos % NANOS_PER_SEC) as u32,
            },
            frame_id: format!("flood_{k}"),
        },
        pose: Pose {
            position: Point { x: i as f64, y: f64::from(k), z: i as f64 / 8.0 },
            orientation: Quaternion { w: 1.0, ..Quaternion::default() },
        },
    }
}
