//! One topic being recorded: messages in, rows to its tracks, every one of them counted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::account::{DropReason, Note, TopicAccount};
use super::disk::{DiskLevel, DiskStatus, HEAVY_MESSAGE_BYTES};
use super::ledger::Ledger;
use super::plan::{BlobPolicy, TopicPlan};
use super::stream::{Sink, Stream};
use crate::mapping::TrackPatternError;
use crate::message::{Element, LeftOut};
use crate::track::{Experiment, Row, Timestamp};

/// A topic's plan, its tracks and its account.
pub(super) struct TopicRecorder {
    plan: TopicPlan,
    /// By the values that their names are made of; one entry when the name is fixed.
    streams: HashMap<Vec<Option<String>>, Stream>,
    /// Reused from message to message.
    elements: Vec<Element>,
    ledger: Ledger,
    /// Whether it has had a large message: it stops first when the disk runs low.
    is_heavy: bool,
}

impl TopicRecorder {
    pub(super) fn new(plan: TopicPlan) -> Self {
        let ledger = Ledger::new(&plan.topic, &plan.type_name);
        Self { plan, streams: HashMap::new(), elements: Vec::new(), ledger, is_heavy: false }
    }

    pub(super) fn account(&self) -> TopicAccount {
        self.ledger.account()
    }

    /// Takes one message, CDR with its encapsulation header.
    pub(super) fn record(
        &mut self,
        exp: &Experiment,
        cdr: Vec<u8>,
        received_at: Timestamp,
        disk: Option<DiskStatus>,
    ) {
        if self.ledger.add_bytes(cdr.len()) {
            tracing::info!("the first message of {} is here", self.plan.topic);
        }
        self.is_heavy |= cdr.len() > HEAVY_MESSAGE_BYTES;
        if let Some(disk) = disk.filter(|disk| self.is_stopped_at(disk.level)) {
            let why = || format!("{} free of {} that `min_free` wants", disk.free, disk.min_free);
            return self.ledger.drop_one(DropReason::DiskLow, why);
        }
        if self.plan.blobs == BlobPolicy::DropMessage {
            self.ledger.drop_one(DropReason::BlobsOff, || {
                "`blobs: drop`, as the mapping says; `inline` keeps the bytes in the row".to_owned()
            });
            return;
        }
        let mut elements = std::mem::take(&mut self.elements);
        match self.plan.decoder.decode(&cdr, &mut elements) {
            Ok(()) => {
                for element in elements.drain(..) {
                    self.record_element(exp, element, received_at);
                }
            }
            Err(error) => self.ledger.drop_one(DropReason::Undecodable, || error.to_string()),
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

    /// Counts messages that were lost before they came here.
    pub(super) fn drop_messages(&mut self, reason: DropReason, messages: u64) {
        self.ledger
            .drop_many(reason, messages, || "messages came faster than they were decoded".into());
    }

    /// Takes up to `merged` of the rows stored in `track` as merged ones; how many there were.
    pub(super) fn settle(&self, track: &str, merged: u64) -> u64 {
        let settled = self.part_of(track, merged, Sink::settle);
        self.ledger.settle(settled);
        settled
    }

    /// Takes up to `lost` of the rows stored in `track` as dropped ones, which never left memory;
    /// how many there were.
    pub(super) fn take_back(&self, track: &str, lost: u64) -> u64 {
        let taken = self.part_of(track, lost, Sink::take_back);
        self.ledger.take_back(taken);
        taken
    }

    /// How much of `whole` falls on this topic's ways into `track`, each of which takes its part.
    fn part_of(&self, track: &str, whole: u64, take_part: impl Fn(&Sink, u64) -> u64) -> u64 {
        let mut left = whole;
        let sinks = self.streams.values().map(Stream::sink);
        for sink in sinks.filter(|sink| sink.track().topic() == track) {
            left -= take_part(sink, left);
        }
        whole - left
    }

    fn record_element(&mut self, exp: &Experiment, element: Element, received_at: Timestamp) {
        if let Some(reason) = self.blob_reason(&element) {
            return self.ledger.drop_one(reason, || blob_advice(reason, &element));
        }
        let Some(ts) = row_time(&element, received_at) else {
            return self.ledger.drop_one(DropReason::NoClock, || {
                "it needs the receive time and the ROS clock stands at 0; is /clock published?"
                    .to_owned()
            });
        };
        let notes = self.notes(&element);
        let stream = match self.stream(exp, element.names) {
            Ok(stream) => stream,
            Err(error) => return self.ledger.drop_one(DropReason::TrackName, || error.to_string()),
        };
        let outcome = stream.take(Row::new(ts, element.fields));
        self.ledger.book(outcome, &notes);
    }

    /// The track that a message's values lead to.
    fn stream(
        &mut self,
        exp: &Experiment,
        names: Vec<Option<String>>,
    ) -> Result<&mut Stream, TrackPatternError> {
        match self.streams.entry(names) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let plan = &self.plan;
                let track = plan.track.expand(&plan.mapped_topic, &plan.captures, new.key())?;
                let track = exp.tracks(track.as_str());
                Ok(new.insert(Stream::new(track, plan.max_rate, plan.on_change)))
            }
        }
    }

    /// Why a message whose byte arrays were left out is not recorded, if it is not.
    fn blob_reason(&self, element: &Element) -> Option<DropReason> {
        if element.left_out.is_empty() {
            return None;
        }
        match self.plan.blobs {
            BlobPolicy::InlineIfSmall => Some(DropReason::BlobTooLarge),
            BlobPolicy::Files => Some(DropReason::BlobFiles),
            BlobPolicy::Inline | BlobPolicy::LeaveOut | BlobPolicy::DropMessage => None,
        }
    }

    fn notes(&self, element: &Element) -> Vec<Note> {
        let mut notes = Vec::new();
        if element.stamp.is_none() && !self.plan.by_receive_time {
            notes.push(Note::ReceiveTimeUsed);
        }
        if element.repaired_text {
            notes.push(Note::TextRepaired);
        }
        if !element.left_out.is_empty() {
            notes.push(Note::BlobLeftOut);
        }
        notes
    }
}

/// A row's time; `None` when it would be the time of a clock that has not started.
fn row_time(element: &Element, received_at: Timestamp) -> Option<Timestamp> {
    element.stamp.or_else(|| (received_at.as_secs() != 0.0).then_some(received_at))
}

fn blob_advice(reason: DropReason, element: &Element) -> String {
    let largest = element.left_out.iter().map(LeftOut::len).max().unwrap_or_default();
    match reason {
        DropReason::BlobFiles => {
            format!(
                "a byte array of {largest} bytes; this version writes no files, `blobs: inline` keeps it in the row"
            )
        }
        _ => format!(
            "a byte array of {largest} bytes; say `blobs: inline` in the mapping to keep it in the \
             row, `drop` to do without it"
        ),
    }
}
