//! Arguments that several commands share: where an experiment is, and which server is meant.

use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use mldash_bridge::mapping::COMPRESSIONS;
use mldash_bridge::ros::RosParameters;
use mldash_bridge::track::{Compression, Experiment, LabelChange, LabelError, Remote, TrackError};

use super::Failure;

/// The local store's root, unless the command line or the mapping names another one.
pub(super) const DEFAULT_ROOT: &str = ".dash";

/// The local store.
#[derive(Clone, Debug, Args)]
pub(super) struct RootArgs {
    /// The local store's root.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_ROOT)]
    root: PathBuf,
}

/// A recorded experiment.
#[derive(Debug, Args)]
pub(super) struct ExperimentArgs {
    /// The experiment: owner/project/…/name.
    #[arg(value_name = "EXPERIMENT")]
    pub(super) name: String,
    #[command(flatten)]
    pub(super) root: RootArgs,
}

/// A range of times of a recording.
#[derive(Debug, Args)]
pub(super) struct RangeArgs {
    /// First _ts to take, in seconds, inclusive. Default: the first that there is.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = parse_time)]
    start: Option<f64>,
    /// Last _ts to take, in seconds, inclusive. Default: the last that there is.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = parse_time)]
    end: Option<f64>,
}

/// A server to read from.
#[derive(Debug, Args)]
pub(super) struct RemoteArgs {
    /// Read from the ML-Dash server at this URL instead of the local store.
    #[arg(long, value_name = "URL", conflicts_with = "root")]
    remote: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
}

/// A server to upload to.
#[derive(Clone, Debug, Args)]
pub(super) struct UploadArgs {
    /// URL of the ML-Dash server to upload to.
    #[arg(long, value_name = "URL")]
    pub(super) remote: Option<String>,
    #[command(flatten)]
    pub(super) token: TokenArgs,
}

/// Where a recording goes. What is not given comes from the mapping.
#[derive(Clone, Debug, Args)]
pub(super) struct DestinationArgs {
    /// The experiment: owner/project/…/name. Default: the mapping's.
    #[arg(long, value_name = "NAME")]
    pub(super) experiment: Option<String>,
    /// The local store's root. Default: the mapping's, else .dash.
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// How the rows lie on the disk once a part is closed: `zstd` is smaller, `none` is what ML-Dash's SDK
    /// reads. Default: the mapping's, else none.
    #[arg(long, value_name = "zstd|none", value_parser = parse_compression)]
    pub(super) compress: Option<Compression>,
    #[command(flatten)]
    pub(super) upload: UploadArgs,
    #[command(flatten)]
    pub(super) labels: LabelArgs,
}

/// What is said of a recording. What is not given comes from the mapping; tags add up.
#[derive(Clone, Debug, Args)]
pub(super) struct LabelArgs {
    /// What the robot is to do, in words: 'pick the cup'. Default: `metadata.task` of the mapping.
    #[arg(long, value_name = "TEXT", value_parser = parse_task)]
    task: Option<LabelChange>,
    /// A tag of the experiment, besides those of the mapping; may be given several times.
    #[arg(long, value_name = "TAG", value_parser = parse_tag)]
    tag: Vec<LabelChange>,
    /// Notes on the experiment: ML-Dash's description.
    #[arg(long, value_name = "TEXT", value_parser = parse_notes)]
    notes: Option<LabelChange>,
    /// Who runs the robot. Default: `metadata.operator` of the mapping.
    #[arg(long, value_name = "NAME", value_parser = parse_operator)]
    operator: Option<LabelChange>,
    /// What ROS parameters say.
    #[arg(skip)]
    parameters: LabelChange,
}

#[derive(Clone, Debug, Args)]
pub(super) struct TokenArgs {
    /// The file that holds the token, alone or after its namespace. Default: the token in ML_DASH_API_KEY,
    /// else the one that the ML-Dash SDK has stored.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl RootArgs {
    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    /// The experiment, or the folder of several, that a path below the root means: `.dash/a/b/c`
    /// is `a/b/c`.
    pub(super) fn name_of(&self, folder: &Path) -> Option<String> {
        let (root, folder) = (self.root.canonicalize().ok()?, folder.canonicalize().ok()?);
        folder.strip_prefix(root).ok()?.to_str().map(str::to_owned)
    }
}

