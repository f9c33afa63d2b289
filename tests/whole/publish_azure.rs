//! Published recordings on Azure's blob store: its conditional puts are others than those of S3.

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};
use serde_json::{Value as Json, json};

use crate::azure::{Azure, CONTAINER};
use crate::program::{Done, program};
use crate::request_proxy::{Fault, INTERNAL_ERROR, SLOW_DOWN};

const RUNS: [&str; 2] = ["run-1", "run-2"];
const ROWS: u32 = 40;
/// A time of 2026, so that both are of one day.
const START: f64 = 1_780_000_000.0;

/// Every third request fails once in one of the ways, while two publish and then two compact.
#[test]
fn each_row_is_on_azure_once_whatever_fails_and_whoever_else_publishes() {
    let Some(azure) = Azure::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let names = RUNS.map(|run| format!("alice/lab/{run}"));
    for name in &names {
        let exp = Experiment::open(name, Options::local(folder.path())).unwrap();
        for i in 0..ROWS {
            exp.tracks("odom").append(fields! { "x": i }, START + f64::from(i)).unwrap();
        }
        exp.close().unwrap();
    }
    let url = format!("az://{CONTAINER}/fleet");
    let publish = || {
        let publish = program(["publish", "--to", &url]).args(&names);
        azure.client(publish.arg("--root").arg(folder.path())).run()
    };
    let compact = || azure.client(program(["compact", &url, "--json"])).run();
    let expected: Vec<Json> = (RUNS.iter())
        .flat_map(|run| (0..ROWS).map(move |i| json!([run, START + f64::from(i), i])))
        .collect();

    fail_every_third(&azure);
    twice_at_once(publish);
    let seen = azure.proxy.take_seen();
    assert!(seen.iter().any(|seen| seen.head.header("if-none-match").is_some()), "no conditions");
    assert_eq!(rows(&azure, "fleet/tracks/odom"), expected);

    fail_every_third(&azure);
    twice_at_once(compact);
    assert_eq!(rows(&azure, "fleet/compacted/odom"), expected);
}

fn fail_every_third(azure: &Azure) {
    let faults = [SLOW_DOWN, Fault::Swallow, INTERNAL_ERROR, Fault::CutAnswer, Fault::CutBefore];
    azure.proxy.set(move |_, nth| match nth % 3 {
        2 => faults[(nth / 3) % faults.len()].clone(),
        _ => Fault::None,
    });
}

fn twice_at_once(call: impl Fn() -> Done + Sync) {
    std::thread::scope(|scope| {
        for done in [0, 1].map(|_| scope.spawn(&call)) {
            let done = done.join().unwrap();
            assert_eq!(done.code, 0, "{}", done.stderr);
        }
    });
}

fn rows(azure: &Azure, folder: &str) -> Vec<Json> {
    azure.proxy.set(|_, _| Fault::None);
    serde_json::from_str(&azure.oracle("rows", &[folder])).unwrap()
}
