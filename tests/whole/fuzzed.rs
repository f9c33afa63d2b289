//! The fuzz targets over the inputs that are kept in `fuzz/corpus`, those that make them do something and those that broke something
//! once, and over inputs that are changed from these by chance. libFuzzer (`scripts/fuzz`) finds more, but takes a build of its own.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::{http, parquet_table};

#[path = "../../fuzz/targets.rs"]
mod targets;

/// For how many seconds in all changed inputs are tried. `make test` sets two minutes.
const SECS_VARIABLE: &str = "MLDASH_FUZZ_SECS";
const SECS: u64 = 5;
/// The seed of the changes.
const SEED_VARIABLE: &str = "MLDASH_SEED";
/// An input that takes longer breaks its target. Far more than any takes on a busy machine.
const LONGEST: Duration = Duration::from_secs(60);
const MOST_BYTES: usize = 16 << 10;
/// Changes of one input.
const MOST_CHANGES: usize = 4;

fn kept_inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(folder).unwrap();
    let mut inputs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{target}");
    inputs
}

#[test]
fn every_target_takes_every_input_that_was_kept() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in targets::TARGETS {
        assert!(fuzz.join("fuzz_targets").join(name).with_extension("rs").exists(), "{name}");
        for input in kept_inputs(name) {
            println!("{}", input.display());
            target(&fs::read(input).unwrap());
        }
        // What is nothing at all, and what is nothing sensible.
        for data in [&b""[..], &b"\0"[..], &[0xff; 100], &[b'{'; 1000], &[b'['; 100_000]] {
            println!("{name}: {} bytes", data.len());
            target(data);
        }
    }
}

#[test]
fn no_target_breaks_on_inputs_like_those_that_were_kept() {
    let set = |variable| std::env::var(variable).ok().map(|text| text.parse::<u64>().unwrap());
    let secs = set(SECS_VARIABLE).unwrap_or(SECS);
    let seed = set(SEED_VARIABLE).unwrap_or_else(|| fastrand::u64(..));
    println!("{SECS_VARIABLE}={secs} {SEED_VARIABLE}={seed}");
    let time = Duration::from_secs(secs) / targets::TARGETS.len() as u32;
    for (name, target) in targets::TARGETS {
        let kept: Vec<Vec<u8>> =
            kept_inputs(name).into_iter().map(|path| fs::read(path).unwrap()).collect();
        match hunt(name, target, &kept, time, &mut Rng::with_seed(seed)) {
            Ok(tried) => println!("{name}: {tried} inputs"),
            Err(broken) => {
                panic!("{broken}; again with {SEED_VARIABLE}={seed} and more {SECS_VARIABLE}")
            }
        }
    }
}

/// Where the input lies that is being tried: also after an abort, which no test survives.
fn place_of(target: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzzed-{target}"))
}

/// Tries changed inputs for so long, at least one. Returns how many, or what became of one that broke the target.
fn hunt(
    name: &str,
    target: targets::Target,
    kept: &[Vec<u8>],
    time: Duration,
    random: &mut Rng,
) -> Result<u64, String> {
    let path = place_of(name);
    let (inputs, given) = sync_channel::<Vec<u8>>(0);
    let (outcome, outcomes) = sync_channel(1);
    let trying = thread::Builder::new().name(name.to_owned()).spawn(move || {
        for input in given {
            let done = catch_unwind(AssertUnwindSafe(|| target(&input))).is_ok();
            if outcome.send(done).is_err() {
                return;
            }
        }
    });
    let (trying, started) = (trying.unwrap(), Instant::now());
    let mut tried = 0;
    while tried == 0 || started.elapsed() < time {
        let input = changed(kept, random);
        fs::write(&path, &input).unwrap();
        inputs.send(input).unwrap();
        match outcomes.recv_timeout(LONGEST) {
            Ok(true) => tried += 1,
            Ok(false) => return Err(format!("{name} panics on the input in {}", path.display())),
            Err(_) => {
                let secs = LONGEST.as_secs();
                return Err(format!("{name} takes {secs} s for the input in {}", path.display()));
            }
        }
    }
    drop(inputs);
    trying.join().unwrap();
    fs::remove_file(path).unwrap();
    Ok(tried)
}

/// One of `kept` with some changes.
fn changed(kept: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut data = kept[random.usize(..kept.len())].clone();
    for _ in 0..random.usize(1..=MOST_CHANGES) {
        change(&mut data, kept, random);
    }
    data.truncate(MOST_BYTES);
    data
}

fn change(data: &mut Vec<u8>, kept: &[Vec<u8>], random: &mut Rng) {
    let at = random.usize(..=data.len());
    let until = (at + 1 + random.usize(..16)).min(data.len());
    match random.u8(..8) {
        0 if at < data.len() => data[at] ^= 1 << random.u8(..8),
        1 if at < data.len() => data[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.usize(..6)],
        // A length or a number, often near its own bounds.
        2 if at + 4 <= data.len() => {
            let number =
                [0, u32::MAX, 1 << 31, random.u32(..), random.u32(..300)][random.usize(..5)];
            data[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        3 => drop(data.drain(at..until)),
        4 => {
            let again = data[at..until].to_vec();
            let times = random.usize(1..=64);
            data.splice(at..at, again.repeat(times));
        }
        // What is known to another input, or to this one elsewhere.
        5 => {
            let other = &kept[random.usize(..kept.len())];
            let from = random.usize(..=other.len());
            let to = (from + random.usize(..64)).min(other.len());
            data.splice(at..at, other[from..to].iter().copied());
        }
        6 => {
            let other = &kept[random.usize(..kept.len())];
            data.truncate(at);
            data.extend_from_slice(&other[random.usize(..=other.len())..]);
        }
        _ => data.insert(at, random.u8(..)),
    }
}

#[test]
fn an_input_that_breaks_a_target_is_told_and_lies_where_it_says() {
    fn fragile(data: &[u8]) {
        assert!(data.windows(2).all(|pair| pair != [0xff, 0xff]), "two of them");
    }
    let kept = [b"a\xffb".to_vec(), b"\xff".to_vec()];
    let mut random = Rng::with_seed(1);
    let told = hunt("fragile", fragile, &kept, LONGEST, &mut random).unwrap_err();
    let path = place_of("fragile");
    assert!(told.contains("panics") && told.contains(path.to_str().unwrap()), "{told}");
    let input = fs::read(&path).unwrap();
    assert!(catch_unwind(|| fragile(&input)).is_err());
    fs::remove_file(path).unwrap();
}
