//! A track as a file: what each format holds of its rows, `mldash_bridge read`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use mldash_bridge::fields;
use mldash_bridge::track::json::{Columns, RowParser};
use mldash_bridge::track::{Experiment, Export, Fields, Format, Options, Query, Row, Value};
use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::{Value as Json, json};

use crate::parquet_table::{Cell, ParquetTable};
use crate::program::{Done, program};
use crate::terminal::Terminal;

const RUN: &str = "alice/warehouse/run-1";

/// An experiment that holds `rows` in the track `arm/q`.
fn recorded(root: &Path, rows: impl IntoIterator<Item = (f64, Fields)>) -> Experiment {
    let hour = Duration::from_secs(3600);
    let exp = Experiment::open(RUN, Options::local(root).flush_interval(hour)).unwrap();
    for (ts, fields) in rows {
        exp.tracks("arm/q").append(fields, ts).unwrap();
    }
    exp.flush().unwrap();
    exp
}

fn export(exp: &Experiment, query: &Query, export: impl Into<Export>) -> Vec<u8> {
    exp.tracks("arm/q").export(query, export).unwrap()
}

fn read(root: &Path, args: &[&str]) -> Done {
    program(["read", RUN, "arm/q", "--root"].iter().chain(&[root.to_str().unwrap()]).chain(args))
        .run()
}

#[test]
fn parquet_columns_have_the_type_that_holds_all_their_values() {
    let root = tempfile::tempdir().unwrap();
    let detections = |score: f64| {
        let detection = [("label".into(), "cup".into()), ("score".into(), score.into())];
        Value::List(vec![Value::Map(detection.into())])
    };
    let exp = recorded(
        root.path(),
        [
            (
                2.0,
                fields! { "count": 1, "q": [0.5, f64::NAN], "mode": "hold", "seen": detections(0.5) },
            ),
            (1.0, fields! { "count": -1, "ok": true, "mixed": 1, "never": Value::Null }),
            (
                3.0,
                fields! { "count": 1, "q": [1, 2], "mixed": "one", "seen": detections(f64::INFINITY) },
            ),
            (
                4.0,
                fields! { "widened": 1, "raw": Value::Bytes(vec![1, 2]), "grid": vec![Value::from([1]), [0.5].into()] },
            ),
            (5.0, fields! { "widened": 0.5, "f32": 0.1_f32, "big": u64::MAX }),
        ],
    );
    let table = ParquetTable::read(&export(&exp, &Query::all(), Format::Parquet));
    let types = table.types();
    let types: Vec<(&str, &str)> = types.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    assert_eq!(
        types,
        [
            ("timestamp", "Float64"),
            ("count", "Int64"),
            ("ok", "Boolean"),
            ("mixed", "Utf8"),
            ("never", "Null"),
            ("q", "[Float64]"),
            ("mode", "Utf8"),
            ("seen", "[{label: Utf8, score: Float64}]"),
            ("widened", "Float64"),
            ("raw", "Utf8"),
            ("grid", "[[Float64]]"),
            ("f32", "Float64"),
            ("big", "UInt64"),
        ]
    );
    table.assert_holds(&exp.tracks("arm/q").read(&Query::all()).unwrap());
    assert!(matches!(&table.column("mixed")[2], Cell::Text(text) if text == "\"one\""));
    assert!(matches!(&table.column("raw")[3], Cell::Text(text) if text == "AQI="));
}

#[test]
fn parquet_holds_the_rows_and_columns_asked_for_and_none_of_an_absent_track() {
    let root = tempfile::tempdir().unwrap();
    let exp = recorded(root.path(), (0..10).map(|i| (f64::from(i), fields! { "a": i, "b": -i })));
    let query = Query::range(3.0..=7.0).columns(["b", "absent"]).limit(2);
    let table = ParquetTable::read(&export(&exp, &query, Format::Parquet));
    assert_eq!(table.types().len(), 2);
    table.assert_holds(&exp.tracks("arm/q").read(&query).unwrap());

    let absent = exp.tracks("absent").export(&Query::all(), Format::Parquet).unwrap();
    assert_eq!(ParquetTable::read(&absent).types(), [("timestamp".into(), "Float64".into())]);
}

