//! `mldash_bridge experiments`: lists the experiments in a store or on a server.

use std::io::{self, Write, stdout};
use std::path::Path;

use clap::Args;
use globset::{GlobBuilder, GlobMatcher};
use jiff::{SignedDuration, Timestamp};
use mldash_bridge::mapping::Bytes;
use mldash_bridge::track::{ExperimentInfo, list_experiments, list_remote_experiments};

use super::args::{RemoteArgs, RootArgs};
use super::table::{Column, Table, printable, width_of};
use super::{ExitCode, Failure, output};

/// A clock that shows less than this since 1970 is a simulated one: September 2001.
const FIRST_DATE_SECS: f64 = 1e9;
/// Shorter experiments are shown with tenths of a second.
const MINUTE_SECS: f64 = 60.0;

#[derive(Debug, Args)]
pub(crate) struct ExperimentsArgs {
    /// Which experiments: a name or glob, for example 'alice/*/run-?' or '**/run-1'. `*` and `?` stand for
    /// characters between two `/`, `**` for any number of folders. What lies below a folder that matches is
    /// listed too: `alice` lists everything of alice's.
    pattern: Option<String>,
    #[command(flatten)]
    list: ListArgs,
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
    list(args.pattern.as_deref(), &args.list)
}

/// Lists the experiments that `pattern` matches, or all.
pub(super) fn list(pattern: Option<&str>, args: &ListArgs) -> Result<ExitCode, Failure> {
    let pattern = pattern.map(|text| Pattern::new(text, &args.root)).transpose()?;
    let wanted = |name: &str| pattern.as_ref().is_none_or(|pattern| pattern.takes(name));
    let root = args.root.path();
    let (experiments, place) = match args.remote.remote() {
        Some(remote) => {
            let owner = pattern.as_ref().and_then(Pattern::owner);
            (list_remote_experiments(&remote, owner, wanted)?, remote.url().to_owned())
        }
        None if !root.is_dir() => {
            let reason = format!(
                "there is no folder {}; `--root` says which folder experiments are recorded into",
                root.display()
            );
            return Err(Failure::Failed(reason.into()));
        }
        None => (list_experiments(root, wanted)?, root.display().to_string()),
    };
    if experiments.is_empty() {
        match &pattern {
            Some(Pattern { text, .. }) => eprintln!("no experiment in {place} matches `{text}`"),
            None => eprintln!("no experiments in {place}"),
        }
    }
    let width = width_of(stdout());
    output::write_report(&experiments, args.json, stdout(), |out| print(&experiments, out, width))?;
    let is_complete = experiments.iter().all(|experiment| experiment.problems.is_empty());
    Ok(if is_complete { ExitCode::Done } else { ExitCode::Missing })
}

/// Which experiments are meant.
struct Pattern {
    text: String,
    glob: GlobMatcher,
}

impl Pattern {
    /// A glob, or the folder of one or several experiments.
    fn new(text: &str, root: &RootArgs) -> Result<Self, Failure> {
        let folder = root.name_of(Path::new(text));
        let folder = folder.filter(|name| name.is_empty() || text.contains('/'));
        let glob = match &folder {
            Some(root) if root.is_empty() => "**".to_owned(),
            Some(folder) => globset::escape(folder),
            None => text.trim_matches('/').to_owned(),
        };
        let glob = GlobBuilder::new(&glob).literal_separator(true).build();
        let glob = glob.map_err(|error| Failure::Usage(error.into()))?.compile_matcher();
        Ok(Self { text: text.to_owned(), glob })
    }

    /// Returns true if the glob matches the name, or a folder that it is in.
    fn takes(&self, name: &str) -> bool {
        let folders = name.match_indices('/').map(|(end, _)| &name[..end]);
        folders.chain([name]).any(|path| self.glob.is_match(path))
    }

    /// The owner, if the pattern names one.
    fn owner(&self) -> Option<&str> {
        let owner = self.glob.glob().glob().split('/').next()?;
        (!owner.contains(['*', '?', '[', '{'])).then_some(owner)
    }
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

fn row(experiment: &ExperimentInfo) -> [String; 7] {
    let unknown = || "-".to_owned();
    let about = if experiment.is_exact { "" } else { "~" };
    let status = match experiment.status {
        Some(_) if experiment.is_abandoned() => "NOT CLOSED".to_owned(),
        Some(status) => status.name().to_owned(),
        None => unknown(),
    };
    [
        experiment.name.clone(),
        experiment.start_timestamp.map_or_else(unknown, start),
        experiment.length_secs.map_or_else(unknown, length),
        format!("{about}{}", experiment.total_entries),
        Bytes::new(experiment.size_bytes).to_string(),
        status,
        experiment.tags.join(", "),
    ]
}

/// A date in UTC, or the seconds of a simulated clock.
fn start(secs: f64) -> String {
    let date = (secs >= FIRST_DATE_SECS)
        .then(|| SignedDuration::try_from_secs_f64(secs).ok())
        .flatten()
        .and_then(|since_1970| Timestamp::from_duration(since_1970).ok());
    match date {
        Some(date) => date.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        None => format!("{secs:.3} s"),
    }
}

/// `9.8 s`, `1h 2m 3s`.
fn length(secs: f64) -> String {
    match SignedDuration::try_from_secs_f64(secs.round()) {
        Ok(length) if secs >= MINUTE_SECS => format!("{length:#}"),
        _ => format!("{secs:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_date_unless_the_clock_is_a_simulated_one() {
        assert_eq!(start(1_137_834_225.713_385_6), "2006-01-21 09:03:45Z");
        assert_eq!(start(12.5), "12.500 s");
        assert_eq!(start(1e300), format!("{:.3} s", 1e300_f64));
    }

    #[test]
    fn a_length_is_as_long_as_it_is_useful() {
        assert_eq!(length(9.81), "9.8 s");
        assert_eq!(length(3723.4), "1h 2m 3s");
        assert_eq!(length(-1.0), "-1.0 s");
    }

    #[test]
    fn a_pattern_takes_what_it_matches_and_what_lies_below() {
        let root = clap::Command::new("");
        let root = <RootArgs as Args>::augment_args(root).get_matches_from([""]);
        let root = <RootArgs as clap::FromArgMatches>::from_arg_matches(&root).unwrap();
        let takes = |pattern: &str, name: &str| Pattern::new(pattern, &root).unwrap().takes(name);
        let run = "alice/warehouse/monday/run-1";
        for pattern in
            ["alice", "alice/", "alice/*", "alice/warehouse/**", "**/run-?", "*/ware*", run]
        {
            assert!(takes(pattern, run), "{pattern}");
        }
        for pattern in ["bob", "al", "run-1", "*/run-1", "alice/*/run-1", "warehouse"] {
            assert!(!takes(pattern, run), "{pattern}");
        }
        assert!(Pattern::new("a/[b", &root).is_err());
        assert_eq!(Pattern::new("alice/*", &root).unwrap().owner(), Some("alice"));
        assert_eq!(Pattern::new("*/x", &root).unwrap().owner(), None);
    }
}
