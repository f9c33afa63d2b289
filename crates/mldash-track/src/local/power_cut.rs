//! A power cut after every single change that the store makes to the disk. What was synced is read
//! afterwards, whatever became of the rest, and recording goes on.

pub(crate) mod recording;

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fastrand::Rng;

use crate::fields;
use crate::{
    ColumnType, Experiment, ExperimentNotes, Options, Query, RowSchema, TrackError, TrackNotes,
    Value,
};
use recording::{Disk, Left, Step, any_of};

const RUN: &str = "alice/warehouse/run-1";
const POSE: &str = "robot/pose";
const ARM: &str = "arm_q";
const FILE: &str = "frames/1.png";

/// What the caller was told is safe.
#[derive(Clone, Debug, Default)]
struct Promised {
    rows: BTreeMap<&'static str, Vec<f64>>,
    description: Option<&'static str>,
    /// Declared columns of the arm.
    columns: Vec<&'static str>,
    file: bool,
}

/// A recording and its caller.
struct Work {
    root: PathBuf,
    exp: Experiment,
    /// What was appended so far.
    appended: Promised,
    promised: Vec<Promised>,
}

impl Work {
    fn begin(root: &Path) -> Self {
        recording::start(root);
        let exp = open(root).unwrap();
        let (root, appended) = (root.to_owned(), Promised::default());
        let mut work = Self { root, exp, appended, promised: Vec::new() };
        work.promise();
        work
    }

    fn end(mut self) -> (Vec<Promised>, Vec<Step>, PathBuf) {
        self.exp.close_store().unwrap();
        let steps = recording::stop(&self.root);
        let mut disk = Disk::new(&self.root);
        steps.iter().for_each(|step| disk.apply(step));
        let live = disk.after_power_cut(|| Left::Live, || Left::Live);
        assert!(live == recording::tree_at(&self.root), "something was written past `disk`");
        (self.promised, steps, self.root)
    }

    fn pack(&mut self) {
        let packed = self.exp.pack(|| ControlFlow::Continue(())).unwrap();
        assert_eq!(packed.problems, Vec::<String>::new());
        self.promise();
    }

    fn append(&mut self, track: &'static str, times: &[f64]) {
        for ts in times {
            self.exp.tracks(track).append(fields! { "v": ts * 2.0 }, *ts).unwrap();
            self.appended.rows.entry(track).or_default().push(*ts);
        }
    }

    fn declare(&mut self, column: &'static str, ts: f64) {
        let schema = RowSchema::new("/arm").column(column, ColumnType::Int);
        let arm = self.exp.tracks(ARM).with_schema(schema);
        arm.append(fields! { "v": ts * 2.0 }, ts).unwrap();
        self.appended.rows.entry(ARM).or_default().push(ts);
        self.appended.columns.push(column);
    }

    fn describe(&self) {
        self.exp.shared.describe_tracks().unwrap();
    }

    fn flush(&self) {
        self.exp.flush().unwrap();
    }

    fn sync(&mut self) {
        self.exp.shared.sync_all().unwrap();
        self.promise();
    }

    fn promise(&mut self) {
        recording::promise(&self.root, self.promised.len());
        self.promised.push(self.appended.clone());
    }

    fn reopen(&mut self) {
        self.exp.close_store().unwrap();
        self.promise();
        self.exp = open(&self.root).unwrap();
    }
}

fn open(root: &Path) -> Result<Experiment, TrackError> {
    let hour = Duration::from_secs(3600);
    let options = Options::local(root).flush_interval(hour).sync_interval(hour);
    Experiment::open(RUN, options.batch_rows(usize::MAX))
}

/// In memory if possible: thousands of experiments are opened and synced.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn record() -> (Vec<Promised>, Vec<Step>, PathBuf) {
    let folder = folder();
    let mut work = Work::begin(folder.path());
    work.exp.tracks(ARM).annotate(TrackNotes::default()).unwrap();
    work.append(POSE, &[1.0, 2.0]);
    work.declare("first", 1.0);
    work.flush();
    work.sync();
    work.describe();
    work.append(POSE, &[3.0, 4.0]);
    work.flush();
    let description = Some("first");
    let notes = ExperimentNotes {
        description: description.map(str::to_owned),
        ..ExperimentNotes::default()
    };
    work.exp.annotate(notes).unwrap();
    // Only what is synced is promised, and these rows are not.
    work.promised.push(Promised { description, ..work.promised[1].clone() });
    recording::promise(&work.root, 2);
    work.appended.description = description;
    work.append(ARM, &[0.5]);
    work.declare("second", 2.0);
    work.flush();
    work.sync();
    work.exp.files("frames").save_bytes(b"a picture", "1.png").unwrap();
    work.append(POSE, &[2.5, 5.0]);
    work.appended.file = true;
    // Sorted, merged, and another run behind it.
    work.reopen();
    work.append(POSE, &[4.5, 6.0]);
    work.flush();
    work.describe();
    work.declare("third", 4.0);
    work.append("late", &[7.0]);
    work.flush();
    work.sync();
    work.append(POSE, &[8.0]);
    work.reopen();
    work.end()
}

