//! The parts of a recording, as people and `split_on` end and begin them. Each part is an experiment
//! of its own, which is one episode.

use std::collections::BTreeMap;
use std::fmt;

use super::Recorder;
use super::account::Account;
use super::finish::{accounts, first_error, write_account};
use super::ledger::Ledger;
use super::limits::PartFull;
use super::parts::{Closer, PartAccount, PartError};
use super::snapshot::Saved;
use super::status::TopicStatus;
use super::time::Received;
use super::topic::TopicRecorder;
use crate::mapping::{PartAction, PartChange, Split};
use mldash_track::{Experiment, LabelChange, Labels, TrackError};

/// What has become of the parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartChanged {
    /// The part that has ended. It is closed in the background.
    pub ended: Option<String>,
    /// Whether that one is marked as not to be used.
    pub is_discarded: bool,
    /// The part that has begun; `None` if nothing is recorded until a start.
    pub begun: Option<String>,
    /// Whether nothing is recorded there before a pause is over.
    pub is_paused: bool,
    /// What is written into the part that has ended, if it was held.
    pub saved: Option<Saved>,
}

impl fmt::Display for PartChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(saved), Some(ended)) = (&self.saved, &self.ended) {
            return write!(f, "saving {saved} into {ended}");
        }
        match &self.ended {
            Some(ended) if self.is_discarded => write!(f, "{ended} is discarded; ")?,
            Some(ended) if self.begun.is_none() => write!(f, "{ended} is ended; ")?,
            _ => {}
        }
        match &self.begun {
            Some(begun) if self.is_paused => {
                write!(f, "{begun} has begun, paused: nothing is recorded until ~/resume")
            }
            Some(begun) => write!(f, "recording into {begun}"),
            None => f.write_str("nothing is recorded until ~/start"),
        }
    }
}

/// What there is while no part is recorded, after a stop.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    /// Labels for the next part.
    labels: LabelChange,
    /// The accounts of the part that has ended, by topic number.
    ended: Vec<Ledger>,
}

impl Standstill {
    /// Shows what the part that has ended has of each topic: nothing else is recorded.
    pub(super) fn show_ended(&self, topics: &mut [TopicStatus]) {
        for (topic, ended) in topics.iter_mut().zip(&self.ended) {
            topic.account = ended.account();
        }
    }
}

impl Recorder {
    /// Ends the part that is recorded, or begins the next, or both. Topics keep their numbers and
    /// accounts start again. A part that ends is closed in the background, with its own account;
    /// [`finish`](Self::finish) waits for it. The next one has the first one's name with `_002`,
    /// `_003`, ….
    ///
    /// A part that waits, paused, begins with a start too; the caller then ends the pause.
    ///
    /// Messages that come while no part is recorded are counted in the next one's
    /// [`while_stopped`](Account::while_stopped).
    ///
    /// # Errors
    /// Fails if there is no part to end or one is recorded already, if the next experiment can't be
    /// opened, or too many parts are still being closed. The recording then goes on as it was. Only
    /// with [`PartError::NotLabelled`] the change was made.
    pub fn change_part(&mut self, change: &PartChange) -> Result<PartChanged, PartError> {
        match (change.action, &self.standstill) {
            (PartAction::Save, _) => self.save(change, Vec::new()),
            _ if self.is_holding() => Err(PartError::Holding),
            (PartAction::Split | PartAction::Discard, None) => self.go_on(change),
            (PartAction::Stop, None) => self.stop(change),
            (PartAction::Start, Some(_)) => self.start(change),
            (PartAction::Start, None) if self.session.paused => {
                said_of(&self.exp, &change.begun, false)?;
                Ok(self.begun(None, false))
            }
            (PartAction::Start, None) => Err(PartError::Recording(self.exp.name().to_string())),
            (_, Some(_)) => Err(PartError::Stopped { last: self.exp.name().to_string() }),
        }
    }

    /// Ends parts at these limits. The caller changes the part, as it does for other changes, when the recorder
    /// [asks for it](Self::asks_for_next_part); an import does so by itself.
    pub fn limit_parts(&mut self, split: Split) {
        self.session.limits.set(split);
    }

