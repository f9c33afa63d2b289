//! What importing a bag costs: that of a robot that drives for two minutes, with the work on one thread
//! and spread over several. `cargo bench -p mldash-record --bench import`

#![expect(clippy::unwrap_used, reason = "a benchmark that can't run says so by its panic")]

#[path = "../../../benches/robot_bag.rs"]
mod robot_bag;

use std::fs;
use std::ops::ControlFlow;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mldash_message::Definitions;
use mldash_record::Recorder;
use mldash_record::bag::Bags;
use mldash_record::mapping::Mapping;
use mldash_track::{Experiment, Options};
use robot_bag::Written;

const SECONDS: u32 = 120;

fn import(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let bag = dir.path().join("bag.mcap");
    let Written { messages, bytes } = robot_bag::write(&bag, SECONDS);
    let mapping = Mapping::parse("topics: [{topic: /**}]", "bench.yaml").unwrap();
    let definitions = Definitions::default();
    eprintln!(
        "{messages} messages of {bytes} bytes, {} on disk",
        fs::metadata(&bag).unwrap().len()
    );

    let mut group = criterion.benchmark_group("import");
    group.sample_size(10).throughput(Throughput::ElementsAndBytes { elements: messages, bytes });
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
                assert_eq!(stored, messages);
                root
            };
            bench.iter_batched(root, run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(benches, import);
criterion_main!(benches);
