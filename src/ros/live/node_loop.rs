//! The node's thread: services, parameters, diagnostics and the log, through r2r. It handles no
//! messages; if it fails, the recording continues without it.

use std::sync::PoisonError;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};

use super::calls::{Calls, Request};
use super::control::Control;
use super::parameters::SaidLabels;
use super::queue::MessageQueue;
use super::report::Reports;
use super::rosout::Rosout;
use super::services::Services;
use super::{NodeName, NodeSettings, RosError, StopFlag, parameters};
use crate::record::StatusBoard;

/// A request ends a spin at once. This bounds the delay of the log and the diagnostics.
const SPIN: Duration = Duration::from_millis(200);
/// While an answer is pending, because an answer does not end a spin.
const SPIN_FOR_ANSWER: Duration = Duration::from_millis(5);

/// The state of the node's thread.
pub(super) struct NodeLoop<'a> {
    node: r2r::Node,
    queue: &'a MessageQueue<Control>,
    calls: Calls,
    stop: &'a StopFlag,
    services: Services,
    reports: Reports,
    rosout: Option<Rosout>,
    /// Answers `ros2 param`.
    parameters: Option<BoxFuture<'static, ()>>,
    use_sim_time: bool,
}

impl<'a> NodeLoop<'a> {
    #[expect(clippy::too_many_arguments, reason = "it is called once")]
    pub(super) fn new(
        mut node: r2r::Node,
        name: &NodeName,
        settings: NodeSettings,
        board: StatusBoard,
        said: SaidLabels,
        queue: &'a MessageQueue<Control>,
        calls: Calls,
        stop: &'a StopFlag,
    ) -> Result<Self, RosError> {
        let offer_error = |what: &'static str| {
            move |error: r2r::Error| RosError::Node(format!("can't offer {what}: {error}"))
        };
        let parameters = parameters::serve(&mut node, &settings.shown, said, calls.clone())
            .map_err(offer_error("parameters"))?;
        let services = Services::offer(&mut node).map_err(offer_error("services"))?;
        let reports = Reports::new(&mut node, name, board).map_err(offer_error("/diagnostics"))?;
        let rosout = settings.logs.map(|logs| Rosout::new(&mut node, name, logs));
        let rosout = rosout.transpose().map_err(offer_error("/rosout"))?;
        let use_sim_time = parameters::use_sim_time(&node);
        let parameters = Some(parameters);
        Ok(Self { node, queue, calls, stop, services, reports, rosout, parameters, use_sim_time })
    }

    /// Runs until the recording ends.
    pub(super) fn run(mut self) {
        while !self.stop.is_set() {
            let is_awaited = self.services.has_unanswered();
            self.node.spin_once(if is_awaited { SPIN_FOR_ANSWER } else { SPIN });
            self.poll_parameters();
            self.services.pass_requests(&self.calls);
            self.services.pass_answers();
            let now_nanos = self.now_nanos();
            self.reports.poll(self.queue, now_nanos);
            self.publish_log();
        }
        self.publish_log();
    }

    /// ROS time in nanoseconds.
    fn now_nanos(&self) -> i64 {
        let clock = self.node.get_ros_clock();
        let mut clock = clock.lock().unwrap_or_else(PoisonError::into_inner);
        let since_epoch = clock.get_now().unwrap_or_default();
        i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
    }

    fn publish_log(&mut self) {
        if let Some(rosout) = &mut self.rosout {
            rosout.publish();
        }
    }

    fn poll_parameters(&mut self) {
        if let Some(handler) = &mut self.parameters
            && handler.now_or_never().is_some()
        {
            self.parameters = None;
        }
        let use_sim_time = parameters::use_sim_time(&self.node);
        if std::mem::replace(&mut self.use_sim_time, use_sim_time) != use_sim_time {
            self.calls.ask(Request::SimTime(use_sim_time));
        }
    }
}
