//! The command line. One file a subcommand, each a thin call into the library.
//! stdout carries data only; logs and progress go to stderr.

mod account;
mod align;
mod append;
mod args;
mod calls;
mod check;
mod compact;
mod completions;
mod dataset;
mod destination;
#[cfg(test)]
mod documented;
mod exit;
mod experiments;
mod export;
mod exporting;
mod import;
mod init;
mod keyboard;
mod log_thread;
mod logging;
mod open_files;
mod output;
mod pack;
mod pattern;
mod plot;
mod progress;
mod publish;
mod publishing;
mod read;
mod replay;
mod report;
mod ros2_account;
mod run;
mod run_details;
mod schema;
mod selection;
mod serve;
mod status_line;
mod status_text;
mod stdin;
mod stop;
mod sync;
mod table;
mod tag;
mod target;
mod terminal;
mod tracks;
mod version;

use std::ffi::OsString;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use mldash_bridge::ros::{LogQueue, RosArguments};

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
    /// The least severe messages to log to stderr.
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
    /// Exit codes: 2 if the mapping is wrong; 1 with --graph if a topic that it names without wildcards is
    /// not published, or one that it matches can't be recorded.
    Check(check::CheckArgs),
    /// Record the live ROS graph until SIGINT, SIGTERM, SIGHUP or the duration; print the account.
    ///
    /// Takes `--ros-args …` like every ROS 2 node: remaps, node name, parameters. `config`, `experiment`,
    /// `root`, `remote` and `start_paused` can be set as ROS parameters too. The command line overrides
    /// them, and they override the mapping.
    ///
    /// Uploads to the mapping's server, unless --remote names another one.
    Run(run::RunArgs),
    /// Record bags (MCAP, rosbag2's SQLite) with the same mapping, without ROS; print the account.
    ///
    /// Uploads to the mapping's server, unless --remote names another one.
    ///
    /// Exit code 3: something that was asked for is missing, because a topic can't be recorded or messages
    /// were dropped. The account says what.
    Import(import::ImportArgs),
    /// List experiments: start, length, rows, bytes, status, tags.
    ///
    /// START is the first _ts; for a live recording its start, if some rows are older. LENGTH goes to the
    /// last _ts. `~`: the number of rows is a few seconds old, or rows of one time are not merged in it yet.
    /// NOT CLOSED: the run is noted as running, but no process here writes it; it was killed, or runs
    /// elsewhere.
    ///
    /// Exit code 3: some of it can't be read; the lines below the table say what.
    Experiments(experiments::ExperimentsArgs),
    /// Say of experiments what they are about and whether they can be used: task, success, tags, notes.
    ///
    /// Works afterwards and while they are recorded. Without an option, prints what is said of them.
    ///
    /// Exit code 1: one of them could not be changed; stderr says which and why.
    Tag(tag::TagArgs),
    /// List the tracks of an experiment: rows, first and last _ts, columns.
    Tracks(tracks::TracksArgs),
    /// Read a track: rows by time range and columns.
    Read(read::ReadArgs),
    /// Draw columns of a track over time, in the terminal.
    ///
    /// Each step of the time axis shows the smallest and the largest value in it, so that no spike vanishes. NaN,
    /// infinities and missing values are gaps. On a terminal the columns share a plot in colours; without colours
    /// (NO_COLOR, a pipe or a file) each has its own.
    Plot(plot::PlotArgs),
    /// Join tracks by time: one row per row of one track, with what the others held then.
    Align(align::AlignArgs),
    /// Write recordings as a dataset to train on: LeRobot v3.0, or a table of Parquet, on an exact grid.
    ///
    /// The account says which ticks were left out, held or ended an episode, for which feature and when; it is in
    /// the dataset too.
    ///
    /// Exit code 3: an experiment gives no episode; the account says why.
    Dataset(dataset::DatasetArgs),
    /// Write a page that shows recordings: timelines, gaps, rates, plots, pictures, the account.
    ///
    /// One file, which opens in any browser without a network. stderr says what is worth acting on.
    ///
    /// Exit code 3: some of it can't be read; the page says what.
    Report(report::ReportArgs),
    /// Write a whole run as one MCAP file that Foxglove and Rerun show: poses, transforms, scans, clouds, pictures, logs.
    ///
    /// All tracks on their stamps. What no schema for drawing holds is there as JSON. A run that is still being
    /// recorded is written as far as it has come.
    ///
    /// Exit code 3: pictures or clouds that rows name can't be read; stderr says which and why.
    Export(export::ExportArgs),
    /// Put recordings on an object store as Parquet, for DuckDB, Spark, Trino, Polars, Ray.
    ///
    /// Each row once, whatever was interrupted or runs twice: calling it again puts only what is new. Experiments that are
    /// being recorded are left out. The mapping's `publish: {to: URL}` does it for each part once it is closed.
    ///
    /// Exit code 3: experiments were left out, pictures can't be read, or this copy of a recording has fewer rows than
    /// are published; stderr says which.
    Publish(publish::PublishArgs),
    /// Publish the messages of a recording on the live graph, at their own pace and with their QoS.
    ///
    /// Takes `--ros-args …` like every ROS 2 node: remaps, node name. `~/pause` and `~/resume` (std_srvs/Trigger) pause
    /// and resume it.
    ///
    /// Exit code 3: tracks that lack a part of their messages, or topics whose types are not installed, were left out;
    /// stderr names them.
    Replay(replay::ReplayArgs),
    /// Append rows to a track: JSON lines on stdin, each with its time in seconds under _ts.
    ///
    /// Exit code 3: the rows are stored here, but not all of them are on the server.
    Append(append::AppendArgs),
    /// Upload what an ML-Dash server lacks of an experiment, also while it is being recorded.
    ///
    /// Without --remote, uploads to the server that ML_DASH_API_URL names. Ctrl-C stops the upload; the next
    /// call goes on from there. While --drop-synced compares, only a second Ctrl-C ends it.
    Sync(sync::SyncArgs),
    /// Compress the rows of closed experiments with zstd, to a sixth to four tenths of their size.
    ///
    /// Each track's data.jsonl becomes data.jsonl.zst, which all commands here, `serve` and the Rust library read
    /// as before; `zstd -d` restores it. ML-Dash's SDK does not read it: `unpack` first. Appending to a track
    /// unpacks it. The mapping's `compress: zstd` packs each recording when it is closed.
    ///
    /// Exit code 1: some of it could not be packed, or is being recorded, and is left as it was.
    Pack(pack::PackArgs),
    /// Restore the rows that `pack` compressed, as ML-Dash's SDK reads them.
    ///
    /// Exit codes: 1, some of it could not be unpacked, or is being recorded, and is left as it was; 3, rows are
    /// missing since the packed file is damaged, which is kept.
    Unpack(pack::PackArgs),
    /// Merge small files of a store that `publish` writes to into large ones, by day or by project.
    ///
    /// Each row counts once at every moment, also if this is killed, or runs beside publishers and other compactions; the
    /// next call finishes what was begun. Credentials come from the environment, as for `publish`.
    Compact(compact::CompactArgs),
    /// Serve a local root to ML-Dash clients: experiments, tracks, files; for a lab without an account.
    Serve(serve::ServeArgs),
    /// Print all keys of a mapping or a recipe: a JSON Schema for editors, or a page for people.
    ///
    /// With the line `# yaml-language-server: $schema=FILE` at the top of a mapping, editors that speak to
    /// yaml-language-server complete keys, explain them and mark mistakes.
    Schema(schema::SchemaArgs),
    /// Print the completions of commands and options for a shell.
    ///
    /// `make install` installs those for bash, zsh and fish. By hand, for bash:
    /// `source <(mldash_bridge completions bash)`.
    Completions(completions::CompletionsArgs),
    /// Write the man pages into a folder.
    #[command(hide = true)]
    Man(completions::ManArgs),
}

