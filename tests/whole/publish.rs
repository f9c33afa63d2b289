//! Recordings on an object store, by the program itself: a folder is one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampNanosecondType};
use mldash_bridge::fields;
use mldash_bridge::track::{ColumnType, Experiment, Options, RowSchema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::ParquetMetaData;
use serde_json::Value as Json;

use crate::dataset::record;
use crate::program::{Done, program};

const RUN: &str = "alice/lab/monday/run 1";

/// A place for recordings, and a store.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.root.path().join("dash")
    }

    fn store(&self) -> PathBuf {
        self.root.path().join("the store")
    }

    fn url(&self) -> String {
        format!("file://{}", self.store().display()).replace(' ', "%20")
    }

    fn publish(&self, args: &[&str]) -> Done {
        program(["publish"])
            .args(args)
            .arg("--root")
            .arg(self.root())
            .args(["--to", &self.url()])
            .run()
    }

    /// Publishes, and returns what the program says it did.
    fn published(&self, args: &[&str]) -> Json {
        let done = self.publish(&[args, &["--json"]].concat());
        assert_eq!(done.code, 0, "{}", done.stderr);
        serde_json::from_str(done.text()).unwrap()
    }

    /// The files below a folder of the store, by name.
    fn files(&self, folder: &str) -> Vec<String> {
        let mut files = Vec::new();
        let mut folders = vec![self.store().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => {
                        files.push(path.strip_prefix(self.store()).unwrap().display().to_string())
                    }
                }
            }
        }
        files.sort();
        files
    }

    fn batches(&self, file: &str) -> (Vec<RecordBatch>, ParquetMetaData) {
        let file = fs::File::open(self.store().join(file)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let about = reader.metadata().as_ref().clone();
        (reader.build().unwrap().map(Result::unwrap).collect(), about)
    }
}

fn names(batch: &RecordBatch) -> Vec<String> {
    batch.schema().fields().iter().map(|field| field.name().clone()).collect()
}

/// A recording with poses, and pictures that rows name.
fn recorded(place: &Place) {
    let exp = record(&place.root(), RUN);
    let schema = RowSchema::new("/pose").column("q", ColumnType::list(ColumnType::Float));
    let pose = exp.tracks("robot/pose").with_schema(schema);
    for i in 0..10 {
        pose.append(fields! { "q": [f64::from(i)], "mode": "hold" }, 1.7e9 + f64::from(i)).unwrap();
    }
    for (i, size) in [10, 1000].into_iter().enumerate() {
        let name = format!("{i}.png");
        exp.files("camera").save_bytes(vec![i as u8; size], &name).unwrap();
        let row = fields! { "path": format!("camera/{name}"), "index": i as u64 };
        exp.tracks("camera").append(row, 1.7e9 + i as f64).unwrap();
    }
    exp.close().unwrap();
}

