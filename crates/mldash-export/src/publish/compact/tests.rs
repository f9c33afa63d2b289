//! Compaction against faults, kills, publishers and other compactors.

mod world;

use std::sync::Arc;

use proptest::prelude::*;

use self::world::{World, client, experiment, rule, store_over};
use super::super::layout::{COMPACTED, COMPACTIONS, Layout, TRACKS};
use super::super::tests::faults::{Fault, Faulty};
use super::By;
use super::plan::{Limits, generation_in};
use super::run::compact_within;

/// So that there are several plans, and not all is looked at at once.
const LIMITS: Limits = Limits { held: 8, pieces: 4 };

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

/// Runs a compactor that stands still before requests of these numbers, once for each, while `meanwhile` happens, which is told how many times that was
/// before. Returns how often it stood still, since it may need fewer requests, and the files that it told of.
fn compact_beside(
    world: &mut World,
    stops: Vec<u64>,
    faults: Vec<(u64, Fault)>,
    mut meanwhile: impl FnMut(&mut World, usize),
) -> (usize, Vec<String>) {
    let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(0);
    let (go, gone) = std::sync::mpsc::sync_channel::<()>(0);
    let gone = std::sync::Mutex::new(gone);
    let most = stops.len();
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
        let mut told = Vec::new();
        // With faults it may end in an error.
        let _ = compact_within(&store, &rule(By::Day), LIMITS, false, &mut |merged| {
            told.push(merged.name.clone())
        });
        told
    });
    let mut times = 0;
    while times < most && stopped.recv().is_ok() {
        meanwhile(world, times);
        times += 1;
        let _ = go.send(());
    }
    drop(stopped);
    drop(go);
    (times, compactor.join().unwrap())
}

/// A compactor stands still while experiments come and another one merges them: it must not take for stale what it has not heard of.
#[test]
fn what_is_published_and_merged_while_a_compactor_stands_still_stays() {
    for moment in 0.. {
        let mut world = published_runs(3);
        let (times, _) = compact_beside(&mut world, vec![moment], Vec::new(), |world, _| {
            for run in [3_i64, 4] {
                let start = i64::from(run % 3 == 0) * DAY_MILLIS + 60_000;
                let rows = [(start, 1), (start + 5, 2)];
                world.publish(&experiment(run.unsigned_abs()), "odom", None, &rows);
            }
            world.compact(By::Day, |_| None).unwrap();
            assert_eq!(world.by_manifests(), world.rows(), "beside {moment}");
        });
        assert_eq!(world.by_manifests(), world.rows(), "after {moment}");
        world.compact(By::Day, |_| None).unwrap();
        assert_is_tidy(&world);
        if times == 0 {
            assert!(moment > 20, "{moment} requests are too few to have been tried");
            break;
        }
    }
}

/// At any request, a publisher replaces what is about to be merged: the plan is given up, also if a file of it stands already.
#[test]
fn what_was_given_up_is_not_told_as_merged() {
    let mut after_a_put = 0;
    for moment in 0.. {
        let mut world = published_runs(3);
        let mut stood = Vec::new();
        let (times, told) = compact_beside(&mut world, vec![moment], Vec::new(), |world, _| {
            stood = world.list(COMPACTED);
            for (experiment, topic, number) in world.numbers() {
                world.publish(&experiment, &topic, Some(number), &[(7, 1), (8, 2)]);
            }
        });
        for slot in world.list(COMPACTIONS) {
            let project = slot.strip_prefix(COMPACTIONS).unwrap().strip_suffix(".json").unwrap();
            let was_given_up = |name: &&String| {
                name.contains(project) && generation_in(name) == Some(world.given_up(&slot))
            };
            assert_eq!(told.iter().find(was_given_up), None, "at {moment}");
            after_a_put += stood.iter().filter(was_given_up).count();
        }
        if times == 0 {
            break;
        }
    }
    assert!(after_a_put > 0);
}

#[test]
fn a_manifest_is_read_once_for_all_plans_and_once_for_each_that_changes_it() {
    let world = published_runs(8);
    let objects = Arc::new(Faulty::new(&world.objects, Vec::new()));
    let limits = Limits { pieces: 4, ..Limits::default() };
    let mut merged = 0;
    let store = store_over(objects.clone());
    compact_within(&store, &rule(By::Day), limits, false, &mut |_| merged += 1).unwrap();
    assert!(merged > 6, "{merged} merged files of 4 chunks are too few plans");
    for run in 0..8 {
        let manifest = format!("fleet/{}", Layout::manifest(&experiment(run).parse().unwrap()));
        let reads = objects.reads().iter().filter(|read| read.as_ref() == manifest).count();
        // Its chunks are three.
        assert!((2..=4).contains(&reads), "{reads} of {manifest}");
    }
}

/// What others do at some request of a compactor.
#[derive(Clone, Debug)]
enum Meanwhile {
    New { run: u64, millis: i64 },
    Later { run: u64, millis: i64 },
    Replace { which: prop::sample::Index, value: i64 },
    Compact(bool),
}

fn meanwhile() -> impl Strategy<Value = Meanwhile> {
    prop_oneof![
        (6..10_u64, 0..2 * DAY_MILLIS).prop_map(|(run, millis)| Meanwhile::New { run, millis }),
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
        let mut events = events;
        events.sort_by_key(|(at, _)| *at);
        let stops: Vec<u64> = events.iter().map(|(at, _)| *at).collect();
        compact_beside(&mut world, stops, faults, |world, nth| {
            match &events[nth].1 {
                Meanwhile::New { run, millis } | Meanwhile::Later { run, millis } => {
                    world.publish(&experiment(*run), "odom", None, &[(*millis, 1), (*millis + 5, 2)]);
                }
                Meanwhile::Replace { which, value } => {
                    let numbers = world.numbers();
                    let (experiment, topic, number) = which.get(&numbers);
                    let rows = [(*value, *value), (*value + 1, *value)];
                    world.publish(experiment, topic, Some(*number), &rows);
                }
                Meanwhile::Compact(to_the_end) => {
                    let kill = if *to_the_end { u64::MAX } else { 40 };
                    let other = world.compact(By::Day, move |nth| {
                        (nth >= kill).then_some(Fault::CutBefore)
                    });
                    assert!(other.is_ok() || !to_the_end, "{other:?}");
                }
            }
            assert_eq!(world.by_manifests(), world.rows());
        });
        prop_assert_eq!(world.by_manifests(), world.rows());
        world.compact(By::Day, |_| None).unwrap();
        let rows = world.rows();
        prop_assert_eq!(world.by_manifests(), rows.clone());
        prop_assert_eq!(world.by_view(), rows);
        prop_assert_eq!(world.list(COMPACTIONS).len(), 2);
    }
}
