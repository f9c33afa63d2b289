//! Both kinds of readers see each row once, whatever fails when.

pub(super) mod faults;
mod pictures;
mod removed;

use std::collections::{BTreeMap, HashMap};
use std::path::Path as Folder;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use futures_util::{FutureExt, StreamExt};
use mldash_track::{Experiment, Options, fields};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parking_lot::Mutex;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use self::faults::{FAULTS, Fault, Faulty};
use super::layout::Layout;
use super::manifest::Manifest;
use super::store::{Retries, Updates};
use super::*;
use crate::{Progress, Recording};

const RUN: &str = "alice/lab/monday/run 1";
const TOPICS: [&str; 2] = ["arm", "camera/front"];

/// The rows of all tracks: topic and time, and a value.
type Rows = BTreeMap<(String, u32), i64>;
/// The same as a reader sees them, each as often as it does.
type Seen = BTreeMap<(String, u32), Vec<i64>>;

/// Adds rows to a recording, which merge with those of the same time.
fn record(root: &Folder, rows: &Rows) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    for ((topic, ts), x) in rows {
        exp.tracks(topic).append(fields! { "x": *x }, f64::from(*ts)).unwrap();
    }
    exp.close().unwrap();
}

fn rows(pairs: &[(u32, i64)]) -> Rows {
    let both = |(ts, x): &(u32, i64)| TOPICS.map(|topic| ((topic.to_owned(), *ts), *x));
    pairs.iter().flat_map(both).collect()
}

/// One program, which publishes a recording once.
fn publish(root: &Folder, objects: Arc<dyn ObjectStore>) -> Result<Published, PublishError> {
    publish_with(root, objects, None)
}

fn publish_with(
    root: &Folder,
    objects: Arc<dyn ObjectStore>,
    inline_files: Option<u64>,
) -> Result<Published, PublishError> {
    let store =
        Store::over(objects, Path::from("robots"), "s3://bucket/robots", Updates::Conditional)?;
    let retries = Retries { tries: 4, first_wait: Duration::ZERO, longest_wait: Duration::ZERO };
    let limits = ChunkLimits { rows: 3, ..ChunkLimits::default() };
    let options = PublishOptions { limits, inline_files };
    let store = store.retries(retries).part_bytes(32 << 10);
    let publisher = Publisher::new(store, options)?;
    let name = RUN.to_owned();
    let experiment = Experiment::open_read_only(RUN, root).unwrap();
    publisher.publish(&Recording { name, experiment }, &Progress::default())
}

fn clean(objects: &Arc<InMemory>) -> Vacuumed {
    clean_at(objects, "s3://bucket/robots")
}

fn clean_at(objects: &Arc<InMemory>, url: &str) -> Vacuumed {
    let updates = Updates::Conditional;
    let store = Store::over(objects.clone(), Path::from("robots"), url, updates);
    vacuum(&store.unwrap(), Duration::ZERO).unwrap()
}

/// What is on the store below a folder.
fn listed(objects: &InMemory, folder: &str) -> Vec<Path> {
    let folder = Path::from(format!("robots/{folder}"));
    let all = objects.list(Some(&folder)).collect::<Vec<_>>().now_or_never().unwrap();
    all.into_iter().map(|object| object.unwrap().location).collect()
}

fn read(objects: &InMemory, place: &Path) -> bytes::Bytes {
    let got = objects.get(place).now_or_never().unwrap().unwrap();
    got.bytes().now_or_never().unwrap().unwrap()
}

/// Times and values.
type FileRows = Vec<(u32, i64)>;

/// The rows of files that were read before, by content.
static READ: LazyLock<Mutex<HashMap<bytes::Bytes, FileRows>>> = LazyLock::new(Mutex::default);

/// Adds the rows of a file.
fn see(objects: &InMemory, place: &Path, seen: &mut Seen) {
    let topic = place.as_ref().split('/').nth(2).map(layout::decoded).unwrap();
    let file = read(objects, place);
    let rows = READ.lock().get(&file).cloned();
    let rows = rows.unwrap_or_else(|| rows_of(&file));
    for (ts, x) in &rows {
        seen.entry((topic.clone(), *ts)).or_default().push(*x);
    }
    READ.lock().insert(file, rows);
}

fn rows_of(file: &bytes::Bytes) -> FileRows {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let times = batch.column_by_name("timestamp").unwrap().as_primitive::<Float64Type>();
        let values = batch.column_by_name("x").unwrap().as_primitive::<Int64Type>();
        rows.extend(times.values().iter().zip(values.values()).map(|(ts, x)| (*ts as u32, *x)));
    }
    rows
}

