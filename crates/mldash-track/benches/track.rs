//! What the Track API costs, on a track of a million poses.
//! `cargo bench -p mldash-track --bench track`

#![expect(clippy::unwrap_used, reason = "a benchmark that can't run says so by its panic")]

mod pose;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mldash_track::{Experiment, Format, Options, Query};

const ROWS: u32 = 1_000_000;
const BATCH_ROWS: u32 = 100;

fn write(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    let hour = Duration::from_secs(3600);
    let root = tempfile::tempdir().unwrap();
    let options = Options::local(root.path()).flush_interval(hour).batch_rows(usize::MAX);
    let exp = Experiment::open(pose::EXPERIMENT, options).unwrap();
    let track = exp.tracks(pose::TRACK);
    let mut rows = (0..u32::MAX).map(pose::row);
    let mut append_batch = || {
        for (fields, ts) in rows.by_ref().take(BATCH_ROWS as usize) {
            track.append(fields, ts).unwrap();
        }
    };
    group.throughput(Throughput::Elements(BATCH_ROWS.into()));
    group.bench_function("append and flush 100 rows", |bench| {
        bench.iter(|| {
            append_batch();
            track.flush().unwrap();
        });
    });
    group.bench_function("flush 100 rows", |bench| {
        bench.iter_batched(&mut append_batch, |()| track.flush().unwrap(), BatchSize::PerIteration);
    });
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let root = tempfile::tempdir().unwrap();
    pose::record(root.path(), ROWS);
    let middle = pose::START_SECS + f64::from(ROWS / 2) / pose::RATE_HZ;
    let hundredth = Query::range(middle..middle + f64::from(ROWS / 100) / pose::RATE_HZ);
    let open = || {
        let exp = Experiment::open_read_only(pose::EXPERIMENT, root.path()).unwrap();
        exp.tracks(pose::TRACK)
    };

    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements((ROWS / 100).into()));
    group.bench_function("1 % of the range, rows", |bench| {
        bench.iter(|| black_box(open().read(&hundredth).unwrap()));
    });
    group.sample_size(10).throughput(Throughput::Elements(ROWS.into()));
    group.bench_function("all, rows one by one", |bench| {
        bench.iter(|| open().rows(&Query::all()).unwrap().map(Result::unwrap).for_each(drop));
    });
    for format in Format::ALL.iter().copied() {
        group.bench_function(format!("all, {format}"), |bench| {
            bench.iter(|| open().export_to(&Query::all(), format, &mut std::io::sink()).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, write, read);
criterion_main!(benches);
