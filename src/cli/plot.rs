//! `mldash_bridge plot`: columns of a track over time, in the terminal.

mod bins;
mod chart;
mod ticks;

use std::io::{Write, stdout};

use clap::Args;
use mldash_bridge::export::recipe::{Elements, Source};
use mldash_bridge::track::{Experiment, Query, Row, TopicFilter, Value};

use self::bins::Bins;
use self::chart::{Frame, Series};
use super::Failure;
use super::args::{ExperimentArgs, RangeArgs, parse_track};
use super::table::width_of;
use super::terminal::takes_colour;

/// Where stdout is no terminal.
const DEFAULT_WIDTH: usize = 100;
const DEFAULT_HEIGHT: usize = 16;
/// A list of more elements is drawn by those that are named.
const MAX_SERIES: usize = 12;

#[derive(Debug, Args)]
pub(crate) struct PlotArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// The track, for example robot/pose.
    #[arg(value_parser = parse_track)]
    track: String,
    /// The columns, as a recipe of `dataset` names them: effort, or elements of a list: 'position[0]',
    /// 'position[0:3]'. A list without brackets is drawn whole.
    #[arg(required = true, value_name = "COLUMN")]
    columns: Vec<String>,
    #[command(flatten)]
    range: RangeArgs,
    /// Characters across. Default: the terminal's width, else 100.
    #[arg(long, value_name = "CHARACTERS", value_parser = clap::value_parser!(u16).range(24..=2000))]
    width: Option<u16>,
    /// Lines of the plot, without axis and legend.
    #[arg(long, value_name = "LINES", default_value_t = DEFAULT_HEIGHT as u16,
        value_parser = clap::value_parser!(u16).range(2..=500))]
    height: u16,
}

pub(crate) fn run(args: &PlotArgs) -> Result<(), Failure> {
    let wanted = args.columns.iter().map(|column| Wanted::new(&args.track, column));
    let wanted = wanted.collect::<Result<Vec<_>, _>>()?;
    let exp = args.experiment.open()?;
    let track = exp.tracks(&args.track);
    check_columns(&wanted, &args.track, track.columns()?)?;
    let range = args.range.range()?;
    let columns: Vec<String> = wanted.iter().map(|wanted| wanted.column.clone()).collect();
    let query = Query::range(range).columns(&columns);
    let frame = args.frame(&exp)?;
    let of = |wanted| Lines { wanted, bins: Vec::new() };
    let mut lines: Vec<Lines> = wanted.into_iter().map(of).collect();
    let mut rows: u64 = 0;
    for row in track.rows(&query)? {
        let row = row?;
        rows += 1;
        for lines in &mut lines {
            lines.push(&row, frame)?;
        }
    }
    if rows == 0 {
        return Err(args.no_rows());
    }
    let series: Vec<Series> = lines.into_iter().flat_map(Lines::into_series).collect();
    if series.len() > MAX_SERIES {
        let reason = format!(
            "these are {} lines, and {MAX_SERIES} can be told apart; choose elements: 'COLUMN[0:{MAX_SERIES}]'",
            series.len()
        );
        return Err(Failure::usage(reason));
    }
    stdout().write_all(chart::draw(&series, frame).as_bytes())?;
    Ok(())
}

impl PlotArgs {
    fn frame(&self, exp: &Experiment) -> Result<Frame, Failure> {
        let listed = exp.list_matching(&TopicFilter::from(self.track.as_str()))?;
        let span = listed.first().and_then(|track| track.first_timestamp.zip(track.last_timestamp));
        let (first, last) = span.ok_or_else(|| self.no_rows())?;
        let (start, end) = self.range.ends()?;
        let (start, end) = (start.unwrap_or(first), end.unwrap_or(last));
        if start > last || end < first || start > end {
            return Err(self.no_rows());
        }
        let terminal = width_of(stdout());
        Ok(Frame {
            width: self.width.map_or_else(|| terminal.unwrap_or(DEFAULT_WIDTH), usize::from),
            height: self.height.into(),
            in_colour: takes_colour(&stdout()),
            start,
            end,
        })
    }

    fn no_rows(&self) -> Failure {
        Failure::failed(format!("track `{}` has no rows in this range", self.track))
    }
}

/// A column that was asked for.
#[derive(Debug)]
struct Wanted {
    column: String,
    elements: Option<Elements>,
}

impl Wanted {
    fn new(track: &str, text: &str) -> Result<Self, Failure> {
        let source: Source = format!("{track}:{text}").parse().map_err(Failure::usage)?;
        Ok(Self { column: source.column.unwrap_or_default(), elements: source.elements })
    }
}

/// The lines of a column: one, or one for each element of its lists.
struct Lines {
    wanted: Wanted,
    bins: Vec<Bins>,
}

impl Lines {
    fn push(&mut self, row: &Row, frame: Frame) -> Result<(), Failure> {
        let ts = row.ts.as_secs();
        let numbers = match row.fields.get(&self.wanted.column) {
            None | Some(Value::Null) => Vec::new(),
            Some(value) => self.numbers(value, ts)?,
        };
        while self.bins.len() < numbers.len() {
            self.bins.push(Bins::new(frame.start, frame.end, chart::steps(frame.width)));
        }
        for (i, bins) in self.bins.iter_mut().enumerate() {
            match numbers.get(i) {
                Some(number) => bins.push(ts, *number),
                None => bins.push_missing(),
            }
        }
        Ok(())
    }

    fn numbers(&self, value: &Value, ts: f64) -> Result<Vec<f64>, Failure> {
        let Wanted { column, elements } = &self.wanted;
        let failed = |reason| Failure::failed(format!("`{column}` at {ts}: {reason}"));
        mldash_bridge::export::numbers(value, *elements).map_err(failed)
    }

    fn into_series(self) -> Vec<Series> {
        let Self { wanted: Wanted { column, elements }, bins } = self;
        let is_list = bins.len() > 1 || elements.is_some();
        let first = elements.map_or(0, |elements| elements.start);
        let name =
            |i: usize| if is_list { format!("{column}[{}]", first + i) } else { column.clone() };
        bins.into_iter().enumerate().map(|(i, bins)| Series { name: name(i), bins }).collect()
    }
}

/// A mistyped name must not look like a column without values.
fn check_columns(
    wanted: &[Wanted],
    track: &str,
    known: Option<Vec<String>>,
) -> Result<(), Failure> {
    let known = known.unwrap_or_default();
    match wanted.iter().find(|wanted| !known.contains(&wanted.column)) {
        Some(Wanted { column, .. }) => {
            let known = known.join(", ");
            let reason = format!("track `{track}` has no column `{column}`; there are: {known}");
            Err(Failure::failed(reason))
        }
        None => Ok(()),
    }
}
