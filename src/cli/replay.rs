//! `mldash_bridge replay`: the messages of a recording onto the graph, at their own pace.

use std::time::Duration;

use clap::Args;
use mldash_bridge::export::Recording;
use mldash_bridge::export::mcap::McapOptions;
use mldash_bridge::export::ros2::RosRun;
use mldash_bridge::ros::{
    Jitter, Orders, Pause, ReplayError, ReplayReport, ReplaySettings, RosArguments, RosNode,
    StopFlag,
};

use super::args::{ExperimentArgs, parse_duration};
use super::keyboard::{Keyboard, Keys};
use super::pattern::Glob;
use super::stop::stop_replay_on_signals;
use super::{ExitCode, Failure, ros2_account};

/// The node's name unless ROS arguments say otherwise. A recorder may run beside it.
const NODE_NAME: &str = "mldash_replay";

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    experiment: ExperimentArgs,
    /// Seconds of the run that pass in a second.
    #[arg(short, long, value_name = "FACTOR", default_value_t = 1.0, value_parser = parse_rate)]
    rate: f64,
    /// Begin again at the end, until Ctrl-C.
    #[arg(short, long = "loop")]
    looping: bool,
    /// Where to begin, in seconds from the run's first message. Latched messages from before come first.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = parse_start)]
    start: f64,
    /// Publish the run's time on /clock, so often in a second.
    #[arg(long, value_name = "HZ", num_args = 0..=1, default_missing_value = "40", value_parser = parse_rate)]
    clock: Option<f64>,
    /// Only these topics: names or globs such as '/camera/*'. What lies below a name that matches is taken too.
    #[arg(long, value_name = "GLOB", num_args = 1..)]
    topics: Vec<String>,
    /// Begin paused, until `~/resume` is called or space is pressed. Latched messages from before are published at
    /// once.
    #[arg(short, long)]
    paused: bool,
    /// Wait so long at most until somebody listens to each topic, so that no first message is missed.
    #[arg(long, value_name = "SECONDS", value_parser = parse_duration)]
    wait_for_subscribers: Option<Duration>,
    /// No keys: on a terminal, space otherwise pauses and resumes, `q` stops.
    #[arg(long)]
    disable_keyboard_controls: bool,
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Read(error) => error.into(),
            ReplayError::Ros(error) => error.into(),
            ReplayError::Reader(_) => Self::Failed(error.into()),
        }
    }
}

pub(crate) fn run(args: &ReplayArgs, ros_args: &RosArguments) -> Result<ExitCode, Failure> {
    let stop = StopFlag::default();
    stop_replay_on_signals(&stop)?;
    let experiment = args.experiment.open()?;
    let name = experiment.name().to_string();
    let recording = Recording { name, experiment };
    let mut run = RosRun::open(&recording, &McapOptions::default())?;
    if !args.topics.is_empty() {
        select(&mut run, &args.topics)?;
    }
    ros2_account::tell(run.left_out(), &[]);
    if run.topics().is_empty() {
        let reason = format!("{}: no track has messages that can be published", recording.name);
        return Err(Failure::failed(reason));
    }
    let settings = ReplaySettings {
        rate: args.rate,
        is_looping: args.looping,
        start_secs: args.start,
        clock_hz: args.clock,
        wait_for_subscribers: args.wait_for_subscribers.unwrap_or_default(),
        pause: Pause::new(args.paused),
    };
    let node = RosNode::start(NODE_NAME, ros_args)?;
    let keyboard = if args.disable_keyboard_controls {
        None
    } else {
        let orders = Orders::default();
        let pause = settings.pause.clone();
        orders.connect(move |_| {
            tracing::info!("{}", if pause.toggle() { "paused" } else { "resumed" });
            true
        });
        Keyboard::start(Keys::Replay, &orders, &stop)?
    };
    if keyboard.is_some() {
        tracing::info!("{}", Keys::Replay.help());
    }
    let report = node.replay(&run, &settings, &stop);
    drop(keyboard);
    let report = report?;
    tell(&run, &report);
    let is_incomplete =
        !run.left_out().is_empty() || !report.losses.is_empty() || !report.refused.is_empty();
    Ok(if is_incomplete { ExitCode::Missing } else { ExitCode::Done })
}

fn select(run: &mut RosRun, globs: &[String]) -> Result<(), Failure> {
    let wanted: Vec<Glob> = globs
        .iter()
        .map(|text| Glob::new(&format!("/{}", text.trim_start_matches('/'))))
        .collect::<Result<_, _>>()?;
    let names: Vec<String> = run.topics().iter().map(|topic| topic.name.clone()).collect();
    for (glob, text) in wanted.iter().zip(globs) {
        if !names.iter().any(|name| glob.takes(name)) {
            let names = names.join(", ");
            return Err(Failure::failed(format!(
                "no topic that can be published is called `{text}`; there are: {names}"
            )));
        }
    }
    run.retain_topics(|topic| wanted.iter().any(|glob| glob.takes(topic)));
    Ok(())
}

/// Says what was published, and how punctually.
fn tell(run: &RosRun, report: &ReplayReport) {
    ros2_account::tell(&[], &report.losses);
    let messages: u64 = report.messages.iter().sum();
    let topics = report.messages.iter().filter(|messages| **messages > 0).count();
    for (topic, messages) in run.topics().iter().zip(&report.messages) {
        tracing::debug!("{}: {messages} messages", topic.name);
    }
    let passes = match report.passes {
        0 | 1 => String::new(),
        passes => format!(" in {passes} passes"),
    };
    tracing::info!("published {messages} messages on {topics} topics{passes}");
    let jitter = &report.jitter;
    if jitter.count() > 0 {
        tracing::info!(
            "published after they were due: half of them within {}, 99 % within {}, all within {}",
            millis(jitter, 0.5),
            millis(jitter, 0.99),
            millis(jitter, 1.0)
        );
    }
}

fn millis(jitter: &Jitter, part: f64) -> String {
    format!("{:.3} ms", jitter.quantile(part).as_secs_f64() * 1e3)
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| (0.001..=10_000.0).contains(rate));
    rate.ok_or_else(|| "expected a number from 0.001 to 10000".to_owned())
}

fn parse_start(text: &str) -> Result<f64, String> {
    let secs = text.parse::<f64>().ok().filter(|secs| (0.0..=1e9).contains(secs));
    secs.ok_or_else(|| "expected a number of seconds, at least 0".to_owned())
}
