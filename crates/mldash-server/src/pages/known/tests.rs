use mldash_track::{LabelChange, Options, experiments_of, fields, refuse_links};

use super::*;

#[test]
fn an_experiment_is_read_again_once_anything_of_it_has_changed() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
    exp.tracks("t").append(fields! { "x": 1 }, 1.0).unwrap();
    exp.flush().unwrap();
    let known = Known::default();
    let list = || list(&known, root.path(), "alice");
    let first = list();
    assert_eq!((first.len(), first[0].state, first[0].rows), (1, State::Live, 1));
    assert!(Arc::ptr_eq(&first[0], &list()[0]), "it is not read again");
    exp.tracks("t").append(fields! { "x": 2 }, 2.0).unwrap();
    exp.flush().unwrap();
    assert_eq!(list()[0].rows, 2);
    exp.label(&LabelChange::new().add_tag("kitchen").unwrap()).unwrap();
    assert_eq!(list()[0].tags, ["kitchen"]);
    exp.files("notes").save_bytes(vec![7; 5000], "n.bin").unwrap();
    assert!(list()[0].size_bytes >= 5000);
    exp.close().unwrap();
    assert_eq!(list()[0].state, State::Unknown, "nobody has said that it is a run");
    std::fs::remove_dir_all(root.path().join("alice")).unwrap();
    assert!(list().is_empty() && known.by_namespace.lock().is_empty());
}

#[test]
fn of_what_is_remembered_each_namespace_has_its_share_and_what_does_not_fit_is_read() {
    let root = tempfile::tempdir().unwrap();
    let long = "x".repeat(4000);
    for name in ["alice/lab/1", "alice/lab/2", "alice/lab/3", "alice/lab/4", "bob/lab/1"] {
        let exp = Experiment::open(name, Options::local(root.path())).unwrap();
        exp.label(&LabelChange::new().task(&long).unwrap()).unwrap();
        exp.close().unwrap();
    }
    let each = list(&Known::default(), root.path(), "bob")[0].bytes();
    let known = Known { bytes: Shares::new(4 * each + 100), ..Known::default() };
    let held = |owner: &str| {
        let all = known.by_namespace.lock();
        all.get(&Namespace::new(owner)).map_or(0, |of| of.by_name.len())
    };
    assert_eq!(list(&known, root.path(), "alice").len(), 4);
    assert_eq!(list(&known, root.path(), "bob").len(), 1);
    assert_eq!((held("alice"), held("bob")), (2, 1), "one never takes it all");
    for of in known.by_namespace.lock().values_mut() {
        of.used -= IDLE;
    }
    list(&known, root.path(), "bob");
    assert_eq!((held("alice"), held("bob")), (0, 1), "nobody has looked for long");
    let mut share = Share::nothing(&known.bytes, &Namespace::new("carol"), true);
    assert!(share.grow(3 * each).is_ok(), "what is forgotten is free");
}

#[test]
fn what_is_listed_is_held_in_memory_also_if_it_was_remembered() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
    exp.label(&LabelChange::new().task(&"x".repeat(4000)).unwrap()).unwrap();
    exp.close().unwrap();
    let (known, owner) = (Known::default(), owner("alice"));
    let name = "alice/lab/run".parse().unwrap();
    let mut memory = Memory::alone(1 << 20);
    let listed = known.one(root.path(), &owner, &name, &mut memory).unwrap();
    assert!(listed.bytes() > 4000 && listed.shown().bytes() < 2000, "the task is cut");
    let refused = known.one(root.path(), &owner, &name, &mut Memory::alone(4000));
    assert!(refused.is_err(), "it is remembered, and shown all the same");
}

fn owner(name: &str) -> Owner {
    Owner { namespace: Namespace::new(name), is_alone: false }
}

fn list(known: &Known, root: &Path, name: &str) -> Vec<Arc<Listed>> {
    let (owner, names) = (owner(name), experiments_of(root, name).unwrap());
    let mut memory = Memory::alone(1 << 20);
    known.keep(&owner, &names);
    let one = |name| known.one(root, &owner, name, &mut memory).unwrap();
    names.iter().map(one).collect()
}

#[test]
fn what_a_link_leads_to_is_not_listed() {
    let root = tempfile::tempdir().unwrap();
    for name in ["alice/lab/mine", "bob/lab/his"] {
        Experiment::open(name, Options::local(root.path())).unwrap().close().unwrap();
    }
    let link = root.path().join("alice/lab/link");
    std::os::unix::fs::symlink(root.path().join("bob/lab/his"), link).unwrap();
    let names = |owner: &str| {
        let names = experiments_of(root.path(), owner).unwrap();
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names("alice"), ["alice/lab/link", "alice/lab/mine"], "as local commands do");
    let _refused = refuse_links(root.path()).unwrap();
    assert_eq!(names("alice"), ["alice/lab/mine"]);
    assert!(names("carol").is_empty());
}

fn has(info: &ExperimentInfo, text: &str) -> bool {
    Listed::of(info).has(&text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
}

#[test]
fn every_word_must_be_said_somewhere_also_where_it_is_not_shown() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open("alice/lab/run-7", Options::local(root.path())).unwrap();
    let tags = (0..20).map(|i| format!("tag-{i}")).chain(["Kitchen".to_owned()]);
    let label = tags.fold(LabelChange::new(), |label, tag| label.add_tag(&tag).unwrap());
    let task = format!("{} Übung", "x".repeat(1000));
    exp.label(&label.task(&task).unwrap().operator("Ada").unwrap()).unwrap();
    let info = exp.info();
    let listed = Listed::of(&info);
    assert!(listed.tags.len() == MAX_TAGS && listed.task.len() < 200, "shown is less");
    assert!(has(&info, "") && has(&info, "kitchen RUN-7 ada") && has(&info, "recorded übung"));
    assert!(!has(&info, "kitchen run-8") && !has(&info, "failed"));
    assert!(!has(&info, "run-7tag-0"), "no word goes from one text to the next");
}

#[test]
fn who_looks_for_success_does_not_find_what_had_none() {
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open("alice/lab/run", Options::local(root.path())).unwrap();
    let info = |success| {
        exp.label(&LabelChange::new().success(Some(success))).unwrap();
        exp.info()
    };
    let good = info(true);
    assert!(has(&good, "success") && has(&good, "succ") && !has(&good, "unsuccessful"));
    let bad = info(false);
    assert!(has(&bad, "unsuccessful") && !has(&bad, "success"));
}
