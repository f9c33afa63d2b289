//! The command line. One file a subcommand, each a thin call into the library.
//! stdout carries data only; logs and progress go to stderr.

mod align;
mod append;
mod check;
mod exit;
mod logging;
mod output;
mod read;
mod tracks;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use exit::{ExitCode, Failure};

/// Records live ROS 2 robots into ML-Dash tracks: timestamp-indexed rows on one clock.
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
    /// Validate a mapping: every problem with line and column.
    Check(check::CheckArgs),
    /// List the tracks of an experiment: rows, first and last _ts, columns.
    Tracks(tracks::TracksArgs),
    /// Read a track: rows by time range and columns.
    Read(read::ReadArgs),
    /// Join tracks by time: one row per row of one track, with what the others held then.
    Align(align::AlignArgs),
    /// Append rows to a track: JSON lines on stdin, each with its time in seconds under _ts.
    Append(append::AppendArgs),
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

/// Runs the program with `args`, the first being its own name.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return exit::report_usage(&error),
    };
    logging::start(cli.log_level);
    let done = match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Tracks(args) => tracks::run(&args),
        Command::Read(args) => read::run(&args),
        Command::Align(args) => align::run(&args),
        Command::Append(args) => append::run(&args),
    };
    done.map_or_else(exit::report, |()| ExitCode::Done)
}
