//! A recorder that holds the last seconds in memory and writes them when it is asked to. A save is a
//! part of its own: what is held goes through the recorder as if it came just now, with the times at
//! which it came, on a thread of its own. Meanwhile the window goes on.
//!
//! A message is in one save at most, as it is in one part at most: the window is empty after a save.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Recorder;
use super::account::DropReason;
use super::episodes::{PartChanged, Standstill, said_of};
use super::finish::accounts;
use super::frames::WhenBehind;
use super::left_out::LeftOut;
use super::parts::{Closer, PartAccount, PartError};
use super::payload::Payload;
use super::time::{Receipt, Received};
use super::topic::TopicRecorder;
use super::window::{TakenMessages, Window, WindowMessage};
use crate::mapping::{Bytes, PartAction, PartChange, Snapshot};

/// What tells the window how long ago a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowClock {
    /// The time since the recording began: for a live graph, whose clock may jump.
    Elapsed,
    /// The messages' receive times: for a bag, read faster than it was recorded.
    Received,
}

/// A message that its publisher keeps for late subscribers, for a part that begins after it came.
#[derive(Clone, Debug)]
pub struct LatchedMessage {
    /// The topic's number.
    pub topic: usize,
    /// CDR with its encapsulation header.
    pub cdr: Vec<u8>,
    /// When it came.
    pub receipt: Receipt,
}

/// What a save writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// How many messages were held.
    pub messages: usize,
    /// How long they go back, in seconds.
    pub secs: f64,
    /// The memory that they take.
    pub bytes: Bytes,
}

/// What a snapshot holds at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SnapshotStatus {
    /// Messages that are held.
    pub held_messages: usize,
    /// How long they go back, in seconds.
    pub held_secs: f64,
    /// The memory that they take.
    pub held_bytes: usize,
    /// How long messages are held, in seconds.
    pub keep_secs: f64,
    /// The bound on the memory, in bytes.
    pub memory_bytes: usize,
    /// Bytes of earlier saves that are not written yet.
    pub saving_bytes: usize,
    /// How often something was saved.
    pub saves: u64,
}

/// The window of a recorder that holds messages instead of recording them.
#[derive(Debug)]
pub(super) struct Holding {
    window: Window,
    clock: WindowClock,
    saves: u64,
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, secs, bytes } = self;
        write!(f, "{messages} messages of the last {secs:.1} s ({bytes})")
    }
}

impl Holding {
    fn held(&self) -> Saved {
        let window = &self.window;
        Saved {
            messages: window.len(),
            secs: window.span().as_secs_f64(),
            bytes: Bytes::new(window.bytes() as u64),
        }
    }

    fn status(&self) -> SnapshotStatus {
        let window = &self.window;
        SnapshotStatus {
            held_messages: window.len(),
            held_secs: window.span().as_secs_f64(),
            held_bytes: window.bytes(),
            keep_secs: window.keep().as_secs_f64(),
            memory_bytes: window.limit_bytes(),
            saving_bytes: window.taken_bytes(),
            saves: self.saves,
        }
    }
}

impl Recorder {
    /// Holds messages in memory from now on, for a [`save`](Self::save). The first save is written into
    /// this recorder's experiment, each other one into the next part.
    pub fn hold(&mut self, snapshot: &Snapshot, clock: WindowClock) {
        self.holding = Some(Holding { window: Window::new(snapshot), clock, saves: 0 });
    }

    /// Returns true if messages are held instead of recorded.
    pub fn is_holding(&self) -> bool {
        self.holding.is_some()
    }

    /// Writes what is held as a part of its own, on a thread of its own, and holds on with an empty
    /// window. `latched` are messages that belong to every part, however long ago they came. What
    /// `change` says of the part that ends or begins is said of this one.
    ///
    /// # Errors
    /// Fails if nothing is held for a save ([`hold`](Self::hold)), if too much of earlier saves is not
    /// written yet, or the experiment can't be opened. The window stays as it is then. Only with
    /// [`PartError::NotLabelled`] the part is saved.
    pub fn save(
        &mut self,
        change: &PartChange,
        latched: Vec<LatchedMessage>,
    ) -> Result<PartChanged, PartError> {
        self.let_time_pass();
        // A bag waits.
        self.session.parts.wait_if_behind();
        let Some(holding) = &self.holding else { return Err(PartError::NothingHeld) };
        let (behind, limit) = (holding.window.taken_bytes(), holding.window.limit_bytes());
        if behind > limit {
            return Err(PartError::StillSaving(Bytes::new(behind as u64)));
        }
        let closer = self.saver()?;
        let labels = change.begun.clone().or(change.ended.clone());
        let said = match self.standstill {
            None => said_of(&self.exp, &labels, false),
            Some(_) => {
                let start = PartChange { begun: labels, ..PartChange::new(PartAction::Start) };
                match self.start(&start) {
                    Err(error) if self.standstill.is_some() => return Err(error),
                    started => started.map(drop),
                }
            }
        };
        let Some(holding) = &mut self.holding else { return Err(PartError::NothingHeld) };
        let saved = holding.held();
        let taken = holding.window.take();
        holding.saves += 1;
        let part = self.saved_part();
        let experiment = part.exp.name().to_string();
        self.session.parts.close(closer, Save { part, latched, taken });
        said?;
        Ok(PartChanged { ended: Some(experiment), saved: Some(saved), ..PartChanged::default() })
    }

