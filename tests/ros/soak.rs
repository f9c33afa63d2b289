//! A long recording in which publishers and the server come and go, with pauses and splits: `make soak MINUTES=60`. What it takes of the machine
//! stays what it was after the first rounds, and every message is somewhere.

use std::fs;
use std::time::{Duration, Instant};

use mldash_bridge::track::{Experiment, Query};

use crate::account::assert_adds_up;
use crate::program::program;
use crate::server::{Server, TOKEN};

use super::support::Graph;

const MAPPING: &str =
    "topics:\n  - topic: /flood/*\n  - topic: /pose\n  - {topic: /**, blobs: drop}\n";
const ROUND_SECS: u64 = 10;
const FLOOD_HZ: u64 = 200;
const FLOODED: [&str; 2] = ["flood/pose_0", "flood/pose_1"];
/// Where a recording and an upload have come to differs from round to round; what grows shows in halves.
const LEAST_ROUNDS: usize = 6;

/// What a process takes of the machine.
#[derive(Clone, Copy, Debug)]
struct Taken {
    memory_kib: u64,
    threads: u64,
    handles: u64,
}

impl Taken {
    fn by(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let handles = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64;
        Self { memory_kib: number("VmRSS:"), threads: number("Threads:"), handles }
    }
}

#[test]
#[ignore = "takes as long as it is told: make soak MINUTES=60"]
fn memory_threads_handles_and_lag_stay_flat_and_every_message_is_somewhere() {
    let minutes = std::env::var("MLDASH_SOAK_MINUTES").map_or(3.0, |text| text.parse().unwrap());
    let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let graph = Graph::new();
    let mut server = Some(Server::start(&graph.path("server")));
    let address = server.as_ref().unwrap().address.clone();
    let url = format!("http://{address}");
    let (config, token) = (graph.file("mapping.yaml", MAPPING), graph.file("token", TOKEN));
    let (config, token) = (config.to_str().unwrap(), token.to_str().unwrap());
    let uploading = ["--remote", &url, "--token-file", token];
    let bridge = graph.bridge_with(&[&["--config", config][..], &uploading].concat());
    let mut operator = graph.operator();
    let mut taken: Vec<Taken> = Vec::new();
    let mut paused = 0;
    let round_secs = ROUND_SECS.to_string();
    while Instant::now() < until || taken.len() < LEAST_ROUNDS {
        let round = taken.len();
        let (rate, wait) = (FLOOD_HZ.to_string(), "60");
        let flood = ["--topics", "2", "--rate", &rate, "--duration", &round_secs];
        let flood = [&flood[..], &["--wait-for-subscribers", wait]].concat();
        let flood = graph.start_example("flood", &flood);
        let heavy = ["--duration", &round_secs, "--wait-for-subscribers", wait];
        let heavy = graph.start_example("heavy_robot", &heavy);
        // The server goes in the middle of it, and comes back while rows wait for it.
        if round % 2 == 1 {
            server.take().unwrap().kill();
        }
        let ended = flood.end();
        assert!(ended.status.success(), "{}", ended.stderr);
        let ended = heavy.end();
        assert!(ended.status.success(), "{}", ended.stderr);
        if server.is_none() {
            server = Some(Server::start_with(&graph.path("server"), &address, &[]));
        }
        if round % 3 == 2 {
            operator.call_well("pause");
            operator.publish("pose", 0..20, 0);
            operator.call_well("resume");
            paused += 20;
        }
        operator.call_well("split");
        taken.push(Taken::by(bridge.id()));
        println!("round {round}: {:?}", taken[round]);
    }
    let recording = bridge.interrupt();

    // Nothing grows once it is warm: the second half takes no more than the first.
    let most = |taken: &[Taken], of: fn(&Taken) -> u64| taken.iter().map(of).max().unwrap();
    let (first, second) = taken.split_at(taken.len() / 2);
    let growth = |of| (most(first, of), most(second, of));
    let (before, after) = growth(|taken| taken.threads);
    assert!(after <= before + 4, "threads: {before}, then {after}");
    let (before, after) = growth(|taken| taken.handles);
    assert!(after <= before + 16, "handles: {before}, then {after}");
    let (before, after) = growth(|taken| taken.memory_kib);
    assert!(after <= before + before / 4 + (16 << 10), "KiB: {before}, then {after}");

    // Every message of the flood is in the part of its round, once.
    let account = recording.account();
    assert_adds_up(&account);
    let parts = account["earlier_parts"].as_array().unwrap();
    assert_eq!(parts.len(), taken.len());
    let mut dropped = 0;
    for part in parts {
        let count = |name: &str| part[name].as_u64().unwrap();
        let name = part["experiment"].as_str().unwrap();
        for track in FLOODED {
            let rows = recording.rows_in(name, track).len() as u64;
            assert_eq!(rows, FLOOD_HZ * ROUND_SECS, "{name}: {track}");
        }
        let file = fs::read(graph.path("root").join(name).join("account.json")).unwrap();
        let account: serde_json::Value = serde_json::from_slice(&file).unwrap();
        assert_adds_up(&account);
        for topic in account["topics"].as_array().unwrap() {
            dropped += topic["dropped"]["paused"].as_u64().unwrap_or_default();
        }
        assert!(count("received") >= 2 * FLOOD_HZ * ROUND_SECS, "{part}");
    }
    assert!(dropped >= paused, "{dropped} of {paused} paused messages are counted");

    // What waited for the server is there, or is once it has been uploaded.
    for part in parts {
        let name = part["experiment"].as_str().unwrap();
        let sync = program(["sync", name]).args(uploading).arg("--root").arg(graph.path("root"));
        let done = sync.run();
        assert_eq!(done.code, 0, "{}", done.stderr);
        let on_server = name.replacen("tests/", "alice/", 1);
        let there = Experiment::open_read_only(&on_server, graph.path("server")).unwrap();
        for track in FLOODED {
            let rows = there.tracks(track).read(&Query::all()).unwrap().len() as u64;
            assert_eq!(rows, FLOOD_HZ * ROUND_SECS, "{on_server}: {track}");
        }
    }
}