/// What a reader sees that lists.
fn lister(objects: &InMemory) -> Seen {
    let mut seen = Seen::new();
    listed(objects, "tracks").iter().for_each(|place| see(objects, place, &mut seen));
    seen
}

/// What a reader sees that follows the manifests.
fn follower(objects: &InMemory) -> Seen {
    let mut seen = Seen::new();
    for place in listed(objects, "manifests") {
        let manifest = Manifest::parse(&read(objects, &place), "", "").unwrap();
        let layout = Layout::below(Path::from("robots"));
        manifest.files.iter().for_each(|file| see(objects, &layout.place(&file.name), &mut seen));
    }
    seen
}

fn once(rows: &Rows) -> Seen {
    rows.iter().map(|(at, x)| (at.clone(), vec![*x])).collect()
}

/// Everything is published, and nothing is left over.
fn assert_published(objects: &Arc<InMemory>, rows: &Rows) {
    assert_eq!(follower(objects), once(rows));
    assert_eq!(lister(objects), once(rows));
    assert_eq!(listed(objects, "experiments").len(), 1);
    assert_eq!(clean(objects).objects, 0);
}

#[test]
fn a_recording_is_published_once_and_later_rows_are_added() {
    let root = tempfile::tempdir().unwrap();
    let objects = Arc::new(InMemory::new());
    let first = rows(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
    record(root.path(), &first);
    let done = publish(root.path(), objects.clone()).unwrap();
    assert_eq!((done.rows, done.rows_put, done.files_of_rows), (8, 8, 4));
    assert_published(&objects, &first);
    let files = listed(&objects, "tracks");

    let counted = Arc::new(Faulty::new(&objects, Vec::new()));
    let done = publish(root.path(), counted.clone()).unwrap();
    assert!(done.is_up_to_date && done.rows_put == 0);
    assert_eq!(
        counted.requests(),
        3,
        "the store's marker, whether it keeps to conditions, and the manifest"
    );
    std::fs::remove_file(root.path().join(RUN).join(".publish.json")).unwrap();
    assert!(publish(root.path(), objects.clone()).unwrap().is_up_to_date);

    record(root.path(), &rows(&[(5, 5)]));
    let done = publish(root.path(), objects.clone()).unwrap();
    assert_eq!((done.rows_put, done.replaced), (2, 0));
    assert_published(&objects, &rows(&[(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]));
    assert!(files.iter().all(|file| listed(&objects, "tracks").contains(file)));
}

/// Publishes with a fault at each request in turn, then without, as far as the whole is not published yet.
fn with_each_fault(root: &Folder, before: &Arc<InMemory>, all: &Rows, is_replacing: bool) {
    let state = root.join(RUN).join(".publish.json");
    let forget = || std::fs::remove_file(&state).unwrap_or_default();
    forget();
    let counted = Arc::new(Faulty::new(&Arc::new(before.fork()), Vec::new()));
    publish(root, counted.clone()).unwrap();
    assert!(counted.requests() > 5);
    let was = follower(before);
    for (request, fault) in (0..counted.requests()).flat_map(|i| FAULTS.map(|fault| (i, fault))) {
        let objects = Arc::new(before.fork());
        let (all, was, look) = (once(all), was.clone(), objects.clone());
        let faulty = Faulty::new(&objects, vec![(request, fault)]).after(move |at| {
            let follower = follower(&look);
            assert!(
                follower == was || follower == all,
                "{fault:?} at {request}, after {at}: {follower:?}"
            );
            let lister = lister(&look);
            let most = if is_replacing { 2 } else { 1 };
            assert!(
                lister.values().all(|seen| seen.len() <= most),
                "{fault:?} at {request}, after {at}"
            );
        });
        let published = publish(root, Arc::new(faulty));
        let is_kill = matches!(fault, Fault::KilledBefore | Fault::KilledAfter);
        assert_eq!(published.is_err(), is_kill, "{fault:?} at {request}: {published:?}");
        publish(root, objects.clone()).unwrap();
        let rows = all_of(root);
        assert_eq!(follower(&objects), once(&rows), "{fault:?} at {request}");
        assert_eq!(lister(&objects), once(&rows), "{fault:?} at {request}");
        forget();
    }
}

/// The rows as they lie here.
fn all_of(root: &Folder) -> Rows {
    let exp = Experiment::open_read_only(RUN, root).unwrap();
    let mut all = Rows::new();
    for topic in TOPICS {
        for row in exp.tracks(topic).slice(..).unwrap().rows() {
            let row = row.unwrap();
            let Some(mldash_track::Value::Int(x)) = row.fields.get("x") else { panic!("{row:?}") };
            all.insert((topic.to_owned(), row.ts.as_secs() as u32), *x);
        }
    }
    all
}

#[test]
fn a_first_publication_survives_each_fault_at_each_request() {
    let root = tempfile::tempdir().unwrap();
    let all = rows(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
    record(root.path(), &all);
    with_each_fault(root.path(), &Arc::new(InMemory::new()), &all, false);
}

#[test]
fn later_rows_survive_each_fault_at_each_request() {
    let root = tempfile::tempdir().unwrap();
    let objects = Arc::new(InMemory::new());
    record(root.path(), &rows(&[(1, 1), (2, 2)]));
    publish(root.path(), objects.clone()).unwrap();
    record(root.path(), &rows(&[(3, 3), (4, 4)]));
    with_each_fault(root.path(), &objects, &all_of(root.path()), false);
}

#[test]
fn merged_rows_survive_each_fault_at_each_request() {
    let root = tempfile::tempdir().unwrap();
    let objects = Arc::new(InMemory::new());
    record(root.path(), &rows(&[(1, 1), (2, 2), (4, 4), (5, 5)]));
    publish(root.path(), objects.clone()).unwrap();
    record(root.path(), &rows(&[(2, 9), (3, 3)]));
    with_each_fault(root.path(), &objects, &all_of(root.path()), true);
}

#[test]
fn two_publishers_of_the_same_rows_at_any_moment_of_each_other_put_them_once() {
    let root = tempfile::tempdir().unwrap();
    let all = rows(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
    record(root.path(), &all);
    interleaved(root.path(), root.path(), &all);
}

#[test]
fn a_publisher_of_fewer_rows_takes_none_away() {
    let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let all = rows(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
    record(root.path(), &all);
    record(other.path(), &rows(&[(1, 1), (2, 2)]));
    interleaved(root.path(), other.path(), &all);
    interleaved(other.path(), root.path(), &all);
}

/// Runs the other publisher as a whole at each request of the one, in turn.
fn interleaved(one: &Folder, other: &Folder, all: &Rows) {
    let counted = Arc::new(Faulty::new(&Arc::new(InMemory::new()), Vec::new()));
    publish(one, counted.clone()).unwrap();
    for moment in 0..counted.requests() {
        for root in [one, other] {
            std::fs::remove_file(root.join(RUN).join(".publish.json")).unwrap_or_default();
        }
        let objects = Arc::new(InMemory::new());
        let (beside, root) = (objects.clone(), other.to_owned());
        let faulty = Faulty::new(&objects, Vec::new()).before(move |request| {
            if request == moment {
                let (beside, root) = (beside.clone(), root.clone());
                // Nothing waits within a runtime for another.
                thread::spawn(move || publish(&root, beside).unwrap()).join().unwrap();
            }
        });
        publish(one, Arc::new(faulty)).unwrap();
        assert_eq!(follower(&objects), once(all), "at {moment}");
        assert_eq!(lister(&objects), once(all), "at {moment}");
        // Whoever has less says so the next time.
        publish(one, objects.clone()).unwrap();
        publish(other, objects.clone()).unwrap();
        assert_published(&objects, all);
    }
}

#[test]
fn what_is_too_large_for_rows_is_an_object_whatever_was_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    exp.files("camera").save_bytes(vec![1; 10], "small.pcd").unwrap();
    exp.files("camera").save_bytes(vec![2; (16 << 20) + 1], "large.pcd").unwrap();
    exp.tracks("arm").append(fields! { "path": "camera/small.pcd" }, 1.0).unwrap();
    exp.tracks("arm").append(fields! { "path": "camera/large.pcd" }, 2.0).unwrap();
    exp.close().unwrap();
    let objects = Arc::new(InMemory::new());
    let store =
        Store::over(objects.clone(), Path::from("robots"), "s3://b/robots", Updates::Conditional);
    let options = PublishOptions { inline_files: Some(u64::MAX), ..PublishOptions::default() };
    let publisher = Publisher::new(store.unwrap(), options).unwrap();
    let experiment = Experiment::open_read_only(RUN, root.path()).unwrap();
    let recording = Recording { name: RUN.to_owned(), experiment };
    publisher.publish(&recording, &Progress::default()).unwrap();
    let files = listed(&objects, "files");
    let sizes: Vec<usize> = files.iter().map(|place| read(&objects, place).len()).collect();
    assert_eq!(sizes, [(16 << 20) + 1]);
}

#[test]
fn a_store_that_does_not_look_at_conditions_is_refused_unless_one_writer_is_promised() {
    let root = tempfile::tempdir().unwrap();
    let all = rows(&[(1, 1)]);
    record(root.path(), &all);
    let inner = Arc::new(InMemory::new());
    let careless = Arc::new(Faulty::new(&inner, Vec::new()).careless());
    let refused = publish(root.path(), careless.clone()).unwrap_err();
    assert!(matches!(refused, PublishError::Unconditional { .. }), "{refused}");
    assert_eq!(listed(&inner, "tracks").len(), 0);
    let store = Store::over(
        careless.clone(),
        Path::from("robots"),
        "s3://b/robots",
        Updates::Unconditional,
    );
    let publisher = Publisher::new(store.unwrap(), PublishOptions::default()).unwrap();
    let experiment = Experiment::open_read_only(RUN, root.path()).unwrap();
    let recording = Recording { name: RUN.to_owned(), experiment };
    publisher.publish(&recording, &Progress::default()).unwrap();
    assert_eq!(lister(&inner), once(&all));
    let refused = publish(root.path(), careless).unwrap_err();
    assert!(
        matches!(refused, PublishError::Unconditional { .. }),
        "by who promised nothing: {refused}"
    );
}

/// What happens to a recording.
#[derive(Clone, Debug)]
enum Step {
    Record(BTreeMap<u32, i64>),
    Publish(Vec<(u64, Fault)>),
    /// A copy on another machine, as of its last record, publishes beside.
    PublishCopy(u64),
    Copy,
    Vacuum,
    Forget,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = (0_u64..30, prop::sample::select(&FAULTS[..]));
    let step = prop_oneof![
        3 => prop::collection::btree_map(0_u32..20, 0_i64..3, 1..8).prop_map(Step::Record),
        4 => prop::collection::vec(fault, 0..3).prop_map(Step::Publish),
        1 => (0_u64..20).prop_map(Step::PublishCopy),
        1 => Just(Step::Copy),
        1 => Just(Step::Vacuum),
        1 => Just(Step::Forget),
    ];
    prop::collection::vec(step, 1..10)
}

fn copy_tree(from: &Folder, to: &Folder) {
    std::fs::remove_dir_all(to).unwrap_or_default();
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_tree(&path, &target),
            false => drop(std::fs::copy(&path, &target).unwrap()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_happens_each_row_is_seen_once_in_the_end(steps in steps()) {
        let (root, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        record(root.path(), &rows(&[(7, 7)]));
        let objects = Arc::new(InMemory::new());
        let log = Arc::new(Mutex::new(Vec::new()));
        for step in steps {
            match step {
                Step::Record(new) => {
                    let new: Vec<(u32, i64)> = new.into_iter().collect();
                    record(root.path(), &rows(&new));
                }
                Step::Publish(faults) => {
                    let faulty = Faulty::new(&objects, faults);
                    if let Err(error) = publish(root.path(), Arc::new(faulty)) {
                        log.lock().push(error.to_string());
                    }
                }
                Step::Copy => copy_tree(root.path(), copy.path()),
                Step::PublishCopy(moment) => {
                    if !copy.path().join(RUN).exists() {
                        continue;
                    }
                    let (beside, folder) = (objects.clone(), copy.path().to_owned());
                    let faulty = Faulty::new(&objects, Vec::new()).before(move |request| {
                        if request == moment {
                            let (beside, folder) = (beside.clone(), folder.clone());
                            thread::spawn(move || publish(&folder, beside).unwrap()).join().unwrap();
                        }
                    });
                    publish(root.path(), Arc::new(faulty)).unwrap();
                }
                Step::Vacuum => drop(clean(&objects)),
                Step::Forget => {
                    std::fs::remove_file(root.path().join(RUN).join(".publish.json")).unwrap_or_default();
                }
            }
            // Who follows the manifests sees no row twice, ever.
            prop_assert!(follower(&objects).values().all(|seen| seen.len() == 1));
        }
        publish(root.path(), objects.clone()).unwrap();
        let all = all_of(root.path());
        prop_assert_eq!(follower(&objects), once(&all));
        clean(&objects);
        prop_assert_eq!(lister(&objects), once(&all));
    }
}
