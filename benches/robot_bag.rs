//! A bag of a robot that drives for a while: poses at 100 Hz, scans of 1,080 rays at 40 Hz and an IMU at
//! 200 Hz, in chunks of zstd as rosbag2 writes them. The same bytes each time.

#![allow(dead_code, reason = "each benchmark uses its own part of this")]

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use fastrand::Rng;
use mcap::records::MessageHeader;

#[path = "../tests/whole/decode/encoder.rs"]
mod encoder;

use encoder::{Encoder, encode};

/// So long makes a file of 455 MB: 186,000 poses, 74,400 scans and 372,000 messages of the IMU.
pub const HALF_GIGABYTE_SECS: u32 = 1_860;

const START_SECS: u32 = 1_700_000_000;
/// Every topic's rate divides it.
const TICKS_HZ: u32 = 200;
/// Of each scan.
pub const RAYS: usize = 1_080;

const PACKAGES: &str = "\
    ===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n\
    ===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n\
    ===\nMSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z\n\
    ===\nMSG: geometry_msgs/Vector3\nfloat64 x\nfloat64 y\nfloat64 z\n\
    ===\nMSG: geometry_msgs/Quaternion\nfloat64 x\nfloat64 y\nfloat64 z\nfloat64 w\n\
    ===\nMSG: geometry_msgs/Pose\nPoint position\nQuaternion orientation\n";

/// A topic of the robot's.
struct Stream {
    topic: &'static str,
    type_name: &'static str,
    definition: &'static str,
    hz: u32,
    /// Writes what follows the header, at so many seconds from the start.
    fill: fn(&mut Encoder, &mut Rng, f64),
}

const STREAMS: [Stream; 3] = [
    Stream {
        topic: "/pose",
        type_name: "geometry_msgs/msg/PoseStamped",
        definition: "std_msgs/Header header\ngeometry_msgs/Pose pose\n",
        hz: 100,
        fill: pose,
    },
    Stream {
        topic: "/scan",
        type_name: "sensor_msgs/msg/LaserScan",
        definition: "std_msgs/Header header\nfloat32 angle_min\nfloat32 angle_max\n\
            float32 angle_increment\nfloat32 time_increment\nfloat32 scan_time\n\
            float32 range_min\nfloat32 range_max\nfloat32[] ranges\nfloat32[] intensities\n",
        hz: 40,
        fill: scan,
    },
    Stream {
        topic: "/imu",
        type_name: "sensor_msgs/msg/Imu",
        definition: "std_msgs/Header header\n\
            geometry_msgs/Quaternion orientation\nfloat64[9] orientation_covariance\n\
            geometry_msgs/Vector3 angular_velocity\nfloat64[9] angular_velocity_covariance\n\
            geometry_msgs/Vector3 linear_acceleration\nfloat64[9] linear_acceleration_covariance\n",
        hz: 200,
        fill: imu,
    },
];

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    pub messages: u64,
    /// Of the messages, unpacked.
    pub bytes: u64,
}

/// Writes the bag of so many seconds.
pub fn write(path: &Path, seconds: u32) -> Written {
    let options = mcap::WriteOptions::new().compression(Some(mcap::Compression::Zstd));
    let mut bag = options.create(BufWriter::new(File::create(path).unwrap())).unwrap();
    let channels = STREAMS.each_ref().map(|stream| {
        let definition = format!("{}{PACKAGES}", stream.definition);
        let schema = bag.add_schema(stream.type_name, "ros2msg", definition.as_bytes()).unwrap();
        bag.add_channel(schema, stream.topic, "cdr", &Default::default()).unwrap()
    });
    let mut noise = Rng::with_seed(7);
    let mut written = Written::default();
    for tick in 0..seconds * TICKS_HZ {
        for (stream, channel_id) in STREAMS.iter().zip(channels) {
            if !tick.is_multiple_of(TICKS_HZ / stream.hz) {
                continue;
            }
            let (secs, nanos) =
                (START_SECS + tick / TICKS_HZ, tick % TICKS_HZ * (1_000_000_000 / TICKS_HZ));
            let cdr = encode(|e| {
                e.header(secs as i32, nanos, "base_link");
                (stream.fill)(e, &mut noise, f64::from(tick) / f64::from(TICKS_HZ));
                e
            });
            let log_time = u64::from(secs) * 1_000_000_000 + u64::from(nanos);
            let sequence = tick / (TICKS_HZ / stream.hz);
            let header = MessageHeader { channel_id, sequence, log_time, publish_time: log_time };
            bag.write_to_known_channel(&header, &cdr).unwrap();
            written.messages += 1;
            written.bytes += cdr.len() as u64;
        }
    }
    bag.finish().unwrap();
    written
}

/// A circle, and where localisation takes the robot to be.
fn pose(e: &mut Encoder, noise: &mut Rng, secs: f64) {
    let angle = secs * 0.1;
    let mut near = |value: f64| value + (noise.f64() - 0.5) * 0.01;
    let position = [near(5.0 * angle.cos()), near(5.0 * angle.sin()), near(0.0)];
    e.f64s(&position).f64s(&[0.0, 0.0, (angle / 2.0).sin(), (angle / 2.0).cos()]);
}

/// A room, with the noise of a sensor; intensities in its whole steps.
fn scan(e: &mut Encoder, noise: &mut Rng, secs: f64) {
    for number in [-2.356_f32, 2.356, 0.004_363, 0.000_017, 0.025, 0.05, 30.0] {
        e.number(number.to_le_bytes());
    }
    e.length(RAYS);
    for ray in 0..RAYS {
        let wall = 4.0 + ((ray as f64) * 0.0087 + secs * 0.1).sin();
        e.number(((wall + noise.f64()) as f32).to_le_bytes());
    }
    e.length(RAYS);
    for _ in 0..RAYS {
        e.number(f32::from(noise.u8(..)).to_le_bytes());
    }
}

fn imu(e: &mut Encoder, noise: &mut Rng, secs: f64) {
    let mut around = |value: f64| value + (noise.f64() - 0.5) * 0.2;
    let rates = [around(0.0), around(0.0), around(0.1)];
    let accelerations = [around(0.0), around(0.5), around(9.81)];
    let angle = secs * 0.05;
    e.f64s(&[0.0, 0.0, angle.sin(), angle.cos()]).f64s(&[0.0; 9]);
    e.f64s(&rates).f64s(&[0.0; 9]).f64s(&accelerations).f64s(&[0.0; 9]);
}
