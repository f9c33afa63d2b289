//! `mldash_bridge align`: options and recipes.

use std::path::Path;

use mldash_bridge::track::{Align, Experiment};

use super::{RUN, open, record};
use crate::parquet_table::ParquetTable;
use crate::program::{Done, program};

pub(super) fn align(root: &Path, args: &[&str]) -> Done {
    program(["align", RUN].iter().chain(args)).arg("--root").arg(root).run()
}

#[test]
fn the_command_writes_joined_rows_and_says_what_it_can_not_join() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "camera", "frame", &[1.0, 2.0, 3.0]);
    record(&exp, "robot/pose", "q", &[1.9, f64::MAX]);
    record(&exp, "arm", "j", &[2.1]);
    exp.close().unwrap();

    let with = ["--on", "camera", "--with", "robot/pose,arm", "--end", "2.5"];
    let done =
        align(root.path(), &[&with[..], &["--method", "nearest", "--tolerance", "0.5"]].concat());
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(
        done.text(),
        "{\"timestamp\":1.0,\"frame\":1.0}\n\
         {\"timestamp\":2.0,\"frame\":2.0,\"robot/pose.timestamp\":1.9,\"robot/pose.q\":1.9,\
         \"arm.timestamp\":2.1,\"arm.j\":2.1}\n"
    );

    let file = root.path().join("aligned.jsonl");
    let to_file = ["--on", "camera", "--with", "arm", "-o", file.to_str().unwrap()];
    assert_eq!(align(root.path(), &to_file).text(), "");
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 3);

    let table = root.path().join("aligned.parquet");
    align(root.path(), &["--on", "camera", "--with", "arm", "-o", table.to_str().unwrap()]);
    let reader = Experiment::open_read_only(RUN, root.path()).unwrap();
    let aligned = reader.align(&Align::on("camera").with(["arm"])).unwrap();
    let rows: Vec<_> = aligned.rows().map(Result::unwrap).collect();
    ParquetTable::read(&std::fs::read(table).unwrap()).assert_holds(&rows);

    let absent = align(root.path(), &["--on", "camera", "--with", "leg"]);
    assert_eq!(absent.code, 1);
    assert!(absent.stderr.contains("`leg`") && absent.stderr.contains("robot/pose"));
    let twice = align(root.path(), &["--on", "camera", "--with", "arm,arm"]);
    assert_eq!(twice.code, 2, "{}", twice.stderr);
    let names = ["--rename", "arm:j=frame"];
    let same = align(root.path(), &[&["--on", "camera", "--with", "arm"], &names[..]].concat());
    assert_eq!(same.code, 2, "{}", same.stderr);
    let negative = align(root.path(), &["--on", "camera", "--with", "arm", "--tolerance=-1"]);
    assert_eq!(negative.code, 2, "{}", negative.stderr);
}

