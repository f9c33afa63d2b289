//! `mldash_bridge report`: a page that shows what recordings hold and what is wrong with them.

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;

use clap::Args;
use mldash_bridge::export::Recording;
use mldash_bridge::export::report::{Report, Severity, write_page};

use super::args::RootArgs;
use super::exporting::Exporting;
use super::table::printable;
use super::target::{IfThere, is_stdout, write_to};
use super::{ExitCode, Failure, pattern};

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The experiments, side by side: names or globs such as 'alice/lab/run-*', in this order. What lies below
    /// a folder that matches is taken too.
    #[arg(required = true, value_name = "EXPERIMENT")]
    experiments: Vec<String>,
    #[command(flatten)]
    root: RootArgs,
    /// Write to this file instead of stdout; `-` is stdout. The file appears once it is complete.
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let is_for_stdout = is_stdout(args.output.as_deref());
    if is_for_stdout && stdout().is_terminal() {
        let reason = "a page is not for a terminal; name a file with -o or use a pipe";
        return Err(Failure::usage(reason));
    }
    let exporting = Exporting::start()?;
    let names = pattern::names(&args.experiments, &args.root)?;
    let recordings = Recording::open_all(names, args.root.path())?;
    let report = exporting.run("rows", |progress| Report::of(&recordings, progress))?;
    write_to(args.output.as_deref(), IfThere::Replace, |out| Ok(write_page(&report, out)?))?;
    tell(&report);
    if let Some(output) = args.output.as_ref().filter(|_| !is_for_stdout) {
        eprintln!("wrote {}; open it in a browser", output.display());
    }
    Ok(if report.is_whole() { ExitCode::Done } else { ExitCode::Missing })
}

/// Says what is to be acted on, which is on the page too.
fn tell(report: &Report) {
    for (experiment, warnings) in report.warnings() {
        for warning in warnings.iter().filter(|warning| warning.severity <= Severity::Warning) {
            eprintln!("{}: {}", printable(experiment), printable(&warning.text));
        }
    }
}
