//! Joined rows as Parquet and CSV, which are written from the lines of each track: they hold what the
//! rows hold. And what other programs join.

use std::path::Path;
use std::process::Command;

use mldash_bridge::fields;
use mldash_bridge::track::json::{JsonWriter, NonFinite};
use mldash_bridge::track::{
    Aggregate, Align, AlignMethod, Experiment, Fields, Format, Join, Missing, Row, Value,
};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::{open, record};
use crate::parquet_table::{Cell, ParquetTable, is_same};
use crate::python::oracle_python;

/// Whether a table holds these rows, in columns of whatever type.
fn assert_same(table: &ParquetTable, rows: &[Row]) {
    let times: Vec<Value> = rows.iter().map(|row| Value::F64(row.ts.as_secs())).collect();
    let stored = table.column("timestamp");
    assert_eq!(stored.len(), rows.len());
    assert!(times.iter().zip(stored).all(|(time, cell)| is_same(time, cell)), "{stored:?}");
    for (name, ty) in table.types().iter().skip(1) {
        for (row, cell) in rows.iter().zip(table.column(name)) {
            let value = row.fields.get(name).unwrap_or(&Value::Null);
            let fits = is_same(value, cell) || (ty == "Utf8" && is_text_of(value, cell));
            assert!(fits, "{name}: {cell:?} for {value:?} in a column of {ty} at {}", row.ts);
        }
    }
    let known: Vec<String> = table.types().into_iter().map(|(name, _)| name).collect();
    for (name, _) in rows.iter().flat_map(|row| row.fields.iter()) {
        assert!(known.iter().any(|known| **known == **name), "{name} is not in {known:?}");
    }
}

fn is_text_of(value: &Value, cell: &Cell) -> bool {
    let mut text = Vec::new();
    JsonWriter::new(&mut text, NonFinite::Tokens).value(value);
    matches!(cell, Cell::Text(cell) if cell.as_bytes() == text)
}

/// Values of all kinds, so that columns change their types on the way.
fn value() -> impl Strategy<Value = Value> {
    let float = prop_oneof![
        4 => -1e3..1e3,
        1 => prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY)],
        1 => any::<f64>(),
    ];
    let number = prop_oneof![
        3 => (-9_i64..9).prop_map(Value::Int),
        3 => float.clone().prop_map(Value::F64),
        1 => any::<i64>().prop_map(Value::Int),
        1 => any::<u64>().prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        6 => number,
        1 => any::<bool>().prop_map(Value::Bool),
        1 => "[a-c\"\\n]{0,3}".prop_map(Value::Text),
        1 => Just(Value::Null),
    ];
    let list = prop::collection::vec(leaf.clone(), 0..4).prop_map(Value::List);
    let floats = prop::collection::vec(float, 2..4).prop_map(Value::from);
    let nested = prop::collection::vec(floats.clone(), 0..3).prop_map(Value::List);
    let dict = (leaf.clone(), any::<bool>()).prop_map(|(value, is_first)| {
        let key = if is_first { "k" } else { "l" };
        Value::List(vec![Value::Map(vec![(key.into(), value)])])
    });
    prop_oneof![6 => leaf, 3 => floats, 1 => list, 1 => nested, 1 => dict]
}

/// Columns that mostly hold one kind of value, with some rows that lack some of them.
fn track() -> impl Strategy<Value = Vec<(i32, Fields)>> {
    let steady = (any::<bool>(), -9.0..9.0_f64).prop_map(|(is_there, x)| (is_there, Value::F64(x)));
    let row = (
        0..60_i32,
        steady,
        prop::option::weighted(0.7, value()),
        prop::option::weighted(0.2, value()),
    );
    let row = row.prop_map(|(ts, (has_steady, steady), any, late)| {
        let named =
            [("s", has_steady.then_some(steady)), ("v", any), ("w", late.filter(|_| ts > 30))];
        let fields = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
        (ts, fields.collect::<Fields>())
    });
    prop::collection::vec(row, 1..40)
}

