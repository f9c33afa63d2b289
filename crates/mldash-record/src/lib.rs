//! ROS messages and a YAML mapping in, rows in tracks out, with an account of every message.
//!
//! [`Recorder`] is what live recording and the import of bags share. [`mapping`] is the YAML, [`blob`] turns
//! pictures and clouds into files, [`bag`] hands the messages of bags to a recorder. Knows no ROS graph and no
//! terminal.

mod account;
pub mod bag;
pub mod blob;
mod blobs;
mod change;
mod clock;
mod decode;
mod description;
mod disk;
mod frames;
mod held;
mod identity;
mod kinds;
mod ledger;
pub mod mapping;
mod meter;
mod parts;
mod plan;
mod required;
mod schema;
mod session;
mod slots;
mod sources;
mod status;
mod stream;
mod throttle;
mod time;
mod topic;
mod tracks;
mod workers;

pub use account::{Account, DropReason, Lost, Note, TopicAccount};
pub use decode::Decoded;
pub use disk::{DiskGuard, DiskLevel, DiskStatus, HEAVY_MESSAGE_BYTES};
pub use frames::WhenBehind;
pub use parts::{PartAccount, SplitError};
pub use plan::{PlanError, TopicPlan};
pub use required::{RequiredAccount, RequiredState};
pub use status::{QueueFill, Status, StatusBoard, TopicStatus};
pub use time::{Receipt, Received};
pub use workers::panic_text;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::mapping::{Bytes, Required};
use clock::SaidOfClocks;
use frames::Frames;
use mldash_track::{Experiment, RunStatus, StoreError, TrackError, one_line, replace_file};
use session::Session;
use topic::TopicRecorder;
use tracks::Tracks;

/// The file in the experiment's folder that holds the account.
const ACCOUNT_FILE: &str = "account.json";

/// Records topics into one experiment.
pub struct Recorder {
    exp: Experiment,
    frames: Frames,
    tracks: Tracks,
    topics: Vec<TopicRecorder>,
    /// Whether there were messages before the ROS clock ran.
    is_clock_awaited: bool,
    refused: BTreeMap<String, String>,
    /// Topics that can't be recorded and have messages all the same, which a bag tells.
    refused_topics: BTreeMap<String, TopicAccount>,
    not_asked_for: BTreeMap<String, u64>,
    unmatched: Vec<String>,
    disk: Option<DiskGuard>,
    session: Session,
}

/// Where rows and files go.
struct Destination<'a> {
    exp: &'a Experiment,
    frames: &'a mut Frames,
    tracks: &'a mut Tracks,
    clocks: &'a mut SaidOfClocks,
}

impl Recorder {
    /// A recorder into `exp`, without topics yet.
    pub fn new(exp: Experiment) -> Self {
        Self::in_session(exp, Session::new())
    }

    fn in_session(exp: Experiment, session: Session) -> Self {
        Self {
            exp,
            frames: Frames::new(),
            tracks: Tracks::default(),
            topics: Vec::new(),
            is_clock_awaited: false,
            refused: BTreeMap::new(),
            refused_topics: BTreeMap::new(),
            not_asked_for: BTreeMap::new(),
            unmatched: Vec::new(),
            disk: None,
            session,
        }
    }

    /// The experiment that is recorded into.
    pub fn experiment(&self) -> &Experiment {
        &self.exp
    }

    /// Watches the disk from now on: while less than `min_free` is left, messages of topics of large
    /// messages are dropped, while less than half of it is, all; both as `disk_low`.
    /// [`DiskGuard::watch`] says what `None` means.
    pub fn guard_disk(&mut self, min_free: Option<Bytes>) {
        match DiskGuard::watch(self.exp.folder(), min_free) {
            Ok(guard) => self.disk = Some(guard),
            // A full disk is met then when the store fails.
            Err(error) => tracing::warn!("the disk's free space is not watched: {error}"),
        }
    }

