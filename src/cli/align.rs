//! `mldash_bridge align`: joins tracks by time and writes a file.

use clap::{Args, ValueEnum};
use mldash_bridge::track::{Align, AlignMethod, Format};

use super::Failure;
use super::args::{ExperimentArgs, parse_track};
use super::output::{RowsArgs, formats};

#[derive(Debug, Args)]
pub(crate) struct AlignArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The track whose rows the others are joined to.
    #[arg(long, value_name = "TRACK", value_parser = parse_track)]
    on: String,
    /// The tracks to join, comma-separated; their columns become TRACK.COLUMN.
    #[arg(long, value_name = "A,B", value_delimiter = ',', required = true, value_parser = parse_track)]
    with: Vec<String>,
    /// Which row of the others to join.
    #[arg(long, default_value = "floor")]
    method: MethodArg,
    /// Leave out rows further away in time than this. Default: no limit.
    #[arg(long, value_name = "SECONDS", default_value = "inf", hide_default_value = true)]
    tolerance: f64,
    /// First _ts of TRACK, in seconds, inclusive.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    start: Option<f64>,
    /// Last _ts of TRACK, in seconds, inclusive.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    end: Option<f64>,
    /// The format to write. Default: by the output file's extension, else jsonl.
    #[arg(long, value_parser = formats(&FORMATS))]
    format: Option<Format>,
    #[command(flatten)]
    rows: RowsArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MethodArg {
    /// The last row at or before the time.
    Floor,
    /// The nearest row; of two equally near, the earlier.
    Nearest,
}

impl From<MethodArg> for AlignMethod {
    fn from(method: MethodArg) -> Self {
        match method {
            MethodArg::Floor => Self::Floor,
            MethodArg::Nearest => Self::Nearest,
        }
    }
}

/// The first one is the default.
const FORMATS: [Format; 3] = [Format::Jsonl, Format::Parquet, Format::Csv];

pub(crate) fn run(args: &AlignArgs) -> Result<(), Failure> {
    let format = args.rows.format(args.format, &FORMATS)?;
    let exp = args.experiment.open()?;
    let start = args.start.unwrap_or(f64::NEG_INFINITY);
    let align = Align::on(&args.on)
        .with(&args.with)
        .method(args.method.into())
        .tolerance(args.tolerance)
        .range(start..=args.end.unwrap_or(f64::INFINITY));
    let aligned = exp.align(&align)?;
    args.rows.write(format, |export, out| aligned.export_to(export, out))
}