#[test]
fn a_recording_becomes_files_that_any_reader_of_hive_partitions_takes() {
    let place = Place::new();
    recorded(&place);
    let told = place.published(&["alice/**"]);
    assert_eq!(told["experiments"][0]["rows_put"], 12);
    assert_eq!(told["experiments"][0]["files_put"], 2);

    let partition = "owner=alice/project=lab/experiment=monday%2Frun%201";
    let tracks = place.files("tracks");
    let expected = [
        format!("tracks/camera/{partition}/00000-"),
        format!("tracks/robot%2Fpose/{partition}/00000-"),
    ];
    assert!(
        tracks.iter().zip(&expected).all(|(file, begin)| file.starts_with(begin)),
        "{tracks:?}"
    );
    assert_eq!(tracks.len(), 2);
    assert_eq!(
        place.files("experiments"),
        ["experiments/owner=alice/project=lab/monday%2Frun%201.parquet"]
    );
    assert_eq!(place.files("schemas"), ["schemas/camera.json", "schemas/robot%2Fpose.json"]);

    let (poses, about) = place.batches(&tracks[1]);
    assert_eq!(names(&poses[0]), ["timestamp", "stamp", "q", "mode"]);
    let stamps = poses[0].column(1).as_primitive::<TimestampNanosecondType>();
    assert_eq!(stamps.value(1), 1_700_000_001_000_000_000);
    assert_eq!(stamps.timezone(), Some("UTC"));
    let group = about.row_group(0);
    assert!(group.columns().iter().all(|column| column.statistics().is_some()), "{group:?}");
    assert!(group.columns().iter().all(|column| column.column_index_offset().is_some()));
    assert!(group.columns().iter().all(|column| column.bloom_filter_offset().is_none()));
    let mode =
        group.columns().iter().find(|column| column.column_path().string() == "mode").unwrap();
    assert!(mode.dictionary_page_offset().is_some());

    let (pictures, _) = place.batches(&tracks[0]);
    let urls = pictures[0].column_by_name("path_url").unwrap().as_string::<i32>();
    let files = place.files("files");
    for url in urls.iter().flatten() {
        let name = url.strip_prefix(&format!("{}/", place.url())).unwrap().replace("%25", "%");
        assert!(files.contains(&name), "{url} {files:?}");
    }
    let (experiments, _) = place.batches(&place.files("experiments")[0]);
    let text = |column: &str| {
        experiments[0].column_by_name(column).unwrap().as_string::<i32>().value(0).to_owned()
    };
    assert_eq!((text("experiment"), text("name")), ("monday/run 1".to_owned(), RUN.to_owned()));
    let secs =
        experiments[0].column_by_name("duration_secs").unwrap().as_primitive::<Float64Type>();
    assert_eq!(secs.value(0), 9.0);
}

#[test]
fn published_again_nothing_is_put_and_later_rows_are_added() {
    let place = Place::new();
    recorded(&place);
    place.published(&[RUN]);
    let before = place.files("");
    let again = place.published(&[RUN]);
    assert_eq!((&again["experiments"][0]["rows_put"], &again["requests"]), (&0.into(), &2.into()));
    assert_eq!(place.files(""), before);

    let exp = record(&place.root(), RUN);
    exp.tracks("robot/pose").append(fields! { "q": [1.5], "speed": 2 }, 1.8e9).unwrap();
    exp.close().unwrap();
    let told = place.published(&[RUN]);
    assert_eq!(told["experiments"][0]["rows_put"], 1);
    let after = place.files("tracks");
    assert_eq!(after.len(), 3);
    assert!(
        before.iter().filter(|file| file.starts_with("tracks")).all(|file| after.contains(file))
    );
    let (later, _) = place.batches(after.last().unwrap());
    assert_eq!(names(&later[0]), ["timestamp", "stamp", "q", "mode", "speed"]);
}