#[test]
fn parquet_of_a_large_track_in_disorder_is_typed_over_all_of_it() {
    let root = tempfile::tempdir().unwrap();
    let note = "x".repeat(4_000);
    let row = |i: i32| {
        let late = if i == 2_990 { Value::from("mixed") } else { Value::Int(1) };
        let number = if i == 2_999 { Value::F64(0.5) } else { Value::Int(i.into()) };
        fields! { "note": note.clone(), "n": number, "late": late }
    };
    // Each time comes twice, the second time among rows long written.
    let first = (0..3_000).map(|i| (f64::from(i), row(i)));
    let again = (0..3_000).rev().map(|i| (f64::from(i), fields! { "again": i % 7 == 0 }));
    let exp = recorded(root.path(), first.chain(again));
    let table = ParquetTable::read(&export(&exp, &Query::all(), Format::Parquet));
    let types = table.types();
    let types: Vec<&str> = types.iter().map(|(_, ty)| ty.as_str()).collect();
    assert_eq!(types, ["Float64", "Utf8", "Float64", "Utf8", "Boolean"]);
    table.assert_holds(&exp.tracks("arm/q").read(&Query::all()).unwrap());

    let part = Query::range(10.0..2_500.0);
    let table = ParquetTable::read(&export(&exp, &part, Format::Parquet));
    assert_eq!(table.types()[2].1, "Int64");
    table.assert_holds(&exp.tracks("arm/q").read(&part).unwrap());
}

