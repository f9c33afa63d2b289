//! `mldash_bridge check`: reports what is wrong with a mapping before a robot depends on it. With
//! `--graph`, also shows what it would do on the running robot.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mldash_bridge::mapping::Mapping;
use mldash_bridge::message::Definitions;
use mldash_bridge::ros::{
    GraphReport, GraphTopic, Mapped, RecordedTopic, RosArguments, RosNode, StopFlag,
};

use super::args::parse_duration;
use super::stop::stop_on_signals;
use super::table::{Column, Table, width_of};
use super::{Failure, NODE_NAME, output};

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The mapping's file (YAML).
    mapping: PathBuf,
    /// Compare it with the live graph: topics and their rates, QoS and its reasons, entries without a
    /// topic, topics without an entry.
    #[arg(long)]
    graph: bool,
    /// How long to listen to the graph, to measure rates.
    #[arg(long = "for", value_name = "SECONDS", value_parser = parse_duration, default_value = "3")]
    listen: Duration,
    /// Print what the graph has as JSON instead of a table.
    #[arg(long, requires = "graph")]
    json: bool,
}

pub(crate) fn run(args: &CheckArgs, ros_args: &RosArguments) -> Result<(), Failure> {
    let definitions = Definitions::from_environment();
    let (mapping, checked) = Mapping::load_checked(&args.mapping, &definitions)?;
    let entries = mapping.rules().len() + mapping.calls().len();
    let plural = if entries == 1 { "y" } else { "ies" };
    let path = args.mapping.display();
    eprintln!("{path}: ok, {entries} topic entr{plural}; {checked}");
    for warning in mapping.warnings(|name| std::env::var(name).ok(), &definitions) {
        eprintln!("warning: {path}:{warning}");
    }
    if !args.graph {
        return Ok(());
    }
    let stop = StopFlag::default();
    stop_on_signals(&stop)?;
    let data = output::reserve_stdout()?;
    let report = observe(mapping, definitions, args.listen, &stop, ros_args)?;
    let width = width_of(&data);
    output::write_report(&report, args.json, data, |out| print(&report, out, width))?;
    match report.shortcomings() {
        0 => Ok(()),
        1 => Err(Failure::failed("one topic that the mapping names is not recorded")),
        n => Err(Failure::failed(format!("{n} topics that the mapping names are not recorded"))),
    }
}

/// Compares the graph with `mapping`.
pub(super) fn observe(
    mapping: Mapping,
    definitions: Definitions,
    listen: Duration,
    stop: &StopFlag,
    ros_args: &RosArguments,
) -> Result<GraphReport, Failure> {
    let node = RosNode::start(NODE_NAME, ros_args)?;
    let mapping = mapping.resolve(node.name().namespace(), node.name().base_name());
    tracing::info!("listening to the graph for {} s", listen.as_secs_f64());
    Ok(node.observe(mapping, definitions, listen, stop)?)
}

fn print(report: &GraphReport, out: &mut dyn Write, width: Option<usize>) -> io::Result<()> {
    let recorded = report.topics.iter().filter_map(|topic| match &topic.mapped {
        Mapped::Recorded(recorded) => Some((topic, recorded)),
        _ => None,
    });
    table(recorded.clone()).write(out, width)?;
    for (topic, _) in recorded {
        if !topic.other_types.is_empty() {
            let others = topic.other_types.join(", ");
            writeln!(out, "{}: also published as {others}, which is not recorded", topic.topic)?;
        }
    }
    let is_listed = |name: &str| report.topics.iter().any(|topic| topic.topic == name);
    for (name, reason) in report.refused.iter().filter(|(name, _)| !is_listed(name)) {
        writeln!(out, "can't be recorded: {name}: {reason}")?;
    }
    for topic in &report.topics {
        print_unrecorded(topic, out)?;
    }
    for call in &report.silent_calls {
        writeln!(out, "{}, line {}: {}", call.label(), call.line, call.advice())?;
    }
    for entry in &report.unmatched {
        writeln!(out, "no topic for line {}: {}", entry.line, entry.topic)?;
    }
    Ok(())
}

fn print_unrecorded(topic: &GraphTopic, out: &mut dyn Write) -> io::Result<()> {
    let GraphTopic { topic: name, type_name, .. } = topic;
    match &topic.mapped {
        Mapped::Recorded(_) => Ok(()),
        Mapped::Awaited { line } => {
            writeln!(out, "not published yet: {name} ({type_name}), line {line}")
        }
        Mapped::Refused { line, reason } => {
            writeln!(out, "can't be recorded: {name}, line {line}: {reason}")
        }
        Mapped::Unmapped { excluded, hidden } => {
            let why = match (excluded, hidden) {
                (true, _) => "; excluded",
                (false, true) => "; hidden",
                (false, false) => "",
            };
            writeln!(out, "not in the mapping: {name} ({type_name}{why})")
        }
    }
}

fn table<'r>(recorded: impl Iterator<Item = (&'r GraphTopic, &'r RecordedTopic)>) -> Table {
    let columns = [
        Column::name("TOPIC"),
        Column::name("TYPE"),
        Column::name("TRACK").if_room(),
        Column::number("HZ"),
        Column::number("KB/S"),
        Column::list("QOS", ", "),
        Column::list("WHY", " "),
    ];
    let rows = recorded.map(|(topic, recorded)| {
        [
            topic.topic.clone(),
            topic.type_name.clone(),
            recorded.track.clone(),
            known(recorded.rate_hz),
            known(recorded.bytes_per_sec.map(|bytes| bytes / 1e3)),
            recorded.qos.clone(),
            recorded.qos_reasons.join("; "),
        ]
    });
    Table::new(columns, rows)
}

fn known(number: Option<f64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| format!("{number:.1}"))
}
