//! The fuzz targets over the inputs that are kept in `fuzz/corpus`: those that make them do something, and those that broke something once.

use std::fs;
use std::path::Path;

use crate::{http, parquet_table};

#[path = "../../fuzz/targets.rs"]
mod targets;

#[test]
fn every_target_takes_every_input_that_was_kept() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in targets::TARGETS {
        assert!(fuzz.join("fuzz_targets").join(name).with_extension("rs").exists(), "{name}");
        let mut inputs: Vec<_> = fs::read_dir(fuzz.join("corpus").join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{name}");
        for input in inputs {
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
