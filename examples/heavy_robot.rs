//! A robot with everything on: a cloud of 100,000 points at 10 Hz, a 640x480 camera at 30 Hz, an IMU at 200 Hz, joint
//! states and /tf at 100 Hz.
//!
//! `scripts/with-ros cargo run --release --example heavy_robot -- --duration 30`
//!
//! Messages are serialised once; only their stamps change, so that the robot itself takes little of the machine. Prints
//! how many of each topic it published, as JSON.

use std::collections::BTreeMap;
use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use r2r::geometry_msgs::msg::TransformStamped;
use r2r::sensor_msgs::msg::{Image, Imu, JointState, PointCloud2, PointField};
use r2r::std_msgs::msg::Header;
use r2r::tf2_msgs::msg::TFMessage;
use r2r::{PublisherUntyped, QosProfile, WrappedTypesupport};

/// Publishes what a robot with heavy sensors does.
#[derive(Parser)]
struct Args {
    /// Seconds to publish for.
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    duration: u64,
    /// Fail unless every topic has a subscriber within this many seconds.
    #[arg(long, value_name = "S", default_value_t = 20)]
    wait_for_subscribers: u64,
    /// Seconds to stay after the last message, so that it can be delivered.
    #[arg(long, value_name = "S", default_value_t = 1)]
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
    publisher: PublisherUntyped,
    message: Vec<u8>,
    stamp_at: usize,
    period: Duration,
    published: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse_from(std::env::args().take_while(|arg| arg != "--ros-args"));
    let mut node = r2r::Node::create(r2r::Context::create()?, "heavy_robot", "")?;
    let mut sources = [
        source(&mut node, "/imu", "sensor_msgs/msg/Imu", &imu(), 200, 1_000)?,
        source(&mut node, "/joint_states", "sensor_msgs/msg/JointState", &joints(), 100, 1_000)?,
        source(&mut node, "/tf", "tf2_msgs/msg/TFMessage", &transforms(), 100, 1_000)?,
        source(&mut node, "/camera/image_raw", "sensor_msgs/msg/Image", &image(), 30, 10)?,
        source(&mut node, "/points", "sensor_msgs/msg/PointCloud2", &cloud(), 10, 10)?,
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
    sleep(Duration::from_secs(args.linger));
    Ok(())
}

impl Source {
    /// When its next message is due, from the start on.
    fn due(&self) -> Duration {
        self.period * self.published
    }

    fn publish(&mut self, stamp: Duration) -> r2r::Result<()> {
        let stamp_bytes = self.message.get_mut(self.stamp_at..self.stamp_at + 8);
        if let Some((sec, nanosec)) = stamp_bytes.and_then(|bytes| bytes.split_at_mut_checked(4)) {
            sec.copy_from_slice(&(stamp.as_secs() as u32).to_le_bytes());
            nanosec.copy_from_slice(&stamp.subsec_nanos().to_le_bytes());
        }
        self.published += 1;
        self.publisher.publish_raw(&self.message)
    }
}

fn source<M: WrappedTypesupport>(
    node: &mut r2r::Node,
    topic: &'static str,
    type_name: &str,
    message: &M,
    rate_hz: u32,
    depth: usize,
) -> r2r::Result<Source> {
    let qos = QosProfile::default().keep_last(depth).reliable();
    Ok(Source {
        topic,
        publisher: node.create_publisher_untyped(topic, type_name, qos)?,
        message: message.to_serialized_bytes()?,
        stamp_at: if topic == "/tf" { FIRST_TRANSFORM_STAMP } else { HEADER_STAMP },
        period: Duration::from_secs(1) / rate_hz,
        published: 0,
    })
}

fn wait_for_subscribers(sources: &[Source], longest: Duration) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    for Source { topic, publisher, .. } in sources {
        while publisher.get_inter_process_subscription_count()? == 0 {
            if started.elapsed() > longest {
                return Err(format!("no subscriber to {topic} within {longest:?}").into());
            }
            sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

fn header(frame_id: &str) -> Header {
    Header { frame_id: frame_id.to_owned(), ..Header::default() }
}

fn imu() -> Imu {
    Imu { header: header("imu"), ..Imu::default() }
}

fn joints() -> JointState {
    let joints = 0..12;
    JointState {
        header: header("base_link"),
        name: joints.clone().map(|i| format!("joint_{i}")).collect(),
        position: joints.clone().map(|i| f64::from(i) * 0.1).collect(),
        velocity: joints.clone().map(|i| f64::from(i) * -0.01).collect(),
        effort: joints.map(f64::from).collect(),
    }
}

fn transforms() -> TFMessage {
    let base = TransformStamped {
        header: header("odom"),
        child_frame_id: "base_link".to_owned(),
        ..TransformStamped::default()
    };
    TFMessage { transforms: vec![base] }
}

/// A scene of gradients with a little noise, as a camera's: it compresses, and not too well.
fn image() -> Image {
    let pixel = |i: u32| {
        let (x, y) = (i % WIDTH, i / WIDTH);
        let noise = i.wrapping_mul(2_654_435_761) >> 29;
        [x / 3 + noise, y / 2 + noise, (x + y) / 5 + noise].map(|channel| (channel % 256) as u8)
    };
    Image {
        header: header("camera"),
        width: WIDTH,
        height: HEIGHT,
        encoding: "rgb8".to_owned(),
        step: WIDTH * 3,
        data: (0..WIDTH * HEIGHT).flat_map(pixel).collect(),
        ..Image::default()
    }
}

fn cloud() -> PointCloud2 {
    const FLOAT32: u8 = 7;
    let field = |(i, name): (u32, &str)| PointField {
        name: name.to_owned(),
        offset: i * 4,
        datatype: FLOAT32,
        count: 1,
    };
    let point = |i: u32| {
        let angle = i as f32 * 0.01;
        [angle.cos() * 10.0, angle.sin() * 10.0, i as f32 * 1e-4, (i % 255) as f32]
    };
    PointCloud2 {
        header: header("lidar"),
        height: 1,
        width: POINTS,
        fields: (0..).zip(["x", "y", "z", "intensity"]).map(field).collect(),
        point_step: POINT_BYTES,
        row_step: POINTS * POINT_BYTES,
        data: (0..POINTS).flat_map(point).flat_map(f32::to_le_bytes).collect(),
        is_dense: true,
        ..PointCloud2::default()
    }
}
