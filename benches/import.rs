//! What importing a bag costs: a synthetic one of a robot's usual streams, with the work on one thread
//! and spread over several. `cargo bench --no-default-features --bench import`

#![expect(clippy::unwrap_used, reason = "a benchmark that can't run says so by its panic")]

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::Path;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mcap::records::MessageHeader;
use mldash_bridge::bag::Bags;
use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::Definitions;
use mldash_bridge::record::Recorder;
use mldash_bridge::track::{Experiment, Options};

#[path = "../tests/whole/decode/encoder.rs"]
#[expect(dead_code, reason = "each benchmark uses its own part of this")]
mod encoder;

use encoder::encode;

const SECONDS: u32 = 120;
const START_SECS: u32 = 1_700_000_000;

const HEADER: &str = "===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n\
    ===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n";

/// A topic: its type, the definition, how many a second, and the numbers in a message.
struct Stream {
    topic: &'static str,
    type_name: &'static str,
    definition: &'static str,
    hz: u32,
    f64s: usize,
    f32s: usize,
}

const STREAMS: [Stream; 3] = [
    Stream {
        topic: "/pose",
        type_name: "bench_msgs/msg/Pose",
        definition: "std_msgs/Header header\nfloat64[7] pose\nfloat32[] none\n",
        hz: 100,
        f64s: 7,
        f32s: 0,
    },
    Stream {
        topic: "/imu",
        type_name: "bench_msgs/msg/Imu",
        definition: "std_msgs/Header header\nfloat64[37] imu\nfloat32[] none\n",
        hz: 200,
        f64s: 37,
        f32s: 0,
    },
    Stream {
        topic: "/scan",
        type_name: "bench_msgs/msg/Scan",
        definition: "std_msgs/Header header\nfloat64[7] scan\nfloat32[] ranges\n",
        hz: 20,
        f64s: 7,
        f32s: 1080,
    },
];

/// Writes the bag, zstd in chunks as rosbag2 does; how many messages and bytes of them it has.
fn write_bag(path: &Path) -> (u64, u64) {
    let options = mcap::WriteOptions::new().compression(Some(mcap::Compression::Zstd));
    let mut bag = options.create(File::create(path).unwrap()).unwrap();
    let channels = STREAMS.each_ref().map(|stream| {
        let definition = format!("{}{HEADER}", stream.definition);
        let schema = bag.add_schema(stream.type_name, "ros2msg", definition.as_bytes()).unwrap();
        bag.add_channel(schema, stream.topic, "cdr", &Default::default()).unwrap()
    });
    let (mut messages, mut bytes) = (0, 0);
    for tick in 0..SECONDS * 200 {
        for (stream, channel_id) in STREAMS.iter().zip(channels) {
            if tick % (200 / stream.hz) != 0 {
                continue;
            }
            let (secs, nanos) = (START_SECS + tick / 200, tick % 200 * 5_000_000);
            let noise = |i: usize| (f64::from(tick) * 0.37 + i as f64 * 0.11).sin();
            let numbers: Vec<f64> = (0..stream.f64s).map(noise).collect();
            let cdr = encode(|e| {
                e.header(secs as i32, nanos, "base_link").f64s(&numbers).length(stream.f32s);
                for i in 0..stream.f32s {
                    e.number((noise(i) as f32 * 20.0).to_le_bytes());
                }
                e
            });
            let log_time = u64::from(secs) * 1_000_000_000 + u64::from(nanos);
            let sequence = messages as u32;
            let header = MessageHeader { channel_id, sequence, log_time, publish_time: log_time };
            bag.write_to_known_channel(&header, &cdr).unwrap();
            messages += 1;
            bytes += cdr.len() as u64;
        }
    }
    bag.finish().unwrap();
    (messages, bytes)
}

fn import(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let bag = dir.path().join("bag.mcap");
    let (elements, bytes) = write_bag(&bag);
    let mapping = Mapping::parse("topics: [{topic: /**}]", "bench.yaml").unwrap();
    let definitions = Definitions::default();
    eprintln!(
        "{elements} messages of {bytes} bytes, {} on disk",
        fs::metadata(&bag).unwrap().len()
    );

    let mut group = criterion.benchmark_group("import");
    group.sample_size(10).throughput(Throughput::ElementsAndBytes { elements, bytes });
    for (name, decoders) in [("one thread", 0), ("1 decoder", 1), ("2 decoders", 2)] {
        group.bench_function(name, |bench| {
            let root = || tempfile::tempdir_in(dir.path()).unwrap();
            let run = |root: tempfile::TempDir| {
                let exp = Experiment::open("alice/bench/run", Options::local(root.path())).unwrap();
                let mut recorder = Recorder::new(exp);
                let bags = Bags::open([&bag]).unwrap().decoders(decoders);
                let go_on = |_| ControlFlow::Continue(());
                bags.import(&mapping, &definitions, &mut recorder, go_on).unwrap();
                let (account, closed) = recorder.finish(None);
                closed.unwrap();
                let stored: u64 = account.topics.iter().map(|topic| topic.stored).sum();
                assert_eq!(stored, elements);
                root
            };
            bench.iter_batched(root, run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, import);
criterion_main!(benches);