fn method() -> impl Strategy<Value = AlignMethod> {
    let window =
        [Aggregate::Mean, Aggregate::Min, Aggregate::Max, Aggregate::Last, Aggregate::Count];
    let windows = window.map(AlignMethod::Window);
    let others = [AlignMethod::Floor, AlignMethod::Nearest, AlignMethod::Linear];
    prop::sample::select([&others[..], &windows[..]].concat())
}

fn join(topic: &'static str) -> impl Strategy<Value = Join> {
    let missing = prop::sample::select(vec![Missing::Null, Missing::Hold, Missing::Drop]);
    let tolerance = prop_oneof![Just(f64::INFINITY), 0.0..12.0];
    (method(), missing, tolerance, any::<bool>(), any::<bool>()).prop_map(
        move |(method, missing, tolerance, with_age, some)| {
            let join = Join::track(topic).method(method).missing(missing).tolerance(tolerance);
            let join = if with_age { join.age(format!("age of {topic}")) } else { join };
            if some { join.columns(["s"]).rename("s", format!("steady of {topic}")) } else { join }
        },
    )
}

fn append(exp: &Experiment, topic: &str, rows: &[(i32, Fields)]) {
    // A later row of the same time merges with the first, sometimes on disk.
    for (at, (ts, fields)) in rows.iter().enumerate() {
        exp.tracks(topic).append(fields.clone(), f64::from(*ts)).unwrap();
        if at % 7 == 3 {
            exp.flush().unwrap();
        }
    }
    exp.tracks(topic).append([("s", 0.5)].into_iter().collect::<Fields>(), 61.0).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn tables_hold_what_the_rows_hold_whatever_the_columns_do(
        tracks in (track(), track(), track()),
        joins in (join("b"), join("c")),
        rate in prop::option::of(prop::sample::select(vec![0.5, 1.0, 3.0])),
    ) {
        let root = tempfile::tempdir().unwrap();
        let exp = open(root.path());
        append(&exp, "a", &tracks.0);
        append(&exp, "b", &tracks.1);
        append(&exp, "c", &tracks.2);
        let align = rate.map_or_else(|| Align::on("a"), Align::at_rate);
        let aligned = exp.align(&align.join(joins.0).join(joins.1)).unwrap();
        let rows: Vec<Row> = aligned.rows().map(Result::unwrap).collect();
        let table = ParquetTable::read(&aligned.export(Format::Parquet).unwrap());
        assert_same(&table, &rows);
        let csv = aligned.export(Format::Csv).unwrap();
        let header = csv.split(|byte| *byte == b'\n').next().unwrap();
        let names: Vec<String> = table.types().into_iter().map(|(name, _)| name).collect();
        prop_assert_eq!(std::str::from_utf8(header).unwrap(), names.join(","));
    }

    #[test]
    fn a_track_alone_reads_as_a_table_what_it_reads_as_rows(track in track(), some: bool) {
        let root = tempfile::tempdir().unwrap();
        let exp = open(root.path());
        append(&exp, "a", &track);
        let query = mldash_bridge::track::Query::all();
        let query = if some { query.columns(["s", "w"]) } else { query };
        let rows = exp.tracks("a").read(&query).unwrap();
        let table = exp.tracks("a").export(&query, Format::Parquet).unwrap();
        assert_same(&ParquetTable::read(&table), &rows);
    }
}

#[test]
fn columns_have_the_types_of_their_tracks_in_the_order_of_the_joins() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "camera", "frame", &[1.0, 2.0]);
    let row = |pairs: &[(&str, Value)]| pairs.iter().cloned().collect::<Fields>();
    for ts in [0.5, 1.5, 9.0] {
        let q = Value::from(vec![1_i64, 2]);
        let fields = row(&[("n", Value::Int(1)), ("q", q), ("mode", "go".into())]);
        exp.tracks("arm").append(fields, ts).unwrap();
    }
    let arm = |method| Join::track("arm").method(method).age("arm.age");
    let types = |method| {
        let aligned = exp.align(&Align::on("camera").join(arm(method))).unwrap();
        let types = ParquetTable::read(&aligned.export(Format::Parquet).unwrap()).types();
        types.into_iter().map(|(name, ty)| format!("{name} {ty}")).collect::<Vec<_>>().join(", ")
    };
    let start = "timestamp Float64, frame Float64, arm.timestamp Float64, arm.age Float64, ";
    let own = format!("{start}arm.n Int64, arm.q [Int64], arm.mode Utf8");
    assert_eq!(types(AlignMethod::Floor), own);
    assert_eq!(types(AlignMethod::Window(Aggregate::Max)), own);
    let floats = format!("{start}arm.n Float64, arm.q [Float64], arm.mode Utf8");
    assert_eq!(types(AlignMethod::Linear), floats);
    assert_eq!(types(AlignMethod::Window(Aggregate::Mean)), floats);
    let counts = format!("{start}arm.n Int64, arm.q Int64, arm.mode Int64");
    assert_eq!(types(AlignMethod::Window(Aggregate::Count)), counts);
}

