//! Parts of a track: rows one after another, and single ones by their time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use mldash_bridge::fields;
use mldash_bridge::track::{Experiment, FindError, Options, Slice, Value};
use proptest::prelude::*;

const RUN: &str = "alice/warehouse/run-1";

fn open(root: &Path) -> Experiment {
    let hour = Duration::from_secs(3600);
    let options = Options::local(root).flush_interval(hour).batch_rows(usize::MAX);
    Experiment::open(RUN, options).unwrap()
}

fn record(exp: &Experiment, times: &[f64]) {
    for ts in times {
        exp.tracks("t").append(fields! { "v": *ts }, *ts).unwrap();
    }
}

fn times(slice: &Slice) -> Vec<f64> {
    slice.rows().map(|row| row.unwrap().ts.as_secs()).collect()
}

#[test]
fn a_slice_gives_the_rows_of_its_range_as_they_stood_when_it_was_taken() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, &[4.0, 1.0, 2.0, 3.0]);
    let slice = exp.tracks("t").slice(2.0..4.0).unwrap();
    record(&exp, &[2.5]);
    exp.flush().unwrap();
    assert_eq!(times(&slice), [2.0, 3.0]);
    assert_eq!(times(&slice), [2.0, 3.0], "a second time");
    assert_eq!(slice.count_rows().unwrap(), 2);
}

#[test]
fn a_time_is_answered_by_the_last_row_that_is_not_after_it() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, &[1.0, 3.0, 5.0, 7.0]);
    let slice = exp.tracks("t").slice(..).unwrap();
    for (asked, found) in [(5.5, 5.0), (3.0, 3.0), (1e9, 7.0), (1.0, 1.0), (f64::INFINITY, 7.0)] {
        let row = slice.find_by_time(asked).unwrap();
        assert_eq!(row.ts.as_secs(), found, "asked for {asked}");
        assert_eq!(row.fields.get("v"), Some(&Value::F64(found)));
    }
    let rows = slice.find_by_times([7.5, 1.0, 3.5]).unwrap();
    assert_eq!(rows.iter().map(|r| r.ts.as_secs()).collect::<Vec<_>>(), [7.0, 1.0, 3.0]);
}

#[test]
fn a_time_before_the_first_row_of_the_slice_is_an_error_that_names_it() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, &[1.0, 3.0, 5.0]);
    let slice = exp.tracks("t").slice(2.0..=4.0).unwrap();
    let error = slice.find_by_time(2.5).unwrap_err();
    assert_eq!(error.to_string(), "track `t`: no row at 2.5 or before; the first is at 3");
    assert!(matches!(slice.find_by_times([3.5, 0.0]), Err(FindError::BeforeFirst { .. })));
    assert!(matches!(slice.find_by_time(f64::NAN), Err(FindError::NotANumber { .. })));
    assert_eq!(slice.find_by_time(9.0).unwrap().ts.as_secs(), 3.0, "5.0 is not in the slice");
    for empty in [exp.tracks("t").slice(5.5..).unwrap(), exp.tracks("absent").slice(..).unwrap()] {
        assert!(matches!(empty.find_by_time(9.0), Err(FindError::NoRows { .. })));
        assert!(matches!(empty.find_nearest(9.0, 1.0), Err(FindError::NoRows { .. })));
    }
}

#[test]
fn the_nearest_row_is_found_on_either_side_within_the_tolerance() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, &[1.0, 2.0]);
    let slice = exp.tracks("t").slice(..).unwrap();
    let nearest = |secs, tolerance| slice.find_nearest(secs, tolerance).map(|r| r.ts.as_secs());
    assert_eq!(nearest(1.6, 1.0).unwrap(), 2.0);
    assert_eq!(nearest(1.5, 1.0).unwrap(), 1.0, "of two equally near the earlier");
    assert_eq!(nearest(0.0, 1.0).unwrap(), 1.0);
    assert_eq!(nearest(1.1, 0.1).unwrap(), 1.0, "1.1 - 1.0 is a little over 0.1 in floats");
    assert_eq!(nearest(2.0, 0.0).unwrap(), 2.0);
    let error = nearest(2.6, 0.5).unwrap_err().to_string();
    assert_eq!(error, "track `t`: no row within 0.5 s of 2.6; the nearest is at 2");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    /// Rows wide enough to fill many blocks, flushed in any order so that blocks overlap.
    #[test]
    fn finds_what_a_sorted_map_finds(
        flushes in prop::collection::vec(prop::collection::vec(0..60_i32, 1..12), 1..8),
        asked in prop::collection::vec(-2.0..62.0_f64, 20),
        bounds in (0..60_i32, 0..60_i32),
    ) {
        let root = tempfile::tempdir().unwrap();
        let exp = open(root.path());
        let mut model = BTreeMap::new();
        for (i, flush) in flushes.iter().enumerate() {
            for ts in flush {
                let row = fields! { "flush": i as i64, "pad": "x".repeat(20_000) };
                exp.tracks("t").append(row, f64::from(*ts)).unwrap();
                model.insert(*ts, i as i64);
            }
            exp.flush().unwrap();
        }
        let (start, end) = (bounds.0.min(bounds.1), bounds.0.max(bounds.1));
        model.retain(|ts, _| (start..=end).contains(ts));
        let slice = exp.tracks("t").slice(f64::from(start)..=f64::from(end)).unwrap();
        prop_assert_eq!(slice.count_rows().unwrap() as usize, model.len());
        for secs in asked {
            let expected = model.iter().rev().find(|(ts, _)| f64::from(**ts) <= secs);
            let found = slice.find_by_time(secs).ok();
            let found = found.map(|row| (row.ts.as_secs(), row.fields.get("flush").cloned()));
            prop_assert_eq!(found, expected.map(|(ts, i)| (f64::from(*ts), Some(Value::Int(*i)))));

            let distance = |ts: &i32| (f64::from(*ts) - secs).abs();
            let expected = model.keys().min_by(|a, b| distance(a).total_cmp(&distance(b)));
            let found = slice.find_nearest(secs, 5.0).ok().map(|row| row.ts.as_secs());
            let near = expected.filter(|ts| distance(ts) <= 5.0).map(|ts| f64::from(*ts));
            prop_assert_eq!(found, near);
        }
    }
}
