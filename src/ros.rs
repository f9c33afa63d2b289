//! The ROS side: a node that finds topics, subscribes to them and hands their bytes to the recorder.
//!
//! This is the only place that knows whether the program was built with ROS 2. `live` uses it; `absent`
//! has the same functions, and they fail. Knows nothing about rows and files.

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
mod orders;
#[cfg(feature = "ros")]
#[expect(unsafe_code, reason = "a safe layer over a C library")]
pub mod rcl;
mod replay;

pub use arguments::{Remap, RosArgumentError, RosArguments};
pub use diagnostics::{Diagnostic, Level as DiagnosticLevel, diagnostics, hanging};
pub use error::RosError;
pub use graph::{GraphReport, GraphTopic, Mapped, RecordedTopic, SilentCall, UnmatchedEntry};
pub use logs::{LogQueue, LogRecord};
pub use names::NodeName;
pub use orders::{Order, Orders};
pub use replay::{Jitter, Pause, ReplayError, ReplayReport, ReplaySettings};

#[cfg(not(feature = "ros"))]
pub use absent::{RosNode, built_with};
#[cfg(feature = "ros")]
pub use live::{RosNode, built_with};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::mapping::{ClockJump, TopicSelection};
use crate::track::LabelChange;

/// Settings given as ROS parameters. An empty text counts as not given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RosParameters {
    /// The mapping file.
    pub config: Option<String>,
    /// Topics to record without one; services and actions also with one.
    pub selection: TopicSelection,
    /// The experiment.
    pub experiment: Option<String>,
    /// The local store's root.
    pub root: Option<String>,
    /// The server to sync to.
    pub remote: Option<String>,
    /// Whether the recording starts paused.
    pub start_paused: Option<bool>,
    /// What is said of the recording: task, success, notes, operator, tags.
    pub labels: LabelChange,
}

/// Settings of a node besides what it records.
#[derive(Clone, Debug, Default)]
pub struct NodeSettings {
    /// The settings in use, shown as the node's parameters.
    pub shown: EffectiveSettings,
    /// The log for `/rosout`; `None` if it is not published.
    pub logs: Option<LogQueue>,
    /// What to do when the ROS clock jumps back.
    pub clock_jump: ClockJump,
    /// What a person at the keyboard asks for.
    pub orders: Orders,
}

/// The settings in use, whether given by flag, parameter or mapping.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EffectiveSettings {
    /// The mapping file; empty if there is none.
    pub config: String,
    /// Topics that are recorded without one; services and actions also with one.
    pub selection: TopicSelection,
    /// The experiment.
    pub experiment: String,
    /// The local store's root.
    pub root: String,
    /// The server to sync to; empty if there is none.
    pub remote: String,
    /// Whether the recording starts paused.
    pub start_paused: bool,
    /// Who runs the robot; empty if that is not said.
    pub operator: String,
    /// The tags of every part.
    pub tags: Vec<String>,
}

/// This machine's host name.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Tells a recording to end, on request or when its duration is over.
#[derive(Clone, Default)]
pub struct StopFlag {
    stopped: Arc<AtomicBool>,
    hurried: Arc<AtomicBool>,
    deadline: Option<Instant>,
    sleepers: Arc<Mutex<Vec<WakeUp>>>,
}

/// Wakes a sleeping thread.
type WakeUp = Box<dyn Fn() + Send + Sync>;

impl fmt::Debug for StopFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopFlag").field("stopped", &self.stopped).finish_non_exhaustive()
    }
}

impl StopFlag {
    /// Returns the same flag. It is also set after `duration` from now, if given.
    pub fn after(&self, duration: Option<Duration>) -> Self {
        let deadline = duration.and_then(|duration| Instant::now().checked_add(duration));
        Self { deadline, ..self.clone() }
    }

    /// Asks the recording to take what is queued and end.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.sleepers.lock().iter().for_each(|wake_up| wake_up());
    }

    /// Calls `wake_up` when the recording is asked to end. It is not called at the
    /// [`deadline`](Self::deadline), so sleeping threads must also observe that.
    pub fn call_when_set(&self, wake_up: impl Fn() + Send + Sync + 'static) {
        self.sleepers.lock().push(Box::new(wake_up));
    }

    /// When the duration is over, if there is one.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Asks the recording to end at once: queued messages are counted and left out, recorded rows are
    /// written.
    pub fn hurry(&self) {
        self.hurried.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// The flag that [`hurry`](Self::hurry) sets.
    pub fn hurry_flag(&self) -> Arc<AtomicBool> {
        self.hurried.clone()
    }

    /// Returns true if the recording must end at once.
    pub fn is_hurried(&self) -> bool {
        self.hurried.load(Ordering::Relaxed)
    }

    /// Returns true if the recording must end.
    pub fn is_set(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}
