//! A bag made message by message, and what a mapping makes of it: whole-program tests of the recorder
//! that need no graph.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use mldash_bridge::track::{Experiment, FileInfo, Query, Row, find_experiment_names};
use serde_json::Value;

use super::account::assert_adds_up;
use super::decode::encoder::{Encoder, encode};
use super::program::{Done, Program, program};

const RUN: &str = "tests/made/run";
const BAG: &str = "made.mcap";

/// `std_msgs/Header` and what is in it, behind a definition.
macro_rules! with_header {
    ($fields:literal) => {
        concat!(
            $fields,
            "\n===\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n",
            "===\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
        )
    };
}
pub(crate) use with_header;

/// A message type: name and definition.
pub type Type = (&'static str, &'static str);

/// A header and a number.
pub const STAMPED: Type =
    ("made_msgs/msg/Stamped", with_header!("std_msgs/Header header\nfloat64 x"));
/// A text, without a header.
pub const TEXT: Type = ("std_msgs/msg/String", "string data");

/// A [`STAMPED`] message.
pub fn stamped(stamp_nanos: i64, x: f64) -> Vec<u8> {
    encode(|e| header(e, stamp_nanos).f64s(&[x]))
}

/// A [`TEXT`] message.
pub fn text(text: &str) -> Vec<u8> {
    encode(|e| e.text(text))
}

/// A header of the frame `map`.
pub fn header(encoder: &mut Encoder, stamp_nanos: i64) -> &mut Encoder {
    let sec = i32::try_from(stamp_nanos / 1_000_000_000).unwrap();
    encoder.header(sec, u32::try_from(stamp_nanos % 1_000_000_000).unwrap(), "map")
}

/// A bag in the making.
pub struct MadeBag {
    folder: tempfile::TempDir,
    writer: mcap::Writer<std::io::BufWriter<File>>,
    /// By topic and type.
    channels: BTreeMap<(String, &'static str), u16>,
    /// What rosbag2 says of the publishers of new topics.
    offered_qos: Option<&'static str>,
}

/// What became of it.
pub struct Imported {
    folder: tempfile::TempDir,
    bag: PathBuf,
    pub done: Done,
}

impl MadeBag {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create(folder.path().join(BAG)).unwrap();
        let writer = mcap::Writer::new(std::io::BufWriter::new(file)).unwrap();
        Self { folder, writer, channels: BTreeMap::new(), offered_qos: None }
    }

    /// Topics that come from now on are said to have publishers with these profiles.
    pub fn offer(&mut self, offered_qos: &'static str) {
        self.offered_qos = Some(offered_qos);
    }

    /// Adds a message that was logged at `log_nanos`.
    pub fn add(&mut self, topic: &str, (name, definition): Type, log_nanos: u64, cdr: &[u8]) {
        let key = (topic.to_owned(), name);
        let known = self.channels.get(&key).copied();
        let channel_id = known.unwrap_or_else(|| {
            let schema = self.writer.add_schema(name, "ros2msg", definition.as_bytes()).unwrap();
            let qos =
                self.offered_qos.map(|qos| ("offered_qos_profiles".to_owned(), qos.to_owned()));
            let metadata: BTreeMap<String, String> = qos.into_iter().collect();
            let channel = self.writer.add_channel(schema, topic, "cdr", &metadata).unwrap();
            self.channels.insert(key, channel);
            channel
        });
        let header = mcap::records::MessageHeader {
            channel_id,
            sequence: 0,
            log_time: log_nanos,
            publish_time: log_nanos,
        };
        self.writer.write_to_known_channel(&header, cdr).unwrap();
    }

    /// Imports it; the import must end in order and its account add up.
    pub fn import(self, mapping: &str) -> Imported {
        self.import_by(mapping, |import| import)
    }

    /// As [`import`](Self::import), by a program that `prepare` has changed.
    pub fn import_by(self, mapping: &str, prepare: impl FnOnce(Program) -> Program) -> Imported {
        let folder = self.write();
        let bag = folder.path().join(BAG);
        import(folder, &bag, mapping, prepare)
    }