/// Rows are packed, unpacked by an append and by hand, and packed again.
fn record_packed() -> (Vec<Promised>, Vec<Step>, PathBuf) {
    let folder = folder();
    let mut work = Work::begin(folder.path());
    work.append(POSE, &[1.0, 2.0, 4.0]);
    work.declare("first", 1.0);
    work.append("late", &[7.0]);
    work.reopen();
    work.exp.close_store().unwrap();
    work.pack();
    work.pack();
    work.exp = open(&work.root).unwrap();
    // Sorted in, into a track that is unpacked; the others stay packed.
    work.append(POSE, &[3.0, 5.0]);
    work.flush();
    work.sync();
    work.exp.close_store().unwrap();
    work.promise();
    work.pack();
    let unpacked = work.exp.unpack().unwrap();
    assert_eq!((unpacked.tracks, unpacked.problems), (3, Vec::new()));
    work.promise();
    work.pack();
    work.end()
}

/// Checks that `root` has what was promised and nothing that was never appended.
fn check(root: &Path, promised: &Promised, what: &str) {
    let has_rows = promised.rows.values().any(|times| !times.is_empty());
    let exp = match Experiment::open_read_only(RUN, root) {
        Err(_) if !has_rows => return,
        exp => exp.unwrap_or_else(|error| panic!("{what}: {error}")),
    };
    let listed: Vec<String> = exp.list().unwrap().into_iter().map(|track| track.topic).collect();
    for (topic, times) in &promised.rows {
        let counted = exp.list().unwrap().into_iter().find(|track| track.topic == *topic);
        let rows = exp.tracks(topic).read(&Query::all());
        let rows = rows.unwrap_or_else(|error| panic!("{what}: {topic}: {error}"));
        let counted = counted.map(|track| track.total_entries);
        assert_eq!(counted, Some(rows.len() as u64), "{what}: each row of {topic} counts once");
        assert!(listed.iter().any(|listed| listed == topic), "{what}: {topic} in {listed:?}");
        for ts in times {
            let row = rows.iter().find(|row| row.ts.as_secs() == *ts);
            let value = row.and_then(|row| row.fields.get("v"));
            assert_eq!(value, Some(&Value::F64(ts * 2.0)), "{what}: {topic} at {ts}");
        }
        let right =
            rows.iter().all(|row| row.fields.get("v") == Some(&Value::F64(row.ts.as_secs() * 2.0)));
        assert!(right, "{what}: {topic} has rows that were never appended: {rows:?}");
    }
    if !promised.columns.is_empty() {
        let columns = exp.tracks(ARM).columns().unwrap().unwrap();
        let is_there = |column: &&str| columns.iter().any(|there| there == column);
        assert!(promised.columns.iter().all(is_there), "{what}: {columns:?}");
    }
    if promised.description.is_some() {
        let description = exp.notes().unwrap().description;
        assert_eq!(description.as_deref(), promised.description, "{what}");
    }
    if promised.file {
        let read = exp.files("").read(FILE);
        assert_eq!(read.unwrap_or_else(|e| panic!("{what}: {e}")), b"a picture", "{what}");
    }
}

#[test]
fn what_was_synced_survives_a_power_cut_after_any_change_and_recording_goes_on() {
    survives(record(), 200);
}

#[test]
fn rows_survive_a_power_cut_after_any_change_while_they_are_packed_and_unpacked() {
    survives(record_packed(), 100);
}

fn survives((promised, steps, recorded): (Vec<Promised>, Vec<Step>, PathBuf), least_states: usize) {
    let mut disk = Disk::new(&recorded);
    let mut random = Rng::with_seed(7);
    let mut done = HashSet::new();
    let mut safe = &Promised::default();
    let (synced, live) = ([Left::Synced], [Left::Live]);
    let any = [Left::Synced, Left::Live, Left::Zeros, Left::Half];
    let fates: [(&[Left], &[Left]); 8] = [
        (&synced, &synced),
        (&synced, &live),
        (&live, &synced),
        (&live, &[Left::Zeros]),
        (&live, &[Left::Half]),
        (&live, &live),
        (&any[..2], &any),
        (&any[..2], &any),
    ];
    for (number, step) in steps.iter().enumerate() {
        disk.apply(step);
        if let Step::Promise(number) = step {
            safe = &promised[*number];
        }
        for (names, data) in fates {
            let (mut of_names, mut of_data) = (random.fork(), random.fork());
            let left =
                disk.after_power_cut(any_of(names, &mut of_names), any_of(data, &mut of_data));
            if !done.insert((left.clone(), format!("{safe:?}"))) {
                continue;
            }
            let what = format!("step {number}, {step:?}, names {names:?}, data {data:?}");
            let folder = folder();
            recording::build(&left, folder.path());
            check(folder.path(), safe, &what);
            let mut exp = open(folder.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
            let mut after = safe.clone();
            for topic in [POSE, ARM] {
                exp.tracks(topic).append(fields! { "v": 18.0 }, 9.0).unwrap();
                after.rows.entry(topic).or_default().push(9.0);
            }
            exp.close_store().unwrap_or_else(|error| panic!("{what}: {error}"));
            check(folder.path(), &after, &what);
        }
    }
    assert!(done.len() > least_states, "{} states were tried", done.len());
}
