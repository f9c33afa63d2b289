//! Whatever is appended, flushed, reopened and cut short by a crash: what is read back is what a
//! sorted map of merged dicts says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use mldash_bridge::track::{Experiment, Fields, Format, Options, Query, Value};
use proptest::prelude::*;
use serde_json::{Map, Value as Json};

const RUN: &str = "alice/warehouse/run-1";
const TOPIC: &str = "robot/pose";

/// Rows by time, in quarters of a second so that times repeat and are exact.
type Model = BTreeMap<i32, Map<String, Json>>;

#[derive(Clone, Debug)]
enum Step {
    Append(i32, Vec<(String, Json)>),
    Flush,
    Reopen,
    /// The power goes with this much, of 1, of the file written.
    CutAt(f64),
}

fn step() -> impl Strategy<Value = Step> {
    let json = prop_oneof![
        any::<i64>().prop_map(Json::from),
        (-1e9..1e9_f64).prop_map(Json::from),
        "[a-z\"\\\\\n]{0,8}".prop_map(Json::from),
        prop::collection::vec(0..9_u8, 0..4).prop_map(Json::from),
        Just(Json::Null),
    ];
    let fields = prop::collection::vec(("[abc]", json), 0..3);
    prop_oneof![
        8 => (-20..20_i32, fields).prop_map(|(ts, fields)| Step::Append(ts, fields)),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => (0.0..=1.0_f64).prop_map(Step::CutAt),
    ]
}

fn open(root: &Path) -> Experiment {
    let hour = Duration::from_secs(3600);
    let options = Options::local(root).flush_interval(hour).batch_rows(usize::MAX);
    Experiment::open(RUN, options).unwrap()
}

fn to_value(json: &Json) -> Value {
    match json {
        Json::Number(n) => n.as_i64().map_or_else(|| Value::F64(n.as_f64().unwrap()), Value::Int),
        Json::String(s) => s.as_str().into(),
        Json::Array(items) => items.iter().map(to_value).collect::<Vec<_>>().into(),
        _ => Value::Null,
    }
}

fn merge(model: &mut Model, ts: i32, fields: impl IntoIterator<Item = (String, Json)>) {
    model.entry(ts).or_default().extend(fields);
}

fn quarters(row: &mut Map<String, Json>) -> i32 {
    (row.remove("timestamp").unwrap().as_f64().unwrap() * 4.0) as i32
}

fn parse(text: &str) -> Vec<(i32, Map<String, Json>)> {
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.map(|mut row: Map<String, Json>| (quarters(&mut row), row)).collect()
}

fn read(exp: &Experiment) -> Vec<(i32, Map<String, Json>)> {
    let text = exp.tracks(TOPIC).export(&Query::all(), Format::Jsonl).unwrap();
    parse(std::str::from_utf8(&text).unwrap())
}

/// Cuts the data file and says what whole lines are left, by an independent reading.
fn cut(data: &Path, part: f64) -> Model {
    let mut model = Model::new();
    let Ok(mut bytes) = fs::read(data) else {
        return model;
    };
    bytes.truncate((bytes.len() as f64 * part) as usize);
    fs::write(data, &bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for line in text.split('\n') {
        if let Ok(Json::Object(mut row)) = serde_json::from_str(line) {
            merge(&mut model, quarters(&mut row), row);
        }
    }
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn reads_back_as_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join(RUN).join("tracks/robot_pose/data.jsonl");
        let mut model = Model::new();
        let mut exp = open(root.path());
        for step in steps {
            match step {
                Step::Append(ts, fields) => {
                    let row: Fields = fields.iter().map(|(n, v)| (n.as_str(), to_value(v))).collect();
                    exp.tracks(TOPIC).append(row, f64::from(ts) / 4.0).unwrap();
                    merge(&mut model, ts, fields);
                }
                Step::Flush => exp.flush().unwrap(),
                Step::Reopen => {
                    exp.close().unwrap();
                    exp = open(root.path());
                }
                Step::CutAt(part) => {
                    // All rows are out before the cut, so that what is lost is the cut's doing.
                    exp.flush().unwrap();
                    exp.close().unwrap();
                    model = cut(&data, part);
                    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
                    prop_assert_eq!(read(&reader), model.clone().into_iter().collect::<Vec<_>>());
                    exp = open(root.path());
                }
            }
        }
        let expected: Vec<_> = model.into_iter().collect();
        prop_assert_eq!(&read(&exp), &expected);
        exp.close().unwrap();
        let on_disk = fs::read_to_string(&data).unwrap_or_default();
        prop_assert_eq!(&parse(&on_disk), &expected);
        let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
        let listed: u64 = reader.list().unwrap().iter().map(|t| t.total_entries).sum();
        prop_assert_eq!(listed as usize, expected.len());
    }
}
