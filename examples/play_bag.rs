//! Plays an MCAP recording onto the live ROS graph: the raw CDR of every message, stamps untouched.
//!
//! `scripts/with-ros cargo run --release --example play_bag -- BAG.mcap [--rate N | --fast]`
//!
//! It publishes any type that is installed where it runs. To the bridge it is just another robot.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use mldash_bridge::ros::rcl::{
    Context, Durability, Node, Publisher, QosProfile, RclError, Reliability, TypeSupport,
};

/// Plays an MCAP recording onto the live ROS graph, message stamps untouched.
#[derive(Parser)]
struct Args {
    /// The recording: CDR messages, as `ros2 bag` writes them.
    bag: PathBuf,
    /// How many times faster than recorded.
    #[arg(long, default_value_t = 1.0, conflicts_with = "fast", value_parser = positive)]
    rate: f64,
    /// As fast as the graph takes it.
    #[arg(long)]
    fast: bool,
    /// Wait at most this long, in seconds, for every topic to have a subscriber.
    #[arg(long, value_name = "S", value_parser = positive)]
    wait_for_subscribers: Option<f64>,
    /// Stay this long at most, in seconds, until the last messages are delivered.
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    linger: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let (own, ros) = split_ros_args();
    let args = Args::parse_from(own);
    let bag = std::fs::read(&args.bag).map_err(|e| format!("{}: {e}", args.bag.display()))?;

    let ros: Vec<&str> = ros.iter().map(String::as_str).collect();
    let node = Node::new(&Context::new(&ros)?, "play_bag", "")?;
    let publishers = advertise(&node, &bag)?;
    if let Some(longest_secs) = args.wait_for_subscribers {
        wait_for_subscribers(&publishers, Duration::from_secs_f64(longest_secs))?;
    }

    let started = Instant::now();
    let mut first_log_nanos = None;
    let mut published = 0_u64;
    for message in mcap::MessageStream::new(&bag)? {
        let message = message?;
        let Some(publisher) = publishers.get(&message.channel.topic) else {
            continue;
        };
        if !args.fast {
            let first = *first_log_nanos.get_or_insert(message.log_time);
            let offset = Duration::from_nanos(message.log_time.saturating_sub(first));
            let due = started + offset.div_f64(args.rate);
            sleep(due.saturating_duration_since(Instant::now()));
        }
        publisher.publish(&message.data)?;
        published += 1;
    }
    eprintln!(
        "play_bag: published {published} messages of {} topics in {:.1} s",
        publishers.len(),
        started.elapsed().as_secs_f64()
    );
    let leaves = Instant::now() + Duration::from_secs_f64(args.linger.max(0.0));
    for publisher in publishers.values() {
        publisher.wait_for_all_acked(leaves.saturating_duration_since(Instant::now()))?;
    }
    Ok(())
}

/// The arguments of this program, and those from `--ros-args` on.
fn split_ros_args() -> (Vec<String>, Vec<String>) {
    let mut own: Vec<String> = std::env::args().collect();
    let ros_at = own.iter().position(|arg| arg == "--ros-args").unwrap_or(own.len());
    let ros = own.split_off(ros_at);
    (own, ros)
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("must be a number greater than 0".to_owned()),
    }
}

/// One publisher a CDR topic of the bag, by topic. Names the topics it has to leave out.
fn advertise(node: &Node, bag: &[u8]) -> Result<BTreeMap<String, Publisher>, Box<dyn Error>> {
    let summary = mcap::Summary::read(bag)?
        .ok_or("the recording has no summary (was it cut short?); `mcap recover` makes one")?;
    let mut publishers = BTreeMap::new();
    for channel in summary.channels.values() {
        let topic = &channel.topic;
        let Some(schema) = &channel.schema else {
            eprintln!("play_bag: {topic} has no schema; left out");
            continue;
        };
        if channel.message_encoding != "cdr" {
            eprintln!("play_bag: {topic} is {}, not cdr; left out", channel.message_encoding);
            continue;
        }
        let durability =
            if is_latched(channel) { Durability::TransientLocal } else { Durability::Volatile };
        let qos = QosProfile { reliability: Reliability::Reliable, durability, depth: 1_000 };
        let publisher = TypeSupport::load(&schema.name)
            .map_err(RclError::from)
            .and_then(|type_support| Publisher::new(node, topic, type_support, qos));
        match publisher {
            Ok(publisher) => drop(publishers.insert(topic.clone(), publisher)),
            Err(error) => eprintln!("play_bag: {topic} left out: {error}"),
        }
    }
    Ok(publishers)
}

/// Whether the topic's publishers kept messages for who came late: as the bag says, or by the name.
fn is_latched(channel: &mcap::Channel<'_>) -> bool {
    // YAML by rosbag2; older ones write rmw's number.
    let offered = channel.metadata.get("offered_qos_profiles").map_or("", String::as_str);
    ["durability: transient_local", "durability: 1"].iter().any(|latched| offered.contains(latched))
        || ["/tf_static", "/robot_description"].contains(&channel.topic.as_str())
}

/// Returns once every topic has a subscriber, or some have and for five seconds no more came.
fn wait_for_subscribers(
    publishers: &BTreeMap<String, Publisher>,
    longest: Duration,
) -> Result<(), Box<dyn Error>> {
    const SETTLED: Duration = Duration::from_secs(5);
    let started = Instant::now();
    let mut matched = 0;
    let mut last_change = started;
    loop {
        let mut unmatched = Vec::new();
        for (topic, publisher) in publishers {
            if publisher.subscription_count()? == 0 {
                unmatched.push(topic.as_str());
            }
        }
        let now_matched = publishers.len() - unmatched.len();
        if now_matched != matched {
            matched = now_matched;
            last_change = Instant::now();
        }
        if unmatched.is_empty() {
            return Ok(());
        }
        if matched > 0 && last_change.elapsed() > SETTLED {
            eprintln!("play_bag: nobody subscribes to {}", unmatched.join(", "));
            return Ok(());
        }
        if started.elapsed() > longest {
            return Err(format!("no subscriber to any topic within {longest:?}").into());
        }
        sleep(Duration::from_millis(20));
    }
}
