//! Commands from the node to the recorder besides messages, and the recorder's side of the queue.

use super::queue::{MessageQueue, RawMessage, Taken};
use super::services::{Answer, Reply};
use crate::mapping::{PartAction, PartChange};
use crate::record::{
    DropReason, LatchedMessage, PartChanged, PartError, QueueFill, Receipt, Received, Recorder,
    TopicPlan,
};
use crate::ros::StopFlag;
use crate::track::{LabelChange, Labels, one_line};

/// A command from the node to the recorder.
pub(super) enum Control {
    /// Adds a topic. It gets the next number.
    AddTopic(Box<TopicPlan>),
    /// A topic that can't be recorded, and why.
    Refuse { topic: String, reason: String },
    /// Counts messages that the node could not or must not hand over.
    Dropped { topic: usize, reason: DropReason, messages: u64 },
    /// Changes the number of lost messages by this much.
    Lost { topic: usize, change: i64 },
    /// The losses of a topic can't be known, and why.
    LossUnknown { topic: usize, reason: &'static str },
    /// Entries of the mapping without a topic.
    Unmatched(Vec<String>),
    /// Whether messages are left out from now on. Nobody waits for the answer where a part that
    /// begins ends a pause.
    Paused(bool, Option<Reply>),
    /// Time to post the status.
    PostStatus(QueueFill),
    /// `~/flush`.
    Flush(Reply),
    /// Ends the part or begins the next. Nobody waits for the answer if a message asks for it.
    ChangePart(PartChange, Option<Reply>),
    /// Ends the part that has reached a limit, and begins the next.
    EndFullPart,
    /// Saves what is held, with copies of the latched messages.
    Save { change: PartChange, latched: Vec<RawMessage>, reply: Option<Reply> },
    /// Changes what is said of the part.
    Label(LabelChange),
    /// `~/status`.
    Status(QueueFill, Reply),
}

/// What the recorder tells the node's side.
pub(super) enum News {
    /// A change of parts other than a stop is done or refused, and whether a part has begun.
    PartChanged { has_begun: bool },
    /// The part that is recorded has reached a limit.
    PartFull,
    /// What is [said](Recorder::labels) of the part; `None` if it can't be read.
    Labelled { noted: Option<Labels>, is_asked_for: bool },
}

/// Why the last change of parts was refused. A topic can ask for many; the log has it once.
#[derive(Debug, Default)]
struct Refusals {
    last: Option<String>,
}

impl Refusals {
    fn is_new(&mut self, reason: &str) -> bool {
        let before = self.last.replace(reason.to_owned());
        before.is_none_or(|before| before != reason)
    }
}

/// Records from the queue until it is closed and empty. Calls `tell` with what is new. In a hurry,
/// waiting messages are counted and left out.
pub(super) fn record_queue(
    queue: &MessageQueue<Control>,
    recorder: &mut Recorder,
    stop: &StopFlag,
    tell: impl Fn(News),
) {
    let mut messages = Vec::new();
    let mut refusals = Refusals::default();
    loop {
        match queue.take(&mut messages) {
            Taken::Messages => {
                for message in messages.drain(..) {
                    if stop.is_hurried() {
                        recorder.drop_messages(message.topic, DropReason::Stopped, 1);
                    } else {
                        let receipt = message.receipt();
                        if message.is_repeat {
                            recorder.repeat(message.topic, message.cdr, receipt);
                            continue;
                        }
                        if let Some(full) = recorder.asks_for_next_part(receipt.received) {
                            tracing::info!("{} is full: {full}", recorder.experiment().name());
                            tell(News::PartFull);
                        }
                        recorder.record(message.topic, message.cdr, receipt);
                    }
                }
            }
            Taken::Control(control) => control.apply(recorder, &mut refusals, &tell),
            Taken::Closed => return,
        }
    }
}

impl Control {
    fn apply(self, recorder: &mut Recorder, refusals: &mut Refusals, tell: &impl Fn(News)) {
        match self {
            Self::AddTopic(plan) => {
                recorder.add_topic(*plan);
            }
            Self::Refuse { topic, reason } => recorder.refuse(topic, reason),
            Self::Dropped { topic, reason, messages } => {
                recorder.drop_messages(topic, reason, messages);
            }
            Self::Lost { topic, change } => recorder.count_lost(topic, change),
            Self::LossUnknown { topic, reason } => recorder.set_loss_unknown(topic, reason),
            Self::Unmatched(entries) => recorder.set_unmatched(entries),
            Self::Paused(paused, reply) => {
                recorder.set_paused(paused);
                if let Some(reply) = reply {
                    send(reply, pause(recorder, paused));
                }
            }
            Self::PostStatus(queue) => recorder.post_status(queue),
            Self::Flush(reply) => send(reply, flush(recorder)),
            Self::ChangePart(change, reply) => {
                let answer = change_part(recorder, &change, refusals, tell);
                if let Some(reply) = reply {
                    send(reply, answer);
                }
            }
            Self::Save { change, latched, reply } => {
                let latched = latched.into_iter().map(RawMessage::latched).collect();
                let saved = recorder.save(&change, latched);
                let answer = said_of(saved, recorder, refusals, tell);
                if let Some(reply) = reply {
                    send(reply, answer);
                }
            }
            Self::EndFullPart if recorder.has_asked_for_next_part() => {
                change_part(recorder, &PartChange::new(PartAction::Split), refusals, tell);
            }
            // Somebody else has ended it.
            Self::EndFullPart => tell(News::PartChanged { has_begun: false }),
            Self::Label(change) => label(recorder, &change, tell),
            Self::Status(queue, reply) => send(reply, status(recorder, queue)),
        }
    }
}

/// Answers; the caller may have stopped waiting.
pub(super) fn send(reply: Reply, answer: Answer) {
    let _ = reply.send(answer);
}

/// What a pause means, or its end, while a part is recorded and while none is.
fn pause(recorder: &Recorder, paused: bool) -> Answer {
    let name = recorder.experiment().name().to_string();
    match (paused, recorder.is_stopped()) {
        (true, false) => Answer::done("paused: messages are counted and left out until ~/resume"),
        (true, true) => Answer::done(format!(
            "paused, but nothing is recorded anyway: {name} has ended, and ~/start begins the next part and \
             ends the pause"
        )),
        // What was saved last has ended.
        (false, false) if recorder.is_holding() => {
            Answer::done("resumed: what comes is held until ~/save")
        }
        (false, false) => Answer::done(format!("recording into {name}")),
        (false, true) => Answer::failure(PartError::Stopped { last: name }.to_string()),
    }
}

/// Whether a command changes parts because a message asks for it.
pub(super) fn is_asked_by_message(command: &Control) -> bool {
    matches!(command, Control::ChangePart(_, None) | Control::Save { reply: None, .. })
}

impl RawMessage {
    fn receipt(&self) -> Receipt {
        let received = self.received_nanos.map_or(Received::BeforeClock, Received::At);
        Receipt { received, sent_nanos: self.source_nanos }
    }

