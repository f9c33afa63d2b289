//! Parts that end by themselves, in imports: by time, size and rows, and at the same places each time.

use mldash_bridge::track::Query;

use crate::made_bag::{Imported, MadeBag, STAMPED, TEXT, stamped, text};

const SEC: u64 = 1_000_000_000;

/// The times of a track's rows, part by part.
fn parts(imported: &Imported, track: &str) -> Vec<Vec<f64>> {
    let times = |name: String| {
        let part = imported.part(name.strip_prefix("tests/made/run").unwrap());
        let rows = part.tracks(track).read(&Query::all()).unwrap();
        rows.iter().map(|row| row.ts.as_secs()).collect()
    };
    imported.experiments().into_iter().map(times).collect()
}

/// A map that is kept for late subscribers, and ten numbers a second apart. Every second one is of a topic
/// that is thinned out.
fn bag() -> MadeBag {
    let mut bag = MadeBag::new();
    bag.offer("- depth: 1\n  durability: transient_local\n");
    bag.add("/map", STAMPED, 100 * SEC, &stamped(7, 0.0));
    bag.offer("- depth: 10\n  durability: volatile\n");
    for i in 0..10 {
        let at = (100 + i) * SEC;
        bag.add("/odom", STAMPED, at, &stamped(at as i64, i as f64));
        bag.add("/thin", STAMPED, at, &stamped(at as i64, i as f64));
    }
    bag
}

const TOPICS: &str = "topics: [{topic: /odom}, {topic: /map}, {topic: /thin, max_rate: 0.001}]\n";

fn assert_splits(split: &str, expected: &[&[f64]]) {
    let mapping = format!("{TOPICS}split: {split}\n");
    let check = |imported: &Imported| {
        assert!(imported.is_complete(), "{:#}", imported.account());
        assert_eq!(parts(imported, "odom"), expected, "{split}");
        // What publishers keep is in every part.
        assert!(parts(imported, "map").iter().all(|map| *map == [7e-9]), "{split}");
    };
    let imported = bag().import(&mapping);
    check(&imported);
    check(&imported.again(&mapping));
}

#[test]
fn a_part_lasts_from_the_log_time_of_its_first_message() {
    let [a, b, c, d] =
        [&[100.0, 101.0, 102.0][..], &[103.0, 104.0, 105.0], &[106.0, 107.0, 108.0], &[109.0]];
    assert_splits("{every: 3s}", &[a, b, c, d]);
    assert_splits("{every: 1h}", &[&[a, b, c, d].concat()]);
}

#[test]
fn rows_count_and_messages_that_give_none_do_not() {
    // The first part has the map and the first of the thin ones, too; that each part begins with one, too.
    let [a, b, c] =
        [&[100.0, 101.0, 102.0][..], &[103.0, 104.0, 105.0, 106.0], &[107.0, 108.0, 109.0]];
    assert_splits("{rows: 5}", &[a, b, c]);
}

#[test]
fn what_comes_first_of_several_limits_ends_the_part() {
    let [a, b, c, d] =
        [&[100.0, 101.0, 102.0][..], &[103.0, 104.0, 105.0], &[106.0, 107.0, 108.0], &[109.0]];
    assert_splits("{every: 3s, rows: 1000, size: 1GiB}", &[a, b, c, d]);
}

#[test]
fn the_size_is_that_of_the_messages() {
    let mapping = "topics: [{topic: /text, stamp: receive}]\nsplit: {size: 1MiB}\n";
    let mut bag = MadeBag::new();
    for i in 1..=10 {
        bag.add("/text", TEXT, i * SEC, &text(&"x".repeat(300_000)));
    }
    let expected = [vec![1.0, 2.0, 3.0, 4.0], vec![5.0, 6.0, 7.0, 8.0], vec![9.0, 10.0]];
    let imported = bag.import(mapping);
    assert_eq!(parts(&imported, "text"), expected);
    assert_eq!(parts(&imported.again(mapping), "text"), expected);
}

#[test]
fn more_parts_than_can_be_closed_at_once_are_all_there_and_the_flag_goes_before_the_mapping() {
    let mapping = "topics: [{topic: /odom}]\nsplit: {every: 1h}\n";
    let mut bag = MadeBag::new();
    for i in 1..=40 {
        bag.add("/odom", STAMPED, i * SEC, &stamped((i * SEC) as i64, 0.0));
    }
    let imported = bag.import_by(mapping, |import| import.args(["--split-every", "1s"]));
    let expected: Vec<Vec<f64>> = (1..=40).map(|i| vec![f64::from(i)]).collect();
    assert_eq!(parts(&imported, "odom"), expected);
    let log = &imported.done.stderr;
    assert!(log.contains("tests/made/run_002 is full: it lasts 1s"), "{log}");
}
