//! Handles SIGINT, SIGTERM and SIGHUP as a normal end.

use std::ffi::c_int;
use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use mldash_bridge::ros::StopFlag;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// A second signal within this time is ignored: Ctrl-C on `ros2 launch` sends SIGINT from the
/// terminal and from launch.
const REPEAT_WINDOW: Duration = Duration::from_secs(2);

/// What is said at a signal.
struct Words {
    first: &'static str,
    /// At one that came with the first.
    again: &'static str,
    later: &'static str,
}

const RECORDING: Words = Words {
    first: "stopping: writing what is queued, closing the tracks",
    again: "still writing what was received; kill -9 would lose it",
    later: "stopping at once: queued messages are dropped and counted",
};
const EXPORT: Words = Words {
    first: "stopping: what was written so far is removed",
    again: "still removing what was written",
    later: "still removing what was written",
};

const REPLAY: Words = Words {
    first: "stopping: the last messages are on their way",
    again: "the last messages are on their way",
    later: "stopping at once",
};

/// Sets `stop` at the first SIGINT, SIGTERM or SIGHUP (the terminal is gone, for example a dropped
/// SSH session). A later signal ends the recording at once and drops what is queued.
pub(super) fn stop_on_signals(stop: &StopFlag) -> io::Result<()> {
    watch(stop, &RECORDING)
}

/// Ends the recording as the first signal does.
pub(super) fn stop_recording(stop: &StopFlag) {
    stop_saying(stop, &RECORDING);
}

/// Ends the replay as the first signal does.
pub(super) fn stop_replay(stop: &StopFlag) {
    stop_saying(stop, &REPLAY);
}

fn stop_saying(stop: &StopFlag, words: &Words) {
    if !stop.is_set() {
        tracing::info!("{}", words.first);
        stop.stop();
    }
}

/// The same for an export, which leaves nothing behind when it is stopped.
pub(super) fn stop_export_on_signals(stop: &StopFlag) -> io::Result<()> {
    watch(stop, &EXPORT)
}

/// The same for a replay.
pub(super) fn stop_replay_on_signals(stop: &StopFlag) -> io::Result<()> {
    watch(stop, &REPLAY)
}

/// Set at the first SIGINT, SIGTERM or SIGHUP. The second one ends the program at once; the shell then
/// restores the terminal.
pub(super) fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in ends() {
        flag::register_conditional_default(signal, stopped.clone())?;
        flag::register(signal, stopped.clone())?;
    }
    Ok(stopped)
}

/// The signals that ask for an end. `nohup` means that the program should continue.
fn ends() -> impl Iterator<Item = c_int> {
    [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| *signal != SIGHUP || !is_ignored_here(SIGHUP))
}

fn watch(stop: &StopFlag, words: &'static Words) -> io::Result<()> {
    let mut signals = Signals::new(ends())?;
    let mut requests = Requests { stop: stop.clone(), words, first_at: None };
    let watch = move || signals.forever().for_each(|_| requests.take(Instant::now()));
    thread::Builder::new().name("signals".into()).spawn(watch).map(drop)
}

/// Returns true if this process was started with a signal ignored, so that it should stay so.
pub(super) fn is_ignored_here(signal: c_int) -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| is_ignored(signal, &status))
}

/// Returns true if a process ignores a signal, according to its `/proc/PID/status`.
fn is_ignored(signal: c_int, status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

/// What signals have requested so far.
struct Requests {
    stop: StopFlag,
    words: &'static Words,
    first_at: Option<Instant>,
}

impl Requests {
    fn take(&mut self, now: Instant) {
        match self.first_at {
            None => {
                tracing::info!("{}", self.words.first);
                self.first_at = Some(now);
                self.stop.stop();
            }
            Some(first_at) if now - first_at < REPEAT_WINDOW => {
                tracing::warn!("{}", self.words.again);
            }
            Some(_) => {
                tracing::warn!("{}", self.words.later);
                self.stop.hurry();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_which_signals_are_ignored() {
        let under_nohup = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(SIGHUP, under_nohup));
        assert!(!is_ignored(SIGINT, under_nohup));
        assert!(!is_ignored(SIGHUP, "Name:\tx\n"));
    }

    #[test]
    fn a_second_signal_is_a_hurry_unless_it_came_with_the_first() {
        let stop = StopFlag::default();
        let mut requests = Requests { stop: stop.clone(), words: &RECORDING, first_at: None };
        let start = Instant::now();
        requests.take(start);
        requests.take(start + Duration::from_millis(50));
        assert!(stop.is_set() && !stop.is_hurried());
        requests.take(start + REPEAT_WINDOW);
        assert!(stop.is_hurried());
    }
}
