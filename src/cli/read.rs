//! `mldash_bridge read`: a track's rows as a file.

use std::ffi::OsStr;
use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use mldash_bridge::track::{Experiment, Export, Format, Query, Track};

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
    /// What to write; without, what the output file's extension says, else json.
    #[arg(long, value_parser = formats())]
    format: Option<Format>,
    /// In JSON, write null for NaN and infinities instead of Python's tokens.
    #[arg(long)]
    strict: bool,
    /// Write to this file instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ReadArgs) -> Result<(), Failure> {
    let format = args.format();
    if args.output.is_none() && stdout().is_terminal() && !format.is_text() {
        let reason = format!("{format} is not for a terminal; name a file with -o or use a pipe");
        return Err(Failure::Usage(reason.into()));
    }
    let exp = Experiment::open_read_only(&args.experiment.experiment, &args.experiment.root)?;
    let track = exp.tracks(&args.track);
    warn_without_rows(&exp, &track)?;
    let mut export = Export::from(format);
    if args.strict {
        export = export.strict();
    }
    output::write_to(args.output.as_deref(), |out| {
        track.export_to(&query(args), export, out)?;
        // A prompt should not stand behind the last row; a file stays as the format has it.
        if args.output.is_none() && stdout().is_terminal() {
            writeln!(out)?;
        }
        Ok(())
    })
}

/// A track that was never recorded reads as one without rows; its name is likely mistyped.
fn warn_without_rows(exp: &Experiment, track: &Track) -> Result<(), Failure> {
    if track.rows(&Query::all().limit(1))?.next().transpose()?.is_none() {
        let topics: Vec<String> = exp.list()?.into_iter().map(|track| track.topic).collect();
        tracing::warn!("track `{}` has no rows; there are: {}", track.topic(), topics.join(", "));
    }
    Ok(())
}

impl ReadArgs {
    /// What is asked for, else what the file's name says.
    fn format(&self) -> Format {
        let extension = self.output.as_deref().and_then(Path::extension).and_then(OsStr::to_str);
        let by_name = || extension.and_then(|extension| extension.parse().ok());
        self.format.or_else(by_name).unwrap_or(Format::Json)
    }
}

fn formats() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
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