#[test]
fn small_pictures_can_lie_in_the_rows() {
    let place = Place::new();
    recorded(&place);
    place.published(&[RUN, "--inline-files", "100B"]);
    assert_eq!(place.files("files").len(), 1, "the large one");
    let (rows, _) = place.batches(&place.files("tracks")[0]);
    let data = rows[0].column_by_name("path_data").unwrap().as_binary::<i32>();
    assert_eq!(data.iter().collect::<Vec<_>>(), [Some(&[0; 10][..]), None]);
    let urls = rows[0].column_by_name("path_url").unwrap().as_string::<i32>();
    assert_eq!(urls.iter().map(|url| url.is_some()).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn what_no_manifest_names_is_removed_when_it_is_old_enough() {
    let place = Place::new();
    recorded(&place);
    place.published(&[RUN]);
    let before = place.files("");
    let stray = place.store().join("tracks/robot%2Fpose/owner=alice/project=lab/experiment=x");
    fs::create_dir_all(&stray).unwrap();
    fs::write(stray.join("00000-aa.parquet"), "x").unwrap();
    let young = place.published(&["--vacuum"]);
    assert_eq!(
        (&young["removed"]["objects"], &young["removed"]["left_as_too_young"]),
        (&0.into(), &1.into())
    );
    std::thread::sleep(std::time::Duration::from_millis(20));
    let removed = place.published(&["--vacuum", "--grace", "0.001"]);
    assert_eq!(removed["removed"]["objects"], 1);
    assert_eq!(place.files(""), before);
}

#[test]
fn a_copy_with_fewer_rows_takes_none_away_and_says_so() {
    let place = Place::new();
    recorded(&place);
    place.published(&[RUN]);
    let before = place.files("tracks");
    let row = place.store().join(&place.files("experiments")[0]);
    let about = fs::read(&row).unwrap();
    fs::remove_dir_all(place.root()).unwrap();
    let exp = record(&place.root(), RUN);
    exp.tracks("robot/pose").append(fields! { "q": [0.0], "mode": "hold" }, 1.7e9).unwrap();
    exp.close().unwrap();
    let done = place.publish(&[RUN]);
    assert_eq!(done.code, 3, "{}", done.stderr);
    assert!(
        done.stderr.contains("track `robot/pose`: 9 rows are published that are not here"),
        "{}",
        done.stderr
    );
    assert_eq!(place.files("tracks"), before);
    assert_eq!(fs::read(&row).unwrap(), about);
}

#[test]
fn rows_that_changed_after_they_were_merged_are_said_to_wait_for_the_next_compaction() {
    let place = Place::new();
    let runs = ["alice/lab/one", "alice/lab/two"];
    let append = |run: &str, x: i64| {
        let exp = Experiment::open(run, Options::local(place.root())).unwrap();
        exp.tracks("arm").append(fields! { "x": x }, 1.0).unwrap();
        exp.close().unwrap();
    };
    let compact = || {
        let done = program(["compact", &place.url()]).run();
        assert_eq!(done.code, 0, "{}", done.stderr);
    };
    runs.iter().for_each(|run| append(run, 1));
    place.published(&runs);
    compact();
    assert_eq!((place.files("compacted").len(), place.files("tracks").len()), (1, 0));
    append(runs[0], 2);
    let done = place.publish(&runs);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let said = "1 files that were replaced lie in merged ones";
    assert!(done.stderr.contains(said), "{}", done.stderr);
    compact();
    assert_eq!((place.files("compacted").len(), place.files("tracks").len()), (1, 0));
    let again = place.publish(&runs);
    assert!(!again.stderr.contains(said), "{}", again.stderr);
}

#[test]
fn wrong_urls_are_wrong_usage_and_secrets_in_them_are_not_repeated() {
    let place = Place::new();
    recorded(&place);
    let to = |url: &str| program(["publish", RUN, "--to", url, "--root"]).arg(place.root()).run();
    let done = to("ftp://x/y");
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("there is no store for `ftp://`"), "{}", done.stderr);
    let done = to("s3://key:hunter2@bucket/x");
    assert_eq!(done.code, 2);
    assert!(!done.stderr.contains("hunter2"), "{}", done.stderr);
    // A folder that can't be made.
    let done = to(&format!(
        "file://{}/dash/alice/lab/monday/run 1/experiment.json/x",
        place.root.path().display()
    ));
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("can't create"), "{}", done.stderr);
}

fn import(config: &Path) -> (Done, Json) {
    let bag = crate::dataset::source("tests/data/sena_lab_loop.mcap");
    let done = program(["import"]).arg(&bag).arg("--config").arg(config).arg("--json").run();
    assert!([0, 3].contains(&done.code), "{}", done.stderr);
    let account = serde_json::from_str(done.text()).unwrap();
    (done, account)
}

/// Imports it until all is published: how much a busy disk takes in the time that one import waits is not what is tested.
fn import_until_published(config: &Path) -> Json {
    let mut imports = (0..20).map(|_| import(config).1);
    imports.find(|account| account["publish"]["state"] == "up_to_date").unwrap()
}

