//! `mldash_bridge read`: a track's rows as a file.

use clap::Args;
use mldash_bridge::track::{Experiment, Format, Query, Remote, RemoteExperiment, Track};

use super::output::{RowsArgs, formats};
use super::remote::RemoteArgs;
use super::{ExperimentArgs, Failure};

#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The track, for example robot/pose.
    track: String,
    /// First _ts to read, seconds, included.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    start: Option<f64>,
    /// Last _ts to read, seconds, included.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    end: Option<f64>,
    /// Columns to read, comma-separated; all without.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    columns: Vec<String>,
    /// At most this many rows, the earliest.
    #[arg(long, value_name = "ROWS")]
    limit: Option<u64>,
    /// What to write; without, what the output file's extension says, else json.
    #[arg(long, value_parser = formats(&Format::ALL))]
    format: Option<Format>,
    #[command(flatten)]
    rows: RowsArgs,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(crate) fn run(args: &ReadArgs) -> Result<(), Failure> {
    let format = args.rows.format(args.format, &Format::ALL)?;
    if let Some(remote) = args.remote.remote() {
        return read_remote(args, &remote, format);
    }
    let exp = args.experiment.open()?;
    let track = exp.tracks(&args.track);
    warn_without_rows(&exp, &track)?;
    args.rows.write(format, |export, out| track.export_to(&query(args), export, out))
}

fn read_remote(args: &ReadArgs, remote: &Remote, format: Format) -> Result<(), Failure> {
    if args.limit.is_some() {
        return Err(Failure::Usage("a server knows no `--limit`; give `--end` instead".into()));
    }
    let exp = RemoteExperiment::open(&args.experiment.experiment, remote)?;
    // On the wire JSON is always strict.
    args.rows.write(format, |_, out| exp.export_to(&args.track, &query(args), format, out))
}

/// A track that was never recorded reads as one without rows; its name is likely mistyped. So does one
/// that a server took over.
fn warn_without_rows(exp: &Experiment, track: &Track) -> Result<(), Failure> {
    if track.rows(&Query::all().limit(1))?.next().transpose()?.is_none() {
        let (topic, tracks) = (track.topic(), exp.list()?);
        if tracks.iter().any(|track| track.topic == topic) && exp.folder().join(".sync").is_dir() {
            tracing::warn!(
                "track `{topic}` has no rows here; if they were removed after an upload (`keep: \
                 unsynced`), read them with `--remote URL`"
            );
            return Ok(());
        }
        let with_rows = tracks.into_iter().filter(|track| track.total_entries > 0);
        let topics: Vec<String> = with_rows.map(|track| track.topic).collect();
        tracing::warn!("track `{topic}` has no rows; there are: {}", topics.join(", "));
    }
    Ok(())
}

fn query(args: &ReadArgs) -> Query {
    let start = args.start.unwrap_or(f64::NEG_INFINITY);
    let mut query = Query::range(start..=args.end.unwrap_or(f64::INFINITY));
    if !args.columns.is_empty() {
        query = query.columns(&args.columns);
    }
    match args.limit {
        Some(rows) => query.limit(rows),
        None => query,
    }
}
