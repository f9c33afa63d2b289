//! Files beside the tracks: saved as ML-Dash lays them out, listed, read back, replaced, deleted.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use mldash_bridge::track::{Experiment, FileInfo, Options, TrackError};
use serde_json::{Value as Json, json};

const RUN: &str = "alice/warehouse/run-1";

fn open(root: &Path) -> Experiment {
    Experiment::open(RUN, Options::local(root)).unwrap()
}

fn metadata(root: &Path) -> Json {
    let path = root.join(RUN).join("files/.files_metadata.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn places(files: &[FileInfo]) -> Vec<String> {
    files.iter().map(|file| format!("{}/{}", file.path, file.filename)).collect()
}

#[test]
fn a_file_is_saved_where_and_as_the_sdk_looks_for_it() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let frames = exp.files("/frames/").description("front").tags(["rgb"]);
    let saved = frames.save_bytes(b"pixels", "left/frame_00001.jpg").unwrap();
    assert_eq!(exp.close().unwrap().files, 1);

    let listed = metadata(root.path());
    let file = &listed["files"][0];
    let when = file["uploadedAt"].as_str().unwrap();
    assert_eq!(when.len(), "2026-01-02T03:04:05.678901Z".len());
    let expected = json!({
        "id": saved.id, "experimentId": "warehouse/alice/warehouse/run-1",
        "path": "/frames/left", "filename": "frame_00001.jpg",
        "description": "front", "tags": ["rgb"], "bindrs": [],
        "contentType": "image/jpeg", "sizeBytes": 6,
        "checksum": "6ec9c2b0eb14010746c8bce8939303b382344b296206612eb8a907a37b2b2f37",
        "metadata": null, "uploadedAt": when, "updatedAt": when, "deletedAt": null,
    });
    assert_eq!(file, &expected);
    let data = root.path().join(RUN).join("files/frames/left").join(&saved.id);
    assert_eq!(fs::read(data.join("frame_00001.jpg")).unwrap(), b"pixels");
}

#[test]
fn a_reader_sees_a_file_as_soon_as_it_is_saved() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    for i in 0..50 {
        exp.files("frames").save_bytes([i; 10], &format!("{i:05}.bin")).unwrap();
        assert_eq!(reader.files("frames").list().unwrap().len(), usize::from(i) + 1);
    }
    assert_eq!(reader.files("frames").read("00042.bin").unwrap(), [42; 10]);
    let refused = reader.files("frames").save_bytes(b"", "x").unwrap_err();
    assert!(matches!(refused, TrackError::ReadOnly(_)), "{refused}");
}

#[test]
fn files_are_listed_by_folder_and_a_later_one_takes_the_place_of_an_earlier() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.files("").save_bytes(b"0", "notes.txt").unwrap();
    let old = exp.files("frames").save_bytes(b"1", "a.png").unwrap();
    exp.files("frames/left").save_bytes(b"2", "a.png").unwrap();
    exp.files("frames2").save_bytes(b"3", "a.png").unwrap();
    exp.files("frames").save_bytes(b"4", "a.png").unwrap();

    let in_frames = exp.files("frames").list().unwrap();
    assert_eq!(places(&in_frames), ["/frames/a.png", "/frames/left/a.png"]);
    let all = exp.files("/").list().unwrap();
    assert_eq!(
        places(&all),
        ["//notes.txt", "/frames/a.png", "/frames/left/a.png", "/frames2/a.png"]
    );
    assert_eq!(exp.files("frames").read("a.png").unwrap(), b"4");
    assert_eq!(exp.files("").read("frames/left/a.png").unwrap(), b"2");
    exp.close().unwrap();
    assert_eq!(metadata(root.path())["files"].as_array().unwrap().len(), 4);
    assert!(!root.path().join(RUN).join("files/frames").join(old.id).exists());
}

#[test]
fn a_deleted_file_is_listed_no_more_and_can_be_saved_again() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let files = exp.files("frames");
    let none_yet = files.delete("a.png").unwrap_err();
    assert!(matches!(none_yet, TrackError::NoFile { .. }), "{none_yet}");
    for name in ["a.png", "b.png", "c.png"] {
        files.save_bytes(name, name).unwrap();
    }
    assert!(files.delete("b.png").unwrap().deleted_at.is_some());
    let error = files.delete("b.png").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no file `b.png` in `/frames` of experiment `alice/warehouse/run-1`"
    );
    assert_eq!(files.delete_all(|file| file.filename == "a.png").unwrap().len(), 1);
    assert_eq!(places(&files.list().unwrap()), ["/frames/c.png"]);
    files.save_bytes(b"again", "b.png").unwrap();
    exp.close().unwrap();

    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(reader.files("frames").read("b.png").unwrap(), b"again");
    let deleted = |file: &&Json| file["deletedAt"].is_string();
    assert_eq!(
        metadata(root.path())["files"].as_array().unwrap().iter().filter(deleted).count(),
        2
    );
}

