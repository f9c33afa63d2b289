//! A robot with everything on: a cloud of 100,000 points at 10 Hz, a 640x480 camera at 30 Hz, an IMU at 200 Hz, joint
//! states and /tf at 100 Hz.
//!
//! `scripts/with-ros cargo run --release --example heavy_robot -- --duration 30`
//!
//! Messages are written once; only their stamps change, so that the robot itself takes little of the machine. Prints
//! how many of each topic it published, as JSON.

use std::collections::BTreeMap;
use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use mldash_bridge::ros::rcl::{
    Context, Durability, Node, Publisher, QosProfile, RclError, Reliability, TypeSupport,
};

/// Publishes what a robot with heavy sensors does.
#[derive(Parser)]
struct Args {
    /// Seconds to publish for.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: u64,
    /// Fail unless every topic has a subscriber within this many seconds.
    #[arg(long, value_name = "S", default_value_t = 20)]
    wait_for_subscribers: u64,
    /// Seconds to stay at most, until the last messages are delivered.
    #[arg(long, value_name = "S", default_value_t = 60)]
    linger: u64,
}

const POINTS: u32 = 100_000;
const POINT_BYTES: u32 = 16;
const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// Where a message that begins with a header has its stamp: behind the encapsulation.
const HEADER_STAMP: usize = 4;
/// The same of the first transform in an array: behind the array's length.
const FIRST_TRANSFORM_STAMP: usize = 8;

/// A topic, and what it says again and again.
struct Source {
    topic: &'static str,
    publisher: Publisher,
    message: Vec<u8>,
    stamp_at: usize,
    period: Duration,
    published: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut own: Vec<String> = std::env::args().collect();
    let ros_at = own.iter().position(|arg| arg == "--ros-args").unwrap_or(own.len());
    let ros = own.split_off(ros_at);
    let args = Args::parse_from(own);
    let ros: Vec<&str> = ros.iter().map(String::as_str).collect();
    let node = Node::new(&Context::new(&ros)?, "heavy_robot", "")?;
    let mut sources = [
        source(&node, "/imu", "sensor_msgs/msg/Imu", imu(), 200, 1_000)?,
        source(&node, "/joint_states", "sensor_msgs/msg/JointState", joints(), 100, 1_000)?,
        source(&node, "/tf", "tf2_msgs/msg/TFMessage", transforms(), 100, 1_000)?,
        source(&node, "/camera/image_raw", "sensor_msgs/msg/Image", image(), 30, 10)?,
        source(&node, "/points", "sensor_msgs/msg/PointCloud2", cloud(), 10, 10)?,
    ];
    wait_for_subscribers(&sources, Duration::from_secs(args.wait_for_subscribers))?;

    let (started, epoch) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH)?);
    let ends = Duration::from_secs(args.duration);
    while let Some(next) = sources.iter_mut().min_by_key(|source| source.due()) {
        let due = next.due();
        if due >= ends {
            break;
        }
        sleep((started + due).saturating_duration_since(Instant::now()));
        next.publish(epoch + due)?;
    }
    eprintln!("heavy_robot: published in {:.2} s", started.elapsed().as_secs_f64());
    let published: BTreeMap<_, _> = sources.iter().map(|s| (s.topic, s.published)).collect();
    println!("{}", serde_json::to_string(&published)?);
    let leaves = Instant::now() + Duration::from_secs(args.linger);
    for source in &sources {
        source.publisher.wait_for_all_acked(leaves.saturating_duration_since(Instant::now()))?;
    }
    Ok(())
}

impl Source {
    /// When its next message is due, from the start on.
    fn due(&self) -> Duration {
        self.period * self.published
    }

    fn publish(&mut self, stamp: Duration) -> Result<(), RclError> {
        let stamp_bytes = self.message.get_mut(self.stamp_at..self.stamp_at + 8);
        if let Some((sec, nanosec)) = stamp_bytes.and_then(|bytes| bytes.split_at_mut_checked(4)) {
            sec.copy_from_slice(&(stamp.as_secs() as u32).to_le_bytes());
            nanosec.copy_from_slice(&stamp.subsec_nanos().to_le_bytes());
        }
        self.published += 1;
        self.publisher.publish(&self.message)
    }
}

fn source(
    node: &Node,
    topic: &'static str,
    type_name: &str,
    message: Cdr,
    rate_hz: u32,
    depth: usize,
) -> Result<Source, RclError> {
    let (reliability, durability) = (Reliability::Reliable, Durability::Volatile);
    let qos = QosProfile { reliability, durability, depth };
    Ok(Source {
        topic,
        publisher: Publisher::new(node, topic, TypeSupport::load(type_name)?, qos)?,
        message: message.0,
        stamp_at: if topic == "/tf" { FIRST_TRANSFORM_STAMP } else { HEADER_STAMP },
        period: Duration::from_secs(1) / rate_hz,
        published: 0,
    })
}

