//! One topic's account while recording. The recording thread and the threads that make files write
//! it; anybody may read it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::account::{DropReason, Lost, Note, TopicAccount};
use super::blobs::Refusal;
use super::clock::SaidOfClocks;
use super::kinds::Changed;
use super::stream::Outcome;
use mldash_track::{StoreError, Timestamp, TrackError, one_line};

/// A topic's account, shared between threads.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    topic: Arc<str>,
    account: Arc<Mutex<TopicAccount>>,
    told: Arc<Mutex<Told>>,
}

/// What the log already says about each reason to drop messages. One reason can have many causes.
#[derive(Debug, Default)]
struct Told(HashMap<DropReason, HashSet<String>>);

/// Further causes of one reason are only counted.
const MAX_CAUSES: usize = 16;

impl Told {
    /// The text to report for a dropped message; `None` if it was reported before.
    fn news(&mut self, reason: DropReason, why: impl FnOnce() -> String) -> Option<String> {
        let causes = self.0.entry(reason).or_default();
        if causes.len() > MAX_CAUSES {
            return None;
        }
        let cause = match causes.len() {
            MAX_CAUSES => "other messages for further causes, which are not listed".to_owned(),
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

    /// The same topic's account in the next part, with nothing counted yet. What can't be known
    /// stays unknown.
    pub(super) fn next_part(&self) -> Self {
        let (mut next, lost) = {
            let account = self.account.lock();
            (TopicAccount::new(&account.topic, &account.type_name), account.lost)
        };
        if lost == Lost::Unknown {
            next.lost = lost;
        }
        let account = Arc::new(Mutex::new(next));
        Self { topic: self.topic.clone(), account, told: Arc::default() }
    }

    /// Returns true if `other` shares this account.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.account, &other.account)
    }

    /// The account so far.
    pub(super) fn account(&self) -> TopicAccount {
        self.account.lock().clone()
    }

    /// Returns true if any message was dropped for this reason.
    pub(super) fn has_dropped(&self, reason: DropReason) -> bool {
        self.account.lock().dropped.contains_key(&reason)
    }

    /// Counts a message's bytes. Returns true for the topic's first message.
    pub(super) fn add_bytes(&self, bytes: usize) -> bool {
        let mut account = self.account.lock();
        let is_first = account.bytes == 0;
        account.bytes += bytes as u64;
        is_first
    }

    /// Counts what happened to a row, and the remarks on it if it was taken.
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

    /// Logs what a remark means, the first time it is made on the topic.
    fn say(&self, note: Note) {
        let topic = &self.topic;
        match note {
            Note::ReceiveTimeUsed => tracing::warn!(
                "{topic}: messages without a usable header stamp get the receive time; set `stamp: \
                 receive` in the mapping if that is intended"
            ),
            Note::StampMoved => tracing::info!(
                "{topic}: several messages have the same stamp; each gets its own row, at the next free \
                 time ({note}); set `same_stamp: merge` in the mapping to merge them into one row"
            ),
            Note::StampShared => tracing::warn!(
                "{topic}: several messages have the same stamp; fields of the later ones overwrite those \
                 of the earlier ones ({note}), as set by `same_stamp: merge`"
            ),
            _ => {}
        }
    }

    /// Notes messages whose stamp stands still.
    pub(super) fn note_still(&self, messages: u64, ts: Timestamp, said: &mut SaidOfClocks) {
        if !self.account.lock().note(Note::StampStandsStill, messages) {
            return;
        }
        let topic = &self.topic;
        if said.is_news_of_stillness() {
            tracing::warn!(
                "{topic}: the stamp stands still: {messages} messages in a row have {ts} s; is its clock \
                 stopped, or does its driver not set the stamp?"
            );
        } else {
            tracing::info!("{topic}: the stamp stands still at {ts} s too");
        }
    }

    /// Notes a column whose kind changed.
    pub(super) fn note_changed(&self, changed: &Changed) {
        tracing::warn!("{}: {changed}", self.topic);
        let mut account = self.account.lock();
        account.note(Note::ColumnTypeChanged, 1);
        account.errors.push(format!("{}: {changed}", Note::ColumnTypeChanged));
    }

    /// Notes messages whose stamps come from another clock.
    pub(super) fn note_far(&self, messages: u64) {
        self.account.lock().note(Note::FarFromClock, messages);
    }

    /// Like [`note_far`](Self::note_far), at the message that shows it. The stamps are `ahead_secs`
    /// ahead of the receive time.
    pub(super) fn find_far(&self, messages: u64, ahead_secs: f64, said: &mut SaidOfClocks) {
        self.note_far(messages);
        self.account.lock().stamps_ahead_secs = Some(ahead_secs);
        let (topic, apart) = (&self.topic, span_text(ahead_secs.abs()));
        let side = if ahead_secs < 0.0 { "older" } else { "newer" };
        if said.is_news_of_distance(ahead_secs) {
            tracing::warn!(
                "{topic}: stamps are {apart} {side} than the receive time, and rows keep them; normal \
                 when playing a bag. If a device's clock is off, set `stamp_offset` in the mapping"
            );
        } else {
            tracing::info!("{topic}: stamps are {apart} {side} than the receive time too");
        }
    }

    /// Notes that the topic's clock jumped back.
    pub(super) fn note_jump(&self, from: Timestamp, ts: Timestamp, said: &mut SaidOfClocks) {
        if !self.account.lock().note_jump(from, ts) {
            return;
        }
        let topic = &self.topic;
        if said.is_news_of_jump() {
            tracing::warn!(
                "{topic}: time jumped back to {ts} s (was a simulator or a bag restarted?); rows are \
                 sorted in among the earlier ones. Use one experiment per run to keep them apart"
            );
        } else {
            tracing::info!("{topic}: time jumped back to {ts} s too");
        }
    }

    /// Counts a message that the store refused.
    pub(super) fn drop_refused(&self, error: &TrackError) {
        self.drop_one(refusal_reason(error), || one_line(error));
    }

    /// Counts a message that was lost or refused. Logs `why` for the first of each cause.
    pub(super) fn drop_one(&self, reason: DropReason, why: impl FnOnce() -> String) {
        self.drop_many(reason, 1, why);
    }

    /// Like [`drop_one`](Self::drop_one), for a refusal.
    pub(super) fn drop_by(&self, refusal: Refusal) {
        self.drop_one(refusal.reason, || refusal.why);
    }

    /// Like [`drop_one`](Self::drop_one), for several messages.
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
                // Logged once for all topics when it starts.
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

    /// Counts messages that were lost for lack of time or room, or left out on purpose.
    pub(super) fn drop_lost(&self, reason: DropReason, messages: u64) {
        let why = match reason {
            DropReason::Paused => "the recording is paused",
            DropReason::Stopped => "the recording was stopped before they were written",
            DropReason::TooLarge => "larger than 96 MiB, the limit for one message of a bag",
            DropReason::BlobQueueFull => {
                "they arrived faster than their files could be written; `max_rate` records fewer of them"
            }
            _ => "messages arrived faster than they could be decoded",
        };
        self.drop_many(reason, messages, || why.to_owned());
    }

    /// Counts a message that a snapshot held and lets go, and its bytes.
    pub(super) fn fall_out(&self, bytes: usize, reason: DropReason) {
        let mut account = self.account.lock();
        account.drop_received(reason, 1);
        account.bytes += bytes as u64;
    }

    /// Changes the number of lost messages. A message that arrives late takes a loss back.
    /// What can't be known stays unknown.
    pub(super) fn count_lost(&self, change: i64) {
        let mut account = self.account.lock();
        let Lost::Known(before) = account.lost else { return };
        let lost = before.saturating_add_signed(change);
        account.lost = Lost::Known(lost);
        drop(account);
        if before == 0 && lost > 0 {
            tracing::error!(
                "{}: {lost} messages were lost before they were received (network, the middleware's \
                 history, or a stopped process); the account counts them",
                self.topic
            );
        }
    }

    /// Notes that the number of lost messages can't be known.
    pub(super) fn set_loss_unknown(&self, reason: &str) {
        self.account.lock().lost = Lost::Unknown;
        tracing::warn!("{}: {reason}, so losses before receipt can't be counted", self.topic);
    }

    /// Counts stored rows as merged ones.
    pub(super) fn count_as_merged(&self, rows: u64) {
        let mut account = self.account.lock();
        account.stored -= rows;
        account.merged += rows;
    }

    /// Counts stored rows as dropped ones, since the store did not keep them.
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

/// A span of time with a unit that suits its length.
fn span_text(secs: f64) -> String {
    const MINUTE: f64 = 60.0;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    const YEAR: f64 = 365.25 * DAY;
    match secs {
        _ if secs < 2.0 * MINUTE => format!("{secs:.1} s"),
        _ if secs < 2.0 * HOUR => format!("{:.1} min", secs / MINUTE),
        _ if secs < 2.0 * DAY => format!("{:.1} h", secs / HOUR),
        _ if secs < 2.0 * YEAR => format!("{:.1} days", secs / DAY),
        _ => format!("{:.1} years", secs / YEAR),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_shown_with_a_unit_that_suits_it() {
        let shown = [12.34, 600.0, 86_400.0, 864_000.0, 658_062_543.699].map(span_text);
        assert_eq!(shown, ["12.3 s", "10.0 min", "24.0 h", "10.0 days", "20.9 years"]);
    }
}