    /// The part that is saved. This recorder goes on with a handle without write access, as after a
    /// stop.
    fn saved_part(&mut self) -> Self {
        let min_free = self.disk().map(|disk| disk.min_free);
        let handle = self.exp.to_continue();
        let mut part = self.part_in(handle, |topic| topic.after_stop());
        self.standstill = Some(Standstill::default());
        // It has all its messages, and nobody waits for it.
        part.frames.set_when_behind(WhenBehind::Wait);
        if min_free.is_some() {
            part.guard_disk(min_free);
        }
        part
    }

    /// A thread that will write a save and close its part.
    fn saver(&mut self) -> Result<Closer<Save>, PartError> {
        self.session.parts.closer(|save: Save, progress| {
            let ended = save.written().finish_part(None, progress);
            let part = PartAccount::from(&ended.0);
            tracing::info!(
                "{} is saved: {} received, {} stored, {} dropped",
                part.experiment,
                part.received,
                part.stored,
                part.dropped
            );
            ended
        })
    }

    /// Holds a message. Those that fall out for it are counted.
    pub(super) fn hold_message(&mut self, topic: usize, message: Payload, receipt: Receipt) {
        let Some(known) = self.topics.get(topic) else { return };
        if self.session.count(topic, 1) {
            tracing::info!("the first message of {} is here", known.topic());
        }
        let Some(holding) = &mut self.holding else { return };
        let at_nanos = match (holding.clock, receipt.received) {
            (WindowClock::Received, Received::At(nanos)) => nanos,
            // It came with the one before.
            (WindowClock::Received, Received::BeforeClock | Received::Unknown) => i64::MIN,
            (WindowClock::Elapsed, _) => self.session.elapsed_nanos(),
        };
        let message = WindowMessage { topic, cdr: message.into_cdr(), receipt, at_nanos };
        let topics = &self.topics;
        holding.window.hold(message, |fell| fall_out(topics, fell, DropReason::OutOfWindow));
    }

    /// Lets go what the window has held for long enough.
    pub(super) fn let_time_pass(&mut self) {
        let now_nanos = self.session.elapsed_nanos();
        let Some(holding) = &mut self.holding else { return };
        if holding.clock == WindowClock::Elapsed {
            let topics = &self.topics;
            let fell_out = |fell: &_| fall_out(topics, fell, DropReason::OutOfWindow);
            holding.window.advance(now_nanos, fell_out);
        }
    }

    pub(super) fn snapshot_status(&self) -> Option<SnapshotStatus> {
        self.holding.as_ref().map(Holding::status)
    }

    /// Ends the holding. Counts what is held and not saved: in the account of this part if nothing was
    /// saved, else by topic, with what fell out since, in what is returned.
    pub(super) fn let_go(&mut self) -> BTreeMap<String, u64> {
        self.let_time_pass();
        let Some(mut holding) = self.holding.take() else { return BTreeMap::new() };
        let held = holding.held();
        if held.messages > 0 {
            tracing::warn!("{held} were held and are not saved; ~/save before the end saves them");
        }
        for message in holding.window.take() {
            fall_out(&self.topics, &message, DropReason::NotSaved);
        }
        if self.standstill.is_none() {
            return BTreeMap::new();
        }
        let mut not_saved = BTreeMap::new();
        for account in accounts(&self.topics, &LeftOut::default()) {
            if account.received > 0 {
                *not_saved.entry(account.topic).or_default() += account.received;
            }
        }
        not_saved
    }
}

fn fall_out(topics: &[TopicRecorder], message: &WindowMessage, reason: DropReason) {
    if let Some(topic) = topics.get(message.topic) {
        topic.fall_out(message.cdr.len(), reason);
    }
}

/// A part, and the messages that are to be written into it.
struct Save {
    part: Recorder,
    latched: Vec<LatchedMessage>,
    taken: TakenMessages,
}

impl Save {
    /// The part with its messages: those that are kept for late subscribers first, unless they are in
    /// the window.
    fn written(self) -> Recorder {
        let Self { mut part, latched, taken } = self;
        let is_held = |latched: &LatchedMessage| {
            taken.iter().any(|held| {
                held.topic == latched.topic
                    && held.receipt.sent_nanos == latched.receipt.sent_nanos
                    && held.cdr == latched.cdr
            })
        };
        let earlier: Vec<LatchedMessage> =
            latched.into_iter().filter(|latched| !is_held(latched)).collect();
        for LatchedMessage { topic, cdr, receipt } in earlier {
            part.record(topic, cdr, receipt);
        }
        for WindowMessage { topic, cdr, receipt, .. } in taken {
            match part.frames.is_hurried() {
                true => part.drop_messages(topic, DropReason::Stopped, 1),
                false => part.record(topic, cdr, receipt),
            }
        }
        part
    }
}
