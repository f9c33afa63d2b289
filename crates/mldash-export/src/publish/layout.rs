//! Where everything lies on the store. Pure.
//!
//! ```text
//! tracks/<topic>/owner=O/project=P/experiment=E/<n>-<hash>.parquet   rows
//! experiments/owner=O/project=P/<E>.parquet                          one row an experiment
//! files/owner=O/project=P/experiment=E/<sha256>.<extension>          pictures, clouds
//! manifests/owner=O/project=P/<E>.json                               which of these count
//! schemas/<topic>.json                                               the columns of a topic
//! compacted/<topic>/owner=O/project=P/day=D/<file>.parquet           rows of many experiments, merged; without `day=` by project
//! compactions/owner=O/project=P.json                                 what a compactor is at
//! _mldash.json                                                       the version of all this; conditional puts are tried on it
//! _mldash.lock                                                       in a folder: held in place of conditional puts
//! ```
//!
//! A topic and an experiment's name (all of it after the project) are one part of a path each: what is no letter, digit, `.`, `_`,
//! `-`, `~` or beyond ASCII is percent-encoded, `/` above all. So `alice/lab/monday/run 1` lies under
//! `owner=alice/project=lab/experiment=monday%2Frun%201`, which engines that read Hive partitions decode to `monday/run 1`, and no
//! topic's folder lies within another's (`camera/image`, `camera/image/compressed`), which would mix two schemas under one
//! path. A leading `_` is encoded too: Spark leaves such folders out.

use mldash_track::ExperimentName;
use object_store::path::Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-').remove(b'~');

/// The folder of all rows.
pub(super) const TRACKS: &str = "tracks";
/// The folder of the table of experiments.
pub(super) const EXPERIMENTS: &str = "experiments";
/// The folder of pictures and clouds.
pub(super) const FILES: &str = "files";
/// The folder of manifests.
pub(super) const MANIFESTS: &str = "manifests";
/// The folder of the topics' columns.
pub(super) const SCHEMAS: &str = "schemas";
/// The folder of merged files.
pub(super) const COMPACTED: &str = "compacted";
/// The folder of what compactors are at.
pub(super) const COMPACTIONS: &str = "compactions";
/// Says which version of the layout is there; also what conditions are tried on.
pub(super) const MARKER: &str = "_mldash.json";
/// The lock that replaces conditional puts in a folder.
pub(super) const LOCK: &str = "_mldash.lock";

/// As Hive names the partition of what has none.
const NO_DAY: &str = "__HIVE_DEFAULT_PARTITION__";

/// Columns that Hive partitions give, or that merged files add, whatever the file holds.
pub(super) const PARTITIONS: [&str; 5] = ["owner", "project", "experiment", "day", "chunk"];

/// The places of a store below a prefix. Those that it returns are from the store's root.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    prefix: Path,
}

impl Layout {
    /// The places below `prefix`.
    pub(super) fn below(prefix: Path) -> Self {
        Self { prefix }
    }

    /// A place from its name below the prefix, as manifests have it.
    pub(super) fn place(&self, name: &str) -> Path {
        let parts = name.split('/').filter(|part| !part.is_empty());
        parts.fold(self.prefix.clone(), |place, part| place.join(raw(part)))
    }

    /// The name below the prefix of a place on the store; `None` if it is elsewhere.
    pub(super) fn name_of(&self, place: &Path) -> Option<String> {
        let parts = place.prefix_match(&self.prefix)?;
        let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
        Some(parts.join("/"))
    }

    /// The folder of a topic's rows, of all experiments.
    pub(super) fn topic(topic: &str) -> String {
        format!("{TRACKS}/{}", encoded(topic))
    }

    /// A file of a track's rows.
    pub(super) fn rows(
        experiment: &ExperimentName,
        topic: &str,
        number: u64,
        hash: &str,
    ) -> String {
        format!("{}/{}/{number:05}-{hash}.parquet", Self::topic(topic), partition(experiment))
    }

    /// The row of an experiment.
    pub(super) fn experiment(experiment: &ExperimentName) -> String {
        let name = encoded(&within_project(experiment));
        format!("{EXPERIMENTS}/{}/{name}.parquet", project(experiment))
    }

    /// The folder of an experiment's pictures and clouds.
    pub(super) fn files(experiment: &ExperimentName) -> String {
        format!("{FILES}/{}", partition(experiment))
    }

    /// The manifest of the experiment that a picture or cloud of this name is of; `None` if it is no such name.
    pub(super) fn manifest_of_file(name: &str) -> Option<String> {
        let (partition, _) = name.strip_prefix(FILES)?.strip_prefix('/')?.rsplit_once('/')?;
        let (project, experiment) = partition.rsplit_once("/experiment=")?;
        Some(format!("{MANIFESTS}/{project}/{experiment}.json"))
    }

    /// The name of the picture or cloud that a URL leads to, wherever the store was when the URL was written: it may be read by another
    /// address now, or be a copy.
    pub(super) fn file_of_url(url: &str) -> Option<&str> {
        let at = url.rfind(&format!("/{FILES}/owner="))?;
        url.get(at + 1..)
    }

