//! Records one topic: takes messages, writes rows to its tracks, and counts every message.

mod clocks;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::Output;
use super::account::{DropReason, Note, TopicAccount};
use super::blobs::Refusal;
use super::disk::{DiskLevel, DiskStatus, HEAVY_MESSAGE_BYTES};
use super::frames::FramePart;
use super::held::{Held, HeldMessage};
use super::identity;
use super::ledger::Ledger;
use super::payload::{Decoded, Payload};
use super::plan::TopicPlan;
use super::robot_description::RobotDescription;
use super::stream::{Message, Sink, Stream};
use super::time::{Receipt, Received, RowTime};
use clocks::TopicClocks;
use mldash_message::Element;
use mldash_track::{Row, Timestamp};

/// How many tracks the values in one topic's messages can lead to. Each takes memory and a folder for
/// as long as the recording lasts.
pub(crate) const MAX_TRACKS: usize = 10_000;

/// A topic's plan, its tracks and its account.
pub(super) struct TopicRecorder {
    plan: Arc<TopicPlan>,
    /// By the values in the tracks' names; one entry if the name is fixed.
    streams: HashMap<Vec<Option<String>>, Stream>,
    /// Reused from message to message.
    elements: Vec<Element>,
    scratch: Vec<u8>,
    ledger: Ledger,
    /// Whether it has had a large message. Such topics stop first when disk space runs low.
    is_heavy: bool,
    /// Messages that need the receive time and came before the ROS clock ran.
    held: Held,
    /// How many held messages were released.
    released: u64,
    clocks: TopicClocks,
    description: RobotDescription,
    /// Records what of the topic is responses, in the same account.
    responses: Option<Box<Self>>,
}

/// A message, or an element of one, to be recorded.
struct Arrived {
    element: Element,
    hash: u64,
    received: Received,
}

impl TopicRecorder {
    pub(super) fn new(plan: Arc<TopicPlan>) -> Self {
        let ledger = Ledger::new(&plan.topic, &plan.type_name);
        Self::in_account(plan, ledger)
    }

    fn in_account(plan: Arc<TopicPlan>, ledger: Ledger) -> Self {
        let responses = plan.response.clone();
        let responses = responses.map(|plan| Box::new(Self::in_account(plan, ledger.clone())));
        Self {
            plan,
            streams: HashMap::new(),
            elements: Vec::new(),
            scratch: Vec::new(),
            ledger,
            is_heavy: false,
            held: Held::default(),
            released: 0,
            clocks: TopicClocks::default(),
            description: RobotDescription::default(),
            responses,
        }
    }

    /// The topic with another definition, in the same account as `before`.
    pub(super) fn with_account_of(plan: Arc<TopicPlan>, before: &Self) -> Self {
        Self::in_account(plan, before.ledger.clone())
    }

    /// Returns true if this is the topic and type that `plan` records.
    pub(super) fn is_of(&self, plan: &TopicPlan) -> bool {
        self.plan.topic == plan.topic && self.plan.type_name == plan.type_name
    }

    /// Returns true if it shares its account with `other`.
    pub(super) fn shares_account(&self, other: &Self) -> bool {
        self.ledger.is(&other.ledger)
    }

    /// The same topic in the next part of the recording, with nothing stored or counted yet.
    pub(super) fn next_part(&mut self) -> Self {
        let mut next = self.after_stop();
        next.held = std::mem::take(&mut self.held);
        if let (Some(next), Some(responses)) = (&mut next.responses, &mut self.responses) {
            next.held = std::mem::take(&mut responses.held);
        }
        next
    }

    /// The same topic after the recording has stopped. What waits for a receive time stays behind.
    pub(super) fn after_stop(&self) -> Self {
        let mut next = Self::in_account(self.plan.clone(), self.ledger.next_part());
        next.is_heavy = self.is_heavy;
        next
    }

    /// Counts in the account of `other` from now on.
    pub(super) fn share_account_of(&mut self, other: &Self) {
        self.ledger = other.ledger.clone();
        if let Some(responses) = &mut self.responses {
            responses.share_account_of(other);
        }
    }

    /// The topic on the graph.
    pub(super) fn topic(&self) -> &str {
        &self.plan.topic
    }

    /// The mapping's name for the topic.
    pub(super) fn mapped_topic(&self) -> &str {
        &self.plan.mapped_topic
    }

    /// The largest receive time minus stamp since the last call; `None` without stamps.
    pub(super) fn take_lag(&mut self) -> Option<f64> {
        let responses = self.responses.as_mut().and_then(|responses| responses.take_lag());
        let own = self.clocks.take_lag();
        own.into_iter().chain(responses).reduce(f64::max)
    }

    pub(super) fn account(&self) -> TopicAccount {
        self.ledger.account()
    }

