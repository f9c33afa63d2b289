//! What services, parameters and the recorder ask of the listening thread, in order with the
//! messages; and the changes of parts, whoever asks for them.

use super::Listener;
use crate::mapping::{PartAction, PartChange};
use crate::ros::live::control::{Control, send};
use crate::ros::live::request_queue::Request;
use crate::ros::live::services::{Answer, Reply, ServiceCall};

/// How many saves may wait for the recorder. Each has copies of all latched messages.
const MAX_WAITING_SAVES: usize = 4;

impl Listener<'_> {
    /// Changes the part behind all messages that are taken.
    pub(super) fn change_part(&mut self, change: PartChange, reply: Option<Reply>) {
        self.complete_part();
        if change.action == PartAction::Save {
            return self.save(change, reply);
        }
        let is_start = change.action == PartAction::Start;
        self.parts_under_way += usize::from(change.action != PartAction::Stop);
        self.readers.queue.push_behind_messages(Control::ChangePart(change, reply));
        if is_start {
            // A part that begins is recorded.
            self.set_paused(false, None);
        }
    }

    /// Saves what is held, with all messages that are taken, unless the recorder is far behind with saves.
    fn save(&mut self, change: PartChange, reply: Option<Reply>) {
        let queue = self.readers.queue;
        let waiting = queue.waiting(|control| matches!(control, Control::Save { .. }));
        if waiting < MAX_WAITING_SAVES {
            let latched = self.readers.latched();
            queue.push_behind_messages(Control::Save { change, latched, reply });
            return;
        }
        let reason = format!("{waiting} saves wait already; what is held stays held");
        match reply {
            Some(reply) => send(reply, Answer::failure(reason)),
            None => tracing::warn!("a message that asks for a save does nothing: {reason}"),
        }
    }

    /// Ends the part that has reached a limit behind all messages that are taken.
    fn end_full_part(&mut self) {
        self.complete_part();
        self.parts_under_way += 1;
        self.readers.queue.push_behind_messages(Control::EndFullPart);
    }

    /// Hands over what belongs to the part that is about to end: what it still waits for, and what it lost.
    fn complete_part(&mut self) {
        self.end_part();
        self.readers.hand_over();
        self.readers.report_missing();
    }

    /// Collects what a part still waits for. One that the recorder has not begun yet could not ask
    /// for latched messages.
    pub(super) fn end_part(&mut self) {
        self.readers.end_echoes();
        if self.parts_under_way > 0 {
            self.readers.repeat_copies();
        }
    }

    pub(super) fn answer_requests(&mut self) {
        let requests = self.requests.take();
        let is_about_messages =
            |request: &Request| matches!(request, Request::Call(..) | Request::Label(_));
        if requests.iter().any(is_about_messages) {
            self.hear_triggers();
            // Messages from before the requests are handled under the old state.
            self.drain_all();
        }
        for request in requests {
            match request {
                Request::Call(call, reply) => self.answer(call, reply),
                Request::Label(change) => {
                    self.readers.queue.push_behind_messages(Control::Label(change));
                }
                Request::PartChanged { has_begun } => {
                    self.parts_under_way = self.parts_under_way.saturating_sub(1);
                    if has_begun {
                        self.readers.repeat_latched();
                    }
                }
                // What is left goes into this part: the next one would have nothing else.
                Request::PartFull if self.stop.is_set() => {}
                Request::PartFull => self.end_full_part(),
            }
        }
    }

    fn answer(&mut self, call: ServiceCall, reply: Reply) {
        let queue = self.readers.queue;
        match call {
            ServiceCall::Pause => self.set_paused(true, Some(reply)),
            ServiceCall::Resume => self.set_paused(false, Some(reply)),
            ServiceCall::PauseOrResume => self.set_paused(!self.readers.is_paused(), Some(reply)),
            ServiceCall::Flush => queue.push_behind_messages(Control::Flush(reply)),
            ServiceCall::ChangePart(action) => {
                self.change_part(PartChange::new(action), Some(reply))
            }
            ServiceCall::Status => queue.push_behind_messages(Control::Status(queue.fill(), reply)),
        }
    }

    /// Leaves messages out from now on, or no longer; the recorder answers what that means.
    pub(super) fn set_paused(&mut self, paused: bool, reply: Option<Reply>) {
        let is_change = self.readers.set_paused(paused);
        if is_change {
            let text = if paused { "paused: messages are counted and left out" } else { "resumed" };
            tracing::info!("{text}");
        }
        self.readers.queue.push_control(Control::Paused(paused, reply));
        self.readers.hand_over();
    }
}
