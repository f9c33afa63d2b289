//! The command line. One file a subcommand, each a thin call into the library.
//! stdout carries data only; logs and progress go to stderr.

mod account;
mod align;
mod append;
mod check;
mod destination;
mod exit;
mod import;
mod init;
mod log_thread;
mod logging;
mod open_files;
mod output;
mod progress;
mod read;
mod remote;
mod run;
mod run_details;
mod serve;
mod status_line;
mod status_text;
mod stdin;
mod stop;
mod sync;
mod target;
mod tracks;

use std::convert::Infallible;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use mldash_bridge::ros::{LogQueue, RosArguments};
use mldash_bridge::track::{Experiment, TrackError};

pub(crate) use exit::{ExitCode, Failure};

/// The node's name unless ROS arguments say otherwise.
const NODE_NAME: &str = "mldash_bridge";

/// Records live ROS 2 robots into ML-Dash tracks: timestamp-indexed rows on one clock.
///
/// Without a subcommand, it records (`run`).
#[derive(Debug, Parser)]
#[command(name = "mldash_bridge", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// What is logged to stderr.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info")]
    log_level: logging::Level,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a mapping for the topics that are on the live graph now.
    Init(init::InitArgs),
    /// Validate a mapping: every problem with line and column. With --graph, compare it with the live
    /// graph.
    ///
    /// Exit code 2: the mapping is wrong. 1, with --graph: a topic that it names without wildcards is
    /// not published, or one that it means can't be recorded.
    Check(check::CheckArgs),
    /// Record the live ROS graph until SIGINT, SIGTERM, SIGHUP or the duration; print the account.
    ///
    /// `--ros-args …` is taken as by every ROS 2 node: remaps, node name, parameters.
    Run(run::RunArgs),
    /// Record bags (MCAP, rosbag2's SQLite) by the same mapping, without ROS; print the account.
    ///
    /// Exit code 3: something that was asked for is not there: a topic can't be recorded, or messages were
    /// dropped; the account says what.
    Import(import::ImportArgs),
    /// List the tracks of an experiment: rows, first and last _ts, columns.
    Tracks(tracks::TracksArgs),
    /// Read a track: rows by time range and columns.
    Read(read::ReadArgs),
    /// Join tracks by time: one row per row of one track, with what the others held then.
    Align(align::AlignArgs),
    /// Append rows to a track: JSON lines on stdin, each with its time in seconds under _ts.
    Append(append::AppendArgs),
    /// Upload what an ML-Dash server lacks of an experiment, also while it is being recorded.
    Sync(sync::SyncArgs),
    /// Serve a local root to ML-Dash clients: experiments, tracks, files; for a lab without an account.
    Serve(serve::ServeArgs),
}

/// Where a recorded experiment lies.
#[derive(Debug, Args)]
struct ExperimentArgs {
    /// The experiment: owner/project/…/name.
    experiment: String,
    /// The local store's root.
    #[arg(long, value_name = "DIR", default_value = ".dash")]
    root: PathBuf,
}

impl ExperimentArgs {
    /// Opens the recorded experiment to read. Its folder (`.dash/a/b/c`) works as well as its name.
    fn open(&self) -> Result<Experiment, Failure> {
        let given = Path::new(&self.experiment);
        let name = name_in(&self.root, given);
        let is_elsewhere = name.is_none() && given.is_dir();
        let name = name.unwrap_or_else(|| self.experiment.clone());
        Experiment::open_read_only(&name, &self.root).map_err(|error| match error {
            _ if is_elsewhere => Failure::Failed(
                format!(
                    "{} is not a folder below `--root {}`; say OWNER/PROJECT/NAME, and with `--root` the \
                     folder that OWNER lies in",
                    given.display(),
                    self.root.display()
                )
                .into(),
            ),
            TrackError::NoExperiment { .. } => Failure::Failed(
                format!("{error}; `--root` says which folder it was recorded into").into(),
            ),
            error => error.into(),
        })
    }
}

/// The name of the experiment in `folder`, if that is below the root.
fn name_in(root: &Path, folder: &Path) -> Option<String> {
    let (root, folder) = (root.canonicalize().ok()?, folder.canonicalize().ok()?);
    folder.strip_prefix(root).ok()?.to_str().map(str::to_owned)
}

