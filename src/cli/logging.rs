//! Logs: to stderr, coloured on a terminal.

use std::io::{self, stderr};

use clap::ValueEnum;
use mldash_bridge::ros::LogQueue;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::log_thread::LogThread;
use super::progress::AboveBars;
use super::terminal::takes_colour;

/// How much is logged; ROS 2's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Level {
    /// From `--ros-args --log-level`; `None` for `unset` and unknown levels.
    pub(crate) fn from_ros(level: &str) -> Option<Self> {
        Self::from_str(level, true).ok()
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::DEBUG,
            Level::Info => Self::INFO,
            Level::Warn => Self::WARN,
            // An error that ends the program is always logged.
            Level::Error | Level::Fatal => Self::ERROR,
        }
    }
}

/// Starts logging for the whole process: to stderr, and to `more` for another reader.
pub(crate) fn start(level: Level, more: Option<LogQueue>) -> io::Result<LogThread> {
    let log = LogThread::start(AboveBars)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .with_ansi(takes_colour(&stderr()))
        .with_target(false);
    tracing_subscriber::registry().with(LevelFilter::from(level)).with(lines).with(more).init();
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// r2r and others log by the `log` crate.
    #[test]
    fn what_libraries_log_is_in_our_log_too() {
        let queue = LogQueue::default();
        let _log = start(Level::Info, Some(queue.clone())).unwrap();
        log::warn!("could not create a timer: {}", 5);
        log::debug!("too much detail");
        let (records, _) = queue.fetch();
        let said: Vec<&str> = records.iter().map(|record| record.text.as_str()).collect();
        assert!(
            said.iter().any(|text| text.starts_with("could not create a timer: 5")),
            "{said:?}"
        );
        assert!(!said.iter().any(|text| text.contains("detail")), "{said:?}");
    }
}
