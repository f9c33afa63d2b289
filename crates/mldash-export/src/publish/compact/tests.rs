//! Compaction against faults, kills, publishers and other compactors.

mod world;

use proptest::prelude::*;

use self::world::{World, client, experiment, rule};
use super::super::layout::{COMPACTED, COMPACTIONS, TRACKS};
use super::super::tests::faults::Fault;
use super::{By, compact};

const DAY_MILLIS: i64 = 86_400_000;

/// Six experiments of two projects, two topics and two days.
fn published() -> World {
    published_runs(6)
}

fn published_runs(runs: i64) -> World {
    let mut world = World::new();
    for run in 0..runs {
        for (topic, chunks) in [("odom", 2), ("camera/info", 1)] {
            for chunk in 0..chunks {
                let start = (i64::from(run % 3 == 0)) * DAY_MILLIS + run * 60_000;
                let rows: Vec<(i64, i64)> =
                    (0..20).map(|i| (start + chunk * 1000 + i * 10, run * 100 + i)).collect();
                world.publish(&experiment(run.unsigned_abs()), topic, None, &rows);
            }
        }
    }
    world
}

/// Nothing is there that no manifest names, nor any row twice.
fn assert_is_tidy(world: &World) {
    let rows = world.rows();
    assert_eq!(world.by_manifests(), rows);
    assert_eq!(world.by_view(), rows);
    assert_eq!(world.by_list(), rows);
}

#[test]
fn small_files_become_one_a_topic_and_day_with_the_same_rows() {
    let world = published();
    let before = world.list(TRACKS).len();
    let done = world.compact(By::Day, |_| None).unwrap();
    assert_is_tidy(&world);
    assert_eq!(before, 18);
    // Two topics, two projects, two days; of one topic, a project's day has a single file, which is left alone.
    let merged = world.list(COMPACTED);
    assert_eq!(merged.len(), done.merged.len());
    assert!(merged.len() + world.list(TRACKS).len() <= 8, "{merged:?}");
    assert!(
        merged
            .iter()
            .any(|name| name.contains("camera%2Finfo/owner=alice/project=lab0/day=1970-01-0"))
    );
    let again = world.compact(By::Day, |_| None).unwrap();
    assert_eq!(again.merged, [], "there is nothing left to do");
}

#[test]
fn later_rows_join_and_rows_that_were_replaced_leave() {
    let mut world = published();
    world.compact(By::Day, |_| None).unwrap();
    world.publish(&experiment(1), "odom", None, &[(70_000, 7), (70_001, 8)]);
    world.publish(&experiment(2), "odom", Some(0), &[(120_000, -1), (120_500, -2)]);
    assert_eq!(world.by_manifests(), world.rows());
    assert_ne!(
        world.by_view(),
        world.rows(),
        "a lister sees what was replaced after it was merged"
    );
    world.compact(By::Day, |_| None).unwrap();
    assert_is_tidy(&world);
}

#[test]
fn a_merged_file_all_of_whose_rows_were_replaced_goes() {
    let mut world = published();
    world.compact(By::Day, |_| None).unwrap();
    for (experiment, topic, number) in world.numbers() {
        world.publish(&experiment, &topic, Some(number), &[(7, 1), (8, 2)]);
    }
    world.compact(By::Project, |_| None).unwrap();
    assert_eq!(world.by_manifests(), world.rows());
    assert_eq!(world.by_view(), world.rows());
}

#[test]
fn by_project_after_by_day_moves_everything() {
    let world = published();
    world.compact(By::Day, |_| None).unwrap();
    world.compact(By::Project, |_| None).unwrap();
    assert_is_tidy(&world);
    assert!(world.list(COMPACTED).iter().all(|name| !name.contains("day=")));
    assert_eq!((world.list(COMPACTED).len(), world.list(TRACKS).len()), (4, 0));
}

