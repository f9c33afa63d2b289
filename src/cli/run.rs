//! `mldash_bridge run`: records the graph until it is told to stop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::Definitions;
use mldash_bridge::record::Recorder;
use mldash_bridge::ros::{RosArguments, RosNode, RosParameters, StopFlag};
use mldash_bridge::track::{Experiment, Options};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{Failure, account, output};

/// The node's name unless ROS arguments say otherwise.
const NODE_NAME: &str = "mldash_bridge";
const DEFAULT_ROOT: &str = ".dash";

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The mapping (YAML): which topics become which tracks. ROS parameter `config`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The experiment, owner/project/…/name; else the mapping's. ROS parameter `experiment`.
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// The local store's root; else the mapping's, else .dash. ROS parameter `root`.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// URL of an ML-Dash server to sync to; else the mapping's. ROS parameter `remote`.
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
    /// Stop after so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Print the account as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Where the settings come together: the command line before ROS parameters before the mapping.
struct Settings {
    mapping: Mapping,
    experiment: String,
    options: Options,
}

pub(crate) fn run(args: &RunArgs, ros_args: &RosArguments) -> Result<(), Failure> {
    // From here on a signal is an orderly end, also while things are being started.
    let stop = StopFlag::default();
    stop_on_signals(&stop).map_err(failed)?;
    let data = output::reserve_stdout()?;
    // A mapping given by name is held against its errors before anything is started.
    let early = args.config.as_deref().map(load_mapping).transpose()?;
    let node = RosNode::start(NODE_NAME, ros_args).map_err(failed)?;
    let parameters = node.parameters().map_err(failed)?;
    let settings = settle(args, &parameters, early)?;
    let mapping = settings.mapping.resolve(node.name().namespace(), node.name().base_name());

    let exp = Experiment::open(&settings.experiment, settings.options)?;
    tracing::info!("recording experiment {} into {}", exp.name(), exp.folder().display());
    tracing::info!("{} is on the graph", node.name().full_name());
    let stop = stop.after(args.duration);

    let mut recorder = Recorder::new(exp);
    let recorded = node.record(mapping, Definitions::from_environment(), &mut recorder, &stop);
    let failure = recorded.as_ref().err().map(ToString::to_string);
    let (account, closed) = recorder.finish(failure);
    account::write(&account, args.json, data)?;
    recorded.map_err(failed)?;
    Ok(closed?)
}

fn load_mapping(path: &Path) -> Result<Mapping, Failure> {
    let (mapping, checked) = Mapping::load_checked(path, &Definitions::from_environment())?;
    tracing::debug!("{}: {checked}", path.display());
    Ok(mapping)
}

fn settle(
    args: &RunArgs,
    parameters: &RosParameters,
    early: Option<Mapping>,
) -> Result<Settings, Failure> {
    let mapping = match (early, &parameters.config) {
        (Some(mapping), _) => mapping,
        (None, Some(config)) => load_mapping(config.as_ref())?,
        (None, None) => {
            return Err(usage(
                "no mapping: say which topics to record with `--config FILE` (config/bridge.yaml \
                 records a usual robot), or with the ROS parameter `config`",
            ));
        }
    };
    let given = args.experiment.clone().or_else(|| parameters.experiment.clone());
    let experiment = match (given, mapping.experiment()) {
        (Some(name), _) => name,
        (None, Some(template)) => {
            let now = jiff::ZonedDateTime::now().datetime();
            let env = |name: &str| std::env::var(name).ok();
            template.expand(now, &host(), env).map_err(usage)?.to_string()
        }
        (None, None) => {
            return Err(usage(
                "no experiment: name it with `--experiment OWNER/PROJECT/NAME`, with the ROS \
                 parameter `experiment`, or with `experiment:` in the mapping",
            ));
        }
    };
    let root = args.root.clone().or_else(|| parameters.root.clone().map(PathBuf::from));
    let root = root.or_else(|| mapping.root().map(PathBuf::from));
    let root = root.unwrap_or_else(|| DEFAULT_ROOT.into());
    if args.remote.is_some() || parameters.remote.is_some() || mapping.remote().is_some() {
        tracing::warn!(
            "this version does not upload: the recording stays under {}",
            root.display()
        );
    }
    let options = options(root, &mapping);
    Ok(Settings { mapping, experiment, options })
}

/// What the mapping says about flushes; what it leaves open comes from the environment.
fn options(root: PathBuf, mapping: &Mapping) -> Options {
    let flush = mapping.flush();
    let mut options = Options::local(root);
    if let Some(interval) = flush.interval {
        options = options.flush_interval(interval);
    }
    if let Some(rows) = flush.batch {
        options = options.batch_rows(rows);
    }
    if let Some(interval) = flush.fsync {
        options = options.sync_interval(interval);
    }
    options
}

/// Sets `stop` at the first SIGINT or SIGTERM; tells those in a hurry what is going on.
fn stop_on_signals(stop: &StopFlag) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let stop = stop.clone();
    let watch = move || {
        for _ in signals.forever() {
            if stop.is_set() {
                tracing::warn!("still writing what was received; kill -9 would lose it");
            } else {
                tracing::info!("stopping: taking what is queued, closing the tracks");
                stop.stop();
            }
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let secs = text.parse::<f64>().ok().filter(|secs| *secs > 0.0);
    secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok())
        .ok_or_else(|| "expected a number of seconds above 0".to_owned())
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Failed(error.into())
}

fn usage(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Usage(error.into())
}