fn wait_for_subscribers(sources: &[Source], longest: Duration) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    for Source { topic, publisher, .. } in sources {
        while publisher.subscription_count()? == 0 {
            if started.elapsed() > longest {
                return Err(format!("no subscriber to {topic} within {longest:?}").into());
            }
            sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// A message as it is written: little endian, numbers aligned to their size.
struct Cdr(Vec<u8>);

const ENCAPSULATION: [u8; 4] = [0, 1, 0, 0];
const NO_ROTATION: [f64; 4] = [0.0, 0.0, 0.0, 1.0];

impl Cdr {
    fn new() -> Self {
        Self(ENCAPSULATION.to_vec())
    }

    /// A number's bytes, behind what aligns it.
    fn number<const SIZE: usize>(mut self, bytes: [u8; SIZE]) -> Self {
        let body = self.0.len() - ENCAPSULATION.len();
        self.0.resize(ENCAPSULATION.len() + body.next_multiple_of(SIZE), 0);
        self.0.extend(bytes);
        self
    }

    fn u8(self, value: u8) -> Self {
        self.number([value])
    }

    fn u32(self, value: u32) -> Self {
        self.number(value.to_le_bytes())
    }

    /// An array of fixed length.
    fn f64s(self, values: impl IntoIterator<Item = f64>) -> Self {
        values.into_iter().fold(self, |cdr, value| cdr.number(value.to_le_bytes()))
    }

    fn text(mut self, text: &str) -> Self {
        self = self.u32(text.len() as u32 + 1);
        self.0.extend(text.as_bytes());
        self.0.push(0);
        self
    }

    /// A sequence of bytes.
    fn bytes(mut self, bytes: impl IntoIterator<Item = u8>) -> Self {
        let bytes: Vec<u8> = bytes.into_iter().collect();
        self = self.u32(bytes.len() as u32);
        self.0.extend(bytes);
        self
    }

    /// A header without a stamp yet.
    fn header(self, frame_id: &str) -> Self {
        self.u32(0).u32(0).text(frame_id)
    }
}

fn imu() -> Cdr {
    let (unknown, still) = ([0.0; 9], [0.0; 3]);
    let orientation = Cdr::new().header("imu").f64s(NO_ROTATION).f64s(unknown);
    orientation.f64s(still).f64s(unknown).f64s(still).f64s(unknown)
}

fn joints() -> Cdr {
    const JOINTS: u32 = 12;
    let names = Cdr::new().header("base_link").u32(JOINTS);
    let names = (0..JOINTS).fold(names, |cdr, i| cdr.text(&format!("joint_{i}")));
    // Positions, velocities, efforts.
    [0.1, -0.01, 1.0]
        .iter()
        .fold(names, |cdr, factor| cdr.u32(JOINTS).f64s((0..JOINTS).map(|i| f64::from(i) * factor)))
}

fn transforms() -> Cdr {
    let one = Cdr::new().u32(1).header("odom").text("base_link");
    one.f64s([0.0; 3]).f64s(NO_ROTATION)
}

/// A scene of gradients with a little noise, as a camera's: it compresses, and not too well.
fn image() -> Cdr {
    let pixel = |i: u32| {
        let (x, y) = (i % WIDTH, i / WIDTH);
        let noise = i.wrapping_mul(2_654_435_761) >> 29;
        [x / 3 + noise, y / 2 + noise, (x + y) / 5 + noise].map(|channel| (channel % 256) as u8)
    };
    let little_endian = 0;
    let head = Cdr::new().header("camera").u32(HEIGHT).u32(WIDTH).text("rgb8").u8(little_endian);
    head.u32(WIDTH * 3).bytes((0..WIDTH * HEIGHT).flat_map(pixel))
}

fn cloud() -> Cdr {
    const FLOAT32: u8 = 7;
    let field = |cdr: Cdr, (i, name): (u32, &&str)| cdr.text(name).u32(i * 4).u8(FLOAT32).u32(1);
    let point = |i: u32| {
        let angle = i as f32 * 0.01;
        [angle.cos() * 10.0, angle.sin() * 10.0, i as f32 * 1e-4, (i % 255) as f32]
    };
    let (height, little_endian, is_dense) = (1, 0, 1);
    let fields = ["x", "y", "z", "intensity"];
    let head = Cdr::new().header("lidar").u32(height).u32(POINTS).u32(fields.len() as u32);
    let head = (0..).zip(&fields).fold(head, field).u8(little_endian);
    head.u32(POINT_BYTES)
        .u32(POINTS * POINT_BYTES)
        .bytes((0..POINTS).flat_map(point).flat_map(f32::to_le_bytes))
        .u8(is_dense)
}
