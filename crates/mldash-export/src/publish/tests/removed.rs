//! Recordings whose rows are not where they were: removed here after an upload, or merged on the store.

use std::collections::BTreeSet;

use super::super::compact::{By, Rule, compact};
use super::*;

/// As an upload with `keep: unsynced` leaves a track.
fn remove_rows(root: &Folder, topic: &str) {
    let folder = root.join(RUN).join("tracks").join(topic.replace('/', "_"));
    std::fs::remove_file(folder.join("data.jsonl")).unwrap();
}

fn row_in_table(objects: &InMemory) -> bytes::Bytes {
    read(objects, &listed(objects, "experiments")[0])
}

#[test]
fn rows_that_were_removed_after_they_were_published_stay_published_and_are_whole() {
    let root = tempfile::tempdir().unwrap();
    let objects = Arc::new(InMemory::new());
    let all = rows(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
    record(root.path(), &all);
    publish(root.path(), objects.clone()).unwrap();
    let (files, row) = (listed(&objects, "tracks"), row_in_table(&objects));
    TOPICS.iter().for_each(|topic| remove_rows(root.path(), topic));
    for _ in 0..2 {
        let done = publish(root.path(), objects.clone()).unwrap();
        assert!(done.is_whole() && done.is_up_to_date && done.rows == 8, "{done:?}");
    }
    assert_eq!((listed(&objects, "tracks"), row_in_table(&objects)), (files, row));
    assert_published(&objects, &all);
    // What is said of it later goes into the table, beside what it held.
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let change = mldash_track::LabelChange::new().success(Some(true));
    exp.label(&change).unwrap();
    publish(root.path(), objects.clone()).unwrap();
    let table = ParquetRecordBatchReaderBuilder::try_new(row_in_table(&objects)).unwrap();
    let table = table.build().unwrap().next().unwrap().unwrap();
    assert!(table.column_by_name("success").unwrap().as_boolean().value(0));
    assert_eq!(table.column_by_name("rows").unwrap().as_primitive::<Int64Type>().value(0), 8);
    assert_published(&objects, &all);
}

#[test]
fn rows_that_were_removed_before_they_were_published_are_told() {
    let root = tempfile::tempdir().unwrap();
    let objects = Arc::new(InMemory::new());
    record(root.path(), &rows(&[(1, 1), (2, 2)]));
    remove_rows(root.path(), TOPICS[0]);
    for _ in 0..2 {
        let done = publish(root.path(), objects.clone()).unwrap();
        assert!(!done.is_whole(), "{done:?}");
        assert_eq!(done.unpublished, [(TOPICS[0].to_owned(), 2)]);
        assert!(done.remarks()[0].contains("2 rows are not published"), "{:?}", done.remarks());
    }
    // Another track's rows are published all the same.
    assert_eq!(lister(&objects).len(), 2);
}

#[test]
fn what_was_merged_while_it_was_put_once_more_is_not_left_over() {
    let root = tempfile::tempdir().unwrap();
    let all = rows(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
    record(root.path(), &all);
    let forget = || std::fs::remove_file(root.path().join(RUN).join(".publish.json"));
    let counted = Arc::new(Faulty::new(&Arc::new(InMemory::new()), Vec::new()));
    publish(root.path(), counted.clone()).unwrap();
    for moment in 0..counted.requests() {
        forget().unwrap_or_default();
        let objects = Arc::new(InMemory::new());
        let (beside, folder) = (objects.clone(), root.path().to_owned());
        let publish_and_merge = move || {
            publish(&folder, beside.clone()).unwrap();
            let store = Store::over(
                beside,
                Path::from("robots"),
                "s3://bucket/robots",
                Updates::Conditional,
            );
            let rule = Rule { size_bytes: 1 << 20, by: By::Project, topics: BTreeSet::new() };
            let merged = compact(&store.unwrap(), &rule, false, &mut |_| ()).unwrap();
            assert_eq!(merged.merged.len(), 2);
        };
        let faulty = Faulty::new(&objects, Vec::new()).before(move |request| {
            if request == moment {
                let publish_and_merge = publish_and_merge.clone();
                thread::spawn(publish_and_merge).join().unwrap();
            }
        });
        publish(root.path(), Arc::new(faulty)).unwrap();
        let mut seen = lister(&objects);
        for place in listed(&objects, "compacted") {
            see(&objects, &place, &mut seen);
        }
        assert_eq!(seen, once(&all), "at {moment}");
    }
}

#[test]
fn pictures_that_were_removed_after_they_were_published_keep_their_urls() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open(RUN, Options::local(root.path())).unwrap();
    exp.files("camera").save_bytes([1], "a.pcd").unwrap();
    exp.tracks("arm").append(fields! { "x": 1, "path": "camera/a.pcd" }, 1.0).unwrap();
    exp.close().unwrap();
    let objects = Arc::new(InMemory::new());
    publish(root.path(), objects.clone()).unwrap();
    let files = listed(&objects, "tracks");
    std::fs::remove_dir_all(root.path().join(RUN).join("files")).unwrap();
    let done = publish(root.path(), objects.clone()).unwrap();
    assert_eq!((listed(&objects, "tracks"), done.is_whole()), (files, false));
    assert!(done.remarks()[0].contains("pictures are published that are not here"), "{done:?}");
    assert_eq!(clean(&objects).objects, 0);
}
