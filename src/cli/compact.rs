//! `mldash_bridge compact`: merges small files of a store into large ones.

use std::io::{self, Write, stdout};

use clap::{Args, ValueEnum};
use mldash_bridge::export::publish::StoreSettings;
use mldash_bridge::export::publish::compact::{
    By, CompactError, Compaction, Merged, Rule, compact,
};
use mldash_bridge::mapping::Bytes;
use serde::Serialize;

use super::{ExitCode, Failure, output, stop};

#[derive(Debug, Args)]
pub(crate) struct CompactArgs {
    /// The store that `publish` writes to: s3://BUCKET/PREFIX, gs://…, az://… or file:///FOLDER.
    url: String,
    /// Only this topic, for example `odom`; can be repeated.
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,
    /// About how large merged files become. Files of half of that are left alone.
    #[arg(long, value_name = "SIZE", default_value = "256MB")]
    size: Bytes,
    /// What a merged file holds the rows of.
    #[arg(long, value_enum, default_value_t = ByArg::Day)]
    by: ByArg,
    /// Only say what would be merged.
    #[arg(long)]
    dry_run: bool,
    /// Where an S3-compatible store listens.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The store takes no conditional puts, and nobody else publishes or compacts there.
    #[arg(long)]
    single_writer: bool,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ByArg {
    /// A project's day, in UTC.
    Day,
    /// A project.
    Project,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Report {
    merged: Vec<MergedReport>,
    files_before: u64,
    files_after: u64,
    /// Chunks that a publisher replaced meanwhile, whose old rows were left out.
    overtaken: u64,
    requests: u64,
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct MergedReport {
    name: String,
    files: u64,
    rows: u64,
    /// Of the files before.
    bytes: u64,
}

pub(crate) fn run(args: &CompactArgs) -> Result<ExitCode, Failure> {
    // What a signal leaves half done on the store, the next call finishes; this is for the files in the temporary folder.
    let stop = stop::stop_flag()?;
    let mut settings = StoreSettings::new(&args.url);
    settings.endpoint.clone_from(&args.endpoint);
    settings.single_writer = args.single_writer;
    let store = settings.open().map_err(CompactError::from)?.stop_when(stop);
    let rule = Rule {
        size_bytes: args.size.get(),
        by: match args.by {
            ByArg::Day => By::Day,
            ByArg::Project => By::Project,
        },
        // `/odom` means the topic `odom`, as elsewhere.
        topics: args.topic.iter().map(|topic| topic.trim_start_matches('/').to_owned()).collect(),
    };
    let mut tell = |merged: &Merged| tracing::info!("{}", in_words(merged, "merged"));
    store.check_what_is_there().map_err(CompactError::from)?;
    let done = compact(&store, &rule, args.dry_run, &mut tell)?;
    let report = Report::of(done, store.requests(), args.dry_run);
    output::write_report(&report, args.json, stdout(), |out| print(&report, out))?;
    Ok(ExitCode::Done)
}

impl Report {
    fn of(done: Compaction, requests: u64, dry_run: bool) -> Self {
        let report = |merged: &Merged| MergedReport {
            name: merged.name.clone(),
            files: merged.files,
            rows: merged.rows,
            bytes: merged.bytes,
        };
        Self {
            merged: done.merged.iter().map(report).collect(),
            files_before: done.merged.iter().map(|merged| merged.files).sum(),
            files_after: done.merged.len() as u64,
            overtaken: done.overtaken,
            requests,
            dry_run,
        }
    }
}

fn in_words(merged: &Merged, verb: &str) -> String {
    let Merged { name, files, bytes, rows } = merged;
    format!("{verb} {files} files, {rows} rows, {} into {name}", Bytes::new(*bytes))
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.merged.is_empty() {
        return writeln!(out, "nothing to be merged");
    }
    if report.dry_run {
        for merged in &report.merged {
            let MergedReport { name, files, rows, bytes } = merged;
            let bytes = Bytes::new(*bytes);
            // The name has numbers that are given when it is merged.
            let folder = name.rsplit_once('/').map_or(&**name, |(folder, _)| folder);
            writeln!(out, "{folder}: {files} files, {rows} rows, {bytes}")?;
        }
    }
    let Report { files_before, files_after, requests, .. } = report;
    let would = if report.dry_run { "would become" } else { "became" };
    writeln!(out, "{files_before} files {would} {files_after}; {requests} requests")?;
    if report.overtaken > 0 {
        let overtaken = report.overtaken;
        writeln!(
            out,
            "{overtaken} files were replaced by their publishers meanwhile and left out"
        )?;
    }
    Ok(())
}