/// What pandas, polars and DuckDB join.
fn others(root: &Path, method: &str, tolerance: f64) -> Json {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/as_of.py");
    let file =
        |track: &str| root.join("alice/warehouse/run-1/tracks").join(track).join("data.jsonl");
    let done = Command::new(oracle_python())
        .arg(script)
        .args([file("on"), file("other")])
        .args([method, &tolerance.to_string()])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn pandas_polars_and_duckdb_join_the_same_rows() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let mut random = fastrand::Rng::with_seed(20);
    let mut ts = 0.0;
    for _ in 0..2_000 {
        ts += f64::from(random.u32(1..40)) / 64.0;
        let topic = if random.bool() { "on" } else { "other" };
        record(&exp, topic, if topic == "on" { "a" } else { "b" }, &[ts]);
    }
    exp.close().unwrap();
    let exp = Experiment::open_read_only(super::RUN, root.path()).unwrap();
    for (name, method) in [("floor", AlignMethod::Floor), ("nearest", AlignMethod::Nearest)] {
        for tolerance in [0.25, 1e9] {
            let align = Align::on("on").with(["other"]).method(method).tolerance(tolerance);
            let aligned = exp.align(&align).unwrap();
            let table = ParquetTable::read(&aligned.export(Format::Parquet).unwrap());
            let columns =
                ["timestamp", "other.timestamp", "other.b"].map(|name| table.column(name));
            let theirs = others(root.path(), name, tolerance);
            for (program, rows) in theirs.as_object().unwrap() {
                let rows = rows.as_array().unwrap();
                assert_eq!(rows.len(), columns[0].len());
                for (at, row) in rows.iter().enumerate() {
                    for (cell, theirs) in columns.iter().zip(row.as_array().unwrap()) {
                        let value = theirs.as_f64().map_or(Value::Null, Value::F64);
                        assert!(is_same(&value, &cell[at]), "{program}, row {at}: {row}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_changed_in_rows_is_in_every_format() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "camera", "frame", &[1.0, 2.0]);
    for (ts, x) in [(0.5, 1), (1.5, 2), (2.5, 3)] {
        exp.tracks("arm").append(fields! { "x": x, "mode": "go" }, ts).unwrap();
    }
    for method in [AlignMethod::Floor, AlignMethod::Linear, AlignMethod::Window(Aggregate::Mean)] {
        let join = Join::track("arm").method(method).each_row(|fields| {
            let half = fields.get("x") == Some(&Value::Int(2));
            fields.insert("x", if half { Value::F64(0.5) } else { Value::Int(7) });
            fields.insert("mode", true);
            fields.insert("added", [1.0, 2.0]);
            true
        });
        let aligned = exp.align(&Align::on("camera").join(join)).unwrap();
        let rows: Vec<Row> = aligned.rows().map(Result::unwrap).collect();
        let table = ParquetTable::read(&aligned.export(Format::Parquet).unwrap());
        assert_same(&table, &rows);
        assert_eq!(table.column("arm.x").len(), 2);
        let csv = String::from_utf8(aligned.export(Format::Csv).unwrap()).unwrap();
        assert!(csv.starts_with("timestamp,frame,arm.timestamp,arm.x,arm.mode,arm.added"), "{csv}");
        assert!(csv.lines().all(|line| !line.contains("go")), "{csv}");
    }
}
