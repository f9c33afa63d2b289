//! Offers topics of `PoseStamped` and publishes nothing on them: what an idle recorder is measured with (`scripts/measure
//! --idle`).
//!
//! `scripts/with-ros cargo run --release --example silent -- --topics 50 --duration 20`

use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use mldash_bridge::ros::rcl::{
    Context, Durability, Node, Publisher, QosProfile, Reliability, TypeSupport,
};

/// Offers topics and publishes nothing.
#[derive(Parser)]
struct Args {
    /// How many topics: /silent/pose_0, /silent/pose_1, …
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    topics: u32,
    /// Seconds to stay once every topic has a subscriber.
    #[arg(long, value_name = "S", default_value_t = 20)]
    duration: u64,
    /// Fail unless every topic has a subscriber within this many seconds.
    #[arg(long, value_name = "S", default_value_t = 30)]
    wait_for_subscribers: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse_from(std::env::args().take_while(|arg| arg != "--ros-args"));
    let node = Node::new(&Context::new(&[])?, "silent", "")?;
    let type_support = TypeSupport::load("geometry_msgs/msg/PoseStamped")?;
    let (reliability, durability) = (Reliability::Reliable, Durability::Volatile);
    let qos = QosProfile { reliability, durability, depth: 1_000 };
    let publishers = (0..args.topics)
        .map(|k| Publisher::new(&node, &format!("/silent/pose_{k}"), type_support, qos))
        .collect::<Result<Vec<_>, _>>()?;

    let waiting_since = Instant::now();
    for publisher in &publishers {
        while publisher.subscription_count()? == 0 {
            if waiting_since.elapsed() > Duration::from_secs(args.wait_for_subscribers) {
                return Err(format!("no subscriber within {} s", args.wait_for_subscribers).into());
            }
            sleep(Duration::from_millis(20));
        }
    }
    println!("subscribed");
    sleep(Duration::from_secs(args.duration));
    Ok(())
}
