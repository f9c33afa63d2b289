//! Files are found again, whatever a crash leaves.

use std::fs;

use super::*;
use crate::local::power_cut::recording::{self, Step};

fn store(root: &Path) -> FileStore {
    FileStore::new(root, &"alice/warehouse/run-1".parse().unwrap())
}

fn save(store: &FileStore, name: &str, bytes: &[u8]) -> FileInfo {
    let place = format!("frames/{name}").parse().unwrap();
    let about = FileDescription::default();
    store.save(&place, about, &mut &*bytes, Path::new(name)).unwrap().unwrap()
}

/// Names and contents, as a newly started process sees them.
fn seen(root: &Path) -> Vec<(String, String)> {
    let store = store(root);
    let read = |file: FileInfo| {
        let text = fs::read_to_string(store.data_path(&file).unwrap()).unwrap();
        (file.filename, text)
    };
    let listed = store.list().unwrap();
    let mut passed: Vec<FileInfo> = Vec::new();
    store.for_each(|file| passed.push(file.clone())).unwrap();
    passed.sort_by(|a, b| (&a.path, &a.filename).cmp(&(&b.path, &b.filename)));
    assert_eq!(passed, *listed);
    listed.iter().cloned().map(read).collect()
}

/// The state after two runs. The second run saved over a file of the first and over one of its
/// own.
fn recorded(root: &Path) -> [(String, String); 3] {
    let first = store(root);
    save(&first, "a", b"a1");
    save(&first, "b", b"b1");
    first.fold().unwrap();
    let second = store(root);
    save(&second, "a", b"a2");
    save(&second, "c", b"c1");
    save(&second, "c", b"c2");
    [("a", "a2"), ("b", "b1"), ("c", "c2")].map(|(n, t)| (n.to_owned(), t.to_owned()))
}

#[test]
fn what_a_killed_run_saved_is_safe_from_a_power_cut_when_the_next_one_ends() {
    for is_folded in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let killed = store(root.path());
        save(&killed, "a", b"a1");
        if is_folded {
            killed.fold().unwrap();
        }
        recording::start(root.path());
        store(root.path()).close().unwrap();
        let steps = recording::stop(root.path());
        assert!(steps.iter().any(|step| matches!(step, Step::SyncAll)), "{is_folded}: {steps:?}");
    }
}

#[test]
fn a_process_that_ends_before_a_fold_loses_no_file() {
    let root = tempfile::tempdir().unwrap();
    let expected = recorded(root.path());
    assert_eq!(seen(root.path()), expected);
    store(root.path()).fold().unwrap();
    assert_eq!(seen(root.path()), expected);
}

#[test]
fn a_crash_anywhere_in_a_fold_is_made_good_by_the_next() {
    let root = tempfile::tempdir().unwrap();
    let expected = recorded(root.path());
    let files = root.path().join("files");
    let (journal, aside) =
        (files.join(".files_journal.jsonl"), files.join(".files_journal.aside.jsonl"));
    // Only set aside.
    fs::rename(&journal, &aside).unwrap();
    assert_eq!(seen(root.path()), expected);
    // All done except removing the journal set aside.
    let text = fs::read(&aside).unwrap();
    store(root.path()).fold().unwrap();
    fs::write(&aside, &text).unwrap();
    assert_eq!(seen(root.path()), expected);
    // The same, with more recorded since.
    let third = store(root.path());
    save(&third, "b", b"b2");
    third.fold().unwrap();
    assert!(!aside.exists() && !journal.exists());
    let names = seen(root.path());
    assert_eq!(names[1], ("b".to_owned(), "b2".to_owned()));
    assert_eq!((&names[0], &names[2]), (&expected[0], &expected[2]));
}

#[test]
fn a_folder_called_like_a_files_id_outlives_that_file() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let first = save(&store, "a", b"a1");
    save(&store, &format!("{}/b", first.id), b"b1");
    save(&store, "a", b"a2");
    store.fold().unwrap();
    let seen: Vec<String> = seen(root.path()).into_iter().map(|(_, text)| text).collect();
    assert_eq!(seen, ["a2", "b1"]);
}

#[test]
fn a_torn_last_line_of_the_journal_is_no_file() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    save(&store, "a", b"a");
    save(&store, "b", b"b");
    let journal = root.path().join("files/.files_journal.jsonl");
    let text = fs::read(&journal).unwrap();
    fs::write(&journal, &text[..text.len() - 9]).unwrap();
    assert_eq!(seen(root.path()), [("a".to_owned(), "a".to_owned())]);
}

#[test]
fn a_list_that_can_not_be_used_is_made_anew_from_the_files() {
    for damage in ["", "{\"files\":[{\"id\"", "not json", "a folder"] {
        let root = tempfile::tempdir().unwrap();
        let first = store(root.path());
        save(&first, "a", b"a1");
        save(&first, "b", b"b1");
        first.close().unwrap();
        let list = root.path().join("files/.files_metadata.json");
        fs::remove_file(&list).unwrap();
        match damage {
            "a folder" => fs::create_dir(&list).unwrap(),
            text => fs::write(&list, text).unwrap(),
        }
        let expected = [("a", "a1"), ("b", "b1")].map(|(n, t)| (n.to_owned(), t.to_owned()));
        assert_eq!(seen(root.path()), expected, "{damage}");
        let second = store(root.path());
        save(&second, "c", b"c1");
        second.close().unwrap();
        assert_eq!(seen(root.path())[..2], expected, "{damage}");
        assert!(fs::read_to_string(&list).unwrap().contains("\"c\""), "{damage}");
    }
}

#[test]
fn the_list_is_rewritten_seldom_however_many_files_come() {
    let root = tempfile::tempdir().unwrap();
    let store = store(root.path());
    let mut folds = 0;
    for i in 0..1000 {
        save(&store, &format!("{i:05}"), b"x");
        if store.is_fold_due() {
            store.fold().unwrap();
            folds += 1;
        }
    }
    assert!(folds < 40, "{folds} folds");
    assert_eq!(store.close().unwrap(), 1000);
}

#[test]
fn what_else_the_list_holds_stays_wherever_it_is_in_the_file() {
    let root = tempfile::tempdir().unwrap();
    let first = store(root.path());
    save(&first, "a", b"a1");
    save(&first, "b", b"b1");
    first.close().unwrap();
    let list = root.path().join("files/.files_metadata.json");
    let mut json: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&list).unwrap()).unwrap();
    json["files"][0]["mood"] = "blue".into();
    let (files, other) = (json["files"].clone(), serde_json::json!({ "x": [1, null] }));
    for text in [
        serde_json::to_string_pretty(&serde_json::json!({ "a": other, "files": files })).unwrap(),
        serde_json::to_string_pretty(&serde_json::json!({ "files": files, "z": other })).unwrap(),
    ] {
        fs::write(&list, &text).unwrap();
        let next = store(root.path());
        save(&next, "b", b"b2");
        next.close().unwrap();
        let json: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(&list).unwrap()).unwrap();
        assert_eq!(json["files"][0]["mood"], "blue");
        assert_eq!(json["files"].as_array().unwrap().len(), 2);
        assert!([&json["a"], &json["z"]].contains(&&other), "{json}");
    }
}
