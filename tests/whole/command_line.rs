//! A command line that helps: what is nearly right is understood, or told what it should have been.

use std::fs;
use std::path::Path;
use std::process::Command;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, Options};

use crate::program::{Done, program};

const RUN: &str = "alice/warehouse/run-1";

fn record(root: &Path) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    exp.tracks("odom").append(fields! { "x": 1.5 }, 1.0).unwrap();
    exp.close().unwrap();
}

fn assert_is_usage(done: &Done, told: &str) {
    assert_eq!(done.code, 2, "{}", done.stderr);
    assert!(done.stderr.contains(told), "{}", done.stderr);
}

#[test]
fn a_mistyped_command_is_told_the_nearest_one() {
    assert_is_usage(&program(["chek", "my.yaml"]).run(), "'check'");
}

#[test]
fn a_mapping_without_its_option_is_told_the_option() {
    for args in [&["run", "my.yaml"][..], &["my.yaml"], &["run", "--paused", "my.yaml"]] {
        assert_is_usage(&program(args).run(), "`--config my.yaml`");
    }
}

#[test]
fn an_experiment_can_be_named_by_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join(".dash");
    record(&root);
    let read = |experiment: &Path| {
        let read = program(["read"]).arg(experiment).args(["odom", "--format", "jsonl", "--root"]);
        read.arg(&root).run()
    };
    for experiment in [root.join(RUN), root.join(RUN).join("")] {
        let done = read(&experiment);
        assert_eq!(done.text(), "{\"timestamp\":1.0,\"x\":1.5}\n", "{}", done.stderr);
    }
    let elsewhere = folder.path().join("copies");
    fs::create_dir_all(&elsewhere).unwrap();
    let done = read(&elsewhere);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("is not a folder below `--root"), "{}", done.stderr);
}

#[test]
fn a_range_that_ends_before_it_begins_is_refused_by_every_command_that_takes_one() {
    let root = tempfile::tempdir().unwrap();
    record(root.path());
    let commands: [&[&str]; 4] = [
        &["read", RUN, "odom"],
        &["align", RUN, "--on", "odom", "--with", "odom"],
        &["plot", RUN, "odom", "x"],
        &["export", RUN, "-o", "never.mcap"],
    ];
    for command in commands {
        let run = |start: &str, end: &str| {
            let range = ["--start", start, "--end", end, "--root"];
            program(command).args(range).arg(root.path()).current_dir(root.path()).run()
        };
        assert_is_usage(&run("2", "1"), "`--start 2` is after `--end 1`");
        assert_is_usage(&run("nan", "1"), "expected a number of seconds");
    }
    assert!(!root.path().join("never.mcap").exists());
}

#[test]
fn a_track_can_be_named_by_its_topic() {
    let root = tempfile::tempdir().unwrap();
    record(root.path());
    let done =
        program(["read", RUN, "/odom", "--format", "jsonl", "--root"]).arg(root.path()).run();
    assert_eq!(done.text(), "{\"timestamp\":1.0,\"x\":1.5}\n", "{}", done.stderr);
    let align = ["align", RUN, "--on", "/odom", "--with", "/odom", "--root"];
    let done = program(align).arg(root.path()).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn times_that_would_spin_or_never_end_are_wrong_usage_with_the_range() {
    for secs in ["0", "1e-9", "1e19", "inf", "nan"] {
        for flag in ["--body-timeout", "--header-timeout", "--idle-close", "--grace"] {
            let done = program(["serve", "--token-file", "none", flag, secs]).run();
            assert_is_usage(&done, &format!("'{flag} <SECONDS>'"));
            assert_is_usage(&done, "from 0.001 to 31536000");
        }
    }
    let root = tempfile::tempdir().unwrap();
    for (variable, secs) in [("ML_DASH_FLUSH_INTERVAL", "1e19"), ("ML_DASH_FLUSH_INTERVAL", "1e-9")]
    {
        let append = program(["append", RUN, "odom", "--root"]).arg(root.path());
        let done = append.env(variable, secs).stdin("{\"_ts\": 1}\n").run();
        assert_ne!(done.code, 0);
        let told = format!("{variable}: `{secs}` is not a number of seconds from 0.01 to 86400");
        assert!(done.stderr.contains(&told), "{}", done.stderr);
    }
}

#[test]
fn shells_complete_commands_and_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = program(["completions", shell]).run();
        assert_eq!(done.code, 0, "{}", done.stderr);
        for word in ["experiments", "tolerance"] {
            assert!(done.text().contains(word), "{shell} knows no {word}");
        }
    }
    let script = program(["completions", "bash"]).run();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("completions");
    fs::write(&file, &script.stdout).unwrap();
    let ask = "source \"$0\"; COMP_WORDS=(mldash_bridge expe); COMP_CWORD=1; \
               _mldash_bridge mldash_bridge expe mldash_bridge; echo \"${COMPREPLY[@]}\"";
    let bash = Command::new("bash").args(["-c", ask]).arg(&file).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&bash.stdout).trim(), "experiments");
}

#[test]
fn every_command_has_a_man_page() {
    let folder = tempfile::tempdir().unwrap();
    let done = program(["man"]).arg(folder.path()).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
    let page = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(page("mldash_bridge.1").contains("experiments"));
    assert!(page("mldash_bridge-read.1").contains("columns"));
    assert!(!folder.path().join("mldash_bridge-man.1").exists(), "it is hidden");
    let nowhere = program(["man"]).arg(folder.path().join("nowhere")).run();
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("man pages"), "{}", nowhere.stderr);
}
