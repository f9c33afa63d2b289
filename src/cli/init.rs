//! `mldash_bridge init`: writes a mapping for the topics that are on the graph now.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mldash_bridge::mapping::{DraftTopic, Mapping, draft};
use mldash_bridge::message::Definitions;
use mldash_bridge::ros::{GraphReport, GraphTopic, Mapped, RosArguments, StopFlag};

use super::args::parse_duration;
use super::schema::Kind;
use super::stop::stop_on_signals;
use super::target::{self, IfThere, is_stdout};
use super::{Failure, check, output};

/// Listens to all topics that are not hidden.
const EVERYTHING: &str = "topics: [{topic: /**}]";

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Write to this file instead of stdout. It must not exist yet; `-` is stdout.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long to listen to the graph, to measure rates.
    #[arg(long = "for", value_name = "SECONDS", value_parser = parse_duration, default_value = "3")]
    listen: Duration,
}

pub(crate) fn run(args: &InitArgs, ros_args: &RosArguments) -> Result<(), Failure> {
    let file = args.output.as_deref().filter(|file| !is_stdout(Some(file)));
    if let Some(file) = file.filter(|file| file.is_file()) {
        return Err(target::is_there(file));
    }
    let stop = StopFlag::default();
    stop_on_signals(&stop)?;
    let mut data = output::reserve_stdout()?;
    let definitions = Definitions::from_environment;
    let everything = Mapping::parse(EVERYTHING, "init")?;
    let report = check::observe(everything, definitions(), args.listen, &stop, ros_args)?;
    let topics = topics(&report);
    let is_off = topics.iter().all(DraftTopic::is_off);
    if is_off && topics.iter().all(|topic| topic.obstacle.is_none()) {
        let reason = "no topic on the graph that can be recorded: is the robot running, and in this \
                      ROS_DOMAIN_ID?";
        return Err(Failure::failed(reason));
    }
    let text = Kind::Mapping.editor_lines() + &draft(&topics, &definitions());
    if is_off {
        tracing::warn!(
            "no topic on the graph can be recorded now; the mapping says why, topic by topic"
        );
    } else {
        // Check it now, so that the user does not find an error later.
        Mapping::parse(&text, "init")?;
    }
    match file {
        Some(_) => {
            target::write_to(file, IfThere::Refuse, |out| Ok(out.write_all(text.as_bytes())?))?
        }
        None => data.write_all(text.as_bytes())?,
    }
    tracing::info!("{} topics; check it with `mldash_bridge check FILE --graph`", topics.len());
    Ok(())
}

fn topics(report: &GraphReport) -> Vec<DraftTopic> {
    report.topics.iter().filter_map(|topic| draft_topic(topic, report.listened)).collect()
}

fn draft_topic(topic: &GraphTopic, listened: Duration) -> Option<DraftTopic> {
    let (remark, obstacle) = match &topic.mapped {
        Mapped::Unmapped { .. } => return None,
        Mapped::Refused { reason, .. } => (String::new(), Some(reason.clone())),
        Mapped::Awaited { .. } => ("not published yet".to_owned(), None),
        Mapped::Recorded(recorded) => match (recorded.rate_hz, recorded.bytes_per_sec) {
            (Some(hz), Some(bytes)) => (format!("{hz:.1} Hz, {:.1} kB/s", bytes / 1e3), None),
            _ => {
                let secs = listened.as_secs_f64();
                let plural = if recorded.messages == 1 { "" } else { "s" };
                (format!("{} message{plural} in {secs} s", recorded.messages), None)
            }
        },
    };
    let remark = match topic.other_types.as_slice() {
        [] => remark,
        others => {
            format!("{remark}; also published as {}, which is not recorded", others.join(", "))
        }
    };
    let (topic, type_name) = (topic.topic.clone(), topic.type_name.clone());
    Some(DraftTopic { topic, type_name, remark, obstacle })
}
