//! What waits is published, and is held until it is.

use std::path::Path as Folder;

use mldash_track::{Options, fields};
use object_store::memory::InMemory;
use object_store::path::Path;

use super::super::store::{Store, Updates};
use super::super::tests::faults::Faulty;
use super::*;

#[test]
fn a_panic_over_a_part_is_told_and_the_others_are_published() {
    let root = tempfile::tempdir().unwrap();
    let shared =
        Shared::new(root.path(), StoreSettings::new("file:///x"), PublishOptions::default());
    shared.state.lock().is_ending = true;
    for name in ["alice/lab/bad", "alice/lab/good"] {
        shared.state.lock().add(name.to_owned());
    }
    let mut tried = Vec::new();
    shared.publish_each(|name| {
        tried.push(name.to_owned());
        if name.ends_with("bad") {
            // The next time there is nothing else to do.
            shared.stop.store(tried.len() > 2, Ordering::Relaxed);
            panic!("out of cheese");
        }
        shared.state.lock().waiting.retain(|waiting| waiting != name);
        Ok(())
    });
    assert_eq!(tried, ["alice/lab/bad", "alice/lab/good", "alice/lab/bad"]);
    let status = shared.state.lock().status.clone();
    let PublishState::Failing { reason } = &status.state else { panic!("{status:?}") };
    assert!(reason.contains("out of cheese"), "{reason}");
}

#[test]
fn a_part_is_held_until_it_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let store = folder.path().join("store");
    let url = format!("file://{}", store.display());
    let publisher = || {
        let settings = StoreSettings::new(&url);
        BackgroundPublisher::start(&root, settings, PublishOptions::default()).unwrap()
    };
    let part = Experiment::open("alice/lab/run", Options::local(&root)).unwrap();
    let held_by = || Experiment::open_read_only("alice/lab/run", &root).unwrap().held_by().unwrap();
    let first = publisher();
    first.begun(&part);
    part.tracks("arm").append(fields! { "x": 1 }, 1.0).unwrap();
    part.close().unwrap();
    assert_eq!(held_by().as_ref(), Some(&url));
    // A program that is killed here says nothing of it; the next one finds it.
    first.finish(Duration::ZERO, &AtomicBool::new(true));
    assert_eq!(held_by().as_ref(), Some(&url));
    let status = publisher().finish(Duration::from_secs(60), &AtomicBool::new(false));
    assert_eq!((status.parts_published, status.parts_waiting), (1, 0), "{status:?}");
    assert_eq!(held_by(), None);
}

#[test]
fn a_part_that_can_not_be_read_keeps_no_other_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("dash");
    let part = |name: &str| {
        let part = Experiment::open(name, Options::local(&root)).unwrap();
        part.tracks("arm").append(fields! { "x": 1 }, 1.0).unwrap();
        part.close().unwrap();
        Experiment::open_read_only(name, &root).unwrap()
    };
    let (gone, there) = (part("alice/lab/gone"), part("alice/lab/there"));
    std::fs::remove_dir_all(gone.folder()).unwrap();
    let store = format!("file://{}", folder.path().join("store").display());
    let options = PublishOptions::default();
    let publisher = BackgroundPublisher::start(&root, StoreSettings::new(store), options).unwrap();
    publisher.closed(&gone);
    publisher.closed(&there);
    let status = publisher.finish(Duration::from_secs(60), &AtomicBool::new(false));
    assert_eq!((status.parts_published, status.parts_waiting), (1, 1), "{status:?}");
    assert!(matches!(status.state, PublishState::Failing { .. }), "{status:?}");
}

const RUN: &str = "alice/lab/run";
const URL: &str = "s3://bucket/robots";

/// Begins to write, as a recording with this publisher does.
fn write(root: &Folder, publisher: &BackgroundPublisher, ts: u32) -> Experiment {
    let part = Experiment::open(RUN, Options::local(root)).unwrap();
    publisher.begun(&part);
    part.tracks("arm").append(fields! { "x": ts }, f64::from(ts)).unwrap();
    part
}

/// A publisher without a thread, for which a part waits, and its way to a store. `hook` is called before each request.
fn waiting(
    root: &Folder,
    mut hook: impl FnMut(u64, &BackgroundPublisher) + Send + 'static,
) -> (BackgroundPublisher, Option<Publisher>) {
    let options = PublishOptions::default();
    let shared = Arc::new(Shared::new(root, StoreSettings::new(URL), options.clone()));
    let publisher = BackgroundPublisher { shared, thread: Arc::default() };
    write(root, &publisher, 1).close().unwrap();
    publisher.shared.look_for_waiting();
    let beside = publisher.clone();
    let faulty = Faulty::new(&Arc::new(InMemory::new()), Vec::new());
    let faulty = Arc::new(faulty.before(move |request| hook(request, &beside)));
    let store = Store::over(faulty, Path::from("robots"), URL, Updates::Conditional);
    (publisher, Some(Publisher::new(store.unwrap(), options).unwrap()))
}

