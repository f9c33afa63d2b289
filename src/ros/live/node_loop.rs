//! The node's thread: services, parameters, diagnostics and the log, through r2r. It handles no
//! messages; if it fails, the recording continues without it.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::control::Control;
use super::parameter_services::ParameterServices;
use super::queue::MessageQueue;
use super::report::Reports;
use super::request_queue::RequestQueue;
use super::rosout::Rosout;
use super::said_labels::SaidLabels;
use super::services::Services;
use super::{NodeName, NodeSettings, RosError, StopFlag, parameters};
use crate::record::StatusBoard;

/// A request ends a spin at once. This bounds the delay of the log and the diagnostics.
const SPIN: Duration = Duration::from_millis(200);
/// While an answer is pending, because an answer does not end a spin.
const SPIN_FOR_ANSWER: Duration = Duration::from_millis(5);

/// How long to wait for answers once the recording ends.
const ANSWER_AT_MOST: Duration = Duration::from_secs(5);

/// What connects the node's thread with the others.
#[derive(Clone, Copy)]
pub(super) struct NodeLinks<'a> {
    /// To the recorder.
    pub(super) queue: &'a MessageQueue<Control>,
    /// To the listening thread.
    pub(super) requests: &'a RequestQueue,
    pub(super) stop: &'a StopFlag,
}

/// The state of the node's thread.
pub(super) struct NodeLoop<'a> {
    node: r2r::Node,
    links: NodeLinks<'a>,
    services: Services,
    reports: Reports,
    rosout: Option<Rosout>,
    parameters: ParameterServices,
}

impl<'a> NodeLoop<'a> {
    pub(super) fn new(
        mut node: r2r::Node,
        name: &NodeName,
        settings: NodeSettings,
        board: StatusBoard,
        said: SaidLabels,
        links: NodeLinks<'a>,
    ) -> Result<Self, RosError> {
        let offer_error = |what: &'static str| {
            move |error: r2r::Error| RosError::Node(format!("can't offer {what}: {error}"))
        };
        let use_sim_time = parameters::use_sim_time(&node);
        if use_sim_time {
            let time_source = node.get_time_source();
            time_source.enable_sim_time(&mut node).map_err(offer_error("simulated time"))?;
        }
        let (shown, requests) = (&settings.shown, links.requests.clone());
        let parameters = ParameterServices::offer(&mut node, shown, use_sim_time, said, requests)
            .map_err(offer_error("parameters"))?;
        let services = Services::offer(&mut node).map_err(offer_error("services"))?;
        let reports = Reports::new(&mut node, name, board).map_err(offer_error("/diagnostics"))?;
        let rosout = settings.logs.map(|logs| Rosout::new(&mut node, name, logs));
        let rosout = rosout.transpose().map_err(offer_error("/rosout"))?;
        Ok(Self { node, links, services, reports, rosout, parameters })
    }

    /// Runs until the recording ends.
    pub(super) fn run(mut self) {
        while !self.links.stop.is_set() {
            let is_awaited = self.services.has_unanswered();
            self.node.spin_once(if is_awaited { SPIN_FOR_ANSWER } else { SPIN });
            self.parameters.answer();
            self.services.pass_requests(self.links.requests);
            self.services.pass_answers();
            let now_nanos = self.now_nanos();
            self.reports.poll(self.links.queue, now_nanos);
            self.publish_log();
        }
        self.answer_the_last();
        self.publish_log();
    }

    /// Answers requests from before the end and those that come meanwhile, so that no caller waits
    /// for ever.
    fn answer_the_last(&mut self) {
        let until = Instant::now() + ANSWER_AT_MOST;
        loop {
            self.node.spin_once(SPIN_FOR_ANSWER);
            self.parameters.answer();
            self.services.pass_requests(self.links.requests);
            self.services.pass_answers();
            self.publish_log();
            let is_late = self.links.stop.is_hurried() || Instant::now() >= until;
            if is_late || !self.services.has_unanswered() {
                break;
            }
        }
        self.services.give_up();
    }

    /// ROS time in nanoseconds.
    fn now_nanos(&self) -> i64 {
        let clock = self.node.get_ros_clock();
        let mut clock = clock.lock().unwrap_or_else(PoisonError::into_inner);
        ros_nanos(clock.get_now().unwrap_or_default())
    }

    fn publish_log(&mut self) {
        if let Some(rosout) = &mut self.rosout {
            rosout.publish();
        }
    }
}

/// ROS time from r2r, which gives the bits of a negative one as those of a large one. Before 0 there
/// is no time on the wire.
fn ros_nanos(since_epoch: Duration) -> i64 {
    let nanos = u64::try_from(since_epoch.as_nanos()).unwrap_or_default();
    nanos.cast_signed().max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_shows_as_0() {
        assert_eq!(ros_nanos(Duration::from_nanos(7)), 7);
        assert_eq!(ros_nanos(Duration::from_nanos((-5_000_000_000_i64).cast_unsigned())), 0);
    }
}
