//! One topic's account while it is recorded: booked by the recording thread and by those that make
//! files, read by whoever shows it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::account::{DropReason, Lost, Note, TopicAccount};
use super::blobs::Refusal;
use super::clock::SaidOfClocks;
use super::kinds::Changed;
use super::stream::Outcome;
use mldash_track::{StoreError, Timestamp, TrackError, one_line};

/// A topic's account, shared.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    topic: Arc<str>,
    account: Arc<Mutex<TopicAccount>>,
    told: Arc<Mutex<Told>>,
}

/// What was said of each reason to drop messages: one reason can have many causes.
#[derive(Debug, Default)]
struct Told(HashMap<DropReason, HashSet<String>>);

/// More causes of one reason are only counted.
const MAX_CAUSES: usize = 16;

impl Told {
    /// What is to be said of a message that is dropped; `None` when it was said.
    fn news(&mut self, reason: DropReason, why: impl FnOnce() -> String) -> Option<String> {
        let causes = self.0.entry(reason).or_default();
        if causes.len() > MAX_CAUSES {
            return None;
        }
        let cause = match causes.len() {
            MAX_CAUSES => "others for other causes, which are not told one by one".to_owned(),
            _ => why(),
        };
        causes.insert(cause.clone()).then(|| format!("{reason}: {cause}"))
    }
}

impl Ledger {
    pub(super) fn new(topic: &str, type_name: &str) -> Self {
        let account = Arc::new(Mutex::new(TopicAccount::new(topic, type_name)));
        Self { topic: topic.into(), account, told: Arc::default() }
    }