impl ExperimentArgs {
    /// Opens the recorded experiment to read. Its folder (`.dash/a/b/c`) works as well as its name.
    pub(super) fn open(&self) -> Result<Experiment, Failure> {
        let (given, root) = (Path::new(&self.name), self.root.path());
        let name = self.root.name_of(given);
        let is_elsewhere = name.is_none() && given.is_dir();
        let name = name.unwrap_or_else(|| self.name.clone());
        Experiment::open_read_only(&name, root).map_err(|error| match error {
            _ if is_elsewhere => Failure::failed(format!(
                    "{} is not a folder below `--root {}`; give OWNER/PROJECT/NAME, and with `--root` the \
                     folder that contains OWNER",
                    given.display(),
                    root.display()
                )),
            TrackError::NoExperiment { .. } => Failure::failed(format!(
                    "{error}; `--root` says which folder it was recorded into, and `mldash_bridge \
                     experiments` lists what is there"
                )),
            error => error.into(),
        })
    }
}

impl RangeArgs {
    /// The first and the last time, as far as they are given.
    pub(super) fn ends(&self) -> Result<(Option<f64>, Option<f64>), Failure> {
        if let (Some(start), Some(end)) = (self.start, self.end)
            && start > end
        {
            let reason =
                format!("`--start {start}` is after `--end {end}`; no row can lie between them");
            return Err(Failure::usage(reason));
        }
        Ok((self.start, self.end))
    }

    /// The range, from and to infinity where nothing is said.
    pub(super) fn range(&self) -> Result<RangeInclusive<f64>, Failure> {
        let (start, end) = self.ends()?;
        Ok(start.unwrap_or(f64::NEG_INFINITY)..=end.unwrap_or(f64::INFINITY))
    }
}

impl RemoteArgs {
    /// The server, if one was given.
    pub(super) fn remote(&self) -> Option<Remote> {
        self.remote.as_ref().map(|url| self.token.at(url))
    }
}

impl DestinationArgs {
    /// Takes what the command line does not say from ROS parameters.
    pub(super) fn or_parameters(&self, parameters: &RosParameters) -> Self {
        let RosParameters { experiment, root, remote, labels, .. } = parameters;
        let mut args = self.clone();
        args.labels.parameters = labels.clone();
        args.experiment = args.experiment.or_else(|| experiment.clone());
        args.root = args.root.or_else(|| root.clone().map(PathBuf::from));
        args.upload.remote = args.upload.remote.or_else(|| remote.clone());
        args
    }
}

impl LabelArgs {
    /// The command line goes before ROS parameters.
    pub(super) fn change(&self) -> LabelChange {
        let Self { task, tag, notes, operator, parameters } = self;
        let given = [task, notes, operator].into_iter().flatten().chain(tag).cloned();
        given.fold(LabelChange::new(), |all, label| label.or(all)).or(parameters.clone())
    }
}

impl TokenArgs {
    /// The server at `url`, with this token.
    pub(super) fn at(&self, url: &str) -> Remote {
        self.given_to(Remote::new(url))
    }

    /// `remote` with this token. Without one, it keeps its own.
    pub(super) fn given_to(&self, remote: Remote) -> Remote {
        match &self.token_file {
            Some(path) => remote.token_file(path),
            None => remote,
        }
    }
}

/// A track's name, or the topic that was recorded into it: `/odom` means `odom`.
pub(super) fn track_of(name: &str) -> String {
    name.strip_prefix('/').unwrap_or(name).to_owned()
}

/// [`track_of`] for options.
pub(super) fn parse_track(name: &str) -> Result<String, Infallible> {
    Ok(track_of(name))
}

pub(super) fn parse_task(text: &str) -> Result<LabelChange, LabelError> {
    LabelChange::new().task(text)
}

pub(super) fn parse_notes(text: &str) -> Result<LabelChange, LabelError> {
    LabelChange::new().notes(text)
}

pub(super) fn parse_operator(text: &str) -> Result<LabelChange, LabelError> {
    LabelChange::new().operator(text)
}

pub(super) fn parse_tag(tag: &str) -> Result<LabelChange, LabelError> {
    LabelChange::new().add_tag(tag)
}

fn parse_compression(text: &str) -> Result<Compression, String> {
    let known = COMPRESSIONS.iter().find(|(name, _)| *name == text);
    known.map(|(_, compression)| *compression).ok_or_else(|| "expected zstd or none".to_owned())
}

/// A time in seconds.
fn parse_time(text: &str) -> Result<f64, String> {
    let secs = text.parse::<f64>().ok().filter(|secs| !secs.is_nan());
    secs.ok_or_else(|| "expected a number of seconds".to_owned())
}

/// A number of seconds: at least a millisecond, at most a year.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    const SECS: RangeInclusive<f64> = 0.001..=31_536_000.0;
    let secs = text.parse::<f64>().ok().filter(|secs| SECS.contains(secs));
    secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok())
        .ok_or_else(|| "expected a number of seconds from 0.001 to 31536000 (a year)".to_owned())
}
