//! What decoding a message costs, for the types that robots send most.
//! `cargo bench -p mldash-message --bench decode`

#![expect(clippy::unwrap_used, reason = "a panic in a benchmark is its report")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mldash_message::{Decoder, Layout, MessageType};

#[expect(dead_code, reason = "tests write more than is measured here")]
#[path = "../../../tests/whole/decode/encoder.rs"]
mod encoder;

use encoder::{Encoder, encode};

const COMMON: &str = "\
    ===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n\
    ===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n\
    ===\nMSG: geometry_msgs/Point\nfloat64 x\nfloat64 y\nfloat64 z\n\
    ===\nMSG: geometry_msgs/Vector3\nfloat64 x\nfloat64 y\nfloat64 z\n\
    ===\nMSG: geometry_msgs/Quaternion\nfloat64 x\nfloat64 y\nfloat64 z\nfloat64 w\n\
    ===\nMSG: geometry_msgs/Pose\nPoint position\nQuaternion orientation\n\
    ===\nMSG: geometry_msgs/Transform\nVector3 translation\nQuaternion rotation\n\
    ===\nMSG: geometry_msgs/TransformStamped\nstd_msgs/Header header\nstring child_frame_id\n\
    Transform transform\n\
    ===\nMSG: sensor_msgs/PointField\nstring name\nuint32 offset\nuint8 datatype\nuint32 count\n";

/// Runs the decoder over one message again and again.
fn bench(c: &mut Criterion, name: &str, definition: &str, layout: &Layout, cdr: &[u8]) {
    let text = format!("{definition}{COMMON}");
    let ty = MessageType::from_bundle(&"bench/Message".parse().unwrap(), &text).unwrap();
    let decoder = Decoder::compile(&ty, layout).unwrap();
    let mut out = Vec::new();
    c.bench_function(name, |b| b.iter(|| decoder.decode(black_box(cdr), &mut out).unwrap()));
}

fn stamped(e: &mut Encoder) -> &mut Encoder {
    e.header(1_137_868_461, 33_333_333, "base_link")
}

fn f32s(e: &mut Encoder, count: u16) -> &mut Encoder {
    e.length(count.into());
    for i in 0..count {
        e.number(f32::from(i).to_le_bytes());
    }
    e
}

fn decode_messages(c: &mut Criterion) {
    let all = Layout::default();

    let pose = "std_msgs/Header header\ngeometry_msgs/Pose pose\n";
    bench(c, "PoseStamped", pose, &all, &encode(|e| stamped(e).f64s(&[0.5; 7])));

    let imu = "std_msgs/Header header\n\
        geometry_msgs/Quaternion orientation\nfloat64[9] orientation_covariance\n\
        geometry_msgs/Vector3 angular_velocity\nfloat64[9] angular_velocity_covariance\n\
        geometry_msgs/Vector3 linear_acceleration\nfloat64[9] linear_acceleration_covariance\n";
    bench(c, "Imu", imu, &all, &encode(|e| stamped(e).f64s(&[0.5; 37])));

    let scan = "std_msgs/Header header\nfloat32 angle_min\nfloat32 angle_max\n\
        float32 angle_increment\nfloat32 time_increment\nfloat32 scan_time\nfloat32 range_min\n\
        float32 range_max\nfloat32[] ranges\nfloat32[] intensities\n";
    let cdr = encode(|e| {
        stamped(e);
        (0..7u8).for_each(|i| _ = e.number(f32::from(i).to_le_bytes()));
        f32s(f32s(e, 1080), 1080)
    });
    bench(c, "LaserScan of 1080", scan, &all, &cdr);

    let joints = "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\n\
        float64[] effort\n";
    let cdr = encode(|e| {
        stamped(e).length(7);
        (1..8).for_each(|i| _ = e.text(&format!("panda_joint{i}")));
        (0..3).for_each(|_| _ = e.length(7).f64s(&[0.25; 7]));
        e
    });
    bench(c, "JointState of 7", joints, &all, &cdr);

    let tf = "geometry_msgs/TransformStamped[] transforms\n";
    let cdr = encode(|e| {
        e.length(2);
        (0..2).for_each(|_| _ = stamped(e).text("camera_link").f64s(&[0.5; 7]));
        e
    });
    let each = Layout {
        each: Some("transforms".parse().unwrap()),
        names: vec!["child_frame_id".parse().unwrap()],
        ..Layout::default()
    };
    bench(c, "TFMessage of 2, each", tf, &each, &cdr);
    bench(c, "TFMessage of 2, one row", tf, &all, &cdr);

    let cloud = "std_msgs/Header header\nuint32 height\nuint32 width\n\
        sensor_msgs/PointField[] fields\nbool is_bigendian\nuint32 point_step\nuint32 row_step\n\
        uint8[] data\nbool is_dense\n";
    let points = vec![7; 1_600_000];
    let cdr = encode(|e| {
        stamped(e).number(1u32.to_le_bytes()).number(100_000u32.to_le_bytes()).length(4);
        for name in ["x", "y", "z", "i"] {
            e.text(name).number([0; 4]).number([7]).number(1u32.to_le_bytes());
        }
        e.number([0]).number(16u32.to_le_bytes()).number(1_600_000u32.to_le_bytes());
        e.length(points.len()).raw(&points).number([1])
    });
    bench(c, "PointCloud2 of 1.6 MB", cloud, &all, &cdr);
    c.bench_function("memcpy of 1.6 MB", |b| b.iter(|| black_box(&points).clone()));
}

criterion_group!(benches, decode_messages);
criterion_main!(benches);
