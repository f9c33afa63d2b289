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

/// Adds a row that names a picture.
fn record_picture(root: &Folder, ts: u32) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    exp.files("camera").save_bytes(ts.to_le_bytes(), &format!("{ts}.pcd")).unwrap();
    let row = fields! { "x": i64::from(ts), "path": format!("camera/{ts}.pcd") };
    exp.tracks("arm").append(row, f64::from(ts)).unwrap();
    exp.close().unwrap();
}

/// As an upload with `keep: unsynced` does, or a full disk under `when_full: drop_synced`.
fn remove_picture(root: &Folder, ts: u32) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    exp.files("camera").delete(&format!("{ts}.pcd")).unwrap();
    exp.close().unwrap();
}

fn add_row_between(root: &Folder) {
    let exp = Experiment::open(RUN, Options::local(root)).unwrap();
    exp.tracks("arm").append(fields! { "x": 9 }, 2.0).unwrap();
    exp.close().unwrap();
}

#[test]
fn pictures_that_were_removed_after_they_were_published_stay_with_their_rows() {
    type Change = fn(&Folder);
    let all_removed: Change = |root| [1, 3].iter().for_each(|ts| remove_picture(root, *ts));
    let one_removed: Change = |root| remove_picture(root, 1);
    let all_removed_and_a_late_row: Change = |root| {
        [1, 3].iter().for_each(|ts| remove_picture(root, *ts));
        add_row_between(root);
    };
    let one_removed_and_a_late_row: Change = |root| {
        remove_picture(root, 3);
        add_row_between(root);
    };
    let changes =
        [all_removed, one_removed, all_removed_and_a_late_row, one_removed_and_a_late_row];
    for inline_files in [None, Some(1 << 20)] {
        for (i, change) in changes.iter().enumerate() {
            let because = format!("change {i}, inline {inline_files:?}");
            let root = tempfile::tempdir().unwrap();
            [1, 3].iter().for_each(|ts| record_picture(root.path(), *ts));
            let objects = Arc::new(InMemory::new());
            let publish = || publish_with(root.path(), objects.clone(), inline_files).unwrap();
            assert!(publish().is_whole(), "{because}");
            let there = || (listed(&objects, "tracks"), listed(&objects, "files"));
            let before = there();
            change(root.path());
            for _ in 0..2 {
                let done = publish();
                assert!(!done.is_whole(), "{because}: {done:?}");
                let remark = &done.remarks()[0];
                assert!(remark.contains("pictures are published that are not here"), "{remark}");
            }
            assert_eq!(clean(&objects).objects, 0, "{because}");
            assert_eq!(there(), before, "{because}");
        }
    }
}

#[test]
fn a_late_row_among_pictures_that_are_all_here_is_published() {
    for inline_files in [None, Some(1 << 20)] {
        let root = tempfile::tempdir().unwrap();
        [1, 3].iter().for_each(|ts| record_picture(root.path(), *ts));
        let objects = Arc::new(InMemory::new());
        publish_with(root.path(), objects.clone(), inline_files).unwrap();
        add_row_between(root.path());
        let done = publish_with(root.path(), objects.clone(), inline_files).unwrap();
        assert!(done.is_whole() && done.replaced == 1, "{done:?}");
        assert_eq!(lister(&objects).len(), 3);
    }
}

#[test]
fn pictures_that_were_not_counted_stay_as_long_as_none_of_them_is_here() {
    let root = tempfile::tempdir().unwrap();
    record_picture(root.path(), 1);
    let objects = Arc::new(InMemory::new());
    publish(root.path(), objects.clone()).unwrap();
    // As an older program wrote it.
    let place = &listed(&objects, "manifests")[0];
    let mut manifest = Manifest::parse(&read(&objects, place), "", "").unwrap();
    manifest.files.iter_mut().for_each(|file| file.named = 0);
    let json = String::from_utf8(manifest.to_json()).unwrap();
    assert!(!json.contains("named"), "{json}");
    objects.put(place, json.into()).now_or_never().unwrap().unwrap();
    let files = listed(&objects, "tracks");
    remove_picture(root.path(), 1);
    let done = publish(root.path(), objects.clone()).unwrap();
    assert_eq!((listed(&objects, "tracks"), done.is_whole()), (files, false));
    assert_eq!(clean(&objects).objects, 0);
}