    /// Whether `other` is of the same topic, in one account with this one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.account, &other.account)
    }

    /// The account as it stands.
    pub(super) fn account(&self) -> TopicAccount {
        self.account.lock().clone()
    }

    /// Whether any message was dropped for this reason.
    pub(super) fn has_dropped(&self, reason: DropReason) -> bool {
        self.account.lock().dropped.contains_key(&reason)
    }

    /// Counts a message's bytes; whether they are the first.
    pub(super) fn add_bytes(&self, bytes: usize) -> bool {
        let mut account = self.account.lock();
        let is_first = account.bytes == 0;
        account.bytes += bytes as u64;
        is_first
    }

    /// Books what became of a row, and the remarks on it if it was taken.
    pub(super) fn book(&self, outcome: Outcome, notes: &[Note]) {
        let mut account = self.account.lock();
        match outcome {
            Outcome::Stored => account.stored += 1,
            Outcome::Merged => account.merged += 1,
            Outcome::Throttled => account.throttled += 1,
            Outcome::Unchanged => account.unchanged += 1,
            Outcome::Refused(error) => {
                drop(account);
                return self.drop_refused(&error);
            }
        }
        account.received += 1;
        for note in notes {
            if account.note(*note, 1) {
                self.say(*note);
            }
        }
    }

    /// Says what a remark means, when it is the topic's first of its kind.
    fn say(&self, note: Note) {
        let topic = &self.topic;
        match note {
            Note::ReceiveTimeUsed => tracing::warn!(
                "{topic}: messages without a usable header stamp lie on the receive time \
                 (`stamp: receive` in the mapping says that this is meant)"
            ),
            Note::StampMoved => tracing::info!(
                "{topic}: several messages have one stamp; each gets a row of its own, at the next free \
                 time ({note}); `same_stamp: merge` in the mapping would make one row of them"
            ),
            Note::StampShared => tracing::warn!(
                "{topic}: several messages have one stamp; the later one's fields are written over the \
                 earlier one's ({note}), as `same_stamp: merge` in the mapping says"
            ),
            _ => {}
        }
    }

    /// Notes messages of a stamp that stands still.
    pub(super) fn note_still(&self, messages: u64, ts: Timestamp, said: &mut SaidOfClocks) {
        if !self.account.lock().note(Note::StampStandsStill, messages) {
            return;
        }
        let topic = &self.topic;
        if said.is_news_of_stillness() {
            tracing::warn!(
                "{topic}: the stamp stands still: {messages} messages in a row have {ts} s (a clock that \
                 does not run, a driver that does not set it?)"
            );
        } else {
            tracing::info!("{topic}: the stamp stands still at {ts} s, too");
        }
    }

    /// Notes a column whose type changed.
    pub(super) fn note_changed(&self, changed: &Changed) {
        tracing::warn!("{}: {changed}", self.topic);
        let mut account = self.account.lock();
        account.note(Note::ColumnTypeChanged, 1);
        account.errors.push(format!("{}: {changed}", Note::ColumnTypeChanged));
    }

    /// Notes messages whose stamps are those of another clock.
    pub(super) fn note_far(&self, messages: u64) {
        self.account.lock().note(Note::FarFromClock, messages);
    }

    /// As [`note_far`](Self::note_far), when that is found: they are `ahead_secs` from their receipt.
    pub(super) fn find_far(&self, messages: u64, ahead_secs: f64, said: &mut SaidOfClocks) {
        self.note_far(messages);
        self.account.lock().stamps_ahead_secs = Some(ahead_secs);
        let (topic, apart_secs) = (&self.topic, ahead_secs.abs());
        let side = if ahead_secs < 0.0 { "behind" } else { "ahead of" };
        if said.is_news_of_distance(ahead_secs) {
            tracing::warn!(
                "{topic}: stamps lie {apart_secs:.3} s {side} the time of their receipt; rows keep \
                 them. A played bag does that; for a device's clock that is off there is \
                 `stamp_offset`"
            );
        } else {
            tracing::info!("{topic}: stamps lie {apart_secs:.3} s {side} the time of receipt, too");
        }
    }

    /// Notes that the topic's clock jumped back to `ts`.
    pub(super) fn note_jump(&self, ts: Timestamp, said: &mut SaidOfClocks) {
        if !self.account.lock().note(Note::ClockJumpedBack, 1) {
            return;
        }
        let topic = &self.topic;
        if said.is_news_of_jump() {
            tracing::warn!(
                "{topic}: time jumped back to {ts} s (a simulator or a bag started anew?); rows are \
                 sorted in between those of before. To keep recordings apart, give each an experiment"
            );
        } else {
            tracing::info!("{topic}: time jumped back to {ts} s, too");
        }
    }

    /// Counts a message that the store refused.
    pub(super) fn drop_refused(&self, error: &TrackError) {
        self.drop_one(refusal_reason(error), || one_line(error));
    }

    /// Counts a message that was lost or refused; the first of its reason is told with `why`.
    pub(super) fn drop_one(&self, reason: DropReason, why: impl FnOnce() -> String) {
        self.drop_many(reason, 1, why);
    }

    /// As [`drop_one`](Self::drop_one), for what a refusal says.
    pub(super) fn drop_by(&self, refusal: Refusal) {
        self.drop_one(refusal.reason, || refusal.why);
    }

    /// As [`drop_one`](Self::drop_one), for several.
    pub(super) fn drop_many(
        &self,
        reason: DropReason,
        messages: u64,
        why: impl FnOnce() -> String,
    ) {
        let mut account = self.account.lock();
        let is_first = !account.dropped.contains_key(&reason);
        account.drop_received(reason, messages);
        if let Some(error) = self.told.lock().news(reason, why) {
            match reason {
                // Said once for all topics, when it begins.
                DropReason::DiskLow => {}
                _ if reason.is_loss() && is_first => {
                    tracing::error!("{}: dropped, {error}", self.topic);
                }
                _ if reason.is_loss() => tracing::warn!("{}: dropped, {error}", self.topic),
                _ => tracing::info!("{}: dropped, {error}", self.topic),
            }
            account.errors.push(error);
        }
    }

    /// Counts messages that were lost for want of time or of room, or left out as asked for.
    pub(super) fn drop_lost(&self, reason: DropReason, messages: u64) {
        let why = match reason {
            DropReason::Paused => "as asked for; they are counted",
            DropReason::Stopped => "the recording was ended in a hurry",
            DropReason::TooLarge => {
                "larger than 96 MiB, more than is taken of one message of a bag"
            }
            DropReason::BlobQueueFull => {
                "they came faster than files of them could be written; `max_rate` thins them out"
            }
            _ => "messages came faster than they were decoded",
        };
        self.drop_many(reason, messages, || why.to_owned());
    }

    /// The number of messages that never came has changed by so many; a late one takes a loss back.
    pub(super) fn count_lost(&self, change: i64) {
        let mut account = self.account.lock();
        let before = account.lost.known();
        let lost = before.saturating_add_signed(change);
        account.lost = Lost::Known(lost);
        drop(account);
        if before == 0 && lost > 0 {
            tracing::error!(
                "{}: {lost} messages were lost before they came here (network, the middleware's history, \
                 or a stopped process); the account counts them",
                self.topic
            );
        }
    }

    /// Notes that it can't be known how many messages never came.
    pub(super) fn set_loss_unknown(&self) {
        self.account.lock().lost = Lost::Unknown;
        tracing::warn!(
            "{}: the middleware does not number messages, so losses on the way can't be counted",
            self.topic
        );
    }

    /// Takes rows that were stored as merged ones.
    pub(super) fn settle(&self, rows: u64) {
        let mut account = self.account.lock();
        account.stored -= rows;
        account.merged += rows;
    }

    /// Takes rows that were stored as dropped ones, which the store did not keep.
    pub(super) fn take_back(&self, rows: u64) {
        if rows == 0 {
            return;
        }
        {
            let mut account = self.account.lock();
            account.stored -= rows;
            account.received -= rows;
        }
        self.drop_many(DropReason::StoreFull, rows, || {
            "the store took no rows until the end, or what was stored was removed".to_owned()
        });
    }
}

fn refusal_reason(error: &TrackError) -> DropReason {
    match error {
        TrackError::Name(_) => DropReason::TrackName,
        TrackError::Store(StoreError::FolderCollision { .. }) => DropReason::TrackCollision,
        TrackError::Closed(_) => DropReason::Stopped,
        TrackError::LocalFull { .. } => DropReason::LocalFull,
        _ => DropReason::StoreFull,
    }
}
