//! Plays an MCAP recording onto the live ROS graph: the raw CDR of every message, stamps untouched.
//!
//! `scripts/with-ros cargo run --release --example play_bag -- BAG.mcap [--rate N | --fast]`
//!
//! Knows nothing of `mldash_bridge`: to the bridge it is just another robot.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use r2r::{PublisherUntyped, QosProfile};

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
    /// Stay this long after the last message, in seconds, so that it can be delivered.
    #[arg(long, value_name = "S", default_value_t = 1.0)]
    linger: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse_from(std::env::args().take_while(|arg| arg != "--ros-args"));
    let bag = std::fs::read(&args.bag).map_err(|e| format!("{}: {e}", args.bag.display()))?;

    let mut node = r2r::Node::create(r2r::Context::create()?, "play_bag", "")?;
    let publishers = advertise(&mut node, &bag)?;
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
        publisher.publish_raw(&message.data)?;
        published += 1;
    }
    eprintln!(
        "play_bag: published {published} messages of {} topics in {:.1} s",
        publishers.len(),
        started.elapsed().as_secs_f64()
    );
    sleep(Duration::from_secs_f64(args.linger.max(0.0)));
    Ok(())
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if number > 0.0 && f64::is_finite(number) => Ok(number),
        _ => Err("must be a number greater than 0".to_owned()),
    }
}

/// One publisher a CDR topic of the bag, by topic. Names the topics it has to leave out.
fn advertise(
    node: &mut r2r::Node,
    bag: &[u8],
) -> Result<BTreeMap<String, PublisherUntyped>, Box<dyn Error>> {
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
        let latched = ["/tf_static", "/robot_description"].contains(&topic.as_str());
        let qos = QosProfile::default().keep_last(1_000).reliable();
        let qos = if latched { qos.transient_local() } else { qos };
        match node.create_publisher_untyped(topic, &schema.name, qos) {
            Ok(publisher) => drop(publishers.insert(topic.clone(), publisher)),
            Err(e) => eprintln!(
                "play_bag: {topic} left out: no type {} in this build ({e}); rebuild with its workspace sourced",
                schema.name
            ),
        }
    }
    Ok(publishers)
}

/// Returns once every topic has a subscriber, or some have and for two seconds no more came.
fn wait_for_subscribers(
    publishers: &BTreeMap<String, PublisherUntyped>,
    longest: Duration,
) -> Result<(), Box<dyn Error>> {
    const SETTLED: Duration = Duration::from_secs(2);
    let started = Instant::now();
    let mut matched = 0;
    let mut last_change = started;
    loop {
        let mut unmatched = Vec::new();
        for (topic, publisher) in publishers {
            if publisher.get_inter_process_subscription_count()? == 0 {
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
