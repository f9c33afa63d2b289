//! Pictures: each is put once, those that can't be read are put once they can, and no row loses its URL for good.

use arrow_array::cast::AsArray;
use futures_util::FutureExt;
use mldash_track::{Experiment, Options, fields};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use sha2::Digest;

use super::*;

/// Adds rows that name a picture each.
fn record_pictures(root: &Folder, numbers: impl Iterator<Item = u32>) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    for i in numbers {
        exp.files("camera").save_bytes(i.to_le_bytes(), &format!("{i}.pcd")).unwrap();
        let row = fields! { "x": i64::from(i), "path": format!("camera/{i}.pcd") };
        exp.tracks("arm").append(row, f64::from(i)).unwrap();
    }
    exp.close().unwrap();
}

/// The content of pictures, which can be out of reach while they stay listed.
struct Contents {
    here: std::path::PathBuf,
    away: std::path::PathBuf,
}

impl Contents {
    fn of(root: &Folder) -> Self {
        let here = root.join(RUN).join("files/camera");
        Self { here, away: root.join("away") }
    }

    fn hide(&self) {
        if !self.away.exists() {
            std::fs::rename(&self.here, &self.away).unwrap();
        }
    }

    /// Those that came meanwhile stay too.
    fn show(&self) {
        if !self.away.exists() {
            return;
        }
        for entry in std::fs::read_dir(&self.away).unwrap() {
            let entry = entry.unwrap();
            std::fs::create_dir_all(&self.here).unwrap();
            std::fs::rename(entry.path(), self.here.join(entry.file_name())).unwrap();
        }
        std::fs::remove_dir(&self.away).unwrap();
    }
}

/// What was published before, into another store, is not known.
fn forget(root: &Folder) {
    std::fs::remove_file(root.join(RUN).join(".publish.json")).unwrap_or_default();
}

/// Of each row that whoever lists sees, its time and its URL.
fn urls(objects: &InMemory) -> Vec<(u32, Option<String>)> {
    let mut urls = Vec::new();
    for place in listed(objects, "tracks") {
        let reader = ParquetRecordBatchReaderBuilder::try_new(read(objects, &place)).unwrap();
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let times = batch.column_by_name("timestamp").unwrap().as_primitive::<Float64Type>();
            let names = batch.column_by_name("path_url").unwrap().as_string::<i32>();
            let row = |(ts, url): (&f64, Option<&str>)| (*ts as u32, url.map(str::to_owned));
            urls.extend(times.values().iter().zip(names).map(row));
        }
    }
    urls.sort();
    urls
}

/// Each row is there once, and its URL leads to an object.
fn assert_all_have_urls(objects: &InMemory, rows: u32, because: &str) {
    let there: Vec<String> =
        listed(objects, "files").iter().map(|place| format!("s3://bucket/{place}")).collect();
    let urls = urls(objects);
    assert_eq!(
        urls.iter().map(|(ts, _)| *ts).collect::<Vec<_>>(),
        (0..rows).collect::<Vec<_>>(),
        "{because}"
    );
    for (ts, url) in urls {
        assert!(url.as_ref().is_some_and(|url| there.contains(url)), "{because}: {url:?} at {ts}");
    }
}

#[test]
fn large_and_small_pictures_survive_each_fault_and_are_put_once() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    let contents = [vec![1; 70_000], vec![2; 10]];
    for (i, content) in contents.iter().enumerate() {
        let name = format!("{i}.pcd");
        exp.files("camera").save_bytes(content, &name).unwrap();
        let row = fields! { "x": i as u64, "path": format!("camera/{name}") };
        exp.tracks("arm").append(row, i as f64).unwrap();
    }
    exp.close().unwrap();
    let counted = Arc::new(Faulty::new(&Arc::new(InMemory::new()), Vec::new()));
    publish(root.path(), counted.clone()).unwrap();
    for request in 0..counted.requests() {
        for fault in [Fault::CutAfter, Fault::KilledAfter] {
            let objects = Arc::new(InMemory::new());
            let _killed =
                publish(root.path(), Arc::new(Faulty::new(&objects, vec![(request, fault)])));
            let again = Arc::new(Faulty::new(&objects, Vec::new()));
            publish(root.path(), again).unwrap();
            let mut there: Vec<usize> =
                listed(&objects, "files").iter().map(|place| read(&objects, place).len()).collect();
            there.sort();
            assert_eq!(there, [10, 70_000], "{fault:?} at {request}");
            assert_eq!(lister(&objects).len(), 2);
            // The pictures are named, so they stay.
            assert_eq!(clean(&objects).objects, 0);
        }
    }
}

