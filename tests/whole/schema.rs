//! Columns have the types of the message definition, whatever values came: files of two runs are one table.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mldash_bridge::fields;
use mldash_bridge::track::{
    Align, ColumnType, Experiment, Format, Options, Query, RowSchema, Track, Value,
};
use serde_json::Value as Json;

use crate::made_bag::{MadeBag, Type, header, with_header};
use crate::parquet_table::ParquetTable;
use crate::program::{Done, program};
use crate::python::oracle_python;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cases");
const RUN: &str = "alice/warehouse/run-1";

fn open(root: &Path) -> Experiment {
    Experiment::open(RUN, Options::local(root)).unwrap()
}

/// Imports a bag of `tests/data/cases`.
fn import(root: &Path, run: &str, bag: &str) {
    let mapping = root.join("mapping.yaml");
    fs::write(&mapping, "topics: [{topic: /**}]").unwrap();
    let import = program(["import", "--experiment", run, "--root"]).arg(root);
    let done = import.arg("--config").arg(mapping).arg(Path::new(CASES).join(bag)).run();
    assert_eq!(done.code, 0, "{}", done.stderr);
}

fn read(root: &Path, run: &str, track: &str, args: &[&str]) -> Done {
    let read = program(["read", run, track, "--root"]).arg(root).args(args).run();
    assert_eq!(read.code, 0, "{}", read.stderr);
    read
}

/// What pyarrow, polars and DuckDB make of files as one table, each told nothing but their names.
fn opened_together(files: &[PathBuf]) -> Json {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/open_tables.py");
    let done = Command::new(oracle_python()).arg(script).args(files).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

fn types(track: &Track) -> Vec<(String, String)> {
    ParquetTable::read(&track.export(&Query::all(), Format::Parquet).unwrap()).types()
}

fn named(types: &[(String, String)]) -> Vec<String> {
    types.iter().map(|(name, ty)| format!("{name}: {ty}")).collect()
}

#[test]
fn runs_in_which_every_list_was_empty_open_together_with_those_in_which_none_was() {
    let root = tempfile::tempdir().unwrap();
    for run in 0..2 {
        import(root.path(), &format!("a/b/run{run}"), &format!("parquet_run{run}.mcap"));
    }
    // Neither order of the two shows its readers anything else.
    for (track, order) in [("js", [0, 1]), ("js", [1, 0]), ("pa", [0, 1]), ("pa", [1, 0])] {
        let file = |run: &i32| {
            let file = root.path().join(format!("{track}{run}.parquet"));
            let written = ["-o", file.to_str().unwrap()];
            read(root.path(), &format!("a/b/run{run}"), track, &written);
            file
        };
        let opened = opened_together(&order.each_ref().map(file));
        for reader in ["pyarrow", "polars", "duckdb"] {
            let opened = &opened[reader];
            let (types, rows) = (&opened["types"], opened["rows"].as_array().unwrap());
            let empty = order.iter().position(|run| *run == 0).unwrap();
            if track == "js" {
                let doubles = ["list<element: double>", "List(Float64)", "DOUBLE[]"];
                for column in ["position", "velocity", "effort"] {
                    assert!(
                        doubles.contains(&types[column].as_str().unwrap()),
                        "{reader}: {types}"
                    );
                }
                assert_eq!(rows[empty]["velocity"], serde_json::json!([]), "{reader}");
                assert_eq!(rows[1 - empty]["velocity"], serde_json::json!([0.5, 0.6]), "{reader}");
            } else {
                assert_eq!(rows[empty]["ps"], serde_json::json!([]), "{reader}");
                assert_eq!(rows[1 - empty]["ps"][1]["f"], serde_json::json!([]), "{reader}");
            }
        }
    }
}

#[test]
fn a_column_is_there_in_its_place_and_of_its_type_whether_any_row_has_it_or_not() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let schema = RowSchema::new("/arm")
        .column("q", ColumnType::list(ColumnType::Float))
        .column("never", ColumnType::UInt)
        .column("n", ColumnType::Float);
    let arm = exp.tracks("arm").with_schema(schema);
    arm.append(fields! { "later": true, "n": 1, "q": Vec::<f64>::new() }, 1.0).unwrap();
    exp.flush().unwrap();
    let expected =
        ["timestamp: Float64", "q: [Float64]", "never: UInt64", "n: Float64", "later: Boolean"];
    // Also for who opens it elsewhere, and after the recording.
    assert_eq!(named(&types(&exp.tracks("arm"))), expected);
    exp.close().unwrap();
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(named(&types(&exp.tracks("arm"))), expected);

    let query = Query::all().columns(["never", "q"]);
    let asked = exp.tracks("arm").export(&query, Format::Parquet).unwrap();
    let asked = ParquetTable::read(&asked).types();
    assert_eq!(named(&asked), ["timestamp: Float64", "q: [Float64]", "never: UInt64"]);
    let csv = exp.tracks("arm").export(&Query::all(), Format::Csv).unwrap();
    assert_eq!(String::from_utf8(csv).unwrap(), "timestamp,q,never,n,later\n1.0,[],,1,true\n");
}

