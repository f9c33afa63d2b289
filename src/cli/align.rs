//! `mldash_bridge align`: joins tracks by time and writes a file. How to join comes from options, from
//! a recipe, or from both.

mod how;
mod keys;
mod per_track;
mod recipe;

use std::path::PathBuf;

use clap::Args;
use mldash_bridge::track::{Align, Format, Join};

use super::Failure;
use super::args::{ExperimentArgs, RangeArgs, parse_track};
use super::output::{RowsArgs, formats};
use how::How;
pub(crate) use keys::JOINS;
use per_track::{ForTrack, OfTrack, Rename, method, missing};

/// The first one is the default.
const FORMATS: [Format; 3] = [Format::Jsonl, Format::Parquet, Format::Csv];

#[derive(Debug, Args)]
pub(crate) struct AlignArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The track whose rows the others are joined to.
    #[arg(long, value_name = "TRACK", value_parser = parse_track, required_unless_present_any = ["rate", "recipe"])]
    on: Option<String>,
    /// Join at this many times a second instead: at START + i / HZ. Without --start, from the first time at
    /// which all tracks have a row; without --end, to the last row of any track.
    #[arg(long, value_name = "HZ", conflicts_with = "on")]
    rate: Option<f64>,
    /// The tracks to join, comma-separated; their columns become TRACK.COLUMN.
    #[arg(long, value_name = "A,B", value_delimiter = ',', required_unless_present = "recipe", value_parser = parse_track)]
    with: Vec<String>,
    /// A YAML file that says what to join and how. Options take precedence over its top level.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["on", "rate", "with"])]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    how: HowArgs,
    #[command(flatten)]
    range: RangeArgs,
    /// The format to write. Default: by the output file's extension, else jsonl.
    #[arg(long, value_parser = formats(&FORMATS))]
    format: Option<Format>,
    #[command(flatten)]
    rows: RowsArgs,
}

/// How to join, for all tracks or for one.
#[derive(Debug, Args)]
#[command(next_help_heading = "How to join (for all tracks, or for one as TRACK=…; repeatable)")]
struct HowArgs {
    /// Which values belong to a time: floor (the last row at or before it), nearest, linear (between
    /// the rows before and after it), or of the rows in the step that ends there: mean, min, max, last,
    /// count. Default: floor.
    #[arg(long, value_name = "[TRACK=]METHOD", value_parser = ForTrack::parser(method))]
    method: Vec<ForTrack<mldash_bridge::track::AlignMethod>>,
    /// Leave out rows further away in time than this. Default: no limit.
    #[arg(long, value_name = "[TRACK=]SECONDS", value_parser = ForTrack::parser(per_track::seconds))]
    tolerance: Vec<ForTrack<f64>>,
    /// What a time without values costs: null (they are absent), hold (the last row's, however old), drop
    /// (there is no row) or error. Default: null.
    #[arg(long, value_name = "[TRACK=]WHAT", value_parser = ForTrack::parser(missing))]
    missing: Vec<ForTrack<mldash_bridge::track::Missing>>,
    /// Columns to keep of a track, comma-separated. Default: all of a track that is not named.
    #[arg(long, value_name = "TRACK:COLUMN", value_delimiter = ',')]
    columns: Vec<OfTrack>,
    /// Another name for a column.
    #[arg(long, value_name = "TRACK:COLUMN=NAME")]
    rename: Vec<Rename>,
    /// Columns to interpolate as quaternions [x,y,z,w], besides those recorded as such.
    #[arg(long, value_name = "TRACK:COLUMN", value_delimiter = ',')]
    quaternions: Vec<OfTrack>,
    /// Add how old the values of each track are, in seconds, as TRACK.age.
    #[arg(long)]
    age: bool,
}

pub(crate) fn run(args: &AlignArgs) -> Result<(), Failure> {
    let format = args.rows.format(args.format, &FORMATS)?;
    let mut align = align(args)?;
    let (start, end) = args.range.ends()?;
    if let Some(secs) = start {
        align = align.since(secs);
    }
    if let Some(secs) = end {
        align = align.until(secs);
    }
    let aligned = args.experiment.open()?.align(&align)?;
    args.rows.write(format, |export, out| aligned.export_to(export, out))
}

