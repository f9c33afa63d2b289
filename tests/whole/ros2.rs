//! `mldash_bridge export --ros2`: a recording becomes messages again.

mod left_out;
mod round_trip;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mldash_bridge::track::{Experiment, Format, Query};

use crate::program::{Done, program};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
const RUN: &str = "tests/ros2/run";

/// A folder with recordings and bags.
struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Imports a bag into a root of this name.
    fn import(&self, bag: &Path, mapping: &str, root: &str) -> Done {
        let config = self.path("mapping.yaml");
        fs::write(&config, format!("min_free: 0\n{mapping}")).unwrap();
        let import = program(["import", "--experiment", RUN, "--root"]).arg(self.path(root));
        import.arg("--config").arg(config).arg(bag).env("AMENT_PREFIX_PATH", "").run()
    }

    /// Exports the recording below a root to a bag of this name.
    fn export(&self, root: &str, bag: &str) -> Done {
        let export = program(["export", RUN, "--ros2", "--root"]).arg(self.path(root));
        export.arg("-o").arg(self.path(bag)).run()
    }

    /// Every track below a root as text, its files included.
    fn tracks(&self, root: &str) -> BTreeMap<String, String> {
        let exp = Experiment::open_read_only(RUN, self.path(root)).unwrap();
        let text = |topic: &str| {
            let rows = exp.tracks(topic).export(&Query::all(), Format::Jsonl).unwrap();
            String::from_utf8(rows).unwrap()
        };
        let tracks = exp.list().unwrap().into_iter().map(|track| track.topic);
        let mut all: BTreeMap<_, _> = tracks.map(|topic| (topic.clone(), text(&topic))).collect();
        let files = exp.files("");
        for file in files.list().unwrap() {
            all.insert(format!("file {}/{}", file.path, file.filename), file.checksum.clone());
        }
        all
    }

    /// Imports a bag, exports it, and imports that: both imports must give the same.
    fn assert_round_trip(&self, bag: &Path, mapping: &str) {
        let imported = self.import(bag, mapping, "first");
        assert!([0, 3].contains(&imported.code), "{}", imported.stderr);
        let exported = self.export("first", "again.mcap");
        assert_eq!(exported.code, 0, "{}: {}", bag.display(), exported.stderr);
        let again = self.import(&self.path("again.mcap"), mapping, "second");
        assert_eq!(again.code, 0, "{}: {}", bag.display(), again.stderr);
        let (first, second) = (self.tracks("first"), self.tracks("second"));
        assert!(!first.is_empty());
        assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
        for (name, content) in &first {
            // Without printing a track.
            let difference = content.lines().zip(second[name].lines()).find(|(a, b)| a != b);
            assert!(second[name] == *content, "{}: {name}: {difference:?}", bag.display());
        }
    }
}
