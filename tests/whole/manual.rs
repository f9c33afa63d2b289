//! The documentation does what it says: its commands are run, its YAML is read, what it names is there.

mod yaml;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};
use tempfile::TempDir;

use crate::markdown::{Block, Page, pages, source};
use crate::program::program;
use crate::server::{Server, TOKEN};

/// What stands behind a fence; what is in others could be a command that nobody checks.
const KINDS: [&str; 12] = [
    "sh",
    "console",
    "yaml",
    "text",
    "json",
    "ini",
    "python",
    "python lerobot",
    "rust",
    "sql",
    "toml",
    "caddy",
];
/// `dataset::docs` runs these pages whole, with their Python.
const RUN_ELSEWHERE: [&str; 1] = ["docs/learning.md"];
/// A server that the docs upload to.
const ELSEWHERE: &str = "https://api.example.org";
/// An object store that the docs publish to; here a folder.
const STORE: &str = "s3://lake/fleet";

#[test]
fn every_block_says_what_it_is_and_why_it_is_not_run() {
    let mut reasons = 0;
    for page in pages() {
        for block in page.blocks() {
            let place = format!("{}:{}", page.name, block.line);
            assert!(KINDS.contains(&block.kind.as_str()), "{place}: ```{}", block.kind);
            if let Some(comment) = &block.comment {
                let is_reason = block.not_run().is_some_and(|reason| reason.len() > 5);
                assert!(is_reason, "{place}: {comment}");
                assert!(!block.commands().is_empty(), "{place}: nothing to run");
                reasons += 1;
            }
        }
    }
    assert!(reasons > 5, "{reasons}");
}

#[test]
fn every_command_in_the_docs_does_what_it_says() {
    let mut commands = 0;
    for page in pages() {
        let mut blocks = page.blocks();
        blocks.retain(|block| block.not_run().is_none() && !block.commands().is_empty());
        if blocks.is_empty() || RUN_ELSEWHERE.contains(&page.name.as_str()) {
            continue;
        }
        commands += run(&page, &blocks);
    }
    assert!(commands > 9, "{commands}");
}

/// Runs a page's commands from top to bottom in a folder where there is what the page speaks of. Returns how many.
fn run(page: &Page, blocks: &[Block]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("file://{}/store", folder.path().display());
    let server = set_out(page, folder.path(), &store);
    let mut commands = 0;
    for block in blocks {
        let mut script = block.commands().join("\n").replace(STORE, &store);
        if let Some((server, _)) = &server {
            script = script.replace(ELSEWHERE, &format!("http://{}", server.address));
        }
        let done = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(folder.path())
            .env("PATH", format!("{}:/usr/bin:/bin", folder.path().join(".bin").display()))
            .env("HOME", folder.path())
            .env("ML_DASH_API_KEY", TOKEN)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}:{}: {script}\n{told}", page.name, block.line);
        commands += block.commands().len();
    }
    commands
}

/// The program on PATH, and the recordings and files that a page speaks of; a server, if it uploads.
fn set_out(page: &Page, folder: &Path, store: &str) -> Option<(Server, TempDir)> {
    fs::create_dir(folder.join(".bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_mldash_bridge"), folder.join(".bin/mldash_bridge")).unwrap();
    let copy = |from: &str, to: &str| {
        fs::copy(source(from), folder.join(to)).unwrap();
    };
    match page.name.as_str() {
        "docs/first-robot.md" => {
            import(folder, "lab/rover/first");
            let exp =
                Experiment::open("lab/rover/first", Options::local(folder.join(".dash"))).unwrap();
            exp.tracks("imu").append(fields! { "x": 1.5 }, 1137834226.0).unwrap();
            exp.close().unwrap();
        }
        "docs/installing.md" => {
            fs::create_dir(folder.join("my_bag")).unwrap();
            copy("tests/data/sena_lab_loop.mcap", "my_bag/loop.mcap");
            copy("config/demo.yaml", "my_robot.yaml");
            // Without its pictures, which take half a minute of a program that is not optimised.
            let recipe = fs::read_to_string(source("tests/data/drive_a_loop.yaml")).unwrap();
            let lines = recipe.lines().filter(|line| !line.contains("as: image"));
            let recipe = lines.collect::<Vec<_>>().join("\n");
            fs::write(folder.join("recipe.yaml"), recipe).unwrap();
        }
        "docs/fleet.md" => {
            import(folder, "alice/warehouse/run-1");
            let publish = program(["publish", "alice/warehouse/run-1", "--to", store]);
            let done = publish.current_dir(folder).run();
            assert_eq!(done.code, 0, "{}", done.stderr);
        }
        "docs/export.md" | "docs/publish.md" => import(folder, "alice/warehouse/run-1"),
        "docs/operation.md" | "docs/replay.md" => import(folder, "alice/lab/run-1"),
        "docs/report.md" => import(folder, "demo/sena-lab/loop"),
        "docs/upload.md" => {
            import(folder, "alice/warehouse/run-1");
            let root = tempfile::tempdir().unwrap();
            return Some((Server::start(root.path()), root));
        }
        _ => {}
    }
    None
}

/// A real robot's recording, under this name.
fn import(folder: &Path, name: &str) {
    let args = ["import", "--all", "--experiment", name];
    let done = program(args).arg(source("tests/data/sena_lab_loop.mcap")).current_dir(folder).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn targets_and_scripts_that_the_docs_name_are_there() {
    let makefile = fs::read_to_string(source("Makefile")).unwrap();
    let mut named = 0;
    for page in pages() {
        let spans = page.code_spans().into_iter();
        let blocks = page.blocks();
        let commands = blocks
            .iter()
            .flat_map(|block| block.commands().into_iter().map(|command| (block.line, command)));
        for (line, text) in spans.chain(commands) {
            let mut words = text.split_whitespace();
            let is_there = match words.next() {
                Some("make") => words.next().is_none_or(|target| {
                    target.contains('=') || makefile.contains(&format!("\n{target}:"))
                }),
                Some(script) if script.starts_with("scripts/") => source(script).exists(),
                _ => continue,
            };
            assert!(is_there, "{}:{line}: {text}", page.name);
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}