/// A track's name, or the topic that was recorded into it: `/odom` means `odom`.
fn parse_track(name: &str) -> Result<String, Infallible> {
    Ok(name.strip_prefix('/').unwrap_or(name).to_owned())
}

/// Runs the program with `args`, whose first item is the program's name.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let (args, ros_args) = match RosArguments::split(args) {
        Ok(split) => split,
        Err(error) => return exit::report(Failure::Usage(error.into())),
    };
    let cli = match Cli::try_parse_from(with_subcommand(args)) {
        Ok(cli) => cli,
        Err(error) => return exit::report_usage(&error),
    };
    // ROS's log level applies to the whole node.
    let ros_level = ros_args.log_level.as_deref().and_then(logging::Level::from_ros);
    // Only a node has a /rosout to publish the log on.
    let is_node = matches!(cli.command, Command::Run(_));
    let logs = (is_node && ros_args.rosout).then(LogQueue::default);
    let log = match logging::start(ros_level.unwrap_or(cli.log_level), logs.clone()) {
        Ok(log) => log,
        Err(error) => return exit::report(error.into()),
    };
    open_files::raise_limit();
    let ended = match cli.command {
        Command::Init(args) => done(init::run(&args, &ros_args)),
        Command::Check(args) => done(check::run(&args, &ros_args)),
        Command::Run(args) => run::run(&args, &ros_args, logs),
        Command::Import(args) => import::run(&args),
        Command::Tracks(args) => done(tracks::run(&args)),
        Command::Read(args) => done(read::run(&args)),
        Command::Align(args) => done(align::run(&args)),
        Command::Append(args) => append::run(&args),
        Command::Sync(args) => done(sync::run(&args)),
        Command::Serve(args) => done(serve::run(&args)),
    };
    log.finish();
    ended.unwrap_or_else(exit::report)
}

/// The exit code of a command that either does everything or fails.
fn done(result: Result<(), Failure>) -> Result<ExitCode, Failure> {
    result.map(|()| ExitCode::Done)
}

/// A number of seconds: at least a millisecond, at most a year.
fn parse_duration(text: &str) -> Result<Duration, String> {
    const SECS: RangeInclusive<f64> = 0.001..=31_536_000.0;
    let secs = text.parse::<f64>().ok().filter(|secs| SECS.contains(secs));
    secs.and_then(|secs| Duration::try_from_secs_f64(secs).ok())
        .ok_or_else(|| "expected a number of seconds from 0.001 to 31536000 (a year)".to_owned())
}

/// Inserts `run` if no subcommand is named, as in `mldash_bridge --config F`. clap handles an
/// unknown word and suggests the nearest command; `run` handles a mapping given as a word.
fn with_subcommand(mut args: Vec<OsString>) -> Vec<OsString> {
    const OTHER: [&str; 4] = ["-h", "--help", "-V", "--version"];
    let mut first = 1;
    if args.get(first).is_some_and(|arg| arg == "--log-level") {
        first += 2;
    }
    let named = args.get(first).is_some_and(|arg| {
        let is_option = arg.as_encoded_bytes().starts_with(b"-");
        OTHER.iter().any(|other| arg == other) || !(is_option || is_mapping(Path::new(arg)))
    });
    if !named {
        args.insert(first.min(args.len()), "run".into());
    }
    args
}

/// Returns true if an argument looks like a mapping, by its name.
fn is_mapping(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn completed(line: &str) -> String {
        let args = line.split(' ').map(OsString::from).collect();
        let args: Vec<_> = with_subcommand(args).iter().map(|a| a.display().to_string()).collect();
        args.join(" ")
    }

    #[test]
    fn without_a_subcommand_it_records() {
        assert_eq!(completed("bridge"), "bridge run");
        assert_eq!(completed("bridge --config a.yaml"), "bridge run --config a.yaml");
        assert_eq!(completed("bridge tracks a/b/c"), "bridge tracks a/b/c");
        assert_eq!(
            completed("bridge --log-level debug tracks x"),
            "bridge --log-level debug tracks x"
        );
        assert_eq!(completed("bridge --log-level debug"), "bridge --log-level debug run");
        assert_eq!(completed("bridge --version"), "bridge --version");
        assert_eq!(completed("bridge my.yaml"), "bridge run my.yaml");
        assert_eq!(completed("bridge chek my.yaml"), "bridge chek my.yaml");
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
