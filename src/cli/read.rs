//! `mldash_bridge read`: writes a track's rows as a file.

use clap::Args;
use mldash_bridge::track::{
    Experiment, Format, Query, Remote, RemoteExperiment, TIMESTAMP_COLUMN, TIMESTAMP_KEY,
    TopicFilter, TrackInfo,
};

use super::Failure;
use super::args::{ExperimentArgs, RangeArgs, RemoteArgs, parse_track};
use super::output::{RowsArgs, formats};

#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The track, for example robot/pose.
    #[arg(value_parser = parse_track)]
    track: String,
    #[command(flatten)]
    range: RangeArgs,
    /// Columns to read, comma-separated. Default: all.
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    columns: Vec<String>,
    /// Read at most this many rows, the earliest ones.
    #[arg(long, value_name = "ROWS")]
    limit: Option<u64>,
    /// The format to write. Default: by the output file's extension, else json.
    #[arg(long, value_parser = formats(Format::ALL))]
    format: Option<Format>,
    #[command(flatten)]
    rows: RowsArgs,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(crate) fn run(args: &ReadArgs) -> Result<(), Failure> {
    let format = args.rows.format(args.format, Format::ALL)?;
    let query = query(args)?;
    if let Some(remote) = args.remote.remote() {
        return read_remote(args, &query, &remote, format);
    }
    let exp = args.experiment.open()?;
    let track = exp.tracks(&args.track);
    match track.columns()? {
        Some(columns) => check_columns(args, &columns)?,
        None => return Err(nothing_here(args, &exp)?),
    }
    args.rows.write(format, |export, out| track.export_to(&query, export, out))
}

fn read_remote(
    args: &ReadArgs,
    query: &Query,
    remote: &Remote,
    format: Format,
) -> Result<(), Failure> {
    if args.limit.is_some() {
        return Err(Failure::usage("`--limit` does not work with `--remote`; use `--end`"));
    }
    let exp = RemoteExperiment::open(&args.experiment.name, remote)?;
    let tracks = exp.list_matching(&TopicFilter::All)?;
    match tracks.iter().find(|track| track.topic == args.track) {
        // A server may not report columns.
        Some(track) if track.columns.is_empty() => {}
        Some(track) => check_columns(args, &track.columns)?,
        None => return Err(no_track(args, &tracks)),
    }
    // JSON from a server is always strict.
    args.rows.write(format, |_, out| exp.export_to(&args.track, query, format, out))
}

/// A mistyped name must not look like a column without values.
fn check_columns(args: &ReadArgs, columns: &[String]) -> Result<(), Failure> {
    let is_known = |name: &&String| {
        [TIMESTAMP_COLUMN, TIMESTAMP_KEY].contains(&name.as_str()) || columns.contains(name)
    };
    let unknown: Vec<String> = args
        .columns
        .iter()
        .filter(|name| !is_known(name))
        .map(|name| format!("`{name}`"))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let (unknown, known) = (unknown.join(", "), columns.join(", "));
    let reason = format!("track `{}` has no column {unknown}; there are: {known}", args.track);
    Err(Failure::failed(reason))
}

/// Why a track has no rows: it was never recorded, so its name is probably mistyped, or its rows
/// were uploaded and removed here.
fn nothing_here(args: &ReadArgs, exp: &Experiment) -> Result<Failure, Failure> {
    let tracks = exp.list()?;
    if tracks.iter().any(|track| track.topic == args.track) && exp.folder().join(".sync").is_dir() {
        let reason = format!(
            "track `{}` has no rows here; if they were removed after an upload (`keep: unsynced`), read \
             them with `--remote URL`",
            args.track
        );
        return Ok(Failure::failed(reason));
    }
    let with_rows: Vec<TrackInfo> =
        tracks.into_iter().filter(|track| track.total_entries > 0).collect();
    Ok(no_track(args, &with_rows))
}

fn no_track(args: &ReadArgs, tracks: &[TrackInfo]) -> Failure {
    let topics: Vec<&str> = tracks.iter().map(|track| &*track.topic).collect();
    let (experiment, topics) = (&args.experiment.name, topics.join(", "));
    let reason =
        format!("experiment {experiment} has no track `{}`; there are: {topics}", args.track);
    Failure::failed(reason)
}

fn query(args: &ReadArgs) -> Result<Query, Failure> {
    let mut query = Query::range(args.range.range()?);
    if !args.columns.is_empty() {
        query = query.columns(&args.columns);
    }
    Ok(match args.limit {
        Some(rows) => query.limit(rows),
        None => query,
    })
}
