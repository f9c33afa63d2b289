//! Every call of the program that the documentation shows is one that the command line takes: all commands, options and values.

use std::fs;

use clap::Parser;
use clap::error::ErrorKind;
use mldash_bridge::ros::RosArguments;

use super::{Cli, with_subcommand};
use crate::markdown::{Page, pages, root};

const PROGRAM: &str = "mldash_bridge ";

/// A call, and where it stands.
struct Call {
    place: String,
    words: Vec<String>,
    /// Whether it is a whole one; a name of a command in a sentence lacks its arguments.
    is_whole: bool,
}

/// What stands after the program's name, as a shell takes it; `None` for what is no call.
fn words(text: &str) -> Option<Vec<String>> {
    // A usage line: what is in brackets can be there.
    let is_usage = text.contains("[-") || text.contains("[PATTERN]");
    let text = if is_usage { text.replace(['[', ']'], " ") } else { text.to_owned() };
    let end =
        ["&&", "|", ">", ";", "<<<"].iter().filter_map(|end| text.find(&format!(" {end}"))).min();
    let words = shlex::split(&text[..end.unwrap_or(text.len())])?;
    Some(
        words
            .into_iter()
            .map(|word| word.trim_end_matches('…').to_owned())
            .filter(|w| !w.is_empty())
            .collect(),
    )
}

fn calls_of(page: &Page) -> Vec<Call> {
    let mut calls = Vec::new();
    for (line, span) in page.code_spans() {
        let text = span.strip_prefix(PROGRAM).and_then(words);
        let place = format!("{}:{line}", page.name);
        calls.extend(text.map(|words| Call { place, words, is_whole: false }));
    }
    for block in page.blocks() {
        for command in block.commands() {
            let text = command.strip_prefix(PROGRAM).and_then(words);
            let place = format!("{}:{}", page.name, block.line);
            calls.extend(text.map(|words| Call { place, words, is_whole: true }));
        }
    }
    calls
}

/// Calls in comments of files that are installed, and what units and images start.
fn calls_of_file(name: &str) -> Vec<Call> {
    let text = fs::read_to_string(root().join(name)).unwrap();
    let text = text.replace("\\\n", " ");
    let call = |(i, line): (usize, &str)| {
        let line = line.trim_start_matches('#').trim_start();
        let in_unit = || {
            let starts = ["bin/mldash_bridge ", "run mldash_bridge mldash_bridge "];
            starts.iter().find_map(|start| Some(line.split_once(start)?.1.trim_end_matches('\'')))
        };
        let call = line.strip_prefix(PROGRAM).or_else(in_unit);
        let place = format!("{name}:{}", i + 1);
        Some(Call { place, words: words(call?)?, is_whole: true })
    };
    text.lines().enumerate().filter_map(call).collect()
}

/// What is wrong with a call.
fn wrong(call: &Call) -> Option<String> {
    let args = [PROGRAM.trim()].into_iter().map(str::to_owned).chain(call.words.iter().cloned());
    let parsed = RosArguments::split(args.map(Into::into)).map_err(|error| error.to_string());
    let error = match parsed {
        Ok((args, _)) => Cli::try_parse_from(with_subcommand(args)).err()?,
        Err(error) => return Some(format!("{}: {error}", call.place)),
    };
    let lacks = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let is_shown = matches!(error.kind(), ErrorKind::DisplayVersion | ErrorKind::DisplayHelp);
    // A sentence can name a command without its arguments.
    let is_named = lacks && !call.is_whole;
    (!is_shown && !is_named).then(|| format!("{}: {:?}: {error}", call.place, call.words))
}

#[test]
fn every_call_in_the_docs_is_one_that_the_program_takes() {
    let mut calls: Vec<Call> = pages().iter().flat_map(calls_of).collect();
    for file in [
        "config/bridge.yaml",
        "config/multi_robot.yaml",
        "config/recipes/arm.yaml",
        "config/recipes/mobile_base.yaml",
        "packaging/mldash-bridge.service",
        "packaging/mldash-serve.service",
    ] {
        let of_file = calls_of_file(file);
        assert!(!of_file.is_empty(), "{file} calls nothing");
        calls.extend(of_file);
    }
    assert!(calls.len() > 60, "{}", calls.len());
    let wrong: Vec<String> = calls.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_call_that_the_program_does_not_take_is_found() {
    for call in
        ["chek my.yaml", "read RUN odom --colums x", "run --duration never", "tracks a/b/c d/e/f"]
    {
        let text = format!("`{PROGRAM}{call}`\n");
        let page = Page { name: "page.md".to_owned(), text };
        let calls = calls_of(&page);
        assert_eq!(calls.len(), 1, "{call}");
        assert!(wrong(&calls[0]).is_some(), "{call}");
    }
}