#[test]
fn pictures_stay_under_another_address_and_where_it_is_not_known_what_rows_name() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    exp.files("camera").save_bytes(vec![1; 10], "a.pcd").unwrap();
    exp.tracks("arm").append(fields! { "x": 1, "path": "camera/a.pcd" }, 1.0).unwrap();
    exp.close().unwrap();
    let objects = Arc::new(InMemory::new());
    publish(root.path(), objects.clone()).unwrap();
    let nobodys = format!("robots/{}/ab.pcd", layout::Layout::files(&RUN.parse().unwrap()));
    objects.put(&Path::parse(&nobodys).unwrap(), "x".into()).now_or_never().unwrap().unwrap();
    assert_eq!(clean_at(&objects, "s3://a-copy-of-the-bucket/robots").objects, 1, "nobody's alone");
    let schemas = listed(&objects, "schemas");
    assert_eq!(schemas.len(), 1, "of one topic");
    objects.delete(&schemas[0]).now_or_never().unwrap().unwrap();
    assert_eq!(clean(&objects).objects, 0);
    assert_eq!(listed(&objects, "files").len(), 1);
}

#[test]
fn pictures_that_could_not_be_read_are_published_once_they_can() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    let picture = exp.files("camera").save_bytes(vec![1; 10], "a.pcd").unwrap();
    exp.tracks("arm").append(fields! { "x": 1, "path": "camera/a.pcd" }, 1.0).unwrap();
    exp.tracks("arm").append(fields! { "x": 2 }, 2.0).unwrap();
    exp.close().unwrap();
    let place = std::fs::canonicalize(root.path().join(RUN).join("files")).unwrap();
    let place = std::fs::read_dir(place.join("camera")).unwrap().next().unwrap().unwrap().path();
    let away = root.path().join("away");
    std::fs::rename(&place, &away).unwrap();
    let objects = Arc::new(InMemory::new());
    for _ in 0..2 {
        let done = publish(root.path(), objects.clone()).unwrap();
        assert_eq!((done.is_whole(), done.missing.count), (false, 1), "{picture:?}");
    }
    assert_eq!((listed(&objects, "files").len(), listed(&objects, "tracks").len()), (0, 1));
    std::fs::rename(&away, &place).unwrap();
    let done = publish(root.path(), objects.clone()).unwrap();
    assert!(done.is_whole() && done.rows_put == 2, "{done:?}");
    assert_eq!((listed(&objects, "files").len(), listed(&objects, "tracks").len()), (1, 1));
    assert_eq!(lister(&objects).len(), 2);
    assert!(publish(root.path(), objects.clone()).unwrap().is_up_to_date);
}

#[test]
fn rows_that_were_put_without_pictures_before_a_kill_get_them() {
    let root = tempfile::tempdir().unwrap();
    record_pictures(root.path(), 0..5);
    let contents = Contents::of(root.path());
    contents.hide();
    let counted = Arc::new(Faulty::new(&Arc::new(InMemory::new()), Vec::new()));
    assert!(!publish(root.path(), counted.clone()).unwrap().is_whole());
    for request in 0..counted.requests() {
        for fault in [Fault::KilledBefore, Fault::KilledAfter] {
            for is_seen_without in [false, true] {
                let because = format!("{fault:?} at {request}, {is_seen_without}");
                contents.hide();
                forget(root.path());
                let objects = Arc::new(InMemory::new());
                let faulty = Faulty::new(&objects, vec![(request, fault)]);
                assert!(publish(root.path(), Arc::new(faulty)).is_err(), "{because}");
                if is_seen_without {
                    let done = publish(root.path(), objects.clone()).unwrap();
                    assert_eq!((done.is_whole(), done.missing.count), (false, 5), "{because}");
                }
                contents.show();
                let done = publish(root.path(), objects.clone()).unwrap();
                assert!(done.is_whole(), "{because}: {done:?}");
                assert_all_have_urls(&objects, 5, &because);
                assert!(publish(root.path(), objects.clone()).unwrap().is_up_to_date, "{because}");
                assert_eq!(clean(&objects).objects, 0, "{because}");
            }
        }
    }
}

