//! `mldash_bridge run`: records the graph until it is told to stop.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use mldash_bridge::mapping::{Mapping, TopicSelection};
use mldash_bridge::message::Definitions;
use mldash_bridge::record::{Recorder, WindowClock};
use mldash_bridge::ros::{
    EffectiveSettings, LogQueue, NodeSettings, Orders, RosArguments, RosNode, RosParameters,
    StopFlag,
};
use mldash_bridge::track::Labels;

use super::args::{DestinationArgs, parse_duration};
use super::destination::Destination;
use super::keyboard::{Keyboard, Keys};
use super::publishing::Publishing;
use super::selection::{self, SelectionArgs, Source};
use super::status_line::StatusLine;
use super::stop::stop_on_signals;
use super::{ExitCode, Failure, NODE_NAME, account, output, run_details};

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    selection: SelectionArgs,
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
    /// No keys: on a terminal, space otherwise pauses and resumes, `s` splits (or saves a snapshot), `d`
    /// discards, `q` stops.
    #[arg(long)]
    disable_keyboard_controls: bool,
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
        return Err(selection::misplaced(misplaced));
    }
    // From here on a signal ends the run in order, even during startup.
    let stop = StopFlag::default();
    stop_on_signals(&stop).map_err(Failure::failed)?;
    // A mapping from the command line is checked before anything is started.
    let early = match args.selection.source()? {
        Some(source) => Some(args.mapping(source)?),
        None => None,
    };
    if let Some(Chosen { mapping, .. }) = &early
        && args.selection.write_config(mapping.text())?
    {
        return Ok(ExitCode::Done);
    }
    let data = output::reserve_stdout()?;
    let node = RosNode::start(NODE_NAME, ros_args)?;
    let parameters = node.parameters()?;
    let Chosen { mapping, selection } = match early {
        Some(chosen) if chosen.is_whole() => chosen.beside(&parameters)?,
        _ => args.by_parameters(&parameters)?,
    };
    let mapping = args.selection.split_by(mapping)?;
    let given = args.destination.or_parameters(&parameters);
    let destination = Destination::choose(&mapping, given, stop.hurry_flag())?;
    let mapping = mapping.resolve(node.name().namespace(), node.name().base_name());
    let start_paused =
        args.paused || parameters.start_paused.unwrap_or_else(|| mapping.start_paused());
    let Labels { operator, tags, .. } = destination.labels();
    let shown = EffectiveSettings {
        config: mapping.file().map(|file| file.display().to_string()).unwrap_or_default(),
        selection,
        experiment: destination.experiment.clone(),
        root: destination.root.display().to_string(),
        remote: destination.remote.clone().unwrap_or_default(),
        start_paused,
        operator: operator.unwrap_or_default(),
        tags,
    };

    let root = destination.root.clone();
    let exp = destination.open(run_details::of_node(&node, &mapping))?;
    tracing::info!("{} is on the graph", node.name().full_name());
    let stop = stop.after(args.duration);

    let mut recorder = Recorder::new(exp);
    recorder.look_ahead(|| stop.is_set());
    let publishing = Publishing::start(&mapping, &root, &mut recorder)?;
    recorder.guard_disk(mapping.min_free());
    recorder.require(mapping.required());
    recorder.limit_parts(mapping.split());
    if let Some(snapshot) = mapping.snapshot() {
        recorder.hold(snapshot, WindowClock::Elapsed);
    }
    let orders = Orders::default();
    let keys = if mapping.snapshot().is_some() { Keys::Snapshot } else { Keys::Parts };
    let keyboard = (!args.disable_keyboard_controls).then(|| Keyboard::start(keys, &orders, &stop));
    let keyboard = keyboard.transpose().map_err(Failure::failed)?.flatten();
    let help = keyboard.as_ref().map(|_| keys.help());
    let status_line = StatusLine::start(recorder.board(), help).map_err(Failure::failed)?;
    let settings = NodeSettings { shown, logs, clock_jump: mapping.clock_jump(), orders };
    let definitions = Definitions::from_environment();
    let recorded = node.record(mapping, definitions, settings, &mut recorder, &stop);
    drop(keyboard);
    let failure = recorded.as_ref().err().map(ToString::to_string);
    let (mut account, closed) = recorder.finish(failure);
    publishing.finish(&mut account, &root, &stop.hurry_flag());
    status_line.finish();
    // A reader that has gone hides neither a failure nor what is missing.
    let written = account::write(&account, args.json, data);
    recorded?;
    closed?;
    account::written(written)?;
    Ok(if args.strict { account::exit_code(&account) } else { ExitCode::Done })
}

/// The mapping, and the options that mean it or go beside its file.
struct Chosen {
    mapping: Mapping,
    selection: TopicSelection,
}

impl Chosen {
    /// Whether it says which topics are recorded. If only services and actions are said, ROS parameters may
    /// say the rest.
    fn is_whole(&self) -> bool {
        self.mapping.file().is_some() || self.selection.says_topics()
    }

    /// Adds the services and actions of ROS parameters. Topics that they say give way to the command line's.
    fn beside(self, parameters: &RosParameters) -> Result<Self, Failure> {
        let said = &parameters.selection;
        if parameters.config.is_some() || said.says_topics() {
            tracing::warn!(
                "the command line says which topics are recorded; the ROS parameters that say it too (`config`, \
                 `topics`, `all`, `regex`, `exclude`, `exclude_types`) are not used"
            );
        }
        if said.calls.is_empty() {
            return Ok(self);
        }
        let Self { mapping, mut selection } = self;
        selection.calls = selection.calls.and(said.calls.clone());
        selection.check_for_graph().map_err(Failure::usage)?;
        Ok(Self { mapping: mapping.with_calls(&selection.calls), selection })
    }
}

impl RunArgs {
    fn mapping(&self, source: Source) -> Result<Chosen, Failure> {
        match source {
            Source::File(path, calls) => {
                let selection = TopicSelection { calls, ..TopicSelection::default() };
                selection.check_for_graph().map_err(Failure::usage)?;
                let mapping = load_mapping(&path)?.with_calls(&selection.calls);
                Ok(Chosen { mapping, selection })
            }
            Source::Options(selection) => {
                let split = self.selection.split();
                let text = selection::text(&selection, split, self.paused, &self.destination);
                let mapping = selection::for_graph(&selection, &text)?;
                Ok(Chosen { mapping, selection })
            }
        }
    }

    /// The mapping that ROS parameters say, where the command line says none, with the services and actions
    /// of both.
    fn by_parameters(&self, parameters: &RosParameters) -> Result<Chosen, Failure> {
        let config = parameters.config.as_deref().map(Path::new);
        let mut selection = parameters.selection.clone();
        selection.calls = selection.calls.and(self.selection.calls());
        let source = selection::source(config, selection)?;
        let source = source.ok_or_else(|| {
            Failure::usage(
                "no mapping: give one with `--config FILE` or the ROS parameter `config` \
                 (config/bridge.yaml suits most robots), or say which topics with `--all`, `--topics` or \
                 `--regex`, or which `--services` and `--actions`",
            )
        })?;
        self.mapping(source)
    }
}

fn load_mapping(path: &Path) -> Result<Mapping, Failure> {
    let (mapping, checked) = Mapping::load_checked(path, &Definitions::from_environment())?;
    tracing::debug!("{}: {checked}", path.display());
    Ok(mapping)
}
