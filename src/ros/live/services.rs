//! The node's services, all of type `std_srvs/Trigger`: `~/pause`, `~/resume`, `~/flush`,
//! `~/split`, `~/discard`, `~/stop`, `~/start`, `~/save`, `~/status`. The listening thread and the recorder
//! answer, in order with the messages; the node does not wait for them.

use std::sync::Once;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::future::FutureExt;
use futures::stream::{Stream, StreamExt};
use r2r::std_srvs::srv::Trigger;
use r2r::{QosProfile, ServiceRequest, WrappedServiceTypeSupport};

use super::request_queue::{Request, RequestQueue};
use crate::mapping::PartAction;
use crate::ros::Order;

/// How long to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
const NO_ANSWER: &str =
    "the recorder has not answered in 30 s; what was asked for is done once it can";
/// Maximum number of unanswered requests.
const MAX_UNANSWERED: usize = 64;

const SERVICES: [(&str, ServiceCall); 9] = [
    ("~/pause", ServiceCall::Pause),
    ("~/resume", ServiceCall::Resume),
    ("~/flush", ServiceCall::Flush),
    ("~/split", ServiceCall::ChangePart(PartAction::Split)),
    ("~/discard", ServiceCall::ChangePart(PartAction::Discard)),
    ("~/stop", ServiceCall::ChangePart(PartAction::Stop)),
    ("~/start", ServiceCall::ChangePart(PartAction::Start)),
    ("~/save", ServiceCall::ChangePart(PartAction::Save)),
    ("~/status", ServiceCall::Status),
];

type TriggerRequest = ServiceRequest<Trigger::Service>;

/// The requests to a service that have come.
pub(super) type Requests<T> = Box<dyn Stream<Item = ServiceRequest<T>> + Unpin>;

/// The requested service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceCall {
    Pause,
    Resume,
    /// A key's, which stands for both.
    PauseOrResume,
    Flush,
    ChangePart(PartAction),
    Status,
}

impl From<Order> for ServiceCall {
    fn from(order: Order) -> Self {
        match order {
            Order::PauseOrResume => Self::PauseOrResume,
            Order::Split => Self::ChangePart(PartAction::Split),
            Order::Discard => Self::ChangePart(PartAction::Discard),
            Order::Save => Self::ChangePart(PartAction::Save),
        }
    }
}

/// The answer to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) success: bool,
    /// What was done, or why not; JSON for `~/status`.
    pub(super) message: String,
}

/// Where the answer goes.
pub(super) type Reply = oneshot::Sender<Answer>;

/// All services.
pub(super) struct Services {
    offered: Vec<(ServiceCall, Requests<Trigger::Service>)>,
    unanswered: Vec<Unanswered>,
}

/// A request that was passed on.
struct Unanswered {
    request: TriggerRequest,
    answer: oneshot::Receiver<Answer>,
    until: Instant,
}

impl Services {
    pub(super) fn offer(node: &mut r2r::Node) -> Result<Self, r2r::Error> {
        let mut offered: Vec<(ServiceCall, Requests<Trigger::Service>)> = Vec::new();
        for (name, call) in SERVICES {
            let requests = node.create_service::<Trigger::Service>(name, QosProfile::default())?;
            offered.push((call, Box::new(requests)));
        }
        Ok(Self { offered, unanswered: Vec::new() })
    }

    /// Passes on new requests.
    pub(super) fn pass_requests(&mut self, queue: &RequestQueue) {
        while let Some((call, request)) = self.next() {
            if self.unanswered.len() >= MAX_UNANSWERED {
                answer(request, Answer::failure("too many requests are unanswered already"));
                continue;
            }
            let (reply, answer) = oneshot::channel();
            queue.ask(Request::Call(call, reply));
            let until = Instant::now() + PATIENCE;
            self.unanswered.push(Unanswered { request, answer, until });
        }
    }

    /// Returns true if an answer is pending.
    pub(super) fn has_unanswered(&self) -> bool {
        !self.unanswered.is_empty()
    }

    fn next(&mut self) -> Option<(ServiceCall, TriggerRequest)> {
        self.offered.iter_mut().find_map(|(call, requests)| {
            let request = next_request(requests)?;
            Some((*call, request))
        })
    }

    /// Answers what is left: the node ends.
    pub(super) fn give_up(&mut self) {
        for Unanswered { request, .. } in self.unanswered.drain(..) {
            answer(request, Answer::failure("the recording ends before there is an answer"));
        }
    }

    /// Passes on the answers that have arrived.
    pub(super) fn pass_answers(&mut self) {
        let now = Instant::now();
        for Unanswered { request, answer: mut awaited, until } in
            std::mem::take(&mut self.unanswered)
        {
            match awaited.try_recv() {
                Ok(Some(said)) => answer(request, said),
                Ok(None) if now < until => {
                    self.unanswered.push(Unanswered { request, answer: awaited, until });
                }
                Ok(None) => answer(request, Answer::failure(NO_ANSWER)),
                Err(oneshot::Canceled) => answer(request, Answer::failure("the recording is over")),
            }
        }
    }
}

impl Answer {
    pub(super) fn done(message: impl Into<String>) -> Self {
        Self { success: true, message: message.into() }
    }

    pub(super) fn failure(message: impl Into<String>) -> Self {
        Self { success: false, message: message.into() }
    }
}

pub(super) fn answer(request: TriggerRequest, answer: Answer) {
    let Answer { success, message } = answer;
    respond(request, Trigger::Response { success, message });
}

/// The next request, if one has come.
pub(super) fn next_request<T>(requests: &mut Requests<T>) -> Option<ServiceRequest<T>>
where
    T: WrappedServiceTypeSupport,
{
    requests.next().now_or_never().flatten()
}

/// Sends a response. A client that can't get it does not matter, but is told of once.
pub(super) fn respond<T>(request: ServiceRequest<T>, response: T::Response)
where
    T: WrappedServiceTypeSupport + 'static,
{
    static TOLD: Once = Once::new();
    if let Err(error) = request.respond(response) {
        tracing::debug!("a response could not be sent: {error}");
        TOLD.call_once(|| {
            tracing::warn!(
                "a client of one of this node's services can't get its answer ({error}): it has left, or \
                 asks for QoS that services don't offer; further ones are not told"
            );
        });
    }
}
