//! `mldash_bridge experiments`: lists the experiments in a store or on a server.

use std::io::{self, Write, stdout};

use clap::{Args, ValueEnum};
use globset::{Glob, GlobMatcher};
use mldash_bridge::export::report::{date_text, length_text};
use mldash_bridge::mapping::Bytes;
use mldash_bridge::track::{ExperimentInfo, list_experiments, list_remote_experiments};

use super::args::{RemoteArgs, RootArgs};
use super::pattern::Pattern;
use super::table::{Column, Table, printable, width_of};
use super::{ExitCode, Failure, output};

#[derive(Debug, Args)]
pub(crate) struct ExperimentsArgs {
    /// Which experiments: a name or glob, for example 'alice/*/run-?' or '**/run-1'. `*` and `?` stand for
    /// characters between two `/`, `**` for any number of folders. What lies below a folder that matches is
    /// listed too: `alice` lists everything of alice's.
    pattern: Option<String>,
    #[command(flatten)]
    list: ListArgs,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Which of the experiments to list: those of which all of this is true.
#[derive(Debug, Default, Args)]
struct FilterArgs {
    /// Only with this tag; may be given several times.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Only with this task: a text or a glob, for example 'pick *'.
    #[arg(long, value_name = "TEXT", value_parser = parse_glob)]
    task: Option<GlobMatcher>,
    /// Only those that succeeded, did not, or of which nobody has said.
    #[arg(long, value_name = "true|false|unknown")]
    success: Option<Success>,
    /// Only of this operator: a name or a glob.
    #[arg(long, value_name = "NAME", value_parser = parse_glob)]
    operator: Option<GlobMatcher>,
    /// Only those that are marked as not to be used.
    #[arg(long, conflicts_with = "kept")]
    discarded: bool,
    /// Only those that are not marked so.
    #[arg(long)]
    kept: bool,
}

/// What is said of success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Success {
    True,
    False,
    Unknown,
}

/// Where to look and how to show it; of each command that can list experiments.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub(super) root: RootArgs,
    #[command(flatten)]
    pub(super) remote: RemoteArgs,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub(super) json: bool,
}

pub(crate) fn run(args: &ExperimentsArgs) -> Result<ExitCode, Failure> {
    list_some(args.pattern.as_deref(), &args.list, &args.filter)
}

/// Lists the experiments that `pattern` matches, or all.
pub(super) fn list(pattern: Option<&str>, args: &ListArgs) -> Result<ExitCode, Failure> {
    list_some(pattern, args, &FilterArgs::default())
}

fn list_some(
    pattern: Option<&str>,
    args: &ListArgs,
    filter: &FilterArgs,
) -> Result<ExitCode, Failure> {
    let pattern = pattern.map(|text| Pattern::new(text, &args.root)).transpose()?;
    let wanted = |name: &str| pattern.as_ref().is_none_or(|pattern| pattern.takes(name));
    let root = args.root.path();
    let (mut experiments, place) = match args.remote.remote() {
        Some(remote) => {
            let owner = pattern.as_ref().and_then(Pattern::owner);
            (list_remote_experiments(&remote, owner, wanted)?, remote.url().to_owned())
        }
        None if !root.is_dir() => {
            let reason = format!(
                "there is no folder {}; `--root` says which folder experiments are recorded into",
                root.display()
            );
            return Err(Failure::failed(reason));
        }
        None => (list_experiments(root, wanted)?, root.display().to_string()),
    };
    let found = experiments.len();
    experiments.retain(|experiment| filter.takes(experiment));
    if experiments.is_empty() {
        match &pattern {
            _ if found > 0 => eprintln!("none of {found} experiments in {place} is as asked for"),
            Some(Pattern { text, .. }) => eprintln!("no experiment in {place} matches `{text}`"),
            None => eprintln!("no experiments in {place}"),
        }
    }
    let width = width_of(stdout());
    output::write_report(&experiments, args.json, stdout(), |out| print(&experiments, out, width))?;
    let is_complete = experiments.iter().all(|experiment| experiment.problems.is_empty());
    Ok(if is_complete { ExitCode::Done } else { ExitCode::Missing })
}

impl FilterArgs {
    fn takes(&self, experiment: &ExperimentInfo) -> bool {
        let Self { tag, task, success, operator, discarded, kept } = self;
        let fits = |glob: &Option<GlobMatcher>, text: &Option<String>| {
            glob.as_ref().is_none_or(|glob| text.as_ref().is_some_and(|text| glob.is_match(text)))
        };
        let is_said = match experiment.success {
            Some(true) => Success::True,
            Some(false) => Success::False,
            None => Success::Unknown,
        };
        tag.iter().all(|tag| experiment.tags.contains(tag))
            && fits(task, &experiment.task)
            && fits(operator, &experiment.operator)
            && success.is_none_or(|success| success == is_said)
            && (!discarded || experiment.discarded)
            && (!kept || !experiment.discarded)
    }
}

fn parse_glob(text: &str) -> Result<GlobMatcher, globset::Error> {
    Ok(Glob::new(text)?.compile_matcher())
}

fn print(
    experiments: &[ExperimentInfo],
    out: &mut dyn Write,
    width: Option<usize>,
) -> io::Result<()> {
    if experiments.is_empty() {
        return Ok(());
    }
    let columns = [
        Column::name("EXPERIMENT"),
        Column::word("START").if_room(),
        Column::number("LENGTH"),
        Column::number("ROWS"),
        Column::number("BYTES").if_room(),
        Column::word("STATUS"),
        Column::name("TASK").if_any(),
        Column::word("SUCCESS").if_any(),
        Column::list("TAGS", ", "),
    ];
    Table::new(columns, experiments.iter().map(row)).write(out, width)?;
    for ExperimentInfo { name, problems, .. } in experiments {
        for problem in problems {
            writeln!(out, "{}: {}", printable(name), printable(problem))?;
        }
    }
    Ok(())
}

fn row(experiment: &ExperimentInfo) -> [String; 9] {
    let unknown = || "-".to_owned();
    let about = if experiment.is_exact { "" } else { "~" };
    let mut status = match experiment.status {
        Some(_) if experiment.is_abandoned() => "NOT CLOSED".to_owned(),
        Some(status) => status.name().to_owned(),
        None => unknown(),
    };
    if experiment.discarded {
        status.push_str(", DISCARDED");
    }
    [
        experiment.name.clone(),
        experiment.start_timestamp.map_or_else(unknown, date_text),
        experiment.length_secs.map_or_else(unknown, length_text),
        format!("{about}{}", experiment.total_entries),
        Bytes::new(experiment.size_bytes).to_string(),
        status,
        experiment.task.clone().unwrap_or_else(unknown),
        experiment.success.map_or_else(unknown, |success| success.to_string()),
        experiment.tags.join(", "),
    ]
}