/// Appends `text` to the file of `arm/q`, as an editor or another program would.
fn append(root: &Path, text: &str) {
    let path = root.join(RUN).join("tracks/arm_q/data.jsonl");
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Rows in a form that takes NaN for the same as NaN.
fn told<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<String> {
    rows.into_iter().map(|row| format!("{row:?}")).collect()
}

#[test]
fn every_format_has_the_same_rows_however_their_lines_lie_in_the_file() {
    let root = tempfile::tempdir().unwrap();
    let rows = |range: std::ops::Range<i32>| {
        range.map(|i| (f64::from(i), fields! { "n": i, "q": [0.5, f64::NAN], "note": "å\n\"" }))
    };
    // Blocks of lines in order, some that reach into one another, and what editors leave.
    let exp = recorded(root.path(), rows(0..3_000));
    append(root.path(), "\n\r\n");
    for i in 3_000..6_000 {
        append(root.path(), &format!("  {{\"n\": {i}, \"q\": [1], \"timestamp\": {i}}}\r\n"));
    }
    rows(5_500..9_000).for_each(|(ts, row)| {
        exp.tracks("arm/q").append(row, ts).unwrap();
    });
    exp.flush().unwrap();
    append(root.path(), "{\"timestamp\": 9000, \"n\": 9000}");

    for query in [Query::all(), Query::range(10.5..=8_000.0), Query::all().limit(700)] {
        let expected = exp.tracks("arm/q").read(&query).unwrap();
        let jsonl = String::from_utf8(export(&exp, &query, Format::Jsonl)).unwrap();
        let mut parser = RowParser::default();
        let line = |line: &str| parser.row(line.as_bytes(), &Columns::All).unwrap();
        assert_eq!(told(&jsonl.lines().map(line).collect::<Vec<_>>()), told(&expected));
        let json = String::from_utf8(export(&exp, &query, Format::Json)).unwrap();
        let entries = jsonl.replace('\n', ",");
        assert_eq!(json, format!("{{\"entries\":[{entries}],\"count\":{}}}", expected.len()));
        ParquetTable::read(&export(&exp, &query, Format::Parquet)).assert_holds(&expected);
        let csv = String::from_utf8(export(&exp, &query, Format::Csv)).unwrap();
        let line_ends_in_cells =
            expected.iter().filter(|row| row.fields.get("note").is_some()).count();
        assert_eq!(csv.lines().count(), 1 + expected.len() + line_ends_in_cells);
    }
}

#[test]
fn lines_with_what_only_looks_like_a_number_are_no_rows_in_any_format() {
    let root = tempfile::tempdir().unwrap();
    let exp = recorded(root.path(), (0..10).map(|i| (f64::from(i), fields! { "n": i })));
    let formats = [Format::Json, Format::Jsonl, Format::Csv, Format::Mocap, Format::Parquet];
    let all = || formats.map(|format| export(&exp, &Query::all(), format));
    let expected = all();
    for number in ["01", "-01", "1-2", ".5", "5.", "+1", "1e", "0x1", "--1", "-", "-NaN", "1 2"] {
        append(root.path(), &format!("{{\"timestamp\":20,\"n\":{number}}}\n"));
        append(root.path(), &format!("{{\"timestamp\":21,\"n\":[1,{number}]}}\n"));
        append(root.path(), &format!("{{\"timestamp\":{number},\"n\":1}}\n"));
    }
    assert!(all() == expected);
}

#[test]
fn csv_has_a_cell_for_each_column_and_json_text_for_lists() {
    let root = tempfile::tempdir().unwrap();
    let dict = Value::Map(vec![("id".into(), 1.into())]);
    let rows = [
        (
            1.0,
            fields! { "q": [0.5, f64::NAN], "mode": "hold, \"now\"", "ok": true, "n": Value::Null },
        ),
        (2.5, fields! { "seen": vec![dict], "n": f64::INFINITY, "mode": "" }),
    ];
    let exp = recorded(root.path(), rows);
    let csv = |export: Export| {
        String::from_utf8(exp.tracks("arm/q").export(&Query::all(), export).unwrap()).unwrap()
    };
    assert_eq!(
        csv(Format::Csv.into()),
        "timestamp,q,mode,ok,n,seen\n\
         1.0,\"[0.5,NaN]\",\"hold, \"\"now\"\"\",true,,\n\
         2.5,,,,Infinity,\"[{\"\"id\"\":1}]\"\n"
    );
    assert!(csv(Export::from(Format::Csv).strict()).ends_with("2.5,,,,,\"[{\"\"id\"\":1}]\"\n"));
    let absent = exp.tracks("absent").export(&Query::all(), Format::Csv).unwrap();
    assert_eq!(absent, b"timestamp\n");
}

#[test]
fn mocap_has_the_track_in_front_and_a_frame_for_each_row() {
    let root = tempfile::tempdir().unwrap();
    let exp = recorded(root.path(), [(1.5, fields! { "b": 1 }), (0.5, fields! { "a": [1.0] })]);
    let parse = |file: Vec<u8>| serde_json::from_slice::<Json>(&file).unwrap();
    let mut expected = json!({
        "version": "1.0",
        "metadata": {
            "topic": "arm/q", "description": null, "tags": [], "fps": 30, "duration": 1.0,
            "frameCount": 2, "startTime": 0.5, "endTime": 1.5,
        },
        "channels": ["a", "b"],
        "frames": [{"time": 0.5, "a": [1.0]}, {"time": 1.5, "b": 1}],
    });
    assert_eq!(parse(export(&exp, &Query::all(), Format::Mocap)), expected);

    exp.close().unwrap();
    let path = root.path().join(RUN).join("tracks/arm_q/metadata.json");
    let text = fs::read_to_string(&path).unwrap();
    let described = r#"{"description":"left arm","tags":["arm"],"metadata":{"fps":59.94},"#;
    fs::write(&path, text.replacen('{', described, 1)).unwrap();
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    expected["metadata"]["description"] = json!("left arm");
    expected["metadata"]["tags"] = json!(["arm"]);
    expected["metadata"]["fps"] = json!(59.94);
    assert_eq!(parse(export(&exp, &Query::all(), Format::Mocap)), expected);
}

#[test]
fn mcap_holds_each_row_as_strict_json_at_its_time_and_a_schema_that_foxglove_takes() {
    let root = tempfile::tempdir().unwrap();
    let rows = [
        (0.033, fields! { "q": [0.5, f64::NAN], "mode": "hold", "grid": vec![Value::from([1])] }),
        (1_700_000_000.25, fields! { "n": 1 }),
    ];
    let file = export(&recorded(root.path(), rows), &Query::all(), Format::Mcap);
    let messages: Vec<_> = mcap::MessageStream::new(&file).unwrap().map(Result::unwrap).collect();
    let times: Vec<u64> = messages.iter().map(|message| message.log_time).collect();
    assert_eq!(times, [33_000_000, 1_700_000_000_250_000_000]);
    assert!(messages.iter().all(|message| message.publish_time == message.log_time));
    assert_eq!(
        std::str::from_utf8(&messages[0].data).unwrap(),
        r#"{"timestamp":0.033,"q":[0.5,null],"mode":"hold","grid":[[1]]}"#
    );
    let channel = &messages[0].channel;
    assert_eq!((channel.topic.as_str(), channel.message_encoding.as_str()), ("arm/q", "json"));
    let schema = channel.schema.as_ref().unwrap();
    assert_eq!(schema.encoding, "jsonschema");
    let expected = json!({ "type": "object", "properties": {
        "timestamp": { "type": "number" },
        "q": { "type": "array", "items": { "type": "number" } },
        "mode": { "type": "string" },
        "n": { "type": "integer" },
    }});
    assert_eq!(serde_json::from_slice::<Json>(&schema.data).unwrap(), expected);
}

#[test]
fn the_read_command_writes_every_format_as_the_library_does() {
    let root = tempfile::tempdir().unwrap();
    let exp =
        recorded(root.path(), (0..50).map(|i| (f64::from(i), fields! { "a": [i, 2], "b": 0.5 })));
    let query = Query::range(10.0..=20.0).columns(["a"]).limit(5);
    for format in Format::ALL.iter().copied() {
        let done = read(
            root.path(),
            &[
                "--start",
                "10",
                "--end",
                "20",
                "--columns",
                "a",
                "--limit",
                "5",
                "--format",
                format.name(),
            ],
        );
        assert_eq!(done.code, 0, "{format}: {}", done.stderr);
        let mut expected = export(&exp, &query, format);
        if format == Format::Jsonl {
            // A file of lines ends with one.
            expected.push(b'\n');
        }
        assert_eq!(done.stdout, expected, "{format}");
    }
}

#[test]
fn an_output_file_is_in_the_format_that_its_name_says() {
    let root = tempfile::tempdir().unwrap();
    let exp = recorded(root.path(), [(1.0, fields! { "a": 1 })]);
    for (name, format) in
        [("a.parquet", Format::Parquet), ("a.mcap", Format::Mcap), ("a", Format::Json)]
    {
        let path = root.path().join(name);
        let done = read(root.path(), &["-o", path.to_str().unwrap()]);
        assert_eq!(done.code, 0, "{name}: {}", done.stderr);
        assert_eq!(fs::read(path).unwrap(), export(&exp, &Query::all(), format), "{name}");
    }
}

#[test]
fn a_format_that_nobody_can_read_is_refused_on_a_terminal() {
    let root = tempfile::tempdir().unwrap();
    recorded(root.path(), [(1.0, fields! { "a": 1 })]).close().unwrap();
    let terminal = Terminal::new();
    for (format, code) in [("parquet", 2), ("mcap", 2), ("jsonl", 0)] {
        let mut read = Command::new(env!("CARGO_BIN_EXE_mldash_bridge"));
        read.args(["read", RUN, "arm/q", "--format", format, "--root"]).arg(root.path());
        let done = read.stdout(terminal.open()).output().unwrap();
        let stderr = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(code), "{format}: {stderr}");
        assert_eq!(
            stderr.contains("not for a terminal; name a file with -o"),
            code == 2,
            "{stderr}"
        );
    }
}