fn align(args: &AlignArgs) -> Result<Align, Failure> {
    if let Some(path) = &args.recipe {
        args.how.refuse_tracks()?;
        return Ok(args.how.of_all().for_all(recipe::load(path)?));
    }
    let (mut align, on) = match (&args.on, args.rate) {
        (_, Some(hz)) => (Align::at_rate(hz), None),
        (on, None) => (Align::on(on.clone().unwrap_or_default()), on.as_deref()),
    };
    args.how.check_tracks(on, &args.with)?;
    if let Some(on) = on {
        let columns = OfTrack::columns(&args.how.columns, on);
        if !columns.is_empty() {
            align = align.columns(columns);
        }
        for rename in args.how.rename.iter().filter(|rename| rename.of.track == on) {
            align = align.rename(&rename.of.column, &rename.name);
        }
    }
    let joins = args.with.iter().map(|track| args.how.join(track));
    Ok(joins.fold(args.how.of_all().for_all(align), Align::join))
}

impl HowArgs {
    /// What is said for all tracks.
    fn of_all(&self) -> How {
        How {
            method: ForTrack::all(&self.method),
            tolerance_secs: ForTrack::all(&self.tolerance),
            missing: ForTrack::all(&self.missing),
        }
    }

    /// How to join one track.
    fn join(&self, track: &str) -> Join {
        let how = How {
            method: ForTrack::of(&self.method, track),
            tolerance_secs: ForTrack::of(&self.tolerance, track),
            missing: ForTrack::of(&self.missing, track),
        };
        let mut join = how.of_one(Join::track(track));
        let columns = OfTrack::columns(&self.columns, track);
        if !columns.is_empty() {
            join = join.columns(columns);
        }
        for rename in self.rename.iter().filter(|rename| rename.of.track == track) {
            join = join.rename(&rename.of.column, &rename.name);
        }
        if self.age {
            join = join.age(format!("{track}.age"));
        }
        join.quaternions(OfTrack::columns(&self.quaternions, track))
    }

    /// The tracks that are named, each with its option.
    fn tracks(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let methods = self.method.iter().filter_map(|m| Some(("--method", m.track.as_deref()?)));
        let tolerances =
            self.tolerance.iter().filter_map(|t| Some(("--tolerance", t.track.as_deref()?)));
        let missing = self.missing.iter().filter_map(|m| Some(("--missing", m.track.as_deref()?)));
        let columns = self.columns.iter().map(|of| ("--columns", &*of.track));
        let renames = self.rename.iter().map(|rename| ("--rename", &*rename.of.track));
        let quaternions = self.quaternions.iter().map(|of| ("--quaternions", &*of.track));
        let joined = methods.chain(tolerances).chain(missing).chain(quaternions);
        joined.chain(columns).chain(renames)
    }

    /// A misspelt track must not look like one without options.
    fn check_tracks(&self, on: Option<&str>, with: &[String]) -> Result<(), Failure> {
        for (option, track) in self.tracks() {
            let has_columns = matches!(option, "--columns" | "--rename");
            let is_known =
                with.iter().any(|known| known == track) || (has_columns && on == Some(track));
            if !is_known {
                let known = with.join(", ");
                let reason = format!(
                    "`{option}` names the track `{track}`, which `--with` does not: {known}"
                );
                return Err(Failure::usage(reason));
            }
        }
        Ok(())
    }

    fn refuse_tracks(&self) -> Result<(), Failure> {
        let of_a_track = self.tracks().next().map(|(option, _)| option);
        match of_a_track.or(self.age.then_some("--age")) {
            Some(option) => {
                let reason =
                    format!("`{option}` of a track belongs into the recipe, beside its `track:`");
                Err(Failure::usage(reason))
            }
            None => Ok(()),
        }
    }
}