    /// What happens to pictures and clouds from now on whose files can't be written as fast as they come.
    pub fn set_when_behind(&mut self, when_behind: WhenBehind) {
        self.frames.set_when_behind(when_behind);
    }

    /// Once `hurried` is set, pictures and clouds that wait to become files are counted and left out.
    pub fn hurry_when(&mut self, hurried: Arc<AtomicBool>) {
        self.frames.hurry_when(hurried);
    }

    /// The disk as it was last looked at, when it is watched.
    pub fn disk(&self) -> Option<DiskStatus> {
        self.disk.as_ref().map(DiskGuard::status)
    }

    /// Adds a topic and returns its number, counted from 0 in the order of these calls. One that is there
    /// already, by another definition of its type, goes on in the same account.
    pub fn add_topic(&mut self, plan: impl Into<Arc<TopicPlan>>) -> usize {
        let plan = plan.into();
        self.session.add_topic(&plan.mapped_topic);
        let before = self.topics.iter().find(|known| known.is_of(&plan));
        self.topics.push(match before {
            Some(before) => TopicRecorder::with_account_of(plan, before),
            None => TopicRecorder::new(plan),
        });
        self.topics.len() - 1
    }

    /// Takes a message of the topic of this number: CDR with its encapsulation header, and when it was
    /// received and sent. What needs a time of receipt is held until the ROS clock runs.
    pub fn record(&mut self, topic: usize, cdr: Vec<u8>, receipt: impl Into<Receipt>) {
        let receipt = receipt.into();
        self.take(topic, receipt.received, |topic, to, disk| topic.record(to, cdr, receipt, disk));
    }

    /// As [`record`](Self::record), for a message that was decoded by the topic's plan already.
    pub fn record_decoded(&mut self, topic: usize, message: Decoded, receipt: impl Into<Receipt>) {
        let receipt = receipt.into();
        self.take(topic, receipt.received, |topic, to, disk| {
            topic.record_decoded(to, message, receipt, disk);
        });
    }

    /// Has a message recorded, after what is due when one comes, whatever is in it.
    fn take(
        &mut self,
        topic: usize,
        received: Received,
        record: impl FnOnce(&mut TopicRecorder, &mut Destination<'_>, Option<DiskStatus>),
    ) {
        let disk = self.disk();
        self.session.count(topic, 1);
        let mut to = Destination {
            exp: &self.exp,
            frames: &mut self.frames,
            tracks: &mut self.tracks,
            clocks: &mut self.session.clocks,
        };
        match received {
            Received::At(nanos) if self.is_clock_awaited => {
                self.is_clock_awaited = false;
                self.topics.iter_mut().for_each(|topic| topic.release_held(&mut to, nanos));
            }
            Received::BeforeClock => self.is_clock_awaited = true,
            Received::At(_) | Received::Unknown => {}
        }
        if let Some(topic) = self.topics.get_mut(topic) {
            record(topic, &mut to, disk);
        }
    }

    /// Whether any message was lost or refused for this reason.
    pub fn has_dropped(&self, reason: DropReason) -> bool {
        self.topics.iter().any(|topic| topic.has_dropped(reason))
    }

    /// Counts messages that were lost before they came here.
    pub fn drop_messages(&mut self, topic: usize, reason: DropReason, messages: u64) {
        self.session.count(topic, messages);
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.drop_messages(reason, messages);
        }
    }

    /// The number of a topic's messages that never came here has changed by so many.
    pub fn count_lost(&mut self, topic: usize, change: i64) {
        if let Some(topic) = self.topics.get(topic) {
            topic.count_lost(change);
        }
    }

    /// Notes that it can't be known how many messages of a topic never came here.
    pub fn set_loss_unknown(&mut self, topic: usize) {
        if let Some(topic) = self.topics.get(topic) {
            topic.set_loss_unknown();
        }
    }

    /// Notes a topic that can't be recorded.
    pub fn refuse(&mut self, topic: String, reason: String) {
        self.refused.insert(topic, reason);
    }