    /// The limit of `split` that the part has reached, if a message with this receive time comes next: for a
    /// caller that can change the part between two messages.
    pub(crate) fn full_before(&self, received: Received) -> Option<PartFull> {
        self.session.limits.full(received)
    }

    /// The limit of `split` that the part has reached, if a message with this receive time comes next. It is said
    /// once, and again after a second if the part has not changed by then.
    pub fn asks_for_next_part(&mut self, received: Received) -> Option<PartFull> {
        self.session.limits.ask(received)
    }

    /// Returns true if the part that is recorded is one that it [asked](Self::asks_for_next_part) to end:
    /// somebody else may have ended that one meanwhile.
    pub fn has_asked_for_next_part(&self) -> bool {
        self.session.limits.is_asked()
    }

    /// Changes what is said of the part that is recorded. While none is, success and notes are said
    /// of the part before, and the rest of the next one.
    ///
    /// # Errors
    /// Fails if there would be too many tags, or the store can't be written.
    pub fn label(&mut self, change: &LabelChange) -> Result<Labels, TrackError> {
        match &mut self.standstill {
            None => self.exp.label(change),
            Some(Standstill { labels, .. }) => {
                *labels = change.carried().or(std::mem::take(labels));
                self.exp.label(&change.of_one_part())
            }
        }
    }

    /// What is said of the part that is recorded. While none is, what is about one part is said of
    /// the part before, and the rest of the next one.
    ///
    /// # Errors
    /// Fails if the store can't be read.
    pub fn labels(&self) -> Result<Labels, TrackError> {
        let noted = self.exp.notes()?.labels();
        Ok(match &self.standstill {
            None => noted,
            Some(Standstill { labels, .. }) => labels.labels_of(&noted),
        })
    }

    /// Notes whether parts that exist are continued, if they continue the same ones: an import of
    /// the same bag then gives the same parts.
    pub(crate) fn set_parts_continue(&mut self, parts_continue: bool) {
        self.session.parts.set_continue(parts_continue);
    }

    fn go_on(&mut self, change: &PartChange) -> Result<PartChanged, PartError> {
        let closer = self.closer()?;
        let (next, number) = self.open_next()?;
        let is_discarded = change.action == PartAction::Discard;
        let ended_labels = match is_discarded {
            true => change.ended.clone().discarded(true),
            false => change.ended.clone(),
        };
        let ended = self.exp.name().to_string();
        let said = said_of(&self.exp, &ended_labels, is_discarded);
        let said = said.and(said_of(&next, &change.begun, false));
        let before = self.exp.name().clone();
        let part = self.part_in(next, TopicRecorder::next_part);
        self.session.parts.close(closer, part);
        self.session.parts.begin(&before, number);
        said?;
        Ok(PartChanged { is_paused: self.session.paused, ..self.begun(Some(ended), is_discarded) })
    }

    fn stop(&mut self, change: &PartChange) -> Result<PartChanged, PartError> {
        let closer = self.closer()?;
        let ended = self.exp.name().to_string();
        let said = said_of(&self.exp, &change.ended, false);
        let handle = self.exp.to_continue();
        // Messages that wait for a receive time were received in the part that ends.
        let ledgers = self.topics.iter().map(TopicRecorder::ledger).collect();
        let part = self.part_in(handle, |topic| topic.after_stop());
        self.session.parts.close(closer, part);
        self.standstill = Some(Standstill { ended: ledgers, ..Standstill::default() });
        said?;
        Ok(PartChanged { ended: Some(ended), ..PartChanged::default() })
    }

    pub(super) fn start(&mut self, change: &PartChange) -> Result<PartChanged, PartError> {
        let (next, number) = self.open_next()?;
        let before = std::mem::replace(&mut self.exp, next).name().clone();
        self.session.parts.begin(&before, number);
        let labels = self.standstill.take().map(|standstill| standstill.labels);
        let labels = change.begun.clone().or(labels.unwrap_or_default());
        said_of(&self.exp, &labels, false)?;
        Ok(self.begun(None, false))
    }