    /// The bag itself, in a folder of its own.
    pub fn finish(self) -> (tempfile::TempDir, PathBuf) {
        let folder = self.write();
        let bag = folder.path().join(BAG);
        (folder, bag)
    }

    /// Its folder, once all is in it.
    fn write(mut self) -> tempfile::TempDir {
        self.writer.finish().unwrap();
        drop(self.writer);
        self.folder
    }
}

/// Imports a bag that there is into an experiment of its own.
pub fn import_file(bag: &Path, mapping: &str) -> Imported {
    import(tempfile::tempdir().unwrap(), bag, mapping, |import| import)
}

/// Imports a bag into the experiment in a folder. The exit code is what the account says.
fn import(
    folder: tempfile::TempDir,
    bag: &Path,
    mapping: &str,
    prepare: impl FnOnce(Program) -> Program,
) -> Imported {
    let path = |name: &str| folder.path().join(name);
    let config = path("mapping.yaml");
    fs::write(&config, mapping).unwrap();
    let import = program(["import", "--json", "--experiment", RUN]).arg("--root");
    let import = import.arg(path("root")).arg("--config").arg(config);
    let done = prepare(import.arg(bag)).run();
    assert!(matches!(done.code, 0 | 3), "{}", done.stderr);
    let imported = Imported { folder, bag: bag.to_owned(), done };
    assert_adds_up(&imported.account());
    assert_eq!(imported.is_complete(), imported.done.code == 0, "{:#}", imported.account());
    imported
}

impl Imported {
    pub fn account(&self) -> Value {
        serde_json::from_slice(&self.done.stdout).unwrap()
    }

    /// Whether all that was asked for is there.
    pub fn is_complete(&self) -> bool {
        self.account()["complete"].as_bool().unwrap()
    }

    /// The account of one topic.
    pub fn topic(&self, name: &str) -> Value {
        let account = self.account();
        let found = account["topics"].as_array().unwrap().iter().find(|t| t["topic"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {account:#}")).clone()
    }

    pub fn rows(&self, track: &str) -> Vec<Row> {
        self.experiment().tracks(track).read(&Query::all()).unwrap()
    }

    /// Imports the same bag into the same experiment once more.
    pub fn again(self, mapping: &str) -> Self {
        assert!(self.folder.path().join("root").exists());
        import(self.folder, &self.bag, mapping, |import| import)
    }

    /// Imports another bag into the same experiment.
    pub fn and(self, bag: MadeBag, mapping: &str) -> Self {
        let other = bag.write();
        let path = self.folder.path().join("other.mcap");
        fs::rename(other.path().join(BAG), &path).unwrap();
        import(self.folder, &path, mapping, |import| import)
    }

    /// Where a file of the experiment lies, by the `path` of its row.
    pub fn file(&self, path: &str) -> PathBuf {
        let files = self.experiment().files("");
        let info = files.find(path).unwrap().unwrap_or_else(|| panic!("no file {path}"));
        files.path(&info).unwrap()
    }

    /// The paths of all files, sorted.
    pub fn files(&self) -> Vec<String> {
        let files = self.experiment().files("").list().unwrap();
        let path = |file: &FileInfo| format!("{}/{}", file.path, file.filename);
        files.iter().map(|file| path(file).trim_start_matches('/').to_owned()).collect()
    }

    /// The times of a track's rows.
    pub fn times(&self, track: &str) -> Vec<f64> {
        self.rows(track).iter().map(|row| row.ts.as_secs()).collect()
    }

    pub fn tracks(&self) -> Vec<String> {
        self.experiment().list().unwrap().into_iter().map(|track| track.topic).collect()
    }

    pub fn experiment(&self) -> Experiment {
        self.part("")
    }

    /// The part whose name ends like this: `_002`.
    pub fn part(&self, suffix: &str) -> Experiment {
        let root = self.folder.path().join("root");
        Experiment::open_read_only(&format!("{RUN}{suffix}"), root).unwrap()
    }

    /// The names of all experiments.
    pub fn experiments(&self) -> Vec<String> {
        find_experiment_names(self.folder.path().join("root"), |_| true).unwrap()
    }
}