/// Runs the program with `args`, whose first item is the program's name.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let (args, ros_args) = match RosArguments::split(args) {
        Ok(split) => split,
        Err(error) => return exit::report(Failure::usage(error)),
    };
    let asks_for_all = args.iter().any(|arg| arg == "--version");
    let cli = match Cli::try_parse_from(with_subcommand(args)) {
        Ok(cli) => cli,
        Err(error) if asks_for_all && error.kind() == ErrorKind::DisplayVersion => {
            return version::print().map_or_else(exit::report, |()| ExitCode::Done);
        }
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
    let _terminal = RestoredTerminal;
    let ended = match cli.command {
        Command::Init(args) => done(init::run(&args, &ros_args)),
        Command::Check(args) => done(check::run(&args, &ros_args)),
        Command::Run(args) => run::run(&args, &ros_args, logs),
        Command::Import(args) => import::run(&args),
        Command::Experiments(args) => experiments::run(&args),
        Command::Tag(args) => tag::run(&args),
        Command::Tracks(args) => tracks::run(&args),
        Command::Read(args) => done(read::run(&args)),
        Command::Plot(args) => done(plot::run(&args)),
        Command::Align(args) => done(align::run(&args)),
        Command::Dataset(args) => dataset::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Publish(args) => publish::run(&args),
        Command::Replay(args) => replay::run(&args, &ros_args),
        Command::Append(args) => append::run(&args),
        Command::Sync(args) => done(sync::run(&args)),
        Command::Pack(args) => pack::pack(&args),
        Command::Unpack(args) => pack::unpack(&args),
        Command::Compact(args) => compact::run(&args),
        Command::Serve(args) => done(serve::run(&args)),
        Command::Schema(args) => done(schema::run(&args)),
        Command::Completions(args) => done(completions::completions(&args, Cli::command())),
        Command::Man(args) => done(completions::man(&args, Cli::command())),
    };
    log.finish();
    ended.unwrap_or_else(exit::report)
}

/// Restores the terminal however the command ends, also by a panic.
struct RestoredTerminal;

impl Drop for RestoredTerminal {
    fn drop(&mut self) {
        terminal::restore();
    }
}

/// The exit code of a command that either does everything or fails.
fn done(result: Result<(), Failure>) -> Result<ExitCode, Failure> {
    result.map(|()| ExitCode::Done)
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