    /// The part that is recorded has begun.
    fn begun(&self, ended: Option<String>, is_discarded: bool) -> PartChanged {
        let begun = Some(self.exp.name().to_string());
        PartChanged { ended, is_discarded, begun, ..PartChanged::default() }
    }

    /// A thread that will close the current part.
    fn closer(&mut self) -> Result<Closer<Self>, PartError> {
        self.session.parts.closer(|part: Self, progress| {
            let ended = part.finish_part(None, progress);
            let part = PartAccount::from(&ended.0);
            tracing::info!(
                "{} is closed: {} received, {} stored, {} dropped",
                part.experiment,
                part.received,
                part.stored,
                part.dropped
            );
            ended
        })
    }

    /// Opens the next part, and returns its number.
    fn open_next(&mut self) -> Result<(Experiment, u32), PartError> {
        let (name, number) = self.session.parts.next_name(&self.exp);
        let next = self.exp.continue_in(&name).map_err(PartError::Open)?;
        tracing::info!("continuing in {name}, {}", next.folder().display());
        if let Some(watcher) = &self.session.watcher {
            watcher.begun(&next);
        }
        Ok((next, number))
    }

    /// Goes on in `next`. Returns what was recorded before, to be closed.
    pub(super) fn part_in(
        &mut self,
        next: Experiment,
        next_topic: impl FnMut(&mut TopicRecorder) -> TopicRecorder,
    ) -> Self {
        let ended = self.session.start_part(&self.topics);
        let session = std::mem::replace(&mut self.session, ended);
        let mut next = Self::in_session(next, session);
        next.frames = self.frames.next_part();
        next.topics = self.topics.iter_mut().map(next_topic).collect();
        for i in 1..next.topics.len() {
            let first = self.topics[..i].iter().position(|t| t.shares_account(&self.topics[i]));
            if let Some(first) = first {
                let (before, rest) = next.topics.split_at_mut(i);
                rest[0].share_account_of(&before[first]);
            }
        }
        next.is_clock_awaited = self.is_clock_awaited;
        next.left_out = self.left_out.next_part();
        next.holding = self.holding.take();
        next.disk = self.disk.take();
        if let Some(disk) = &next.disk {
            disk.move_to(next.exp.folder());
        }
        std::mem::replace(self, next)
    }

    /// Counts messages that come while no part is recorded. Returns true if none is.
    pub(super) fn is_stopped_for(&mut self, topic: usize, messages: u64) -> bool {
        if !self.is_stopped() {
            return false;
        }
        if let Some(topic) = self.topics.get(topic) {
            *self.while_stopped.entry(topic.topic().to_owned()).or_default() += messages;
        }
        true
    }

    /// [`finish`](Self::finish) while no part is recorded: the account is that of the last part.
    pub(super) fn finish_stopped(
        self,
        failure: Option<String>,
        not_saved: BTreeMap<String, u64>,
    ) -> (Account, Result<(), TrackError>) {
        self.session.board.close();
        let (last, earlier_parts, closed) = self.session.parts.finish_with_last();
        let mut account = Account {
            earlier_parts,
            while_stopped: self.while_stopped,
            not_saved,
            // What is known of topics by now.
            refused: self.left_out.refused(),
            unmatched: self.left_out.unmatched().to_vec(),
            not_asked_for: self.left_out.not_asked_for().clone(),
            ..last
        };
        account.topics.extend(accounts(&[], &self.left_out));
        account.failure = account.failure.or(failure);
        account.conclude();
        let written = write_account(&account, &self.exp);
        (account, first_error([closed, written]))
    }
}

/// Labels a part, and says how to do it by hand if that fails.
pub(super) fn said_of(
    exp: &Experiment,
    labels: &LabelChange,
    is_discard: bool,
) -> Result<(), PartError> {
    if labels.is_empty() {
        return Ok(());
    }
    let not_labelled = |error| {
        let source = Box::new(error);
        let flag = if is_discard { "--discard" } else { "--task, --success or --notes" };
        PartError::NotLabelled { experiment: exp.name().to_string(), flag, source }
    };
    exp.label(labels).map(drop).map_err(not_labelled)
}