#[test]
fn what_another_copy_put_without_pictures_is_put_with_them() {
    let (root, bare) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    record_pictures(root.path(), 0..2);
    copy_tree(root.path(), bare.path());
    Contents::of(bare.path()).hide();
    let counted = Arc::new(Faulty::new(&Arc::new(InMemory::new()), Vec::new()));
    publish(root.path(), counted.clone()).unwrap();
    for moment in 0..counted.requests() {
        [root.path(), bare.path()].into_iter().for_each(forget);
        let objects = Arc::new(InMemory::new());
        let (beside, bare) = (objects.clone(), bare.path().to_owned());
        let faulty = Faulty::new(&objects, Vec::new()).before(move |request| {
            if request == moment {
                let (beside, bare) = (beside.clone(), bare.clone());
                thread::spawn(move || publish(&bare, beside).unwrap()).join().unwrap();
            }
        });
        let done = publish(root.path(), Arc::new(faulty)).unwrap();
        assert!(done.is_whole(), "at {moment}: {done:?}");
        assert_all_have_urls(&objects, 2, &format!("at {moment}"));
    }
}

/// What happens to a recording with pictures.
#[derive(Clone, Debug)]
enum Step {
    Record(u32),
    Hide,
    Show,
    Publish(Vec<(u64, Fault)>),
}

fn picture_steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = (0_u64..25, prop::sample::select(&FAULTS[..]));
    let step = prop_oneof![
        2 => (1_u32..4).prop_map(Step::Record),
        2 => Just(Step::Hide),
        1 => Just(Step::Show),
        4 => prop::collection::vec(fault, 0..3).prop_map(Step::Publish),
    ];
    prop::collection::vec(step, 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_happens_each_picture_is_there_in_the_end(steps in picture_steps()) {
        let root = tempfile::tempdir().unwrap();
        let contents = Contents::of(root.path());
        let objects = Arc::new(InMemory::new());
        let mut rows = 2;
        record_pictures(root.path(), 0..rows);
        for step in steps {
            match step {
                Step::Record(more) => {
                    record_pictures(root.path(), rows..rows + more);
                    rows += more;
                }
                Step::Hide => contents.hide(),
                Step::Show => contents.show(),
                Step::Publish(faults) => {
                    let faulty = Faulty::new(&objects, faults);
                    if publish(root.path(), Arc::new(faulty)).is_ok_and(|done| done.is_whole()) {
                        assert_all_have_urls(&objects, rows, "what is said to be whole");
                    }
                }
            }
        }
        contents.show();
        prop_assert!(publish(root.path(), objects.clone()).unwrap().is_whole());
        clean(&objects);
        assert_all_have_urls(&objects, rows, "in the end");
    }
}

#[test]
fn a_picture_that_is_taken_up_while_others_are_removed_stays() {
    let root = tempfile::tempdir().unwrap();
    record(root.path(), &rows(&[(1, 1)]));
    let before = Arc::new(InMemory::new());
    publish(root.path(), before.clone()).unwrap();
    // More than one removal takes, of which the last is taken up.
    let content = vec![1; 10];
    let picture = format!("{}.pcd", mldash_track::hex(&sha2::Sha256::digest(&content)));
    let nobodys = (0..store::AT_ONCE).map(|i| format!("{i:064}.pcd"));
    for name in nobodys.chain([picture.clone()]) {
        let place = format!("robots/{}/{name}", Layout::files(&RUN.parse().unwrap()));
        let place = Path::parse(&place).unwrap();
        before.put(&place, content.clone().into()).now_or_never().unwrap().unwrap();
    }
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    exp.files("camera").save_bytes(&content, "a.pcd").unwrap();
    exp.tracks("arm").append(fields! { "x": 2, "path": "camera/a.pcd" }, 2.0).unwrap();
    exp.close().unwrap();
    let vacuum_beside = |moment: Option<u64>| {
        let objects = Arc::new(before.fork());
        let (beside, folder) = (objects.clone(), root.path().to_owned());
        let faulty = Arc::new(Faulty::new(&objects, Vec::new()).before(move |request| {
            if Some(request) == moment {
                let (beside, folder) = (beside.clone(), folder.clone());
                thread::spawn(move || publish(&folder, beside).unwrap()).join().unwrap();
            }
        }));
        let updates = Updates::Conditional;
        let store =
            Store::over(faulty.clone(), Path::from("robots"), "s3://bucket/robots", updates);
        vacuum(&store.unwrap(), Duration::ZERO).unwrap();
        (faulty.requests(), listed(&objects, "files"))
    };
    let (requests, left) = vacuum_beside(None);
    assert_eq!(left, []);
    // Pictures are listed; then a manifest is read and a thousand are removed, twice.
    for moment in requests - 5..requests - 1 {
        let (_, left) = vacuum_beside(Some(moment));
        assert!(left.iter().any(|place| place.as_ref().ends_with(&picture)), "{moment}: {left:?}");
    }
}