#[test]
fn what_is_read_while_another_process_records_is_whole_rows_of_one_moment() {
    let root = tempfile::tempdir().unwrap();
    let mut recorder = program(["append", RUN, "arm/q", "--root"])
        .arg(root.path())
        .env("ML_DASH_TRACK_BATCH_SIZE", "7")
        .start();
    let mut stdin = recorder.stdin.take().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut sent = 0;
    let mut seen = 0;
    while seen < 500 {
        assert!(Instant::now() < deadline, "{seen} of {sent} rows seen");
        for i in sent..sent + 50 {
            writeln!(stdin, "{{\"_ts\": {i}, \"i\": {i}, \"q\": [{i}, 0.5]}}").unwrap();
        }
        sent += 50;
        stdin.flush().unwrap();
        let Ok(reader) = Experiment::open_read_only(RUN, root.path()) else {
            continue;
        };
        let rows = reader.tracks("arm/q").read(&Query::all()).unwrap();
        for (at, row) in rows.iter().enumerate() {
            assert_eq!(row.fields.get("i"), Some(&Value::Int(at as i64)));
        }
        let query = Query::all().limit(rows.len() as u64);
        let table = ParquetTable::read(&export(&reader, &query, Format::Parquet));
        table.assert_holds(&rows);
        seen = rows.len();
    }
    drop(stdin);
    assert!(recorder.wait().unwrap().success());
    let exp = Experiment::open_read_only(RUN, root.path()).unwrap();
    assert_eq!(exp.tracks("arm/q").read(&Query::all()).unwrap().len(), sent);
}