#[test]
fn values_that_are_not_of_the_declared_type_are_kept_and_told() {
    let root = tempfile::tempdir().unwrap();
    import(root.path(), RUN, "parquet_run0.mcap");
    let rows = "{\"_ts\": 5, \"velocity\": [\"fast\"], \"position\": [1, 2]}\n";
    let append = program(["append", RUN, "js", "--root"]).arg(root.path()).stdin(rows).run();
    assert_eq!(append.code, 0, "{}", append.stderr);
    let file = root.path().join("js.parquet");
    let done = read(root.path(), RUN, "js", &["-o", file.to_str().unwrap()]);
    let told = "column `velocity` holds values that are not of its declared type, list<double>; it is \
                written as list<string>";
    assert!(done.stderr.contains(told), "{}", done.stderr);
    assert!(!done.stderr.contains("`position`"), "integers are doubles: {}", done.stderr);
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let table = ParquetTable::read(&fs::read(file).unwrap());
    table.assert_holds(&exp.tracks("js").read(&Query::all()).unwrap());
    let types = table.types();
    assert!(types.contains(&("position".into(), "[Float64]".into())));
    assert!(types.contains(&("effort".into(), "[Float64]".into())), "the rest stays: {types:?}");
}

#[test]
fn a_topic_whose_definition_changes_from_run_to_run_keeps_the_columns_of_both() {
    let root = tempfile::tempdir().unwrap();
    let schemas = [
        RowSchema::new("/a").column("x", ColumnType::Int).column("old", ColumnType::Text),
        RowSchema::new("/a").column("x", ColumnType::Float).column("new", ColumnType::Bool),
    ];
    for (ts, schema) in [1.0, 2.0].into_iter().zip(schemas) {
        let exp = open(root.path());
        exp.tracks("a").with_schema(schema).append(fields! { "x": 1 }, ts).unwrap();
        exp.close().unwrap();
    }
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    let expected = ["timestamp: Float64", "x: Float64", "old: Utf8", "new: Boolean"];
    assert_eq!(named(&types(&exp.tracks("a"))), expected);
}

#[test]
fn two_topics_in_one_track_have_the_columns_of_both_whichever_came_first() {
    let schemas = || {
        let left = RowSchema::new("/left").column("l", ColumnType::Int);
        [left, RowSchema::new("/right").column("r", ColumnType::Text)]
    };
    let [there, back] = [false, true].map(|reversed| {
        let root = tempfile::tempdir().unwrap();
        let exp = open(root.path());
        let mut schemas = schemas();
        if reversed {
            schemas.reverse();
        }
        for schema in schemas {
            exp.tracks("arms").with_schema(schema).append(fields! { "z": 1 }, 1.0).unwrap();
        }
        types(&exp.tracks("arms"))
    });
    assert_eq!(there, back);
    assert_eq!(named(&there), ["timestamp: Float64", "l: Int64", "r: Utf8", "z: Int64"]);
}

