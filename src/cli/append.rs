//! `mldash_bridge append`: appends rows from stdin to a track.

use clap::Args;
use mldash_bridge::track::{Experiment, Options, TrackError, TrackName};
use serde::Serialize;

use super::args::{ExperimentArgs, UploadArgs, parse_track};
use super::target::{self, IfThere};
use super::{ExitCode, Failure, stdin};

/// Memory for rows that are not written yet. Standard input waits for the disk, so a larger buffer would gain
/// nothing. As text, which is how they are written, rows take two to three times as much.
const BUFFER_BYTES: usize = 8 << 20;

#[derive(Debug, Args)]
pub(crate) struct AppendArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The track, for example robot/pose.
    #[arg(value_parser = parse_track)]
    track: String,
    #[command(flatten)]
    upload: UploadArgs,
}

/// The result, printed on stdout as one line of JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    topic: &'a str,
    /// Lines that are now in the store.
    appended: u64,
    /// Of these, the ones that share their time with another row.
    merged: u64,
    /// Lines that are not rows.
    bad: u64,
}

pub(crate) fn run(args: &AppendArgs) -> Result<ExitCode, Failure> {
    // An invalid name must not leave a new experiment behind.
    let topic: TrackName = args.track.parse().map_err(TrackError::from)?;
    let input = stdin::until_stopped()?;
    let mut options = Options::local(args.experiment.root.path()).buffer_bytes(BUFFER_BYTES);
    if let Some(url) = &args.upload.remote {
        options = options.remote(args.upload.token.at(url));
    }
    let exp = Experiment::open(&args.experiment.name, options)?;
    let lines = exp.tracks(topic.as_str()).append_json_lines(input, |bad| {
        eprintln!("line {}: {}", bad.number, bad.reason);
    });
    // Rows that were read are kept, whatever happened to the input.
    let closed = exp.close();
    let (lines, closed) = (lines?, closed?);
    let track = closed.tracks.iter().find(|track| track.info.topic == topic.as_str());
    let summary = Summary {
        topic: topic.as_str(),
        appended: lines.appended,
        merged: lines.merged + track.map_or(0, |track| track.merged_on_disk),
        bad: lines.bad,
    };
    target::write_to(None, IfThere::Replace, |out| {
        serde_json::to_writer(&mut *out, &summary).map_err(std::io::Error::from)?;
        Ok(writeln!(out)?)
    })?;
    if lines.bad > 0 {
        let all = lines.bad + lines.appended;
        let text = format!("{} of {all} lines are not rows; the others are stored", lines.bad);
        return Err(Failure::failed(text));
    }
    // What to do about it was logged.
    match closed.sync {
        Some(sync) if !sync.is_complete() => Ok(ExitCode::Missing),
        _ => Ok(ExitCode::Done),
    }
}
