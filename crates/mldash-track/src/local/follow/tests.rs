//! Whatever is appended, sorted, cut back and restarted, a follower that takes lines as they come
//! ends up with the track's rows.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::json::{Columns, JsonWriter, NonFinite, RowParser};
use crate::local::row_file::DATA_FILE;
use crate::local::{ExperimentDir, TrackAppender};
use crate::name::{ExperimentName, TrackName};
use crate::row::{Fields, TIMESTAMP_COLUMN, Timestamp};

/// Rows by time.
type Rows = BTreeMap<Timestamp, Fields>;

#[derive(Clone, Debug)]
enum Step {
    /// A flush of rows at these times.
    Append(Vec<i8>),
    /// Closes the track, which sorts it, and opens it again.
    Reopen,
    /// The Python SDK appends a row.
    Foreign(i8),
    /// Closes and packs the track. Some may be taken then, and the SDK may append a row, before it is
    /// opened again.
    Pack { is_seen: bool, foreign: Option<i8> },
    /// A failed write: rows are there for a moment and are cut back.
    FailedWrite(Vec<i8>, bool),
    /// Asks for this many bytes and takes this many of the lines.
    Take(usize, usize),
    /// Restarts the follower with what was remembered, now or earlier.
    Restart { remembered_now: bool },
    /// Remembers what was taken.
    Remember,
}

fn step() -> impl Strategy<Value = Step> {
    let times = || prop::collection::vec(any::<i8>(), 1..12);
    prop_oneof![
        6 => times().prop_map(Step::Append),
        2 => Just(Step::Reopen),
        1 => any::<i8>().prop_map(Step::Foreign),
        2 => (any::<bool>(), any::<Option<i8>>())
            .prop_map(|(is_seen, foreign)| Step::Pack { is_seen, foreign }),
        1 => (times(), any::<bool>()).prop_map(|(times, seen)| Step::FailedWrite(times, seen)),
        6 => (1..400_usize, 0..20_usize).prop_map(|(bytes, lines)| Step::Take(bytes, lines)),
        1 => any::<bool>().prop_map(|remembered_now| Step::Restart { remembered_now }),
        2 => Just(Step::Remember),
    ]
}

/// A track, and a follower that takes its lines to a place where rows merge.
struct World {
    dir: ExperimentDir,
    name: TrackName,
    appender: Option<TrackAppender>,
    follower: Follower,
    remembered: Prefix,
    there: Rows,
    next: i64,
}

impl World {
    fn new(root: &Path) -> Self {
        let experiment: ExperimentName = "alice/warehouse/run-1".parse().unwrap();
        let name: TrackName = "arm".parse().unwrap();
        let dir = ExperimentDir::new(root, &experiment);
        fs::create_dir_all(dir.tracks_folder()).unwrap();
        let appender = Some(TrackAppender::open(&dir, &name).unwrap());
        let follower = Follower::new(&dir.track_folder(&name), Prefix::default());
        let (remembered, there) = (Prefix::default(), Rows::new());
        Self { dir, name, appender, follower, remembered, there, next: 0 }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Append(times) => {
                let rows = self.rows(&times);
                self.appender.as_mut().unwrap().append(&rows).unwrap();
            }
            Step::Reopen => {
                self.appender.take().unwrap().close().unwrap();
                self.appender = Some(TrackAppender::open(&self.dir, &self.name).unwrap());
            }
            Step::Foreign(ts) => self.write_foreign(ts),
            Step::Pack { is_seen, foreign } => {
                self.appender.take().unwrap().close().unwrap();
                let before = sorted(&self.here());
                let packed = self.dir.pack(&|| true).unwrap();
                assert_eq!(packed.problems, Vec::<String>::new());
                assert_eq!(sorted(&self.here()), before);
                if is_seen {
                    self.take(1000, 10);
                }
                if let Some(ts) = foreign {
                    self.write_foreign(ts);
                    self.take(1000, 10);
                }
                self.appender = Some(TrackAppender::open(&self.dir, &self.name).unwrap());
            }
            Step::FailedWrite(times, seen) => {
                let path = self.dir.track_folder(&self.name).join(DATA_FILE);
                let before = fs::metadata(&path).unwrap().len();
                let rows = self.rows(&times);
                let mut text = Vec::new();
                for (ts, fields) in &rows {
                    let mut writer = JsonWriter::new(&mut text, NonFinite::Tokens);
                    writer.row(TIMESTAMP_COLUMN, *ts, fields);
                    text.push(b'\n');
                }
                // The last row is torn.
                text.truncate(text.len() - 5);
                self.write(&text);
                if seen {
                    self.take(10_000, 100);
                }
                OpenOptions::new().write(true).open(&path).unwrap().set_len(before).unwrap();
                // The next try also contains what came since.
                let mut again: Rows = rows.into_iter().collect();
                for (ts, fields) in self.rows(&times[..1]) {
                    again.entry(ts).or_default().merge(fields);
                }
                let again: Vec<_> = again.into_iter().collect();
                self.appender.as_mut().unwrap().append(&again).unwrap();
            }
            Step::Take(bytes, lines) => drop(self.take(bytes, lines)),
            Step::Remember => self.remembered = self.follower.taken(),
            Step::Restart { remembered_now } => {
                if remembered_now {
                    self.remembered = self.follower.taken();
                }
                self.follower = Follower::new(&self.dir.track_folder(&self.name), self.remembered);
            }
        }
    }

    fn rows(&mut self, times: &[i8]) -> Vec<(Timestamp, Fields)> {
        let mut rows = Rows::new();
        for ts in times {
            self.next += 1;
            let column = ["n", "m"][self.next as usize % 2];
            let ts = Timestamp::new(f64::from(*ts)).unwrap();
            rows.entry(ts).or_default().merge([(column, self.next)].into_iter().collect());
        }
        rows.into_iter().collect()
    }

    fn write_foreign(&self, ts: i8) {
        let row = format!("{{\"timestamp\": {ts}, \"sdk\": {}}}\n", self.next);
        self.write(row.as_bytes());
    }

    fn write(&self, text: &[u8]) {
        let path = self.dir.track_folder(&self.name).join(DATA_FILE);
        let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text).unwrap();
    }

    /// Takes some of the next lines. Returns true if there were any.
    fn take(&mut self, max_bytes: usize, max_lines: usize) -> bool {
        self.follower.refresh().unwrap();
        let lines = self.follower.read(max_bytes).unwrap();
        let mut taken = 0;
        for line in lines.text.split_inclusive(|byte| *byte == b'\n').take(max_lines) {
            taken += line.len();
            if let Ok(row) = RowParser::default().row(line, &Columns::All) {
                self.there.entry(row.ts).or_default().merge(row.fields);
            }
        }
        if taken > 0 {
            self.follower.take(&lines, taken);
        }
        taken > 0
    }

    /// The rows of the track, read as readers do.
    fn here(&self) -> Rows {
        let snapshot = Snapshot::open(&self.dir.track_folder(&self.name)).unwrap().unwrap();
        let cursor = snapshot.cursor(f64::NEG_INFINITY, f64::INFINITY);
        let rows = cursor.map(|raw| raw.unwrap().parse(&mut RowParser::default(), &Columns::All));
        rows.map(|row| row.unwrap()).map(|row| (row.ts, row.fields)).collect()
    }
}

