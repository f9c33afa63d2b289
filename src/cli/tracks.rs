//! `mldash_bridge tracks`: lists what an experiment holds.

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use mldash_bridge::track::{RemoteExperiment, TopicFilter, TrackInfo};

use super::remote::RemoteArgs;
use super::target::{self, IfThere};
use super::{ExperimentArgs, Failure};

#[derive(Debug, Args)]
pub(crate) struct TracksArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Only this track, or those below a prefix: robot/*.
    #[arg(long, value_name = "TOPIC", default_value = "*")]
    filter: String,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

pub(crate) fn run(args: &TracksArgs) -> Result<(), Failure> {
    let filter = TopicFilter::from(args.filter.as_str());
    let name = &args.experiment.experiment;
    let tracks = match args.remote.remote() {
        Some(remote) => RemoteExperiment::open(name, &remote)?.list_matching(&filter)?,
        None => args.experiment.open()?.list_matching(&filter)?,
    };
    target::write_to(None, IfThere::Replace, |out| {
        if args.json {
            serde_json::to_writer_pretty(&mut *out, &tracks).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", table(&tracks))?;
        }
        Ok(())
    })
}

fn table(tracks: &[TrackInfo]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["TRACK", "ROWS", "FIRST _ts", "LAST _ts", "BYTES", "COLUMNS"]);
    for track in tracks {
        let secs = |ts: Option<f64>| ts.map_or("-".to_owned(), |ts| format!("{ts:.6}"));
        table.add_row([
            track.topic.clone(),
            track.total_entries.to_string(),
            secs(track.first_timestamp),
            secs(track.last_timestamp),
            track.size_bytes.to_string(),
            track.columns.join(" "),
        ]);
    }
    for right in [1, 2, 3, 4] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