fn is_held(root: &Folder) -> bool {
    Experiment::open_read_only(RUN, root).unwrap().held_by().unwrap().is_some()
}

/// Two requests of a publication: one in the middle, and the last.
fn moments() -> [u64; 2] {
    let root = tempfile::tempdir().unwrap();
    let last = Arc::new(Mutex::new(0));
    let seen = last.clone();
    let (publisher, mut way) = waiting(root.path(), move |request, _| *seen.lock() = request);
    publisher.shared.publish(&mut way, RUN).unwrap();
    assert!(!is_held(root.path()));
    let last = *last.lock();
    assert!(last > 4);
    [last / 2, last]
}

#[test]
fn a_part_that_is_written_again_while_it_is_published_stays_held() {
    for moment in moments() {
        let root = tempfile::tempdir().unwrap();
        let (folder, part) = (root.path().to_owned(), Arc::new(Mutex::new(None)));
        let kept = part.clone();
        let (publisher, mut way) = waiting(root.path(), move |request, publisher| {
            if request == moment {
                *kept.lock() = Some(write(&folder, publisher, 2));
            }
        });
        let shared = &publisher.shared;
        assert_eq!(shared.next().as_deref(), Some(RUN));
        shared.publish(&mut way, RUN).unwrap();
        assert!(is_held(root.path()), "at {moment}");
        // The watcher hears of it when it is closed.
        assert!(shared.state.lock().waiting.is_empty());
        let part = part.lock().take().unwrap();
        part.close().unwrap();
        assert!(is_held(root.path()), "at {moment}");
        publisher.closed(&Experiment::open_read_only(RUN, root.path()).unwrap());
        assert_eq!(shared.next().as_deref(), Some(RUN));
        shared.publish(&mut way, RUN).unwrap();
        assert!(!is_held(root.path()) && shared.state.lock().is_done(), "at {moment}");
        assert_eq!(publisher.status().rows_put, 2);
    }
}

#[test]
fn a_part_that_is_closed_once_more_while_it_is_published_waits_again() {
    // A program beside this one does not say so.
    for (moment, is_told) in moments().into_iter().flat_map(|at| [(at, true), (at, false)]) {
        let because = format!("at {moment}, {is_told}");
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().to_owned();
        let (publisher, mut way) = waiting(root.path(), move |request, publisher| {
            if request == moment {
                write(&folder, publisher, 2).close().unwrap();
                if is_told {
                    publisher.closed(&Experiment::open_read_only(RUN, &folder).unwrap());
                }
            }
        });
        let shared = &publisher.shared;
        assert_eq!(shared.next().as_deref(), Some(RUN));
        shared.publish(&mut way, RUN).unwrap();
        let status = publisher.status();
        assert_eq!((status.parts_waiting, status.parts_published), (1, 0), "{because}");
        assert!(is_held(root.path()), "{because}");
        assert_eq!(shared.next().as_deref(), Some(RUN));
        shared.publish(&mut way, RUN).unwrap();
        let status = publisher.status();
        assert_eq!((status.parts_waiting, status.parts_published), (0, 1), "{because}");
        assert_eq!((status.rows_put, is_held(root.path())), (2, false), "{because}");
    }
}

#[test]
fn what_goes_after_a_publication_is_waited_for_and_the_part_counts_before_it_does() {
    let root = tempfile::tempdir().unwrap();
    let (publisher, mut way) = waiting(root.path(), |_, _| ());
    let shared = &publisher.shared;
    shared.state.lock().removing = Some(Remote::new("http://localhost:9").keep(Keep::Unsynced));
    assert_eq!(shared.next().as_deref(), Some(RUN));
    shared.publish(&mut way, RUN).unwrap();
    assert!(!shared.state.lock().is_done(), "whoever finishes waits for the removal");
    let status = publisher.status();
    assert_eq!((status.parts_waiting, status.parts_published), (0, 1));
    assert_eq!(status.state, PublishState::UpToDate);
    shared.state.lock().is_ending = true;
    assert_eq!(shared.next(), None);
    assert!(shared.state.lock().is_done());
}
