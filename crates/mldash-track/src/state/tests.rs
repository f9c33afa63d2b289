//! What becomes of rows and tracks when the store or another program fails them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::TrackError;
use crate::local::FailingDisk;
use crate::{CloseError, Experiment, LostRows, Options, Query, Row, Timestamp, WhenFull, fields};

const RUN: &str = "alice/warehouse/run-1";

fn options(root: &Path) -> Options {
    let hour = Duration::from_secs(3600);
    Options::local(root).flush_interval(hour).sync_interval(hour).batch_rows(usize::MAX)
}

fn data(root: &Path, track: &str) -> PathBuf {
    root.join(RUN).join("tracks").join(track).join("data.jsonl")
}

fn append(exp: &Experiment, track: &str, times: std::ops::Range<u32>) -> Result<(), TrackError> {
    times.map(f64::from).try_for_each(|ts| {
        exp.tracks(track).append(fields! { "text": "x".repeat(100) }, ts).map(drop)
    })
}

fn is_removed(error: &TrackError) -> bool {
    matches!(error, TrackError::Store(error) if error.is_removed())
}

#[test]
fn a_track_whose_file_is_removed_ends_alone_and_leaves_its_room_to_the_others() {
    let root = tempfile::tempdir().unwrap();
    let small = options(root.path()).buffer_bytes(20_000).when_full(WhenFull::Error);
    let exp = Experiment::open(RUN, small).unwrap();
    append(&exp, "gone", 0..5).unwrap();
    exp.flush().unwrap();
    fs::remove_file(data(root.path(), "gone")).unwrap();
    let mut appended = 5;
    // Until the buffer is full, or the flush thread has noticed.
    while append(&exp, "gone", appended..appended + 1).is_ok() {
        appended += 1;
    }
    // What the flush thread does: that the track is over holds up nothing.
    while exp.shared.flush_open().is_err() {}
    assert!(is_removed(&append(&exp, "gone", 100..101).unwrap_err()));
    assert!(is_removed(&exp.flush().unwrap_err()), "whoever asks is told");
    for from in (0..200).step_by(40) {
        append(&exp, "other", from..from + 40).unwrap();
        exp.shared.flush_open().unwrap();
    }
    exp.shared.sync_all().unwrap();
    let CloseError { closed, lost, source } = exp.close().unwrap_err();
    assert!(is_removed(&source), "{source}");
    assert_eq!(lost, [LostRows { topic: "gone".to_owned(), rows: u64::from(appended) }]);
    assert_eq!(closed.tracks[0].info.total_entries, 200);
    assert!(!data(root.path(), "gone").exists());
}

#[test]
fn a_sync_notices_a_removed_file_and_ends_that_track_only() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, options(root.path())).unwrap();
    append(&exp, "gone", 0..5).unwrap();
    append(&exp, "other", 0..5).unwrap();
    exp.flush().unwrap();
    fs::remove_dir_all(data(root.path(), "gone").parent().unwrap()).unwrap();
    exp.shared.sync_all().unwrap();
    assert!(is_removed(&append(&exp, "gone", 5..6).unwrap_err()));
    let CloseError { lost, .. } = exp.close().unwrap_err();
    assert_eq!(lost, [LostRows { topic: "gone".to_owned(), rows: 5 }]);
}

#[test]
fn a_track_that_can_not_be_written_neither_starves_the_others_nor_hides_that_it_fails() {
    let root = tempfile::tempdir().unwrap();
    let small = options(root.path()).buffer_bytes(20_000).when_full(WhenFull::Error);
    let exp = Experiment::open(RUN, small).unwrap();
    append(&exp, "bad", 0..1).unwrap();
    append(&exp, "good", 0..1).unwrap();
    let failing = FailingDisk::under(&data(root.path(), "bad"));
    exp.flush().unwrap_err();
    let mut appended = 1;
    let error = loop {
        match append(&exp, "bad", appended..appended + 1) {
            Ok(()) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("the store fails"), "{error}");
    for from in (1..201).step_by(20) {
        append(&exp, "good", from..from + 20).unwrap();
        exp.shared.flush_open().unwrap_err();
    }
    drop(failing);
    exp.flush().unwrap();
    append(&exp, "bad", appended..appended + 20).unwrap();
    exp.close().unwrap();
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let rows = |track: &str| exp.tracks(track).read(&Query::all()).unwrap().len();
    assert_eq!((rows("bad"), rows("good")), (appended as usize + 20, 201));
}

#[test]
fn after_a_close_that_failed_no_row_is_taken_and_what_was_flushed_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, options(root.path())).unwrap();
    let track = exp.tracks("t");
    append(&exp, "t", 0..3).unwrap();
    exp.flush().unwrap();
    append(&exp, "t", 3..5).unwrap();
    track.append(fields! {}, 5.0).unwrap();
    let failing = FailingDisk::under(&data(root.path(), "t"));
    let CloseError { lost, .. } = exp.close().unwrap_err();
    assert_eq!(lost, [LostRows { topic: "t".to_owned(), rows: 3 }]);
    drop(failing);
    let error = track.append(fields! {}, 6.0).unwrap_err();
    assert!(matches!(error, TrackError::Closed(_)), "{error}");
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(exp.list().unwrap()[0].total_entries, 3);
    assert!(data(root.path(), "t").with_file_name(".index.json").exists());
}