    /// The account, wherever it is written.
    pub(super) fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// Records one message. If it needs a receive time, it is held while the ROS clock does not run.
    pub(super) fn record(
        &mut self,
        to: &mut Output<'_>,
        message: Payload,
        receipt: Receipt,
        disk: Option<DiskStatus>,
    ) {
        if let Some(responses) = &mut self.responses
            && self.plan.response_plan(message.cdr()).is_some()
        {
            return responses.record(to, message, receipt, disk);
        }
        if !self.admits(message.cdr().len(), disk) {
            return;
        }
        let mut message = message.decode(&self.plan, std::mem::take(&mut self.elements));
        if let Some(nanos) = receipt.sent_nanos.filter(|_| self.plan.times.is_by_send_time()) {
            for element in &mut message.elements {
                element.stamp = Some(Timestamp::from_nanos(nanos));
                element.stamp_nanos = Some(nanos);
            }
        }
        self.take(to, message, receipt.received, &[]);
    }

    /// Returns true if any message was lost or refused for this reason.
    pub(super) fn has_dropped(&self, reason: DropReason) -> bool {
        self.ledger.has_dropped(reason)
    }

    /// Counts a message's bytes. If the message is not to be recorded at all, counts that too.
    fn admits(&mut self, bytes: usize, disk: Option<DiskStatus>) -> bool {
        if self.ledger.add_bytes(bytes) {
            tracing::info!("the first message of {} is here", self.plan.topic);
        }
        self.is_heavy |= bytes > HEAVY_MESSAGE_BYTES;
        if let Some(disk) = disk.filter(|disk| self.is_stopped_at(disk.level)) {
            let why = || format!("{} are free, and `min_free` is {}", disk.free, disk.min_free);
            self.ledger.drop_one(DropReason::DiskLow, why);
            return false;
        }
        if self.plan.blobs.drops_messages() {
            self.ledger.drop_one(DropReason::BlobsOff, || {
                "dropped by `blobs: drop` in the mapping; `blobs: file` stores them as files"
                    .to_owned()
            });
            return false;
        }
        true
    }

    /// Records a message's elements, each with `remarks`.
    fn take(
        &mut self,
        to: &mut Output<'_>,
        message: Decoded,
        received: Received,
        remarks: &[Note],
    ) {
        let Decoded { cdr, mut elements, error, hash } = message;
        if let Some(error) = error {
            self.ledger.drop_one(DropReason::Undecodable, || error.to_string());
        } else if received == Received::BeforeClock && elements.iter().any(|e| e.stamp.is_none()) {
            self.hold(HeldMessage { cdr, elements: elements.len() });
            elements.clear();
        } else {
            let stamp = elements.first().and_then(|first| self.plan.times.own_time(first));
            if let (Some(stamp), Some(nanos)) = (stamp, received.nanos()) {
                self.clocks.compare(stamp, nanos, &self.ledger, to.clocks);
            }
            let rows_before = to.kept.rows;
            let cdr = Arc::new(cdr);
            for element in elements.drain(..) {
                let hash = match self.plan.is_each {
                    // The message's hash distinguishes elements of different held messages.
                    true => identity::of_element(&element, &cdr, &mut self.scratch) ^ hash,
                    false => hash,
                };
                self.record_element(to, Arrived { element, hash, received }, &cdr, remarks);
            }
            if to.kept.rows > rows_before {
                to.kept.bytes += cdr.len() as u64;
            }
        }
        self.elements = elements;
    }

    fn is_stopped_at(&self, level: DiskLevel) -> bool {
        match level {
            DiskLevel::Enough => false,
            DiskLevel::LightOnly => self.is_heavy,
            DiskLevel::Nothing => true,
        }
    }

    /// Counts messages that were lost before they reached the recorder.
    pub(super) fn drop_messages(&mut self, reason: DropReason, messages: u64) {
        self.ledger.drop_lost(reason, messages);
    }

    /// Counts a message that a snapshot held and lets go.
    pub(super) fn fall_out(&self, bytes: usize, reason: DropReason) {
        self.ledger.fall_out(bytes, reason);
    }

    /// Changes the number of lost messages by this much.
    pub(super) fn count_lost(&self, change: i64) {
        self.ledger.count_lost(change);
    }

    /// Notes that the number of lost messages can't be known.
    pub(super) fn set_loss_unknown(&self, reason: &str) {
        self.ledger.set_loss_unknown(reason);
    }

    /// Counts up to `merged` of the rows stored in `track` as merged instead. Returns how many.
    pub(super) fn count_as_merged(&self, track: &str, merged: u64) -> u64 {
        let counted = self.part_of(track, merged, Sink::count_as_merged);
        self.ledger.count_as_merged(counted);
        counted
    }

    /// Counts up to `lost` of the rows stored in `track` as dropped instead, since the store did not
    /// keep them. Returns how many.
    pub(super) fn take_back(&self, track: &str, lost: u64) -> u64 {
        let taken = self.part_of(track, lost, Sink::take_back);
        self.ledger.take_back(taken);
        taken
    }

    /// Splits `whole` over this topic's sinks for `track`; each takes its part. Returns how much
    /// was taken.
    fn part_of(&self, track: &str, whole: u64, take_part: impl Fn(&Sink, u64) -> u64) -> u64 {
        let mut left = whole;
        let responses = self.responses.iter().flat_map(|responses| responses.streams.values());
        let sinks = self.streams.values().chain(responses).map(Stream::sink);
        for sink in sinks.filter(|sink| sink.track().topic() == track) {
            left -= take_part(sink, left);
        }
        whole - left
    }

