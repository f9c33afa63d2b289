//! `mldash_bridge tag`: says what experiments are about and whether they can be used, afterwards or
//! while they are recorded.

use std::io::{self, Write, stdout};

use clap::Args;
use mldash_bridge::track::{Experiment, LabelChange, LabelError, Labels};
use serde::Serialize;

use super::args::{RootArgs, parse_notes, parse_operator, parse_tag, parse_task};
use super::{ExitCode, Failure, output, pattern};

#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    /// The experiments: names, folders or globs, for example 'alice/lab/run-1*'. What lies below a folder
    /// that matches is meant too.
    #[arg(required = true, value_name = "EXPERIMENT")]
    experiments: Vec<String>,
    #[command(flatten)]
    root: RootArgs,
    /// What the robot was to do, in words. An empty text removes it.
    #[arg(long, value_name = "TEXT", value_parser = parse_task)]
    task: Option<LabelChange>,
    /// Whether it did; `unknown` removes it.
    #[arg(long, value_name = "true|false|unknown", value_parser = parse_success)]
    success: Option<LabelChange>,
    /// Notes: ML-Dash's description. An empty text removes them.
    #[arg(long, value_name = "TEXT", value_parser = parse_notes)]
    notes: Option<LabelChange>,
    /// Who ran the robot. An empty text removes it.
    #[arg(long, value_name = "NAME", value_parser = parse_operator)]
    operator: Option<LabelChange>,
    /// A tag to add; may be given several times.
    #[arg(long, value_name = "TAG", value_parser = parse_tag)]
    add_tag: Vec<LabelChange>,
    /// A tag to remove; may be given several times.
    #[arg(long, value_name = "TAG", value_parser = parse_removal)]
    remove_tag: Vec<LabelChange>,
    /// Mark them as not to be used. Their rows stay.
    #[arg(long, conflicts_with = "keep")]
    discard: bool,
    /// Take that mark away.
    #[arg(long)]
    keep: bool,
    /// Print what is said of them as JSON.
    #[arg(long)]
    json: bool,
}

/// An experiment and what is said of it.
#[derive(Debug, Serialize)]
struct Tagged {
    experiment: String,
    #[serde(flatten)]
    labels: Labels,
}

pub(crate) fn run(args: &TagArgs) -> Result<ExitCode, Failure> {
    let change = args.change();
    let names = pattern::names(&args.experiments, &args.root)?;
    let mut tagged = Vec::new();
    let mut has_failed = false;
    for experiment in names {
        let exp = Experiment::open_read_only(&experiment, args.root.path());
        // The others can be labelled, whatever is wrong with one.
        match exp
            .and_then(|exp| if change.is_empty() { labels_of(&exp) } else { exp.label(&change) })
        {
            Ok(labels) => tagged.push(Tagged { experiment, labels }),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "{experiment} is left as it is");
                has_failed = true;
            }
        }
    }
    output::write_report(&tagged, args.json, stdout(), |out| print(&tagged, out))?;
    Ok(if has_failed { ExitCode::Failed } else { ExitCode::Done })
}

fn labels_of(exp: &Experiment) -> Result<Labels, mldash_bridge::track::TrackError> {
    Ok(exp.notes()?.labels())
}

impl TagArgs {
    fn change(&self) -> LabelChange {
        let Self { task, success, notes, operator, add_tag, remove_tag, .. } = self;
        let given = [task, success, notes, operator].into_iter().flatten();
        let given = given.chain(add_tag).chain(remove_tag).cloned();
        let change = given.fold(LabelChange::new(), |all, label| label.or(all));
        match (self.discard, self.keep) {
            (true, _) => change.discarded(true),
            (false, true) => change.discarded(false),
            (false, false) => change,
        }
    }
}

fn print(tagged: &[Tagged], out: &mut dyn Write) -> io::Result<()> {
    for Tagged { experiment, labels } in tagged {
        writeln!(out, "{}: {}", super::table::printable(experiment), said(labels))?;
    }
    Ok(())
}

/// Labels in one line.
fn said(labels: &Labels) -> String {
    let Labels { tags, task, success, notes, operator, discarded, .. } = labels;
    let text =
        |name: &str, text: &Option<String>| text.as_ref().map(|text| format!("{name} {text:?}"));
    let said: Vec<String> = [
        discarded.then(|| "discarded".to_owned()),
        text("task", task),
        success.map(|success| format!("success {success}")),
        text("operator", operator),
        text("notes", notes),
        (!tags.is_empty()).then(|| format!("tags {tags:?}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if said.is_empty() { "nothing is said of it".to_owned() } else { said.join(", ") }
}

fn parse_success(text: &str) -> Result<LabelChange, String> {
    let success = match text {
        "true" => Some(true),
        "false" => Some(false),
        "unknown" => None,
        _ => return Err("expected true, false or unknown".to_owned()),
    };
    Ok(LabelChange::new().success(success))
}

fn parse_removal(tag: &str) -> Result<LabelChange, LabelError> {
    LabelChange::new().remove_tag(tag)
}
