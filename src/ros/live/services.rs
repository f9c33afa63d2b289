//! The node's services, all of type `std_srvs/Trigger`: `~/pause`, `~/resume`, `~/flush`, `~/split`,
//! `~/status`. What is the recorder's to answer is waited for without holding up the node.

use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::future::FutureExt;
use futures::stream::{Stream, StreamExt};
use r2r::std_srvs::srv::Trigger;
use r2r::{QosProfile, ServiceRequest};

use super::control::Control;
use super::queue::MessageQueue;

/// An answer that takes longer is given up on.
const PATIENCE: Duration = Duration::from_secs(30);
/// Answers that may be waited for at a time.
const MAX_WAITING: usize = 64;

const SERVICES: [(&str, Call); 5] = [
    ("~/pause", Call::Pause),
    ("~/resume", Call::Resume),
    ("~/flush", Call::Flush),
    ("~/split", Call::Split),
    ("~/status", Call::Status),
];

type Request = ServiceRequest<Trigger::Service>;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Pause,
    Resume,
    Flush,
    Split,
    Status,
}

/// What the recorder says to a request.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) success: bool,
    /// What was done, or why not; of `~/status`, JSON.
    pub(super) message: String,
}

/// Where it says so.
pub(super) type Reply = oneshot::Sender<Answer>;

/// All services.
pub(super) struct Services {
    offered: Vec<(Call, Box<dyn Stream<Item = Request> + Unpin>)>,
    waiting: Vec<Waiting>,
}

/// A request whose answer is the recorder's.
struct Waiting {
    request: Request,
    answer: oneshot::Receiver<Answer>,
    until: Instant,
}

impl Services {
    pub(super) fn offer(node: &mut r2r::Node) -> Result<Self, r2r::Error> {
        let mut offered: Vec<(Call, Box<dyn Stream<Item = Request> + Unpin>)> = Vec::new();
        for (name, call) in SERVICES {
            let requests = node.create_service::<Trigger::Service>(name, QosProfile::default())?;
            offered.push((call, Box::new(requests)));
        }
        Ok(Self { offered, waiting: Vec::new() })
    }

    /// A request that has arrived.
    pub(super) fn next(&mut self) -> Option<(Call, Request)> {
        self.offered.iter_mut().find_map(|(call, requests)| {
            let request = requests.next().now_or_never().flatten()?;
            Some((*call, request))
        })
    }

    /// Lets the recorder answer, once it has dealt with the messages that came before.
    pub(super) fn ask_recorder(
        &mut self,
        queue: &MessageQueue<Control>,
        request: Request,
        control: impl FnOnce(Reply) -> Control,
    ) {
        if self.waiting.len() >= MAX_WAITING {
            return answer(request, Answer::failure("too many requests wait already"));
        }
        let (reply, answer) = oneshot::channel();
        queue.push_behind_messages(control(reply));
        let until = Instant::now() + PATIENCE;
        self.waiting.push(Waiting { request, answer, until });
    }

    /// Passes on what the recorder has answered by now.
    pub(super) fn pass_answers(&mut self) {
        let now = Instant::now();
        for Waiting { request, answer: mut awaited, until } in std::mem::take(&mut self.waiting) {
            match awaited.try_recv() {
                Ok(Some(said)) => answer(request, said),
                Ok(None) if now < until => {
                    self.waiting.push(Waiting { request, answer: awaited, until });
                }
                Ok(None) => answer(request, Answer::failure("the recorder does not answer")),
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

/// Sends an answer; a client that went away is nobody's loss.
pub(super) fn answer(request: Request, answer: Answer) {
    let Answer { success, message } = answer;
    if let Err(error) = request.respond(Trigger::Response { success, message }) {
        tracing::debug!("a service's answer could not be sent: {error}");
    }
}