    fn record_element(
        &mut self,
        to: &mut Output<'_>,
        arrived: Arrived,
        cdr: &Arc<Vec<u8>>,
        remarks: &[Note],
    ) {
        let Arrived { mut element, hash, received } = arrived;
        let Some(time) = self.plan.times.row_time(&element, received) else {
            return self.drop_without_time(received, 1);
        };
        let mut notes = self.notes(&element, &time);
        notes.extend(remarks);
        let parts = match self.place_blobs(&mut element, cdr) {
            Ok(parts) => parts,
            Err(refusal) => return self.ledger.drop_by(refusal),
        };
        for (column, value) in self.plan.times.columns(&time) {
            element.fields.push_distinct(column, value);
        }
        if self.plan.is_robot_description() {
            self.description.note(to.exp, &self.plan.topic, &element);
        }
        let ledger = self.ledger.clone();
        let stream = match self.stream(to, element.names) {
            Ok(stream) => stream,
            Err(refusal) => return ledger.drop_by(refusal),
        };
        let row = Row::new(time.ts, element.fields);
        stream.record(to, Message { row, parts, notes, hash }, &ledger);
        let (jumps, latest) = (stream.jumps(), stream.latest_jump());
        self.clocks.note_jumps(jumps, latest, &self.ledger, to.clocks);
    }

    /// Creates files for the element's data that belongs in files.
    fn place_blobs(
        &self,
        element: &mut Element,
        cdr: &Arc<Vec<u8>>,
    ) -> Result<Vec<FramePart>, Refusal> {
        if element.left_out.is_empty() || self.plan.blobs.leaves_out() {
            return Ok(Vec::new());
        }
        self.plan.blobs.place(element, cdr)
    }

    /// The stream to the track that a message's values select.
    fn stream(
        &mut self,
        to: &mut Output<'_>,
        names: Vec<Option<String>>,
    ) -> Result<&mut Stream, Refusal> {
        let is_full = self.streams.len() >= MAX_TRACKS;
        match self.streams.entry(names) {
            Entry::Occupied(known) => {
                let stream = known.into_mut();
                stream.declare(self.plan.declaration());
                Ok(stream)
            }
            Entry::Vacant(_) if is_full => Err(Refusal {
                reason: DropReason::TooManyTracks,
                why: format!(
                    "its values lead to more than {MAX_TRACKS} tracks; name a field with fewer values \
                     in `track`"
                ),
            }),
            Entry::Vacant(new) => {
                let handle = to.tracks.handle(to.exp, &self.plan, new.key())?;
                Ok(new.insert(Stream::new(handle, &self.plan, self.clocks.jumps())))
            }
        }
    }

    /// Holds a message until there is a receive time.
    fn hold(&mut self, message: HeldMessage) {
        if self.held.is_empty() {
            let topic = &self.plan.topic;
            tracing::info!("{topic}: messages without a stamp wait for the ROS clock (/clock)");
        }
        let elements = message.elements;
        if !self.held.push(message) {
            self.drop_without_time(Received::BeforeClock, elements);
        }
    }

    /// Records the held messages: the ROS clock runs, and this is its time.
    pub(super) fn release_held(&mut self, to: &mut Output<'_>, received_nanos: i64) {
        if let Some(responses) = &mut self.responses {
            responses.release_held(to, received_nanos);
        }
        for message in self.held.take() {
            let mut message = Decoded::new(&self.plan, message.cdr);
            // Their real times are unknown. That they get the same time now makes none of them a
            // repeat.
            self.released += 1;
            message.hash ^= identity::of_message(&self.released.to_le_bytes());
            self.take(to, message, Received::At(received_nanos), &[Note::WaitedForClock]);
        }
    }

    /// Drops the held messages: the recording ends and the ROS clock never ran.
    pub(super) fn drop_held(&mut self) {
        if let Some(responses) = &mut self.responses {
            responses.drop_held();
        }
        for message in self.held.take() {
            self.drop_without_time(Received::BeforeClock, message.elements);
        }
    }

    fn drop_without_time(&self, received: Received, elements: usize) {
        let (reason, why) = match received {
            Received::Unknown => (
                DropReason::NoTime,
                "it has no stamp, and its log time does not fit in 64-bit nanoseconds",
            ),
            Received::At(_) | Received::BeforeClock => (
                DropReason::NoClock,
                "it needs the receive time, and the ROS clock has not started; is /clock published?",
            ),
        };
        self.ledger.drop_many(reason, elements as u64, || why.to_owned());
    }

    fn notes(&self, element: &Element, time: &RowTime) -> Vec<Note> {
        let mut notes = Vec::new();
        if time.is_fallback {
            notes.push(Note::ReceiveTimeUsed);
        }
        if element.repaired_text {
            notes.push(Note::TextRepaired);
        }
        if !element.left_out.is_empty() && self.plan.blobs.leaves_out() {
            notes.push(Note::BlobLeftOut);
        }
        notes
    }
}