/// Killed at every request, with and without the last one done, and finished by another.
#[test]
fn whatever_request_is_the_last_one_rows_count_once_and_the_next_finishes() {
    for last in [Fault::CutBefore, Fault::CutAfter] {
        for kill in 0.. {
            let world = published_runs(3);
            let killed = world.compact(By::Day, move |nth| match nth {
                nth if nth < kill => None,
                nth if nth == kill => Some(last),
                _ => Some(Fault::CutBefore),
            });
            let rows = world.rows();
            assert_eq!(world.by_manifests(), rows, "killed at {kill}");
            assert_eq!(world.by_view(), rows, "killed at {kill}");
            // What the next compactor finds done already is not taken away under it.
            let merged = world.list(COMPACTED);
            world.vacuum();
            assert_eq!(world.list(COMPACTED), merged, "killed at {kill}");
            world.compact(By::Day, |_| None).unwrap();
            assert_is_tidy(&world);
            if killed.is_ok() {
                assert!(kill > 20, "{kill} requests are too few to have been tried");
                break;
            }
        }
    }
}

/// What others do at some request of a compactor.
#[derive(Clone, Debug)]
enum Meanwhile {
    Later { run: u64, millis: i64 },
    Replace { which: prop::sample::Index, value: i64 },
    Compact(bool),
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        (0..6_u64, 0..2 * DAY_MILLIS).prop_map(|(run, millis)| Meanwhile::Later { run, millis }),
        (any::<prop::sample::Index>(), 0..1000_i64)
            .prop_map(|(which, value)| Meanwhile::Replace { which, value }),
        any::<bool>().prop_map(Meanwhile::Compact),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A compactor stands still at some of its requests, while publishers and other compactors go on; any request may fail.
    #[test]
    fn with_publishers_and_compactors_in_between_rows_count_once(
        events in prop::collection::vec((0..120_u64, meanwhile()), 1..5),
        faults in prop::collection::vec((0..200_u64, prop_oneof![Just(Fault::CutBefore), Just(Fault::CutAfter)]), 0..20),
    ) {
        let mut world = published();
        let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(0);
        let (go, gone) = std::sync::mpsc::sync_channel::<()>(0);
        let gone = std::sync::Mutex::new(gone);
        let mut events = events;
        events.sort_by_key(|(at, _)| *at);
        let stops: Vec<u64> = events.iter().map(|(at, _)| *at).collect();
        let objects = world.objects.clone();
        let compactor = std::thread::spawn(move || {
            let store = client(&objects, move |nth| {
                for _ in stops.iter().filter(|at| **at == nth) {
                    // Whoever waits at the other end may be gone, once the test has failed.
                    if stop.send(()).is_ok() {
                        let _ = gone.lock().unwrap().recv();
                    }
                }
                faults.iter().find(|(at, _)| *at == nth).map(|(_, fault)| *fault)
            });
            // With so many faults it may end in an error.
            let _ = compact(&store, &rule(By::Day), false, &mut |_| ());
        });
        for (_, event) in events {
            // It may have needed fewer requests.
            if stopped.recv().is_err() {
                break;
            }
            match event {
                Meanwhile::Later { run, millis } => {
                    world.publish(&experiment(run), "odom", None, &[(millis, 1), (millis + 5, 2)]);
                }
                Meanwhile::Replace { which, value } => {
                    let numbers = world.numbers();
                    let (experiment, topic, number) = which.get(&numbers);
                    let rows = [(value, value), (value + 1, value)];
                    world.publish(experiment, topic, Some(*number), &rows);
                }
                Meanwhile::Compact(to_the_end) => {
                    let kill = if to_the_end { u64::MAX } else { 40 };
                    let other = world.compact(By::Day, move |nth| {
                        (nth >= kill).then_some(Fault::CutBefore)
                    });
                    prop_assert!(other.is_ok() || !to_the_end, "{:?}", other);
                }
            }
            prop_assert_eq!(world.by_manifests(), world.rows());
            let _ = go.send(());
        }
        drop(stopped);
        drop(go);
        compactor.join().unwrap();
        prop_assert_eq!(world.by_manifests(), world.rows());
        world.compact(By::Day, |_| None).unwrap();
        let rows = world.rows();
        prop_assert_eq!(world.by_manifests(), rows.clone());
        prop_assert_eq!(world.by_view(), rows);
        prop_assert_eq!(world.list(COMPACTIONS).len(), 2);
    }
}
