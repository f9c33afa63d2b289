//! `mldash_bridge tracks`: lists what an experiment holds.

use std::io::{self, Write, stdout};

use clap::Args;
use mldash_bridge::track::{RemoteExperiment, TopicFilter, TrackInfo};

use super::args::ExperimentArgs;
use super::experiments::{self, ListArgs};
use super::table::{Column, Table, width_of};
use super::{ExitCode, Failure, output};

#[derive(Debug, Args)]
pub(crate) struct TracksArgs {
    /// The experiment: owner/project/…/name. Without it, lists the experiments that are there.
    experiment: Option<String>,
    /// Only this track, or those below a prefix: robot/*.
    #[arg(long, value_name = "TOPIC", default_value = "*", requires = "experiment")]
    filter: String,
    #[command(flatten)]
    list: ListArgs,
}

pub(crate) fn run(args: &TracksArgs) -> Result<ExitCode, Failure> {
    let TracksArgs { experiment: Some(name), list, .. } = args else {
        return experiments::list(None, &args.list);
    };
    let filter = TopicFilter::from(args.filter.as_str());
    let tracks = match list.remote.remote() {
        Some(remote) => RemoteExperiment::open(name, &remote)?.list_matching(&filter)?,
        None => {
            let experiment = ExperimentArgs { name: name.clone(), root: list.root.clone() };
            experiment.open()?.list_matching(&filter)?
        }
    };
    let width = width_of(stdout());
    output::write_report(&tracks, list.json, stdout(), |out| print(&tracks, out, width))?;
    Ok(ExitCode::Done)
}

fn print(tracks: &[TrackInfo], out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
    let columns = [
        Column::name("TRACK"),
        Column::number("ROWS"),
        Column::number("FIRST _ts"),
        Column::number("LAST _ts").if_room(),
        Column::number("BYTES").if_room(),
        Column::examples("COLUMNS", " "),
    ];
    let rows = tracks.iter().map(|track| {
        let secs = |ts: Option<f64>| ts.map_or("-".to_owned(), |ts| format!("{ts:.6}"));
        [
            track.topic.clone(),
            track.total_entries.to_string(),
            secs(track.first_timestamp),
            secs(track.last_timestamp),
            track.size_bytes.to_string(),
            track.columns.join(" "),
        ]
    });
    Table::new(columns, rows).write(out, width)
}