#[test]
fn options_say_how_to_join_all_tracks_or_one() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "camera", "frame", &[1.0, 2.0, 3.0]);
    record(&exp, "arm/joints", "q", &[0.5, 2.5, 3.5]);
    record(&exp, "imu", "x", &[1.4, 2.9]);
    exp.close().unwrap();
    let done = align(
        root.path(),
        &[
            "--on",
            "camera",
            "--with",
            "/arm/joints,imu",
            "--method",
            "arm/joints=linear",
            "--tolerance",
            "5",
            "--tolerance",
            "imu=0.2",
            "--missing",
            "imu=drop",
            "--rename",
            "arm/joints:q=position",
            "--columns",
            "imu:x,camera:frame",
            "--age",
        ],
    );
    assert_eq!(done.code, 0, "{}", done.stderr);
    let row = done.text();
    assert_eq!(
        row.strip_suffix('\n').unwrap(),
        r#"{"timestamp":3.0,"frame":3.0,"arm/joints.timestamp":2.5,"arm/joints.age":0.5,"position":3.0,"imu.age":0.10000000000000009,"imu.x":2.9}"#
    );
    let done = align(root.path(), &["--rate", "2", "--with", "imu", "--method", "count"]);
    assert_eq!(done.text().lines().count(), 4, "{}", done.text());

    let wrong: [(&[&str], &str); 8] = [
        (&["--rate", "0", "--with", "imu"], "above 0"),
        (&["--with", "imu"], "--on"),
        (&["--on", "camera", "--rate", "2", "--with", "imu"], "cannot be used with"),
        (
            &["--on", "camera", "--with", "imu", "--method", "liner"],
            "`liner` is none of floor, nearest",
        ),
        (&["--on", "camera", "--with", "imu", "--method", "gps=linear"], "the track `gps`"),
        (&["--on", "camera", "--with", "imu", "--columns", "x"], "TRACK:COLUMN"),
        (&["--on", "camera", "--with", "imu", "--tolerance", "imu=far"], "a number of seconds"),
        (&["--on", "camera", "--with", "imu", "--recipe", "r.yaml"], "cannot be used with"),
    ];
    for (args, expected) in wrong {
        let done = align(root.path(), args);
        assert_eq!(done.code, 2, "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(expected), "{args:?}: {}", done.stderr);
    }
    let column = align(root.path(), &["--on", "camera", "--with", "imu", "--columns", "imu:y"]);
    assert_eq!(column.code, 1);
    assert!(
        column.stderr.contains("track `imu` has no column `y`; there are: x"),
        "{}",
        column.stderr
    );
    let missing = align(
        root.path(),
        &["--on", "camera", "--with", "imu", "--tolerance", "0.5", "--missing", "error"],
    );
    assert_eq!(missing.code, 1);
    assert!(
        missing.stderr.contains("`imu` has nothing to join at 1 within 0.5 s"),
        "{}",
        missing.stderr
    );
}

#[test]
fn a_recipe_says_the_same_and_all_that_is_wrong_with_it_is_told_at_once() {
    let root = tempfile::tempdir().unwrap();
    let exp = open(root.path());
    record(&exp, "camera", "frame", &[1.0, 2.0, 3.0]);
    record(&exp, "arm", "q", &[0.5, 2.5, 3.5]);
    exp.close().unwrap();
    let recipe = root.path().join("recipe.yaml");
    std::fs::write(
        &recipe,
        "on: camera\nend: 2.5\njoin:\n  - {track: arm, method: linear, rename: {q: position}, age: true}\n",
    )
    .unwrap();
    let by_recipe = |args: &[&str]| {
        align(root.path(), &[&["--recipe", recipe.to_str().unwrap()], args].concat())
    };
    let options = ["--on", "camera", "--with", "arm", "--method", "linear", "--age"];
    let rename = ["--rename", "arm:q=position", "--end", "2.5"];
    let done = by_recipe(&[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.text(), align(root.path(), &[&options[..], &rename[..]].concat()).text());
    assert_eq!(by_recipe(&["--end", "1.5"]).text().lines().count(), 1);
    // The recipe's end stays.
    let from_two = by_recipe(&["--start", "2"]);
    assert!(from_two.text().starts_with("{\"timestamp\":2.0,"), "{}", from_two.text());
    assert_eq!(from_two.text().lines().count(), 1, "{}", from_two.text());
    let table = root.path().join("joined.parquet");
    assert_eq!(by_recipe(&["-o", table.to_str().unwrap()]).code, 0);
    assert_eq!(ParquetTable::read(&std::fs::read(table).unwrap()).column("position").len(), 2);

    std::fs::write(&recipe, "on: camera\nrate: 3\njoin:\n  - {track: arm, methd: linear}\n")
        .unwrap();
    let done = by_recipe(&[]);
    assert_eq!(done.code, 2);
    for expected in
        ["2 problems in the recipe", "recipe.yaml:2:7: rate", "recipe.yaml:4:18", "`method`"]
    {
        assert!(done.stderr.contains(expected), "{expected}: {}", done.stderr);
    }
    let absent = align(root.path(), &["--recipe", "absent.yaml"]);
    assert_eq!(absent.code, 2);
    assert!(absent.stderr.contains("can't read the recipe absent.yaml"), "{}", absent.stderr);
}