#[test]
fn joined_tracks_have_their_declared_types_under_their_joined_names() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    let schema = RowSchema::new("/arm").column("q", ColumnType::list(ColumnType::Float));
    exp.tracks("arm").with_schema(schema).append(fields! { "q": [0.5] }, 9.0).unwrap();
    exp.tracks("camera").append(fields! { "frame": 7 }, 1.0).unwrap();
    let aligned = exp.align(&Align::on("camera").with(["arm"])).unwrap();
    let types = ParquetTable::read(&aligned.export(Format::Parquet).unwrap()).types();
    let expected =
        ["timestamp: Float64", "frame: Int64", "arm.timestamp: Float64", "arm.q: [Float64]"];
    assert_eq!(named(&types), expected);
}

/// A header and bytes of any number.
const BYTES: Type = ("made_msgs/msg/Bytes", with_header!("std_msgs/Header header\nuint8[] raw\n"));

#[test]
fn bytes_that_are_now_in_the_row_and_now_in_a_file_have_the_columns_of_both() {
    let imported = |lengths: &[usize]| {
        let mut bag = MadeBag::new();
        for (sec, length) in (1..).zip(lengths) {
            let nanos = sec * 1_000_000_000;
            let cdr = crate::decode::encoder::encode(|e| {
                header(e, nanos as i64).length(*length).raw(&vec![7; *length])
            });
            bag.add("/raw", BYTES, nanos, &cdr);
        }
        bag.import("topics: [{topic: /raw, receive_ts: true, blobs: {to: file, max_inline: 1kB}}]")
    };
    let (small, large) = (imported(&[10]), imported(&[2000]));
    let types = [&small, &large].map(|imported| types(&imported.experiment().tracks("raw")));
    assert_eq!(types[0], types[1]);
    assert_eq!(
        named(&types[0]),
        [
            "timestamp: Float64",
            "frame_id: Utf8",
            "raw: [Int64]",
            "receive_ts: Float64",
            "raw.path: Utf8",
            "raw.frame: Utf8",
            "raw.index: Int64",
            "raw.bytes: Int64",
        ]
    );
    let rows = large.rows("raw");
    assert!(rows[0].fields.get("raw.path").is_some() && rows[0].fields.get("raw").is_none());
}

#[test]
fn what_is_in_the_place_of_a_schema_costs_no_row_and_no_type() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join(RUN).join("tracks/arm/.schema.json");
    fs::create_dir_all(file.join("in the way")).unwrap();
    let schema = RowSchema::new("/arm").column("q", ColumnType::list(ColumnType::Float));
    let exp = open(root.path());
    let arm = exp.tracks("arm").with_schema(schema);
    arm.append(fields! { "q": Vec::<f64>::new() }, 1.0).unwrap();
    exp.flush().unwrap();
    assert_eq!(arm.read(&Query::all()).unwrap().len(), 1);
    arm.append(fields! { "q": Vec::<f64>::new() }, 2.0).unwrap();
    // The flush waits for no disk; the next sync puts it aside.
    exp.close().unwrap();
    assert!(file.with_extension("json.bad").join("in the way").exists(), "it is put aside");
    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(named(&types(&reader.tracks("arm")))[1], "q: [Float64]");

    fs::write(&file, "{ torn").unwrap();
    assert_eq!(named(&types(&reader.tracks("arm")))[1], "q: [Null]");
    assert_eq!(reader.tracks("arm").read(&Query::all()).unwrap().len(), 2);
    let expected = Value::List(Vec::new());
    let rows = reader.tracks("arm").read(&Query::all()).unwrap();
    assert_eq!(rows[1].fields.get("q"), Some(&expected));
}