    /// The manifest of an experiment.
    pub(super) fn manifest(experiment: &ExperimentName) -> String {
        let name = encoded(&within_project(experiment));
        format!("{MANIFESTS}/{}/{name}.json", project(experiment))
    }

    /// The folder of a topic's merged files of a project, which is `owner=…/project=…`.
    pub(super) fn merged(topic: &str, project: &str) -> String {
        format!("{COMPACTED}/{}/{project}", encoded(topic))
    }

    /// The same for those of a day such as `2026-05-28`; without one, for what has no day.
    pub(super) fn merged_of_day(topic: &str, project: &str, day: Option<&str>) -> String {
        format!("{}/day={}", Self::merged(topic, project), day.unwrap_or(NO_DAY))
    }

    /// The project that a merged file is of; `None` if it is no such name.
    pub(super) fn project_of_merged(name: &str) -> Option<String> {
        let mut folders = name.strip_prefix(COMPACTED)?.strip_prefix('/')?.split('/').skip(1);
        Some(format!("{}/{}", folders.next()?, folders.next()?))
    }

    /// The project that a manifest is of; `None` if it is no such name.
    pub(super) fn project_of_manifest(name: &str) -> Option<&str> {
        let (project, file) = name.strip_prefix(MANIFESTS)?.strip_prefix('/')?.rsplit_once('/')?;
        file.ends_with(".json").then_some(project)
    }

    /// What a compactor is at in a project.
    pub(super) fn compaction(project: &str) -> String {
        format!("{COMPACTIONS}/{project}.json")
    }

    /// The folder of the manifests of a project, which is `owner=…/project=…`.
    pub(super) fn manifests(project: &str) -> String {
        format!("{MANIFESTS}/{project}")
    }

    /// The columns of a topic.
    pub(super) fn schema(topic: &str) -> String {
        format!("{SCHEMAS}/{}.json", encoded(topic))
    }
}

/// `owner=O/project=P/experiment=E`.
fn partition(experiment: &ExperimentName) -> String {
    format!("{}/experiment={}", project(experiment), encoded(&within_project(experiment)))
}

fn project(experiment: &ExperimentName) -> String {
    format!("owner={}/project={}", encoded(experiment.owner()), encoded(experiment.project()))
}

/// An experiment's name without its owner and its project.
pub(super) fn within_project(experiment: &ExperimentName) -> String {
    experiment.segments().skip(2).collect::<Vec<_>>().join("/")
}

/// A name as one part of a path. What is beyond ASCII stays: Spark does not put its bytes together again.
pub(super) fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c.is_ascii() {
            true if c == '_' && text.is_empty() => text.push_str("%5F"),
            true => text.extend(utf8_percent_encode(c.encode_utf8(&mut [0; 4]), ENCODED)),
            false => text.push(c),
        }
    }
    text
}

/// The name that a part of a path stands for.
#[cfg(test)]
pub(super) fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

/// A part of a path as it is: `object_store` would encode what is encoded already.
fn raw(part: &str) -> object_store::path::PathPart<'_> {
    object_store::path::PathPart::parse(part).unwrap_or_else(|_| part.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(name: &str) -> ExperimentName {
        name.parse().unwrap()
    }

    #[test]
    fn slashes_of_names_make_no_folders() {
        let name = run("alice/lab/monday/run 1");
        assert_eq!(
            Layout::rows(&name, "camera/image", 0, "ab"),
            "tracks/camera%2Fimage/owner=alice/project=lab/experiment=monday%2Frun%201/00000-ab.parquet"
        );
        assert_eq!(
            Layout::manifest(&name),
            "manifests/owner=alice/project=lab/monday%2Frun%201.json"
        );
        assert_eq!(encoded("_x=ü?"), "%5Fx%3Dü%3F");
        let layout = Layout::below(Path::parse("my/robots").unwrap());
        let place = layout.place(&Layout::manifest(&name));
        assert_eq!(
            place.as_ref(),
            "my/robots/manifests/owner=alice/project=lab/monday%2Frun%201.json"
        );
        assert_eq!(layout.name_of(&place), Some(Layout::manifest(&name)));
    }

    #[test]
    fn a_picture_leads_to_its_experiments_manifest_by_any_address_of_the_store() {
        let name = run("alice/lab/monday/run 1");
        let picture = format!("{}/ab.png", Layout::files(&name));
        assert_eq!(Layout::manifest_of_file(&picture), Some(Layout::manifest(&name)));
        for address in ["s3://bucket/robots", "gs://copy", "file:///mnt/files/owner=x/lake"] {
            assert_eq!(Layout::file_of_url(&format!("{address}/{picture}")), Some(&*picture));
        }
        assert_eq!(Layout::file_of_url("https://example.org/cat.png"), None);
        assert_eq!(Layout::manifest_of_file("tracks/odom/owner=a"), None);
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in "[^/]{1,20}(/[^/]{1,20}){0,2}") {
            prop_assert_eq!(decoded(&encoded(&name)), name);
        }
    }
}