    fn latched(self) -> LatchedMessage {
        LatchedMessage { topic: self.topic, receipt: self.receipt(), cdr: self.cdr }
    }
}

fn flush(recorder: &Recorder) -> Answer {
    if recorder.is_holding() {
        // To wait for saves would hold up what is to be held.
        return Answer::failure(
            "what is held is in memory until ~/save, and saves write themselves",
        );
    }
    match recorder.flush() {
        Ok(()) => Answer::done("all that was recorded before is in the store"),
        Err(error) => Answer::failure(one_line(&error)),
    }
}

fn change_part(
    recorder: &mut Recorder,
    change: &PartChange,
    refusals: &mut Refusals,
    tell: &impl Fn(News),
) -> Answer {
    let before = recorder.experiment().name().clone();
    let changed = recorder.change_part(change);
    if change.action != PartAction::Stop {
        tell(News::PartChanged { has_begun: *recorder.experiment().name() != before });
    }
    said_of(changed, recorder, refusals, tell)
}

/// Tells what has become of the part, and what is said of it now.
fn said_of(
    changed: Result<PartChanged, PartError>,
    recorder: &Recorder,
    refusals: &mut Refusals,
    tell: &impl Fn(News),
) -> Answer {
    if matches!(changed, Ok(_) | Err(PartError::NotLabelled { .. })) {
        tell_labels(recorder, false, tell);
    }
    match changed {
        Ok(changed) => {
            refusals.last = None;
            tracing::info!("{changed}");
            Answer::done(changed.to_string())
        }
        Err(error) => {
            let reason = one_line(&error);
            if refusals.is_new(&reason) {
                match error.is_out_of_turn() {
                    true => tracing::warn!("{reason}"),
                    false => tracing::error!("{reason}"),
                }
            }
            Answer::failure(reason)
        }
    }
}

fn label(recorder: &mut Recorder, change: &LabelChange, tell: &impl Fn(News)) {
    if let Err(error) = recorder.label(change) {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, "what was said of {} is not noted", recorder.experiment().name());
    }
    tell_labels(recorder, true, tell);
}

/// Tells what is noted, whether it could be changed or not.
fn tell_labels(recorder: &Recorder, is_asked_for: bool, tell: &impl Fn(News)) {
    let noted = recorder.labels().inspect_err(|error| {
        tracing::warn!("can't read what is said of the part: {}", one_line(error));
    });
    tell(News::Labelled { noted: noted.ok(), is_asked_for });
}

fn status(recorder: &mut Recorder, queue: QueueFill) -> Answer {
    recorder.post_status(queue);
    let Some((_, status)) = recorder.board().latest() else {
        return Answer::failure("there is no status");
    };
    match serde_json::to_string(&*status) {
        Ok(json) => Answer::done(json),
        Err(error) => Answer::failure(error.to_string()),
    }
}