    /// Counts messages of a topic that was [refused](Self::refuse).
    pub fn count_refused(&mut self, topic: &str, type_name: &str, messages: u64, bytes: u64) {
        if messages > 0 {
            let new = || TopicAccount::new(topic, type_name);
            let account = self.refused_topics.entry(topic.to_owned()).or_insert_with(new);
            account.drop_received(DropReason::Refused, messages);
            account.bytes += bytes;
        }
    }

    /// Notes a topic that the mapping does not ask for, and how many messages it has.
    pub fn pass_over(&mut self, topic: &str, messages: u64) {
        *self.not_asked_for.entry(topic.to_owned()).or_default() += messages;
    }

    /// Notes entries of the mapping that no topic was found for.
    pub fn set_unmatched(&mut self, entries: Vec<String>) {
        self.unmatched = entries;
    }

    /// Watches from now on that these topics come, and how often.
    pub fn require(&mut self, required: &[Required]) {
        self.session.require(required);
    }

    /// Notes whether messages are left out, by whoever brings them, as [`DropReason::Paused`].
    pub fn set_paused(&mut self, paused: bool) {
        self.session.paused = paused;
    }

    /// Where the latest status hangs.
    pub fn board(&self) -> StatusBoard {
        self.session.board.clone()
    }

    /// Looks at how everything stands, tells what has changed with the topics that are required,
    /// and posts it on the board. To be called about once a second.
    pub fn post_status(&mut self, queue: QueueFill) {
        let now = Instant::now();
        let topics = self.session.look(now, &mut self.topics);
        let (file_bytes, file_limit_bytes) = self.frames.fill();
        self.session.board.post(Status {
            experiment: self.exp.name().to_string(),
            paused: self.session.paused,
            elapsed_secs: (now - self.session.started).as_secs_f64(),
            queue: QueueFill { file_bytes, file_limit_bytes, ..queue },
            disk: self.disk(),
            sync: None,
            topics,
            required: self.session.required(),
            refused: self.refused.clone(),
        });
    }

    /// Returns once what was recorded so far is in the store, here; no server is waited for.
    ///
    /// # Errors
    /// The first track that could not be written; its rows are tried again.
    pub fn flush(&self) -> Result<(), TrackError> {
        self.frames.settle();
        self.exp.flush_store()
    }

    /// Goes on in another experiment: the first one's name and `_002`, `_003`, …. Topics keep their
    /// numbers, accounts start anew. The part before is closed beside the recording; what became of
    /// it is in its own account, and [`finish`](Self::finish) waits for it.
    ///
    /// # Errors
    /// When that can't be opened, or too many parts are being closed; it goes on where it was.
    pub fn split(&mut self) -> Result<(), SplitError> {
        let closer = self.session.parts.closer(|part: Self| {
            let ended = part.finish(None);
            let part = PartAccount::from(&ended.0);
            tracing::info!(
                "{} is closed: {} received, {} stored, {} dropped",
                part.experiment,
                part.received,
                part.stored,
                part.dropped
            );
            ended
        })?;
        let before = self.exp.name().clone();
        let (name, number) = self.session.parts.next_name(&before, self.exp.folder());
        let next = self.exp.continue_in(&name).map_err(SplitError::Open)?;
        tracing::info!("going on in {name}, {}", next.folder().display());
        let ended = self.session.start_part(&self.topics);
        let session = std::mem::replace(&mut self.session, ended);
        let mut next = Self::in_session(next, session);
        next.frames = self.frames.next_part();
        next.topics = self.topics.iter_mut().map(TopicRecorder::next_part).collect();
        next.is_clock_awaited = self.is_clock_awaited;
        next.refused = self.refused.clone();
        next.unmatched = self.unmatched.clone();
        next.disk = self.disk.take();
        let ended = std::mem::replace(self, next);
        self.session.parts.go_on(&before, number, closer, ended);
        Ok(())
    }