/// Columns in one order.
fn sorted(rows: &Rows) -> Vec<(Timestamp, BTreeMap<String, String>)> {
    let columns = |fields: &Fields| {
        fields.iter().map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect()
    };
    rows.iter().map(|(ts, fields)| (*ts, columns(fields))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whoever_takes_lines_as_they_come_has_the_rows(steps in prop::collection::vec(step(), 1..40)) {
        let root = tempfile::tempdir().unwrap();
        let mut world = World::new(root.path());
        steps.into_iter().for_each(|step| world.play(step));
        while world.take(1000, usize::MAX) {}
        prop_assert_eq!(sorted(&world.there), sorted(&world.here()));
        prop_assert_eq!(world.follower.refresh().unwrap(), Backlog::default());
        // Also after everything is sorted; nothing comes twice.
        world.appender.take().unwrap().close().unwrap();
        prop_assert_eq!(world.follower.refresh().unwrap(), Backlog::default());
    }
}

fn with_file(text: &str) -> (tempfile::TempDir, Follower) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(DATA_FILE), text).unwrap();
    let follower = Follower::new(folder.path(), Prefix::default());
    (folder, follower)
}

#[test]
fn lines_come_whole_however_few_bytes_are_asked_for() {
    let (_folder, mut follower) = with_file("{\"timestamp\":1}\n{\"timestamp\":2}\n{\"timest");
    assert_eq!(follower.refresh().unwrap(), Backlog { lines: 2, bytes: 32 });
    let lines = follower.read(3).unwrap();
    assert_eq!(lines.text, b"{\"timestamp\":1}\n");
    follower.take(&lines, lines.text.len());
    assert_eq!(follower.read(1000).unwrap().text, b"{\"timestamp\":2}\n");
}

#[test]
fn a_last_row_without_its_line_end_comes_once() {
    let (_folder, mut follower) = with_file("{\"timestamp\":1}\n{\"timestamp\":2}");
    assert_eq!(follower.refresh().unwrap().lines, 1);
    let lines = follower.read(1000).unwrap();
    follower.take(&lines, lines.text.len());
    assert_eq!(follower.refresh().unwrap(), Backlog { lines: 1, bytes: 15 });
    let lines = follower.read(1000).unwrap();
    assert_eq!(lines.text, b"{\"timestamp\":2}");
    follower.take(&lines, lines.text.len());
    assert_eq!(follower.refresh().unwrap(), Backlog::default());
}

#[test]
fn what_was_taken_of_another_file_counts_for_nothing() {
    let (folder, mut follower) = with_file("{\"timestamp\":1}\n{\"timestamp\":2}\n");
    follower.refresh().unwrap();
    let lines = follower.read(1000).unwrap();
    follower.take(&lines, lines.text.len());
    fs::write(folder.path().join(DATA_FILE), "{\"timestamp\":1}\n{\"timestamp\":3}\n").unwrap();
    let mut again = Follower::new(folder.path(), follower.taken());
    assert_eq!(again.refresh().unwrap().lines, 2);
}

#[test]
fn lines_that_were_counted_and_cut_back_are_not_waited_for() {
    let (folder, mut follower) = with_file("{\"timestamp\":1}\n{\"timestamp\":2}\n");
    assert_eq!(follower.refresh().unwrap(), Backlog { lines: 2, bytes: 32 });
    // In place, as after a failed write: one row where there were two.
    let longer = format!("{{\"timestamp\":1,\"q\":\"{}\"}}\n", "x".repeat(40));
    fs::write(folder.path().join(DATA_FILE), &longer).unwrap();
    follower.refresh().unwrap();
    let lines = follower.read(1000).unwrap();
    assert_eq!(lines.text, longer.as_bytes());
    follower.take(&lines, lines.text.len());
    assert_eq!(follower.refresh().unwrap(), Backlog::default());
}
