//! `mldash_bridge export`: a whole run as one MCAP file.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

use clap::Args;
use mldash_bridge::export::Recording;
use mldash_bridge::export::mcap::{McapAccount, McapOptions, MissingFiles, export_mcap};
use mldash_bridge::export::ros2::{Ros2Account, export_ros2};
use mldash_bridge::track::Experiment;

use super::args::{ExperimentArgs, RangeArgs, track_of};
use super::exporting::Exporting;
use super::pattern::Glob;
use super::target::{IfThere, is_stdout, write_to};
use super::{ExitCode, Failure, ros2_account};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The MCAP file to write; it appears once it is complete. `-` is stdout.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Only these tracks: names or globs such as 'camera/*'. What lies below a name that matches is taken too.
    #[arg(long, value_name = "GLOB", num_args = 1..)]
    tracks: Vec<String>,
    #[command(flatten)]
    range: RangeArgs,
    /// Replace FILE if it is there.
    #[arg(long)]
    force: bool,
    /// Write the messages as they were recorded, for `ros2 bag play`: CDR with their definitions, QoS and topics. Tracks
    /// that lack a part of their messages are left out and named; exit code 3.
    #[arg(long)]
    ros2: bool,
}

pub(crate) fn run(args: &ExportArgs) -> Result<ExitCode, Failure> {
    if is_stdout(Some(&args.output)) && stdout().is_terminal() {
        let reason = "MCAP is not for a terminal; name a file with -o or use a pipe";
        return Err(Failure::usage(reason));
    }
    let experiment = args.experiment.open()?;
    let options = options(args, &experiment)?;
    let name = experiment.name().to_string();
    let recording = Recording { name, experiment };
    let if_there = if args.force { IfThere::Replace } else { IfThere::RefuseUnlessForced };
    let exporting = Exporting::start()?;
    if args.ros2 {
        return ros2(args, &recording, &options, if_there, exporting);
    }
    let mut account = McapAccount::default();
    write_to(Some(&args.output), if_there, |out| {
        account = exporting
            .run("s of the run", |progress| export_mcap(&recording, &options, out, progress))?;
        Ok(())
    })?;
    tell(&account, args);
    Ok(if account.missing() > 0 { ExitCode::Missing } else { ExitCode::Done })
}

fn ros2(
    args: &ExportArgs,
    recording: &Recording,
    options: &McapOptions,
    if_there: IfThere,
    exporting: Exporting,
) -> Result<ExitCode, Failure> {
    let mut account = Ros2Account::default();
    write_to(Some(&args.output), if_there, |out| {
        account = exporting
            .run("s of the run", |progress| export_ros2(recording, options, out, progress))?;
        Ok(())
    })?;
    let output = args.output.display();
    let topics = account.topics.len();
    tracing::info!("{output}: {} messages on {topics} topics", account.messages());
    tell_live(account.is_live, &account.experiment, args);
    ros2_account::tell(&account.left_out, &account.losses);
    Ok(if account.is_incomplete() { ExitCode::Missing } else { ExitCode::Done })
}

fn options(args: &ExportArgs, experiment: &Experiment) -> Result<McapOptions, Failure> {
    let mut options = McapOptions { range: args.range.range()?, ..McapOptions::default() };
    if args.tracks.is_empty() {
        return Ok(options);
    }
    let names: Vec<String> = experiment.list()?.into_iter().map(|track| track.topic).collect();
    let mut taken = Vec::new();
    for text in &args.tracks {
        let glob = Glob::new(&track_of(text))?;
        let before = taken.len();
        taken.extend(names.iter().filter(|name| glob.takes(name)).cloned());
        if taken.len() == before {
            let (experiment, names) = (&args.experiment.name, names.join(", "));
            let reason =
                format!("experiment {experiment} has no track `{text}`; there are: {names}");
            return Err(Failure::failed(reason));
        }
    }
    taken.sort();
    taken.dedup();
    options.tracks = Some(taken);
    Ok(options)
}

/// Says what was written, and what is missing.
fn tell(account: &McapAccount, args: &ExportArgs) {
    let output = args.output.display();
    let McapAccount { experiment, tracks, topics, .. } = account;
    let rows: u64 = tracks.iter().map(|track| track.rows).sum();
    let (messages, tracks_written) =
        (account.messages(), tracks.iter().filter(|track| track.rows > 0).count());
    tracing::info!(
        "{output}: {rows} rows of {tracks_written} tracks as {messages} messages on {} topics",
        topics.len()
    );
    tell_live(account.is_live, experiment, args);
    let attached = account.attached + tracks.iter().map(|track| track.attached).sum::<u64>();
    if attached > 0 {
        tracing::info!("{attached} files that no schema draws are attached");
    }
    let nulled: u64 = tracks.iter().map(|track| track.nulled).sum();
    if nulled > 0 {
        tracing::info!("{nulled} numbers that are not finite are null in JSON, which lacks them");
    }
    for track in tracks {
        tell_missing(&format!("track {}", track.name), &track.missing);
    }
    tell_missing("other files", &account.missing);
}

fn tell_live(is_live: bool, experiment: &str, args: &ExportArgs) {
    if is_live {
        let output = args.output.display();
        tracing::warn!(
            "{experiment} is still being recorded; {output} has what was there when the export began"
        );
    }
}

fn tell_missing(what: &str, missing: &MissingFiles) {
    for file in &missing.first {
        tracing::warn!("{what}: {} is missing: {}", file.path, file.reason);
    }
    let named = missing.first.len() as u64;
    if missing.count > named {
        tracing::warn!("{what}: {} more files are missing", missing.count - named);
    }
}
