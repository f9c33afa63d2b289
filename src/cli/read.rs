//! `mldash_bridge read`: a track's rows as a file.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use mldash_bridge::track::{Experiment, Export, Format, Query};

use super::{ExperimentArgs, Failure, output};

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
    /// What to write.
    #[arg(long, default_value = "json")]
    format: FormatArg,
    /// In JSON, write null for NaN and infinities instead of Python's tokens.
    #[arg(long)]
    strict: bool,
    /// Write to this file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Json,
    Jsonl,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Json => Self::Json,
            FormatArg::Jsonl => Self::Jsonl,
        }
    }
}

pub(crate) fn run(args: &ReadArgs) -> Result<(), Failure> {
    let exp = Experiment::open_read_only(&args.experiment.experiment, &args.experiment.root)?;
    let topics: Vec<String> = exp.list()?.into_iter().map(|track| track.topic).collect();
    if !topics.contains(&args.track) {
        tracing::warn!("no track `{}`; there are: {}", args.track, topics.join(", "));
    }
    let mut export = Export::from(Format::from(args.format));
    if args.strict {
        export = export.strict();
    }
    let track = exp.tracks(&args.track);
    output::write_to(args.output.as_deref(), |out| {
        track.export_to(&query(args), export, out)?;
        // A prompt should not stand behind the last row; a file stays as the format has it.
        if args.output.is_none() && stdout().is_terminal() {
            writeln!(out)?;
        }
        Ok(())
    })
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