#[test]
fn a_file_from_elsewhere_is_copied_under_its_own_name_or_another() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let source = root.path().join("bridge.yaml");
    fs::write(&source, vec![7; 1_000_000]).unwrap();
    let own = exp.files("config").save_file(&source).unwrap();
    assert_eq!((own.filename.as_str(), own.size_bytes), ("bridge.yaml", 1_000_000));
    let other = exp.files("config").save_file_as(&source, "used.json").unwrap();
    assert_eq!((other.checksum, other.content_type.as_str()), (own.checksum, "application/json"));
    let absent = exp.files("config").save_file(root.path().join("absent")).unwrap_err();
    assert!(absent.to_string().contains("absent"), "{absent}");
    assert_eq!(exp.files("config").list().unwrap().len(), 2);
}

#[test]
fn no_name_leads_out_of_the_experiment() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    for (folder, name) in [
        ("frames", "../x"),
        ("..", "x"),
        ("frames", ""),
        ("a//b", "x"),
        ("frames", ".files_metadata.json"),
        ("a\0b", "x"),
        ("frames", "a\\b"),
    ] {
        let refused = exp.files(folder).save_bytes(b"", name);
        assert!(matches!(refused, Err(TrackError::Name(_))), "{folder}/{name}: {refused:?}");
    }
    exp.files("frames").save_bytes(b"x", "x").unwrap();
    exp.close().unwrap();

    let path = root.path().join(RUN).join("files/.files_metadata.json");
    let foreign = fs::read_to_string(&path).unwrap().replace("/frames", "/../../../..");
    fs::write(&path, foreign).unwrap();
    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    let listed = reader.files("").list().unwrap();
    let refused = reader.files("").read_listed(&listed[0]).unwrap_err();
    assert!(refused.to_string().contains(".files_metadata.json"), "{refused}");
}

#[test]
fn a_file_that_is_not_what_was_saved_is_not_handed_out() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let info = exp.files("frames").save_bytes(b"pixels", "a.png").unwrap();
    let path = exp.files("frames").path(&info).unwrap();
    fs::write(&path, b"pixelz").unwrap();
    let damaged = exp.files("frames").read("a.png").unwrap_err();
    assert!(matches!(damaged, TrackError::FileDamaged { .. }), "{damaged}");
}

#[test]
fn many_threads_save_at_once_and_every_file_is_listed() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let frames = exp.files(&format!("camera/{thread}"));
            scope.spawn(move || {
                for i in 0..100 {
                    frames.save_bytes(format!("{thread} {i}"), &format!("{i:05}.png")).unwrap();
                }
            });
        }
    });
    assert_eq!(exp.close().unwrap().files, 400);
    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    let files = reader.files("camera").list().unwrap();
    let ids: HashSet<&str> = files.iter().map(|file| file.id.as_str()).collect();
    assert_eq!((files.len(), ids.len()), (400, 400));
    assert_eq!(reader.files("camera/3").read("00007.png").unwrap(), b"3 7");
}

#[test]
fn a_recording_that_is_continued_keeps_what_others_wrote_into_the_list() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    exp.files("frames").save_bytes(b"1", "a.png").unwrap();
    exp.close().unwrap();
    let path = root.path().join(RUN).join("files/.files_metadata.json");
    let foreign =
        fs::read_to_string(&path).unwrap().replace("\"bindrs\":[]", "\"bindrs\":[\"b\"],\"new\":7");
    fs::write(&path, foreign).unwrap();
    let exp = open(root.path());
    exp.files("frames").save_bytes(b"2", "b.png").unwrap();
    exp.close().unwrap();
    let files = &metadata(root.path())["files"];
    assert_eq!((&files[0]["new"], &files[0]["bindrs"][0]), (&json!(7), &json!("b")));
    assert_eq!(files[1]["filename"], "b.png");
}
