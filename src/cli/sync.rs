//! `mldash_bridge sync`: uploads what a server lacks of an experiment.

use std::io::stdout;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use clap::Args;
use mldash_bridge::track::{Keep, SyncStatus, Synced};

use super::args::{ExperimentArgs, UploadArgs};
use super::{Failure, output, progress, stop};

/// The SDK's variable.
const URL_VARIABLE: &str = "ML_DASH_API_URL";

#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    #[command(flatten)]
    upload: UploadArgs,
    /// Afterwards delete the rows and files here that the server returns, as `keep: unsynced` does.
    #[arg(long)]
    drop_synced: bool,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &SyncArgs) -> Result<(), Failure> {
    let url = args.upload.remote.clone().or_else(|| std::env::var(URL_VARIABLE).ok());
    let url = url.ok_or_else(|| {
        Failure::usage(format!("no server: name it with `--remote URL` or in {URL_VARIABLE}"))
    })?;
    let exp = args.experiment.open()?;
    let is_stopped = stop::stop_flag()?;
    let bar = progress::upload();
    let keep = if args.drop_synced { Keep::Unsynced } else { Keep::All };
    let synced = exp.sync(&args.upload.token.at(&url).keep(keep), |status| {
        bar.set_length(status.bytes_sent + status.bytes_waiting);
        bar.set_position(status.bytes_sent);
        bar.set_message(remaining(status));
        match is_stopped.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    progress::remove(&bar);
    let Synced { status, failure } = synced?;
    let rows: u64 = exp.list()?.iter().map(|track| track.total_entries).sum();
    eprintln!("{}", summary(&status, rows));
    if args.json {
        output::write_report(&status, true, stdout(), |_| Ok(()))?;
    }
    match failure {
        Some(failure) => Err(Failure::failed(failure)),
        None if !status.is_complete() => {
            let reason = format!(
                "not everything is on the server; its answers are in {}",
                exp.folder().join(".sync").display()
            );
            Err(Failure::failed(reason))
        }
        None => Ok(()),
    }
}

fn remaining(status: &SyncStatus) -> String {
    format!("{} rows and {} files to go", status.rows_waiting, status.files_waiting)
}

fn summary(status: &SyncStatus, stored_rows: u64) -> String {
    let elsewhere = status.rows_sent + status.rows_waiting + status.rows_set_aside;
    let mut text = format!(
        "sent {} rows and {} files ({} bytes) to {}; {} rows were there",
        status.rows_sent,
        status.files_sent,
        status.bytes_sent,
        status.url,
        stored_rows.saturating_sub(elsewhere),
    );
    if status.rows_waiting + status.files_waiting > 0 {
        text += &format!("; {}", remaining(status));
    }
    if status.rows_set_aside + status.files_set_aside > 0 {
        let (rows, files) = (status.rows_set_aside, status.files_set_aside);
        text += &format!("; {rows} rows and {files} files were refused and set aside");
    }
    if status.nulled > 0 {
        text += &format!("; {} NaN or infinite values were sent as null", status.nulled);
    }
    text
}
