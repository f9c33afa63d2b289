//! The ROS side: a node that finds topics, subscribes to them and hands their bytes to the recorder.
//!
//! The one place that knows whether ROS 2 was there at build time: `live` talks to it, `absent`
//! has the same surface and says that it can't. Knows nothing of rows and files.

#[cfg(not(feature = "ros"))]
mod absent;
mod arguments;
mod diagnostics;
mod error;
mod graph;
#[cfg(feature = "ros")]
mod live;
mod logs;
mod names;
#[cfg(feature = "ros")]
#[expect(unsafe_code, reason = "a safe layer over a C library")]
pub mod rcl;

pub use arguments::{Remap, RosArgumentError, RosArguments};
pub use diagnostics::{Diagnostic, Level as DiagnosticLevel, diagnostics, hanging};
pub use error::RosError;
pub use graph::{GraphReport, GraphTopic, Mapped, RecordedTopic, UnmatchedEntry};
pub use logs::{LogQueue, LogRecord};
pub use names::NodeName;

#[cfg(not(feature = "ros"))]
pub use absent::RosNode;
#[cfg(feature = "ros")]
pub use live::RosNode;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::mapping::ClockJump;

/// What the node was given as ROS parameters; an empty text is the same as not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosParameters {
    /// The mapping file.
    pub config: Option<String>,
    /// The experiment.
    pub experiment: Option<String>,
    /// The local store's root.
    pub root: Option<String>,
    /// The server to sync to.
    pub remote: Option<String>,
    /// Whether the recording starts paused.
    pub start_paused: Option<bool>,
}

/// What a node needs to know besides what it records.
#[derive(Clone, Debug, Default)]
pub struct NodeSettings {
    /// What the run uses, shown as the node's parameters.
    pub shown: EffectiveSettings,
    /// The log, to be published on `/rosout`.
    pub logs: Option<LogQueue>,
    /// What to do when the ROS clock jumps back.
    pub clock_jump: ClockJump,
}

/// What a run uses, wherever it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EffectiveSettings {
    /// The mapping file.
    pub config: String,
    /// The experiment.
    pub experiment: String,
    /// The local store's root.
    pub root: String,
    /// The server to sync to; empty without one.
    pub remote: String,
    /// Whether the recording starts paused.
    pub start_paused: bool,
}

/// This machine's name.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Tells a recording to come to its end, when asked to or when its time is over.
#[derive(Clone, Default)]
pub struct StopFlag {
    stopped: Arc<AtomicBool>,
    hurried: Arc<AtomicBool>,
    deadline: Option<Instant>,
    sleepers: Arc<Mutex<Vec<WakeUp>>>,
}

/// Wakes somebody who sleeps.
type WakeUp = Box<dyn Fn() + Send + Sync>;

impl fmt::Debug for StopFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopFlag").field("stopped", &self.stopped).finish_non_exhaustive()
    }
}

impl StopFlag {
    /// The same flag, which from now on is set after `duration` too, if there is one.
    pub fn after(&self, duration: Option<Duration>) -> Self {
        let deadline = duration.and_then(|duration| Instant::now().checked_add(duration));
        Self { deadline, ..self.clone() }
    }

    /// The recording takes what is queued and ends.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.sleepers.lock().iter().for_each(|wake_up| wake_up());
    }

    /// Calls `wake_up` when the recording is to end because it was told to; who sleeps looks at
    /// [`deadline`](Self::deadline) too.
    pub fn call_when_set(&self, wake_up: impl Fn() + Send + Sync + 'static) {
        self.sleepers.lock().push(Box::new(wake_up));
    }

    /// When its time is over, if it has one.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The recording ends at once: what is queued is counted and left out, what was recorded is
    /// written.
    pub fn hurry(&self) {
        self.hurried.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// What is set once it is to end at once.
    pub fn hurry_flag(&self) -> Arc<AtomicBool> {
        self.hurried.clone()
    }

    /// Whether it is to end at once.
    pub fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::Relaxed)
    }

    /// Whether it is to end.
    pub fn is_set(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