    /// What became of the messages so far.
    pub fn account(&self) -> Account {
        Account {
            experiment: self.exp.name().to_string(),
            complete: false,
            failure: None,
            missing: Vec::new(),
            topics: accounts(&self.topics, &self.refused_topics),
            refused: self.refused.clone(),
            unmatched: self.unmatched.clone(),
            not_asked_for: self.not_asked_for.clone(),
            required: self.session.required(),
            earlier_parts: Vec::new(),
            sync: self.exp.sync_status(),
        }
    }

    /// Flushes, closes and writes the account beside the tracks. `failure` is why the recording
    /// ended before it was told to.
    ///
    /// The account is whole whatever the second value says.
    ///
    /// # Errors
    /// The store could not be brought to rest, or the account not be written.
    pub fn finish(mut self, failure: Option<String>) -> (Account, Result<(), TrackError>) {
        self.frames.settle();
        self.session.end(&self.topics);
        let mut account = self.account();
        let account_file = self.exp.folder().join(ACCOUNT_FILE);
        let mut topics = self.topics;
        topics.iter_mut().for_each(TopicRecorder::drop_held);
        if let Some(failure) = &failure {
            self.exp.fail_run(failure);
        }
        let (closed, lost, failed) = match self.exp.close_store() {
            Ok(closed) => (closed, Vec::new(), None),
            Err(error) => (error.closed, error.lost, Some(*error.source)),
        };
        for track in &closed.tracks {
            book(&topics, track.merged_on_disk, |topic, rows| {
                topic.settle(&track.info.topic, rows)
            });
        }
        for lost in &lost {
            book(&topics, lost.rows, |topic, rows| topic.take_back(&lost.topic, rows));
        }
        account.topics = accounts(&topics, &self.refused_topics);
        account.failure = failure.or_else(|| failed.as_ref().map(|error| one_line(error)));
        account.settle();
        let (earlier_parts, parts_closed) = self.session.parts.finish();
        account.earlier_parts = earlier_parts;
        let mut written = write_account(&account, &account_file);
        // All is safe here before anybody waits for a server.
        let status = match account.failure {
            None => RunStatus::Completed,
            Some(_) => RunStatus::Failed,
        };
        if let Some(sync) = self.exp.end_upload(status) {
            account.sync = Some(sync);
            written = written.and_then(|()| write_account(&account, &account_file));
        }
        self.session.board.close();
        (account, first_error([failed.map_or(Ok(()), Err), parts_closed, written]))
    }
}

/// The first error; those after it are told.
fn first_error<const N: usize>(results: [Result<(), TrackError>; N]) -> Result<(), TrackError> {
    let mut errors = results.into_iter().filter_map(Result::err);
    let first = errors.next().map_or(Ok(()), Err);
    errors.for_each(|error| tracing::error!("{}", one_line(&error)));
    first
}

/// The topics' accounts, each once, and those of topics that can't be recorded.
fn accounts(
    topics: &[TopicRecorder],
    refused: &BTreeMap<String, TopicAccount>,
) -> Vec<TopicAccount> {
    let is_first = |(i, topic): &(usize, &TopicRecorder)| {
        !topics[..*i].iter().any(|before| before.shares_account(topic))
    };
    let recorded = topics.iter().enumerate().filter(is_first).map(|(_, topic)| topic.account());
    recorded.chain(refused.values().cloned()).collect()
}

/// Books `rows` on the topics that they came from.
fn book(topics: &[TopicRecorder], mut rows: u64, take: impl Fn(&TopicRecorder, u64) -> u64) {
    for topic in topics {
        rows -= take(topic, rows);
    }
}

fn write_account(account: &Account, path: &Path) -> Result<(), TrackError> {
    let mut json = serde_json::to_vec_pretty(account)
        .map_err(std::io::Error::from)
        .map_err(|source| StoreError::Io { action: "write", path: path.to_owned(), source })?;
    json.push(b'\n');
    Ok(replace_file(path, &json)?)
}
