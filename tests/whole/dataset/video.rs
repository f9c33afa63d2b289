//! Videos by ffmpeg, where it is installed; and what is said where it is not.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::like_lerobot::{EPISODES, recipe, record_sample};
use super::{oracle, source, try_export};
use crate::program::program;

/// Tells that a test is skipped where there is no ffmpeg with LeRobot's codec.
pub(super) fn has_ffmpeg() -> bool {
    let encoders = Command::new("ffmpeg").args(["-hide_banner", "-encoders"]).output();
    let has =
        encoders.is_ok_and(|done| String::from_utf8_lossy(&done.stdout).contains("libsvtav1"));
    if !has {
        eprintln!("skipped: there is no ffmpeg with libsvtav1 here");
    }
    has
}

#[test]
fn a_dataset_of_videos_has_the_files_schemas_and_values_of_the_real_librarys() {
    if !has_ffmpeg() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    record_sample(root.path());
    let target = root.path().join("set");
    // LeRobot's own encoder has become one that takes no such small pictures.
    let small = format!("video: {{codec: libaom-av1}}{}", recipe("video"));
    try_export(root.path(), &EPISODES, &small, &target).unwrap();
    let sample = source("tests/data/lerobot/video");
    assert_eq!(oracle("like_lerobot.py", &[&sample, &target]), "the same");
}

#[test]
fn every_frame_of_a_video_is_at_its_exact_time_and_every_second_is_whole() {
    if !has_ffmpeg() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    record_sample(root.path());
    let target = root.path().join("set");
    let larger = recipe("video").replace("as: video", "as: video, size: [96, 128]");
    try_export(root.path(), &EPISODES, &larger, &target).unwrap();
    let video = target.join("videos/observation.images.front/chunk-000/file-000.mp4");
    let shown = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-show_frames", "-of", "json"])
        .args(["-show_entries", "frame=pts_time,key_frame"])
        .arg(&video)
        .output()
        .unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let frames = shown["frames"].as_array().unwrap();
    assert_eq!(frames.len(), 25, "both episodes, one after the other");
    for (i, frame) in frames.iter().enumerate() {
        let secs: f64 = frame["pts_time"].as_str().unwrap().parse().unwrap();
        assert!((secs - i as f64 / 10.0).abs() < 1e-6, "frame {i} is at {secs}");
        let begins_group =
            [0, 12].iter().any(|start| i >= *start && i < start + 12 && (i - start) % 2 == 0);
        assert!(frame["key_frame"] == 1 || !begins_group, "a whole frame every two: {i}");
    }
}

#[test]
fn without_ffmpeg_or_the_codec_it_is_said_what_to_install() {
    let root = tempfile::tempdir().unwrap();
    record_sample(root.path());
    let path = root.path().join("recipe.yaml");
    let run = |recipe: &str, search: &str| {
        fs::write(&path, recipe).unwrap();
        let args = program(["dataset", "alice/**", "--root"]).arg(root.path()).env("PATH", search);
        let done = args.arg("--recipe").arg(&path).arg("-o").arg(root.path().join("set")).run();
        assert_eq!(done.code, 2, "{}", done.stderr);
        done.stderr
    };
    let told = run(&recipe("video"), "/nowhere");
    assert!(told.contains("there is no `ffprobe` on PATH; install it"), "{told}");
    if has_ffmpeg() {
        let odd = format!("video: {{codec: libnone}}{}", recipe("video"));
        let told = run(&odd, &std::env::var("PATH").unwrap());
        assert!(told.contains("this ffmpeg has no encoder `libnone`"), "{told}");
    }
}