#[test]
fn rows_are_closed_though_metadata_and_index_can_not_be_written() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, options(root.path())).unwrap();
    append(&exp, "t", 0..3).unwrap();
    exp.flush().unwrap();
    let at = |name: &str| FailingDisk::under(&data(root.path(), "t").with_file_name(name));
    let failing = [at("metadata.json"), at(".index.json")];
    assert_eq!(exp.close().unwrap().tracks[0].info.total_entries, 3);
    drop(failing);
    let exp = Experiment::open(RUN, options(root.path())).unwrap();
    exp.close().unwrap();
    let metadata = fs::read_to_string(data(root.path(), "t").with_file_name("metadata.json"));
    assert!(metadata.unwrap().contains("\"totalEntries\":3"), "written anew");
}

#[test]
fn files_are_made_safe_though_their_list_can_not_be_written() {
    let root = tempfile::tempdir().unwrap();
    crate::local::power_cut::recording::start(root.path());
    let exp = Experiment::open(RUN, options(root.path())).unwrap();
    exp.files("frames").save_bytes(b"a picture", "1.png").unwrap();
    let list = root.path().join(RUN).join("files/.files_metadata.json");
    let failing = FailingDisk::under(&list);
    exp.close().unwrap_err();
    drop(failing);
    let steps = crate::local::power_cut::recording::stop(root.path());
    let last = steps
        .iter()
        .rposition(|step| matches!(step, crate::local::power_cut::recording::Step::SyncAll));
    assert!(last.is_some(), "{steps:?}");
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(exp.files("frames").read("1.png").unwrap(), b"a picture");
}

#[test]
fn a_large_recording_that_was_killed_is_opened_as_it_is_and_sorted_at_the_close() {
    use std::os::unix::fs::MetadataExt;
    let root = tempfile::tempdir().unwrap();
    let inode = |track| fs::metadata(data(root.path(), track)).unwrap().ino();
    let pad = "x".repeat(1000);
    // The second half is earlier than the first, and one time is there twice.
    let times = (1000..2000).chain(0..1000).chain([5]);
    let text: String =
        times.map(|ts| format!("{{\"timestamp\":{ts}.0,\"pad\":\"{pad}\"}}\n")).collect();
    for track in ["again", "left"] {
        fs::create_dir_all(data(root.path(), track).parent().unwrap()).unwrap();
        fs::write(data(root.path(), track), &text).unwrap();
    }
    let before = ["again", "left"].map(inode);
    let exp = Experiment::open(RUN, options(root.path())).unwrap();
    append(&exp, "again", 7..9).unwrap();
    append(&exp, "again", 3000..3001).unwrap();
    exp.flush().unwrap();
    append(&exp, "again", 3000..3001).unwrap();
    assert_eq!(exp.tracks("again").read(&Query::all()).unwrap().len(), 2001);
    assert_eq!(["again", "left"].map(inode), before, "nothing is sorted yet");
    exp.shared.describe_tracks().unwrap();
    let index = |track| data(root.path(), track).with_file_name(".index.json");
    assert!(index("again").exists(), "the next one to open it after a kill reads the rest only");
    let closed = exp.close().unwrap();
    assert_eq!(closed.tracks[0].info.total_entries, 2001);
    assert_eq!(closed.tracks[0].merged_on_disk, 3, "and not the row that was there twice");
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    for (track, rows) in [("again", 2001), ("left", 2000)] {
        let text = fs::read_to_string(data(root.path(), track)).unwrap();
        assert_eq!(text.lines().count(), rows, "{track} is sorted and merged");
        assert!(index(track).exists());
        assert_eq!(exp.tracks(track).read(&Query::all()).unwrap().len(), rows);
    }
}

#[test]
fn a_flush_takes_a_batch_whole_or_not_at_all() {
    const BATCH: u32 = 1000;
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, options(root.path())).unwrap();
    let batch = |number: u32| {
        let row = |i| Row::new(Timestamp::new(f64::from(i)).unwrap(), fields! { "i": i });
        exp.tracks("arm").append_rows((number * BATCH..(number + 1) * BATCH).map(row).collect())
    };
    batch(0).unwrap();
    std::thread::scope(|scope| {
        let appended = scope.spawn(|| (1..50).try_for_each(batch));
        while !appended.is_finished() {
            exp.tracks("arm").flush().unwrap();
            let text = fs::read_to_string(data(root.path(), "arm")).unwrap();
            assert_eq!(text.lines().count() % BATCH as usize, 0);
        }
        appended.join().unwrap().unwrap();
    });
    exp.close().unwrap();
}
