//! Files that change under the hands of whoever records into them.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::thread;

use super::*;
use crate::fields;
use crate::local::Snapshot;
use crate::local::bad_disk::{FailingDisk, FailingSyncs, SlowDisk};
use crate::local::power_cut::recording::{self, Disk, Left, Step};
use crate::name::ExperimentName;
use crate::options::LastRun;
use crate::row::Fields;

/// More than is sorted when a track is opened, in blocks far from the ends.
const MANY: u32 = 20_000;

struct World {
    _root: tempfile::TempDir,
    dir: ExperimentDir,
    name: TrackName,
}

impl World {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let experiment: ExperimentName = "alice/warehouse/run-1".parse().unwrap();
        let dir = ExperimentDir::new(root.path(), &experiment);
        fs::create_dir_all(dir.tracks_folder()).unwrap();
        Self { _root: root, dir, name: "arm".parse().unwrap() }
    }

    fn open(&self) -> TrackAppender {
        TrackAppender::open(&self.dir, &self.name).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.dir.track_folder(&self.name).join(DATA_FILE)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    /// What another program does.
    fn append_by_hand(&self, line: &str) {
        let mut file = OpenOptions::new().append(true).open(self.path()).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    /// Overwrites the start of the line of this time, as a bad disk does it, which leaves the file's
    /// time alone.
    fn damage(&self, ts: u32) {
        let file = File::options().write(true).open(self.path()).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        let at = self.text().find(&format!("{{\"timestamp\":{ts}.0,")).unwrap();
        file.write_all_at(&[b'#'; 8], at as u64).unwrap();
        file.set_modified(modified).unwrap();
    }

    fn rows(&self) -> usize {
        let snapshot = Snapshot::open(&self.dir.track_folder(&self.name)).unwrap().unwrap();
        let rows = snapshot.cursor(f64::NEG_INFINITY, f64::INFINITY);
        rows.map(Result::unwrap).count()
    }

    /// The step that makes the rows safe from a power cut.
    fn synced_at(&self, steps: &[Step]) -> Option<usize> {
        let data = steps.iter().find_map(|step| match step {
            Step::Create(path, number) => (*path == self.path()).then_some(*number),
            _ => None,
        })?;
        steps.iter().position(|step| matches!(step, Step::Sync(number) if *number == data))
    }

    fn lines_put_aside(&self) -> usize {
        fs::read_to_string(self.path().with_added_extension("bad")).unwrap().lines().count()
    }
}

fn rows(times: impl IntoIterator<Item = f64>) -> Vec<(Timestamp, Fields)> {
    let row = |ts: f64| (Timestamp::new(ts).unwrap(), fields! { "v": ts, "text": "x".repeat(40) });
    times.into_iter().map(row).collect()
}

/// Leaves unsorted rows, with an index of them, as a killed run does.
fn killed(world: &World) {
    let mut track = world.open();
    track.append(&rows((1..MANY).map(f64::from).chain([0.5]))).unwrap();
    track.sync().unwrap();
    track.due_index().unwrap().save().unwrap();
}

#[test]
fn damage_that_the_stored_index_does_not_know_is_named_and_kept_by_the_rewrite() {
    let world = World::new();
    killed(&world);
    world.damage(MANY / 2);
    assert_eq!(world.rows(), MANY as usize - 1, "readers get all other rows");
    let mut track = world.open();
    track.append(&rows([0.25, 1e6])).unwrap();
    let closed = track.close().unwrap();
    assert_eq!(closed.info.total_entries, u64::from(MANY) + 1);
    assert_eq!(closed.merged_on_disk, 0);
    assert_eq!((world.rows(), world.lines_put_aside()), (MANY as usize + 1, 1));
}

#[test]
fn damage_to_the_rows_of_this_run_is_named_and_kept_by_the_rewrite() {
    let world = World::new();
    let mut track = world.open();
    track.append(&rows((1..MANY).map(f64::from).chain([0.5]))).unwrap();
    world.damage(MANY / 2);
    assert!(track.row_at(Timestamp::new(f64::from(MANY / 2)).unwrap()).unwrap().is_none());
    track.close().unwrap();
    assert_eq!((world.rows(), world.lines_put_aside()), (MANY as usize - 1, 1));
}

#[test]
fn a_row_that_another_program_appends_while_the_file_is_sorted_is_not_lost() {
    let world = World::new();
    let mut track = world.open();
    track.append(&rows([2.0, 1.0])).unwrap();
    track.sync().unwrap();
    let slow = SlowDisk::under(&world.path());
    thread::scope(|scope| {
        let closed = scope.spawn(|| track.close().unwrap());
        // The sorted file is on its way to the disk.
        slow.await_waiting(1);
        world.append_by_hand("{\"timestamp\": 1.5}\n");
        drop(slow);
        assert_eq!(closed.join().unwrap().info.total_entries, 3);
    });
    let times: Vec<&str> = vec!["1.0", "1.5", "2.0"];
    let text = world.text();
    let found = text.lines().map(|line| &line[line.find(':').unwrap() + 1..][..4]);
    assert_eq!(found.map(|ts| ts.trim_matches([' ', ','])).collect::<Vec<_>>(), times);
}

#[test]
fn an_earlier_runs_merged_rows_are_not_counted_as_this_runs_although_the_file_is_read_anew() {
    let world = World::new();
    killed(&world);
    let mut track = world.open();
    // Shares its times with the killed run's.
    track.append(&rows([2.0, 3.0])).unwrap();
    let closed = track.close().unwrap();
    assert_eq!((closed.merged_on_disk, closed.info.total_entries), (2, u64::from(MANY)));
}

#[test]
fn a_sort_that_fails_leaves_the_index_so_that_the_next_run_goes_on_quickly() {
    let world = World::new();
    killed(&world);
    let mut track = world.open();
    let full = FailingDisk::under(&world.path());
    track.close().unwrap_err();
    drop(full);
    let data = File::open(world.path()).unwrap();
    let index = index_file::load(&world.dir.track_folder(&world.name), &data).unwrap().unwrap();
    assert_eq!(index.end(), data.metadata().unwrap().len());
}

#[test]
fn a_reader_makes_rows_safe_from_a_power_cut_before_it_stores_an_index_of_them() {
    let world = World::new();
    recording::start(world.dir.path());
    let mut track = world.open();
    track.append(&rows((0..MANY).map(f64::from))).unwrap();
    drop(track);
    assert_eq!(world.rows(), MANY as usize);
    let steps = recording::stop(world.dir.path());
    let is_index =
        |step: &Step| matches!(step, Step::Rename(_, to) if to.ends_with(index_file::FILE_NAME));
    let indexed = steps.iter().position(is_index).expect("so many rows are worth an index");
    assert!(world.synced_at(&steps).is_some_and(|synced| synced < indexed));
}

#[test]
fn an_index_is_stored_only_of_rows_that_are_safe_from_a_power_cut() {
    let world = World::new();
    let mut track = world.open();
    track.append(&rows((0..100).map(f64::from))).unwrap();
    assert!(track.due_index().is_none());
    let safe = world.text().len() as u64;
    let mut sync = track.begin_sync().unwrap();
    track.append(&rows((100..200).map(f64::from))).unwrap();
    sync.run().unwrap();
    track.end_sync(sync, true);
    track.due_index().unwrap().save().unwrap();
    let data = File::open(world.path()).unwrap();
    let index = index_file::load(&world.dir.track_folder(&world.name), &data).unwrap().unwrap();
    assert_eq!(index.end(), safe);
}

/// A sync as the thread that syncs does it.
fn sync_once(track: &mut TrackAppender) -> Result<(), StoreError> {
    let mut sync = track.begin_sync()?;
    let done = sync.run();
    track.end_sync(sync, done.is_ok());
    done
}

#[test]
fn rows_over_which_a_sync_failed_are_written_again_before_the_next() {
    let world = World::new();
    let folder = world.dir.tracks_folder();
    recording::start(&folder);
    let mut track = world.open();
    track.append(&rows([1.0])).unwrap();
    sync_once(&mut track).unwrap();
    let failing = FailingSyncs::under(&world.path());
    for ts in [2.0, 3.0, 4.0] {
        track.append(&rows([ts])).unwrap();
        sync_once(&mut track).unwrap_err();
    }
    drop(failing);
    track.append(&rows([5.0])).unwrap();
    sync_once(&mut track).unwrap();
    assert!(track.begin_sync().unwrap().is_empty());
    let mut disk = Disk::new(&folder);
    recording::stop(&folder).iter().for_each(|step| disk.apply(step));
    let left = disk.after_power_cut(|| Left::Live, || Left::Synced);
    let data = left[&Path::new("arm").join(DATA_FILE)].clone().unwrap();
    assert_eq!(String::from_utf8(data).unwrap(), world.text());
    track.close().unwrap();
}

#[test]
fn more_than_is_written_again_at_once_is_safe_after_some_syncs() {
    let world = World::new();
    let folder = world.dir.tracks_folder();
    recording::start(&folder);
    let mut track = world.open();
    let failing = FailingSyncs::under(&world.path());
    for first in (0..200_000).step_by(10_000) {
        track.append(&rows((first..first + 10_000).map(f64::from))).unwrap();
    }
    sync_once(&mut track).unwrap_err();
    drop(failing);
    let mut syncs = 0;
    while track.unsynced.rows {
        sync_once(&mut track).unwrap();
        syncs += 1;
    }
    assert!(syncs > 1);
    let mut disk = Disk::new(&folder);
    recording::stop(&folder).iter().for_each(|step| disk.apply(step));
    let left = disk.after_power_cut(|| Left::Live, || Left::Synced);
    let data = left[&Path::new("arm").join(DATA_FILE)].clone().unwrap();
    assert!(data == world.text().as_bytes(), "something is not safe");
}

#[test]
fn rows_that_a_disk_failed_to_store_and_that_are_gone_are_told_with_the_track_and_at_its_close() {
    let world = World::new();
    let mut track = world.open();
    track.append(&rows([1.0])).unwrap();
    sync_once(&mut track).unwrap();
    track.append(&rows([2.0, 3.0])).unwrap();
    let failing = FailingSyncs::under(&world.path());
    sync_once(&mut track).unwrap_err();
    // What the system did not keep is what the disk has there.
    let gone = world.text().find("{\"timestamp\":2.0").unwrap() as u64;
    let file = File::options().write(true).open(world.path()).unwrap();
    file.write_all_at(&[0; 40], gone).unwrap();
    drop(failing);
    track.append(&rows([4.0])).unwrap();
    let told = sync_once(&mut track).unwrap_err();
    assert!(matches!(told, StoreError::LostOnDisk { rows: 2, .. }), "{told}");
    assert!(told.to_string().contains("arm/data.jsonl"), "{told}");
    sync_once(&mut track).unwrap();
    let told = track.close().unwrap_err();
    assert!(matches!(told, StoreError::LostOnDisk { rows: 2, .. }), "{told}");
    assert_eq!(world.rows(), 3, "what is left is closed");
}

#[test]
fn a_full_disk_keeps_no_track_from_being_opened_and_the_close_sorts_it() {
    let world = World::new();
    let mut track = world.open();
    track.append(&rows([2.0, 1.0])).unwrap();
    drop(track);
    let full = FailingDisk::full_under(&world.path());
    let name: ExperimentName = "alice/warehouse/run-1".parse().unwrap();
    let _opened = world.dir.open_for_writing(&name, LastRun::default()).unwrap();
    let mut track = world.open();
    drop(full);
    track.append(&rows([3.0, 2.0])).unwrap();
    let closed = track.close().unwrap();
    assert_eq!((closed.info.total_entries, closed.merged_on_disk), (3, 1));
}

#[test]
fn a_failed_write_that_can_not_be_cut_back_is_not_taken_for_rows_of_others() {
    let world = World::new();
    let mut track = world.open();
    track.append(&rows([1.0])).unwrap();
    let failing = FailingDisk::under(&world.path());
    track.append(&rows([2.0, 3.0])).unwrap_err();
    // What the write left before it failed.
    world.append_by_hand("{\"timestamp\": 2.0}\n{\"times");
    drop(failing);
    track.append(&rows([2.0, 3.0])).unwrap();
    let closed = track.close().unwrap();
    assert_eq!((closed.info.total_entries, closed.merged_on_disk), (3, 0));
}

#[test]
fn a_file_that_another_program_cut_is_recorded_on_and_what_is_gone_is_not_merged() {
    let world = World::new();
    let mut track = world.open();
    track.append(&rows([1.0, 2.0, 3.0, 4.0])).unwrap();
    let file = File::options().write(true).open(world.path()).unwrap();
    file.set_len(world.text().find("{\"timestamp\":3.0").unwrap() as u64 + 5).unwrap();
    track.append(&rows([6.0, 5.0])).unwrap();
    let row = track.row_at(Timestamp::new(6.0).unwrap()).unwrap();
    assert!(row.is_some());
    let closed = track.close().unwrap();
    assert_eq!((closed.info.total_entries, closed.merged_on_disk), (4, 0));
    assert_eq!(world.rows(), 4);
}
