//! `mldash_bridge pack` and `unpack`: compress the rows of closed experiments, and restore them.

use std::io::{self, Write, stdout};
use std::ops::ControlFlow;

use clap::Args;
use mldash_bridge::mapping::Bytes;
use mldash_bridge::track::{Experiment, Repacked, TrackError};
use serde::Serialize;

use super::args::RootArgs;
use super::{ExitCode, Failure, output, pattern, table};

#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    /// The experiments: names, folders or globs, for example 'alice/lab/run-1*'. What lies below a folder
    /// that matches is meant too.
    #[arg(required = true, value_name = "EXPERIMENT")]
    experiments: Vec<String>,
    #[command(flatten)]
    root: RootArgs,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// What was done with an experiment.
#[derive(Debug, Serialize)]
struct Report {
    experiment: String,
    /// Tracks whose rows are in the other form now.
    tracks: u64,
    bytes_before: u64,
    bytes_after: u64,
    /// Tracks whose packed file was damaged: what was hit is missing.
    damaged: Vec<String>,
}

pub(crate) fn pack(args: &PackArgs) -> Result<ExitCode, Failure> {
    run(args, "packed", |exp| exp.pack(|| ControlFlow::Continue(())))
}

pub(crate) fn unpack(args: &PackArgs) -> Result<ExitCode, Failure> {
    run(args, "unpacked", Experiment::unpack)
}

fn run(
    args: &PackArgs,
    done: &str,
    change: impl Fn(&Experiment) -> Result<Repacked, TrackError>,
) -> Result<ExitCode, Failure> {
    let names = pattern::names(&args.experiments, &args.root)?;
    let mut reports = Vec::new();
    let mut code = ExitCode::Done;
    for experiment in names {
        let exp = Experiment::open_read_only(&experiment, args.root.path());
        // The others can be changed, whatever is wrong with one.
        match exp.and_then(|exp| change(&exp)) {
            Ok(Repacked { tracks, bytes_before, bytes_after, damaged, problems, .. }) => {
                for problem in &problems {
                    tracing::error!("{experiment}: {problem}; its rows are left as they are");
                    code = ExitCode::Failed;
                }
                for topic in &damaged {
                    tracing::error!(
                        "{experiment}: the packed rows of track `{topic}` were damaged, and what was hit is \
                         missing; the damaged file is kept beside them as data.jsonl.zst.bad"
                    );
                }
                if !damaged.is_empty() && code == ExitCode::Done {
                    code = ExitCode::Missing;
                }
                reports.push(Report { experiment, tracks, bytes_before, bytes_after, damaged });
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "{experiment} is left as it is");
                code = ExitCode::Failed;
            }
        }
    }
    output::write_report(&reports, args.json, stdout(), |out| print(&reports, done, out))?;
    Ok(code)
}

fn print(reports: &[Report], done: &str, out: &mut dyn Write) -> io::Result<()> {
    for Report { experiment, tracks, bytes_before, bytes_after, .. } in reports {
        let experiment = table::printable(experiment);
        match tracks {
            0 => writeln!(out, "{experiment}: nothing to be {done}")?,
            _ => {
                let (before, after) = (Bytes::new(*bytes_before), Bytes::new(*bytes_after));
                writeln!(out, "{experiment}: {done} {tracks} tracks, {before} to {after}")?;
            }
        }
    }
    Ok(())
}
