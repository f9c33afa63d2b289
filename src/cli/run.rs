//! `mldash_bridge run`: records the graph until it is told to stop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::Definitions;
use mldash_bridge::record::{Recorder, WindowClock};
use mldash_bridge::ros::{
    EffectiveSettings, LogQueue, NodeSettings, RosArguments, RosNode, RosParameters, StopFlag,
};
use mldash_bridge::track::Labels;

use super::args::{DestinationArgs, parse_duration};
use super::calls::CallArgs;
use super::destination::Destination;
use super::status_line::StatusLine;
use super::stop::stop_on_signals;
use super::{ExitCode, Failure, NODE_NAME, account, output, run_details};

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The mapping (YAML): which topics become which tracks.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    calls: CallArgs,
    #[command(flatten)]
    destination: DestinationArgs,
    /// Start paused: messages are counted and left out until the service ~/resume is called. Without it,
    /// as the mapping says.
    #[arg(long)]
    paused: bool,
    /// Stop after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration, allow_negative_numbers = true)]
    duration: Option<Duration>,
    /// Exit with 3 if something that was asked for is missing: topics that can't be recorded, messages
    /// that were dropped, undecodable or lost. Without it, the account says so and the exit code is 0.
    #[arg(long)]
    strict: bool,
    /// Print the account as JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// A word without its option, most likely a mapping without `--config`.
    #[arg(hide = true, value_name = "FILE")]
    misplaced: Option<String>,
}

pub(crate) fn run(
    args: &RunArgs,
    ros_args: &RosArguments,
    logs: Option<LogQueue>,
) -> Result<ExitCode, Failure> {
    if let Some(misplaced) = &args.misplaced {
        let reason = format!(
            "`{misplaced}` has no option before it; write `--config {misplaced}` for a mapping, and use `import` for \
             bags"
        );
        return Err(Failure::Usage(reason.into()));
    }
    // From here on a signal ends the run in order, even during startup.
    let stop = StopFlag::default();
    stop_on_signals(&stop).map_err(failed)?;
    let data = output::reserve_stdout()?;
    // A mapping from the command line is checked before anything is started.
    let early = args.config.as_deref().map(load_mapping).transpose()?;
    let node = RosNode::start(NODE_NAME, ros_args)?;
    let parameters = node.parameters()?;
    let (mapping, destination) = choose_settings(args, &parameters, early, &stop)?;
    let mapping =
        args.calls.added_to(mapping)?.resolve(node.name().namespace(), node.name().base_name());
    let start_paused =
        args.paused || parameters.start_paused.unwrap_or_else(|| mapping.start_paused());
    let Labels { operator, tags, .. } = destination.labels();
    let shown = EffectiveSettings {
        config: mapping.path().display().to_string(),
        experiment: destination.experiment.clone(),
        root: destination.root.display().to_string(),
        remote: destination.remote.clone().unwrap_or_default(),
        start_paused,
        operator: operator.unwrap_or_default(),
        tags,
    };

    let exp = destination.open(run_details::of_node(&node, &mapping))?;
    tracing::info!("{} is on the graph", node.name().full_name());
    let stop = stop.after(args.duration);

    let mut recorder = Recorder::new(exp);
    recorder.guard_disk(mapping.min_free());
    recorder.require(mapping.required());
    if let Some(snapshot) = mapping.snapshot() {
        recorder.hold(snapshot, WindowClock::Elapsed);
    }
    let status_line = StatusLine::start(recorder.board()).map_err(failed)?;
    let settings = NodeSettings { shown, logs, clock_jump: mapping.clock_jump() };
    let definitions = Definitions::from_environment();
    let recorded = node.record(mapping, definitions, settings, &mut recorder, &stop);
    let failure = recorded.as_ref().err().map(ToString::to_string);
    let (account, closed) = recorder.finish(failure);
    status_line.finish();
    // A reader that has gone hides neither a failure nor what is missing.
    let written = account::write(&account, args.json, data);
    recorded?;
    closed?;
    account::written(written)?;
    Ok(if args.strict { account::exit_code(&account) } else { ExitCode::Done })
}

fn load_mapping(path: &Path) -> Result<Mapping, Failure> {
    let (mapping, checked) = Mapping::load_checked(path, &Definitions::from_environment())?;
    tracing::debug!("{}: {checked}", path.display());
    Ok(mapping)
}

/// The command line overrides ROS parameters, which override the mapping.
fn choose_settings(
    args: &RunArgs,
    parameters: &RosParameters,
    early: Option<Mapping>,
    stop: &StopFlag,
) -> Result<(Mapping, Destination), Failure> {
    let mapping = match (early, &parameters.config) {
        (Some(mapping), _) => mapping,
        (None, Some(config)) => load_mapping(config.as_ref())?,
        (None, None) => {
            return Err(usage(
                "no mapping: give one with `--config FILE` or the ROS parameter `config`; \
                 config/bridge.yaml suits most robots",
            ));
        }
    };
    let given = args.destination.or_parameters(parameters);
    let destination = Destination::choose(&mapping, given, stop.hurry_flag())?;
    Ok((mapping, destination))
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Failed(error.into())
}

fn usage(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::Usage(error.into())
}
