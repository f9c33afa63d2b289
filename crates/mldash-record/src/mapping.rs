//! The mapping: which topics become which tracks, with which stamp and fields. Reads the YAML and
//! answers questions about topics. Knows nothing of the graph.
//!
//! A text becomes a tree whose nodes know their places ([`crate::yaml`]). The tree is read with types
//! (`read`), and everything that is wrong is reported at once ([`YamlErrors`]).

mod blobs;
mod bytes;
mod calls;
mod definitions;
mod draft;
mod experiment;
mod fields;
mod keys;
mod labels;
mod matching;
mod overlap;
mod publish;
mod qos;
mod read;
mod required;
mod rule;
mod selection;
mod settings;
mod snapshot;
mod span;
mod split;
mod split_on;
mod template;
#[cfg(test)]
mod tests;
mod topic_pattern;
mod track_pattern;
mod warnings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use blobs::{Blobs, BlobsTo};
pub use bytes::{Bytes, BytesError};
pub(crate) use calls::Half;
pub use calls::{CallKind, CallSelection, CallTopic};
pub use definitions::TypesChecked;
pub use draft::{DraftTopic, draft};
pub use experiment::{ExperimentTemplate, ExperimentTemplateError};
pub use keys::MAPPING;
pub use labels::{LabelsError, RECORDERS_KEYS};
pub use publish::{MAX_INLINE_FILES, Publish};
pub use qos::{Durability, Qos, Reliability};
pub use read::COMPRESSIONS;
pub use required::Required;
pub use rule::{Rule, RuleMatch, TypeConflict};
pub use selection::{SelectionError, SelectionSettings, TopicSelection};
pub use settings::{
    Hz, OnTypeChange, SameStamp, Settings, Stamp, StampOffset, TimeColumn, TimeColumns,
};
pub use snapshot::Snapshot;
pub use span::{Span, SpanError};
pub use split::{Split, SplitEvery, SplitSize};
pub use split_on::{PartAction, PartChange, SplitOn, Trigger, TriggerFault};
pub use template::LoneBrace;
pub use topic_pattern::{Captures, NotRosName, TopicPattern, TopicPatternError, is_hidden};
pub use track_pattern::{TrackPattern, TrackPatternError};

use crate::yaml::{self, Placed, Problems, YamlErrors};
use labels::LabelKeys;
use mldash_message::{Definitions, TypeName};
use mldash_track::{Compression, Keep, LabelChange, Metadata, WhenLocalFull};
use settings::Keys;

const NOT_ROS: &str = "write a name such as `/robot/pose` or a glob such as `/camera/*/camera_info` or `/**/imu`; \
                       a topic of a bag that is called so is taken by `import`";

/// What messages call such a file.
const WHAT: &str = "mapping";

/// What messages call a mapping that options mean.
const OPTIONS: &str = "of the options";

/// Measured: at 5,000 messages a second, this saves a third of the CPU, and shorter times save
/// less.
const DEFAULT_GATHER: Duration = Duration::from_millis(5);

/// What to record, and how.
///
/// ```
/// use mldash_record::mapping::Mapping;
/// let text = "
/// topics:
///   - topic: /camera/*/camera_info
///     track: camera/{1}/info
///     max_rate: 1
/// ";
/// let mapping = Mapping::parse(text, "bridge.yaml")?;
/// let found = mapping.rule_for("/camera/left/camera_info", &"sensor_msgs/CameraInfo".parse()?);
/// let found = found.expect("a rule for it");
/// let track = found.settings.track.expand("/camera/left/camera_info", &found.captures, &[])?;
/// assert_eq!(track.as_str(), "camera/left/info");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mapping {
    experiment: Option<Placed<ExperimentTemplate>>,
    root: Option<PathBuf>,
    remote: Option<Remote>,
    flush: Flush,
    publish: Option<Publish>,
    compression: Compression,
    min_free: Option<Bytes>,
    rules: Vec<Rule>,
    /// Those of `services` and `actions`.
    calls: Vec<Rule>,
    types: TypeDefaults,
    exclude: Vec<Placed<TopicPattern>>,
    exclude_types: Vec<Placed<TypeName>>,
    required: Vec<Required>,
    start_paused: bool,
    clock_jump: ClockJump,
    split: Split,
    /// Those of `save_on` too.
    split_on: Vec<SplitOn>,
    snapshot: Option<Placed<Snapshot>>,
    labels: LabelKeys,
    gather: Option<Duration>,
    /// Defaults for all topics.
    defaults: Keys,
    text: String,
    path: PathBuf,
    /// Whether options mean it, so that there is no file.
    is_of_options: bool,
}

/// Defaults for all topics of a type.
type TypeDefaults = BTreeMap<TypeName, Placed<Keys>>;

/// What to do when the ROS clock jumps back, as when a simulator is restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockJump {
    /// Continue: rows are sorted in by their times.
    #[default]
    Sort,
    /// Continue in a new experiment, so that times of different runs stay apart.
    Split,
}

/// A server to upload to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its address, http or https.
    pub url: String,
    /// The environment variable with the token.
    pub token_env: Option<String>,
    /// What to keep here of the data that the server has.
    pub keep: Keep,
    /// The limit on the local store.
    pub max_local: Option<Bytes>,
    /// What happens at that limit.
    pub when_full: WhenLocalFull,
}

/// When rows are written; `None` if the mapping does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flush {
    /// Time between flushes: 10 ms to a day.
    pub interval: Option<Duration>,
    /// Rows of one track that trigger a flush; at least 1.
    pub batch: Option<usize>,
    /// Time between syncs to disk: 10 ms to a day.
    pub fsync: Option<Duration>,
}

