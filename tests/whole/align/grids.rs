//! Grids of times: ticks are computed, so a row's own tick and the row can differ in their last digits.

use mldash_bridge::fields;
use mldash_bridge::track::{Aggregate, Align, AlignMethod, Experiment, Join, Timestamp, Value};

use super::methods::{column, rows};
use super::open;

const SECOND: i64 = 1_000_000_000;
const ROWS: i64 = 700;

/// A track `x` with a row at each of `hz` ticks a second from `start`, as whole nanoseconds, nearest or
/// truncated.
fn locked_source(start: i64, hz: i64, is_truncated: bool) -> (tempfile::TempDir, Experiment) {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let half = if is_truncated { 0 } else { hz / 2 };
    for i in 0..ROWS {
        let ts = Timestamp::from_nanos(start + (i * SECOND + half) / hz);
        exp.tracks("x").append(fields! { "i": i }, ts.as_secs()).unwrap();
    }
    exp.flush().unwrap();
    (root, exp)
}

#[test]
fn a_source_at_the_rate_of_the_grid_gives_every_tick_its_own_row() {
    let methods = [
        AlignMethod::Floor,
        AlignMethod::Nearest,
        AlignMethod::Linear,
        AlignMethod::Window(Aggregate::Last),
        AlignMethod::Window(Aggregate::Mean),
    ];
    for start in [SECOND / 10, 1_600_000_000 * SECOND + SECOND / 10] {
        for hz in [10, 20, 25, 30] {
            for is_truncated in [false, true] {
                let (_root, exp) = locked_source(start, hz, is_truncated);
                for method in methods {
                    let join = Join::track("x").method(method).tolerance(0.0).age("age");
                    let align = Align::at_rate(hz as f64).join(join);
                    let found: Vec<_> =
                        rows(&exp, &align).into_iter().map(|(_, row)| row).collect();
                    let numbers: Vec<_> = (found.iter())
                        .map(|row| match row.get("x.i") {
                            Some(Value::Int(i)) => Some(*i as f64),
                            Some(Value::F64(i)) => Some(*i),
                            _ => None,
                        })
                        .collect();
                    let expected: Vec<_> = (0..ROWS).map(|i| Some(i as f64)).collect();
                    assert_eq!(numbers, expected, "{method:?} from {start} at {hz} Hz");
                    assert!(found.iter().all(|row| row.get("age") == Some(&Value::F64(0.0))));
                }
                let count = Align::at_rate(hz as f64).with(["x"]);
                let count =
                    column(&exp, &count.method(AlignMethod::Window(Aggregate::Count)), "x.i");
                assert_eq!(count.len() as i64, ROWS, "from {start} at {hz} Hz");
                assert!(count.iter().all(|(_, n)| *n == Some(Value::Int(1))), "{start} at {hz} Hz");
            }
        }
    }
}

#[test]
fn rows_of_a_track_are_joined_at_exactly_their_times() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let later = 1.6e9_f64.next_up();
    exp.tracks("a").append(fields! { "x": 1 }, 1.6e9).unwrap();
    exp.tracks("b").append(fields! { "x": 1 }, later).unwrap();
    let align = Align::on("a").with(["b"]);
    assert_eq!(column(&exp, &align, "b.x"), [(1.6e9, None)]);
}

#[test]
fn the_first_step_of_a_grid_is_as_long_as_the_others() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    for i in 0..=100 {
        exp.tracks("imu").append(fields! { "x": i }, f64::from(i) / 10.0).unwrap();
    }
    let of = |method, join: Join| {
        let align = Align::at_rate(2.0).join(join.method(AlignMethod::Window(method)));
        let found = column(&exp, &align.range(5.0..=6.0), "imu.x");
        found.into_iter().map(|(_, value)| value.unwrap()).collect::<Vec<_>>()
    };
    for join in [Join::track("imu"), Join::track("imu").each_row(|_| true)] {
        assert_eq!(of(Aggregate::Count, join.clone()), [5, 5, 5].map(Value::Int));
        assert_eq!(of(Aggregate::Mean, join), [48.0, 53.0, 58.0].map(Value::F64));
    }
}

#[test]
fn the_last_value_of_a_step_is_that_of_each_column() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let mixed = exp.tracks("mixed");
    mixed.append(fields! { "x": 1, "z": 3 }, 0.1).unwrap();
    mixed.append(fields! { "y": 2, "z": Value::Null }, 0.2).unwrap();
    let join = Join::track("mixed").method(AlignMethod::Window(Aggregate::Last));
    let align = Align::at_rate(1.0).join(join).range(1.0..=1.0);
    let expected = fields! { "mixed.timestamp": 0.2, "mixed.x": 1, "mixed.z": 3, "mixed.y": 2 };
    assert_eq!(rows(&exp, &align), [(1.0, expected)]);
}