/// Values of one kind a column, or of any: both typed columns and mixed ones come up.
fn column_values() -> impl Strategy<Value = Vec<Value>> {
    let int =
        || prop_oneof![4 => (-9..9_i64).boxed(), 1 => any::<i64>().boxed()].prop_map(Value::Int);
    let float = || {
        prop_oneof![
        6 => (-1e3..1e3_f64).boxed(),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]).boxed(),
    ].prop_map(Value::F64)
    };
    let number = || prop_oneof![int(), float()];
    let text = || "[a-zé\"\\\\\n]{0,6}".prop_map(Value::from);
    let list =
        |items: BoxedStrategy<Value>| prop::collection::vec(items, 0..4).prop_map(Value::List);
    let dict = || {
        (text(), number()).prop_map(|(text, number)| {
            Value::Map(vec![("label".into(), text), ("score".into(), number)])
        })
    };
    let kinds: Vec<BoxedStrategy<Value>> = vec![
        int().boxed(),
        number().boxed(),
        text().boxed(),
        any::<bool>().prop_map(Value::Bool).boxed(),
        any::<u64>().prop_map(Value::from).boxed(),
        list(number().boxed()).boxed(),
        list(list(float().boxed()).boxed()).boxed(),
        list(prop_oneof![4 => dict(), 1 => Just(Value::Null)].boxed()).boxed(),
    ];
    let any_kind = Union::new(kinds.clone()).boxed();
    Union::new(
        kinds.into_iter().chain([any_kind]).map(|kind| {
            prop::collection::vec(prop_oneof![8 => kind, 1 => Just(Value::Null)], 1..12)
        }),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..Default::default() })]

    #[test]
    fn parquet_reads_back_as_the_reconciled_rows(
        columns in prop::collection::vec(column_values(), 1..5),
        at in prop::collection::vec(0..12_i32, 48),
    ) {
        let root = tempfile::tempdir().unwrap();
        let names = ["a", "b.c", "d\"é", "time"];
        let mut at = at.into_iter();
        let rows = columns.into_iter().zip(names).flat_map(|(values, name)| {
            let at: Vec<i32> = at.by_ref().take(values.len()).collect();
            at.into_iter().zip(values).map(move |(ts, value)| {
                (f64::from(ts) / 4.0, [(name, value)].into_iter().collect::<Fields>())
            })
        });
        let exp = recorded(root.path(), rows.collect::<Vec<_>>());
        let table = ParquetTable::read(&export(&exp, &Query::all(), Format::Parquet));
        table.assert_holds(&exp.tracks("arm/q").read(&Query::all()).unwrap());
    }
}

#[test]
fn parquet_of_many_columns_holds_what_fewer_at_a_time_hold() {
    const COLUMNS: i64 = 600;
    let root = tempfile::tempdir().unwrap();
    let exp = Experiment::open("alice/warehouse/wide", Options::local(root.path())).unwrap();
    let track = exp.tracks("t");
    // More cells than a batch has.
    for row in 0..2000_i64 {
        let columns = (0..COLUMNS).filter(|i| (i + row) % 7 > 0);
        let value = |i: i64| match i % 4 {
            0 => Value::Int(row * i),
            1 => Value::F64(row as f64 + 0.5),
            2 => Value::Text(format!("{row}")),
            _ => Value::from([row, i]),
        };
        let fields: Fields = columns.map(|i| (format!("c{i}"), value(i))).collect();
        track.append(fields, row as f64).unwrap();
    }
    let read = |query: &Query| ParquetTable::read(&track.export(query, Format::Parquet).unwrap());
    let all = read(&Query::all());
    for start in [0, 250, 590] {
        let names: Vec<String> = (start..start + 8).map(|i| format!("c{i}")).collect();
        let some = read(&Query::all().columns(names.clone()));
        for name in names.iter().map(String::as_str).chain(["timestamp"]) {
            let (all, some) = (all.column(name), some.column(name));
            assert!(all.len() == 2000 && format!("{all:?}") == format!("{some:?}"), "{name}");
        }
    }
    assert_eq!(all.types().len(), COLUMNS as usize + 1);
}