impl Mapping {
    /// Reads a mapping's file.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be read, or with everything that is wrong in it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, YamlErrors> {
        let path = path.as_ref();
        Self::parse(&yaml::read_file(WHAT, path)?, path)
    }

    /// Parses a mapping. Messages call it `path`.
    ///
    /// # Errors
    ///
    /// Fails with everything that is wrong in it.
    pub fn parse(text: &str, path: impl AsRef<Path>) -> Result<Self, YamlErrors> {
        let mut problems = Problems::default();
        let mapping = read::mapping(text, &mut problems);
        let path = path.as_ref();
        let mapping = mapping.map(|mapping| Self { path: path.to_owned(), ..mapping });
        problems.none_or_all(WHAT, path, mapping)
    }

    /// Like [`load`](Self::load), and also compares the mapping with the available message
    /// definitions, so that everything wrong is reported at once.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be read, or with everything that is wrong in it, including unknown
    /// types and fields that types lack.
    pub fn load_checked(
        path: impl AsRef<Path>,
        definitions: &Definitions,
    ) -> Result<(Self, TypesChecked), YamlErrors> {
        let path = path.as_ref();
        Self::parse_checked(&yaml::read_file(WHAT, path)?, path, definitions)
    }

    /// The mapping that options mean: a [selection](TopicSelection::mapping). It is compared with
    /// `definitions`, if there are some to compare with.
    ///
    /// # Errors
    ///
    /// Fails with everything that is wrong in it.
    pub fn of_options(text: &str, definitions: Option<&Definitions>) -> Result<Self, YamlErrors> {
        let path = Path::new(OPTIONS);
        let mapping = match definitions {
            Some(definitions) => Self::parse_checked(text, path, definitions)?.0,
            None => Self::parse(text, path)?,
        };
        Ok(Self { is_of_options: true, ..mapping })
    }

    fn parse_checked(
        text: &str,
        path: &Path,
        definitions: &Definitions,
    ) -> Result<(Self, TypesChecked), YamlErrors> {
        let mut problems = Problems::default();
        let checked = read::mapping(text, &mut problems).map(|mut mapping| {
            let checked = definitions::check(&mapping, definitions, &mut problems);
            mapping.check_names(&mut problems);
            (Self { path: path.to_owned(), ..mapping }, checked)
        });
        problems.none_or_all(WHAT, path, checked)
    }

    /// The name of a recording.
    pub fn experiment(&self) -> Option<&ExperimentTemplate> {
        self.experiment.as_ref().map(|experiment| &experiment.value)
    }

    /// The root of the local store.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The server to upload to.
    pub fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    /// Where closed parts are published, if that is asked.
    pub fn publish(&self) -> Option<&Publish> {
        self.publish.as_ref()
    }

    /// When rows are written.
    pub fn flush(&self) -> &Flush {
        &self.flush
    }

    /// How the rows of a closed part lie on the disk.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The disk space to keep free.
    pub fn min_free(&self) -> Option<Bytes> {
        self.min_free
    }

    /// The entries of `topics`, in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Topics that a complete recording must have.
    pub fn required(&self) -> &[Required] {
        &self.required
    }

    /// Returns true if a recording starts paused.
    pub fn start_paused(&self) -> bool {
        self.start_paused
    }

    /// What to do when the ROS clock jumps back.
    pub fn clock_jump(&self) -> ClockJump {
        self.clock_jump
    }

    /// When a part of the recording ends by itself.
    pub fn split(&self) -> Split {
        self.split
    }

    /// The same with other limits for parts. Those that are not given stay.
    pub fn with_split(self, split: Split) -> Self {
        Self { split: split.over(self.split), ..self }
    }

    /// What is held in memory until it is asked for; `None` records everything.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref().map(|snapshot| &snapshot.value)
    }

    /// Topics whose messages end and begin parts of the recording, or save a snapshot.
    pub fn split_on(&self) -> &[SplitOn] {
        &self.split_on
    }

    /// What is said of every experiment: tags, task and operator, and its other metadata. `env`
    /// gives the values of environment variables.
    ///
    /// # Errors
    ///
    /// Fails if a variable is not set, or the result can't be used.
    pub fn labels(
        &self,
        env: impl Fn(&str) -> Option<String>,
    ) -> Result<(LabelChange, Metadata), LabelsError> {
        self.labels.expand(env)
    }

    /// How long messages may collect in the middleware under load before they are taken.
    pub fn gather(&self) -> Duration {
        self.gather.unwrap_or(DEFAULT_GATHER)
    }

    /// The mapping's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The mapping's name in messages: its file, if it has one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mapping's file; `None` if [options](Self::of_options) mean it.
    pub fn file(&self) -> Option<&Path> {
        (!self.is_of_options).then_some(&self.path)
    }

    /// The same for a node: relative topics are under `namespace`, and `~/x` is under the node
    /// `node` in it.
    pub fn resolve(mut self, namespace: &str, node: &str) -> Self {
        for topic in self.patterns() {
            topic.value = topic.value.resolve(namespace, node);
        }
        self
    }

    /// All names and patterns of topics, wherever they stand.
    fn patterns(&mut self) -> impl Iterator<Item = &mut Placed<TopicPattern>> {
        let rules = self.rules.iter_mut().chain(&mut self.calls).map(|rule| &mut rule.topic);
        let required = self.required.iter_mut().map(|required| &mut required.topic);
        let split_on = self.split_on.iter_mut().map(|entry| &mut entry.topic);
        rules.chain(required).chain(split_on).chain(&mut self.exclude)
    }

    /// Reports names that no graph has. Only an import can use them.
    fn check_names(&mut self, problems: &mut Problems) {
        for topic in self.patterns() {
            if let Some(problem) = topic.value.not_ros() {
                problems.add(&topic.spot, problem.to_string(), Some(NOT_ROS.to_owned()));
            }
        }
    }
}
