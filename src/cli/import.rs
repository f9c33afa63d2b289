//! `mldash_bridge import`: records bags with the same mapping as `run`, without ROS.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::Args;
use mldash_bridge::bag::Bags;
use mldash_bridge::mapping::{Bytes, Mapping};
use mldash_bridge::message::Definitions;
use mldash_bridge::record::Recorder;
use mldash_bridge::ros::StopFlag;

use super::args::DestinationArgs;
use super::destination::Destination;
use super::publishing::Publishing;
use super::selection::{self, SelectionArgs, Source};
use super::stop::stop_on_signals;
use super::{ExitCode, Failure, NODE_NAME, account, output, progress, run_details};

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The bags: .mcap and .db3 files, also compressed, and rosbag2 folders. Several are read together, in
    /// the order of their log times.
    #[arg(required = true, value_name = "BAG")]
    bags: Vec<PathBuf>,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    destination: DestinationArgs,
    /// Print the account as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// Memory for rows that are not written yet. A bag waits for the disk, so a larger buffer would
/// gain nothing. As text, which is how they are written, rows take two to three times as much.
const BUFFER_BYTES: usize = 48 << 20;

impl ImportArgs {
    fn mapping(&self) -> Result<Mapping, Failure> {
        match self.selection.source()? {
            Some(Source::File(path, calls)) => Ok(Mapping::load(path)?.with_calls(&calls)),
            Some(Source::Options(selection)) => {
                let split = self.selection.split();
                let text = selection::text(&selection, split, false, &self.destination);
                Ok(Mapping::of_options(&text, None)?)
            }
            None => {
                let reason = "no mapping: give one with `--config FILE`, or say which topics with `--all`, \
                              `--topics` or `--regex`, or which `--services` and `--actions`";
                Err(Failure::usage(reason))
            }
        }
    }
}

pub(crate) fn run(args: &ImportArgs) -> Result<ExitCode, Failure> {
    let stop = StopFlag::default();
    stop_on_signals(&stop)?;
    // Bags contain the definitions of their types, so the mapping is not checked against a sourced
    // workspace. The workspace is only used for bags without definitions.
    let mapping = args.mapping()?;
    if args.selection.write_config(mapping.text())? {
        return Ok(ExitCode::Done);
    }
    let data = output::reserve_stdout()?;
    let mapping = args.selection.split_by(mapping)?.resolve("", NODE_NAME);
    let bags = Bags::open(&args.bags).map_err(Failure::usage)?;
    let details = run_details::of_import(&mapping, &args.bags);
    let destination = Destination::choose(&mapping, args.destination.clone(), stop.hurry_flag())?
        .buffer_bytes(BUFFER_BYTES);
    let root = destination.root.clone();
    let mut recorder = Recorder::new(destination.open(details)?);
    let publishing = Publishing::start(&mapping, &root, &mut recorder)?;
    recorder.guard_disk(mapping.min_free());
    recorder.hurry_when(stop.hurry_flag());
    recorder.require(mapping.required());

    let bar = progress::bytes(bags.size_bytes());
    tracing::info!("importing {} in {} files", Bytes::new(bags.size_bytes()), bags.files());
    let definitions = Definitions::from_environment();
    let imported = bags.import(&mapping, &definitions, &mut recorder, |read_bytes| {
        bar.set_position(read_bytes);
        if stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    progress::remove(&bar);
    let failure = imported.as_ref().err().map(ToString::to_string);
    let (mut account, closed) = recorder.finish(failure);
    publishing.finish(&mut account, &root, &stop.hurry_flag());
    // A reader that has gone hides neither a failure nor what is missing.
    let written = account::write(&account, args.json, data);
    imported.map_err(Failure::failed)?;
    closed?;
    account::written(written)?;
    Ok(account::exit_code(&account))
}
