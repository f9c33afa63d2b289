//! What making files of pictures and clouds costs, of the sizes that robots send.
//! `cargo bench -p mldash-record --bench blobs`

#![expect(clippy::unwrap_used, reason = "a panic in a benchmark is its report")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mldash_record::blob::{Blob, BlobKind, CloudFormat, FileFormats, ImageFormat};
use mldash_track::{Fields, Value, fields};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
const POINTS: u32 = 100_000;

/// Encodes again and again.
fn bench(
    c: &mut Criterion,
    name: &str,
    kind: BlobKind,
    about: &Fields,
    data: &[u8],
    to: FileFormats,
) {
    let blob = Blob::new(kind, about, data.len()).unwrap();
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function(name, |b| b.iter(|| blob.encode(black_box(data), &to).unwrap()));
    group.finish();
}

/// Gradients with a little noise.
fn scene(samples: u32) -> impl Iterator<Item = u32> {
    (0..samples).map(|i| i % WIDTH / 3 + i / WIDTH / 2 + (i.wrapping_mul(2_654_435_761) >> 29))
}

fn images(c: &mut Criterion) {
    let about = |encoding: &str, pixel_bytes: u32| {
        fields! {
            "width": WIDTH, "height": HEIGHT, "step": WIDTH * pixel_bytes, "encoding": encoding,
            "is_bigendian": 0
        }
    };
    let colours: Vec<u8> = scene(WIDTH * HEIGHT * 3).map(|value| (value % 256) as u8).collect();
    let depths: Vec<u8> =
        scene(WIDTH * HEIGHT).flat_map(|value| (value as u16 + 1000).to_le_bytes()).collect();
    for (name, image) in [("jpeg", ImageFormat::Jpeg), ("png", ImageFormat::Png)] {
        let to = FileFormats { image, ..FileFormats::default() };
        for encoding in ["rgb8", "bgr8"] {
            let name = format!("{encoding} 640x480 as {name}");
            bench(c, &name, BlobKind::Image, &about(encoding, 3), &colours, to);
        }
    }
    let to = FileFormats::default();
    bench(c, "16UC1 640x480 as png", BlobKind::Image, &about("16UC1", 2), &depths, to);
}

fn clouds(c: &mut Criterion) {
    let field = |(i, name): (u32, &&str)| {
        let parts = [("offset", i * 4), ("datatype", 7), ("count", 1)];
        let numbers = parts.map(|(key, number)| (key.into(), number.into()));
        Value::Map([("name".into(), (*name).into())].into_iter().chain(numbers).collect())
    };
    let data = vec![7; POINTS as usize * 16];
    for (name, columns, cloud) in [
        ("100,000 points as pcd", &["x", "y", "z", "intensity"][..], CloudFormat::Pcd),
        ("100,000 points with gaps as pcd", &["x", "y", "z"], CloudFormat::Pcd),
        ("100,000 points as npy", &["x", "y", "z", "intensity"], CloudFormat::Npy),
    ] {
        let about = fields! {
            "width": POINTS, "height": 1, "point_step": 16, "row_step": POINTS * 16,
            "is_bigendian": false,
            "fields": Value::List((0..).zip(columns).map(field).collect())
        };
        let to = FileFormats { cloud, ..FileFormats::default() };
        bench(c, name, BlobKind::Cloud, &about, &data, to);
    }
}

criterion_group!(benches, images, clouds);
criterion_main!(benches);
