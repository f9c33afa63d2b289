//! Random schedules of rows, faults, kills and restarts. `SYNC_SEED=n` replays one.

use std::collections::BTreeMap;
use std::time::Duration;

use mldash_bridge::track::{Experiment, Fields};
use serde_json::{Map, Value as Json, json};

use super::lab::{Lab, RUN};
use crate::fault_proxy::{Bytes, Fault};

const STEPS: usize = 60;
const TOPICS: [&str; 3] = ["arm", "base/pose", "camera"];

/// What the tracks hold: by topic and time, in hundredths of a second.
type Model = BTreeMap<(&'static str, i64), Map<String, Json>>;

#[test]
fn after_any_schedule_the_server_has_the_rows_that_were_appended() {
    let seeds: Vec<u64> = match std::env::var("SYNC_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..3).map(|_| fastrand::u64(0..1_000_000)).collect(),
    };
    for seed in seeds {
        eprintln!("SYNC_SEED={seed}");
        play(seed);
    }
}

fn play(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut lab = Lab::new();
    // Nobody waits for the server when the robot is switched off.
    let open = |lab: &Lab| {
        let quick = lab.options().remote_timeout(Duration::from_millis(50));
        Experiment::open(RUN, quick).unwrap()
    };
    let mut exp = Some(open(&lab));
    let mut is_up = true;
    let mut model = Model::new();
    let mut frames = 0;
    for _ in 0..STEPS {
        match random.u8(0..20) {
            0..10 => append(exp.as_ref().unwrap(), &mut model, &mut random, &mut frames),
            10..14 => {
                let fault = fault(&mut random);
                lab.proxy.next(fault);
            }
            14 => lab.proxy.set(fault(&mut random)),
            15 => lab.proxy.set(Fault::None),
            16 if is_up => {
                lab.kill_server();
                is_up = false;
            }
            17 if !is_up => {
                lab.restart_server();
                is_up = true;
            }
            18 => {
                exp.take().unwrap().close().unwrap();
                exp = Some(open(&lab));
            }
            _ => std::thread::sleep(Duration::from_millis(random.u64(0..100))),
        }
    }
    if !is_up {
        lab.restart_server();
    }
    lab.proxy.set(Fault::None);
    exp.take().unwrap().close().unwrap();
    let exp = lab.record();
    exp.flush().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    lab.assert_same(&format!("seed {seed}"));
    for topic in TOPICS {
        let expected: Vec<Json> = model
            .iter()
            .filter(|((known, _), _)| *known == topic)
            .map(|((_, ts), row)| {
                let mut row = row.clone();
                row.insert("timestamp".into(), json!(*ts as f64 / 100.0));
                row.into()
            })
            .collect();
        assert_eq!(lab.on_server(topic), expected, "seed {seed}: {topic}");
    }
}

fn append(exp: &Experiment, model: &mut Model, random: &mut fastrand::Rng, frames: &mut u32) {
    let topic = TOPICS[random.usize(0..TOPICS.len())];
    let start = random.i64(0..5000);
    for i in 0..random.i64(1..300) {
        // Times come twice, late, and in runs.
        let ts = start + i;
        let column = ["a", "b", "c"][random.usize(0..3)];
        let mut row = Map::new();
        row.insert(column.to_owned(), json!(random.u32(..)));
        if topic == "camera" && i == 0 {
            *frames += 1;
            let name = format!("frame_{frames:05}.bin");
            exp.files("frames").save_bytes(vec![7; random.usize(1..5000)], &name).unwrap();
            row.insert("frame".to_owned(), json!(name));
        }
        let fields = Fields::from_serialize(&row).unwrap();
        exp.tracks(topic).append(fields, ts as f64 / 100.0).unwrap();
        model.entry((topic, ts)).or_default().extend(row);
    }
}

fn fault(random: &mut fastrand::Rng) -> Fault {
    match random.u8(0..8) {
        0 => Fault::latency(Duration::from_millis(random.u64(1..40))),
        1 => Fault::Cut { after: Bytes::Up(random.u64(1..6000)) },
        2 => Fault::Cut { after: Bytes::Down(random.u64(1..600)) },
        3 => Fault::status("500 Internal Server Error", &[]),
        4 => Fault::status("429 Too Many Requests", &["Retry-After: 0"]),
        5 => Fault::BlackHole,
        6 => Fault::Refuse,
        _ => Fault::None,
    }
}