#[test]
fn parts_of_a_recording_are_published_when_they_are_closed() {
    let place = Place::new();
    let config = place.root.path().join("m.yaml");
    let mapping = format!(
        "experiment: alice/lab/run\nroot: {}\npublish: {{to: \"{}\"}}\nsplit: {{rows: 300}}\ntopics: [{{topic: /**}}]\n",
        place.root().display(),
        place.url()
    );
    fs::write(&config, mapping).unwrap();
    let account = import_until_published(&config);
    let parts = 1 + account["earlier_parts"].as_array().unwrap().len();
    assert!(parts > 1);
    assert_eq!(account["publish"]["parts_waiting"], 0, "{account}");
    assert_eq!(place.files("experiments").len(), parts);
    // All rows are there, as they are here.
    let mut here: BTreeMap<String, u64> = BTreeMap::new();
    for name in mldash_bridge::track::find_experiment_names(place.root(), |_| true).unwrap() {
        for track in Experiment::open_read_only(&name, place.root()).unwrap().list().unwrap() {
            *here.entry(track.topic).or_default() += track.total_entries;
        }
    }
    let mut there: BTreeMap<String, u64> = BTreeMap::new();
    for file in place.files("manifests") {
        let manifest: Json =
            serde_json::from_slice(&fs::read(place.store().join(file)).unwrap()).unwrap();
        for file in manifest["files"].as_array().unwrap() {
            *there.entry(file["topic"].as_str().unwrap().to_owned()).or_default() +=
                file["rows"].as_u64().unwrap();
        }
    }
    here.retain(|_, rows| *rows > 0);
    assert_eq!(there, here);
}

#[test]
fn what_could_not_be_published_is_published_by_the_next_recording() {
    let place = Place::new();
    let config = place.root.path().join("m.yaml");
    let mapping = |name: &str| {
        format!(
            "experiment: alice/lab/{name}\nroot: {}\npublish: {{to: \"{}\", single_writer: true}}\ntopics: [{{topic: /**}}]\n",
            place.root().display(),
            place.url()
        )
    };
    // A file stands where the store is to be.
    fs::write(place.store(), "").unwrap();
    fs::write(&config, mapping("first")).unwrap();
    let (done, account) = import(&config);
    assert_eq!(account["publish"]["state"], "failing");
    assert!(done.stderr.contains("1 parts are not published yet"), "{}", done.stderr);
    assert!(
        done.stderr.contains(&format!("--to {} --single-writer", place.url())),
        "{}",
        done.stderr
    );
    fs::remove_file(place.store()).unwrap();
    fs::write(&config, mapping("second")).unwrap();
    import_until_published(&config);
    let names: Vec<String> = place.files("experiments");
    assert_eq!(names.len(), 2, "{names:?}");
}

/// Where a mapping is wrong is said with line and column.
#[test]
fn a_wrong_publish_in_a_mapping_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.yaml");
    let told = |publish: &str| {
        fs::write(&file, format!("publish: {publish}\ntopics: [{{topic: /x}}]\n")).unwrap();
        let done = program(["check"]).arg(&file).run();
        assert_eq!(done.code, 2, "{}", done.stderr);
        done.stderr
    };
    assert!(told("s3://fleet/x").contains("write `publish: {to: s3://fleet/x}`"));
    assert!(told("{}").contains("`to` is missing"));
    assert!(told("{to: 'http://x'}").contains("m.yaml:1:"));
    let secret = told("{to: 's3://key:hunter2@bucket/x'}");
    assert!(
        secret.contains("credentials come from the environment") && !secret.contains("hunter2"),
        "{secret}"
    );
    let folder = told("{to: 'file:///b', endpoint: 'http://127.0.0.1:9'}");
    assert!(folder.contains("`endpoint` is not for a folder"), "{folder}");
    assert!(told("{to: 's3://b', limit_rate: 0}").contains("nothing can be sent"));
}
