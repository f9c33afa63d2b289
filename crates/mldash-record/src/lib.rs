//! Turns ROS messages and a YAML mapping into rows in tracks, and accounts for every message.
//!
//! [`Recorder`] is shared by live recording and the import of bags. [`mapping`] is the YAML,
//! [`blob`] turns images and clouds into files, and [`bag`] feeds the messages of bags to a
//! recorder. The crate knows no ROS graph and no terminal.

mod account;
pub mod bag;
pub mod blob;
mod blobs;
mod candidate;
mod change;
mod clock;
mod closing;
mod disk;
mod episodes;
mod finish;
mod frames;
mod held;
mod how;
mod identity;
mod kinds;
mod ledger;
mod left_out;
mod limits;
pub mod mapping;
mod meter;
mod numbers;
mod offered_qos;
mod parts;
mod payload;
mod plan;
mod required;
mod restore;
mod robot_description;
mod schema;
mod session;
mod slots;
mod snapshot;
mod status;
mod stream;
mod throttle;
mod time;
mod topic;
mod tracks;
mod watcher;
mod window;
mod workers;
pub mod yaml;

pub use account::{Account, DropReason, JumpBack, Lost, Note, TopicAccount};
pub use candidate::{Candidate, Decision};
pub use disk::{DiskGuard, DiskLevel, DiskStatus, HEAVY_MESSAGE_BYTES};
pub use episodes::PartChanged;
pub use finish::ACCOUNT_FILE;
pub use frames::WhenBehind;
pub use how::Declaration;
pub use limits::PartFull;
pub use mldash_track::panic_text;
pub use offered_qos::OfferedQos;
pub use parts::{PartAccount, PartError};
pub use payload::{Decoded, Payload};
pub use plan::{PlanError, TopicPlan};
pub use required::{RequiredAccount, RequiredState};
pub use restore::{NotRestorable, RestoreError, Restorer};
pub use snapshot::{LatchedMessage, Saved, SnapshotStatus, WindowClock};
pub use status::{QueueFill, Status, StatusBoard, TopicStatus};
pub use time::{Receipt, Received};
pub use watcher::{PartWatcher, PublishState, PublishStatus};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::mapping::{Bytes, Required};
use clock::SaidOfClocks;
use episodes::Standstill;
use finish::{accounts, first_error};
use frames::Frames;
use left_out::LeftOut;
use limits::Kept;
use mldash_track::{Experiment, TrackError, one_line};
use session::Session;
use snapshot::Holding;
use topic::TopicRecorder;
use tracks::Tracks;

/// Records topics into one experiment.
pub struct Recorder {
    exp: Experiment,
    frames: Frames,
    tracks: Tracks,
    topics: Vec<TopicRecorder>,
    /// Whether messages came before the ROS clock ran.
    is_clock_awaited: bool,
    left_out: LeftOut,
    /// Messages that came before this part, while none was recorded.
    while_stopped: BTreeMap<String, u64>,
    /// Set after a stop. `exp` is then the part before, which others write.
    standstill: Option<Standstill>,
    /// Set if messages are held for a save instead of recorded. After a save there is a standstill.
    holding: Option<Holding>,
    disk: Option<DiskGuard>,
    session: Session,
}

/// Where rows and files go.
struct Output<'a> {
    exp: &'a Experiment,
    frames: &'a mut Frames,
    tracks: &'a mut Tracks,
    clocks: &'a mut SaidOfClocks,
    /// What was given to them.
    kept: Kept,
}

impl Recorder {
    /// Creates a recorder into `exp`, without topics.
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
            left_out: LeftOut::default(),
            while_stopped: BTreeMap::new(),
            standstill: None,
            holding: None,
            disk: None,
            session,
        }
    }

    /// The experiment that is recorded into; after a stop, the last one.
    pub fn experiment(&self) -> &Experiment {
        &self.exp
    }

    /// Watches the disk from now on. With less than `min_free` left, messages of topics with large
    /// messages are dropped; with less than half of it, all messages are. Both count as `disk_low`.
    /// [`DiskGuard::watch`] explains `None`.
    pub fn guard_disk(&mut self, min_free: Option<Bytes>) {
        match DiskGuard::watch(self.exp.folder(), min_free) {
            Ok(guard) => self.disk = Some(guard),
            // A full disk is then noticed only when the store fails.
            Err(error) => tracing::warn!("free disk space is not monitored: {error}"),
        }
    }

    /// Sets what happens to images and clouds that arrive faster than their files can be written,
    /// and to changes of parts that come faster than parts can be closed.
    pub fn set_when_behind(&mut self, when_behind: WhenBehind) {
        self.frames.set_when_behind(when_behind);
        self.session.parts.set_when_behind(when_behind);
    }

    /// Once `hurried` is set, images and clouds that wait to become files are counted and left out.
    pub fn hurry_when(&mut self, hurried: Arc<AtomicBool>) {
        self.frames.hurry_when(hurried);
    }

    /// Looks up what an experiment that goes on has of files, so that no message waits for it: that reads the
    /// list of files and all rows that name some, which takes seconds if they are very many. Ends early once
    /// `is_stopped`; what is missing is then looked up when a message needs it.
    pub fn look_ahead(&mut self, is_stopped: impl FnMut() -> bool) {
        if let Err(error) = self.frames.look_ahead(&self.exp, is_stopped) {
            // The first message with a file looks again, and tells of it.
            tracing::debug!("{}", one_line(&error));
        }
    }

    /// The state of the disk at the last check, if it is watched.
    pub fn disk(&self) -> Option<DiskStatus> {
        self.disk.as_ref().map(DiskGuard::status)
    }

    /// Adds a topic and returns its number, counted from 0 in the order of these calls. An existing
    /// topic with another definition of its type continues in the same account.
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

    /// Records a message of the topic with this number, and its receive and send times. The message
    /// is CDR with its encapsulation header, or [decoded](Decoded) by the topic's plan. A message that
    /// needs a receive time is held until the ROS clock runs.
    pub fn record(
        &mut self,
        topic: usize,
        message: impl Into<Payload>,
        receipt: impl Into<Receipt>,
    ) {
        let receipt = receipt.into();
        let kept = self.take(topic, message.into(), receipt);
        self.session.limits.note(receipt.received, kept);
    }

    /// Records once more what a publisher keeps for late subscribers, for a part that has begun since. It
    /// counts for no limit of that part.
    pub fn repeat(
        &mut self,
        topic: usize,
        message: impl Into<Payload>,
        receipt: impl Into<Receipt>,
    ) {
        self.take(topic, message.into(), receipt.into());
    }

    /// What the message gives; nothing while it is only held.
    fn take(&mut self, topic: usize, message: Payload, receipt: Receipt) -> Kept {
        if self.is_holding() {
            self.hold_message(topic, message, receipt);
            return Kept::default();
        }
        let disk = self.disk();
        self.session.count(topic, 1);
        if self.is_stopped_for(topic, 1) {
            return Kept::default();
        }
        let mut to = Output {
            exp: &self.exp,
            frames: &mut self.frames,
            tracks: &mut self.tracks,
            clocks: &mut self.session.clocks,
            kept: Kept::default(),
        };
        match receipt.received {
            Received::At(nanos) if self.is_clock_awaited => {
                self.is_clock_awaited = false;
                self.topics.iter_mut().for_each(|topic| topic.release_held(&mut to, nanos));
            }
            Received::BeforeClock => self.is_clock_awaited = true,
            Received::At(_) | Received::Unknown => {}
        }
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.record(&mut to, message, receipt, disk);
        }
        to.kept
    }

    /// Returns true if any message was lost or refused for this reason.
    pub(crate) fn has_dropped(&self, reason: DropReason) -> bool {
        self.topics.iter().any(|topic| topic.has_dropped(reason))
    }

    /// Counts messages that were lost before they reached the recorder.
    pub fn drop_messages(&mut self, topic: usize, reason: DropReason, messages: u64) {
        self.session.count(topic, messages);
        if self.is_stopped_for(topic, messages) {
            return;
        }
        if let Some(topic) = self.topics.get_mut(topic) {
            topic.drop_messages(reason, messages);
        }
    }

    /// Changes the number of a topic's lost messages by this much. What is lost while no part is
    /// recorded is missing in none.
    pub fn count_lost(&mut self, topic: usize, change: i64) {
        if let Some(topic) = self.topics.get(topic).filter(|_| !self.is_stopped()) {
            topic.count_lost(change);
        }
    }

    /// Notes that a topic's losses can't be known, and why.
    pub fn set_loss_unknown(&mut self, topic: usize, reason: &str) {
        if let Some(topic) = self.topics.get(topic) {
            topic.set_loss_unknown(reason);
        }
    }

    /// Notes a topic that can't be recorded.
    pub fn refuse(&mut self, topic: String, reason: String) {
        self.left_out.refuse(topic, reason);
    }

    /// Counts messages of a topic that was [refused](Self::refuse).
    pub(crate) fn count_refused(
        &mut self,
        topic: &str,
        type_name: &str,
        messages: u64,
        bytes: u64,
    ) {
        self.left_out.count_refused(topic, type_name, messages, bytes);
    }

    /// Notes a topic that the mapping does not ask for, and its number of messages.
    pub(crate) fn pass_over(&mut self, topic: &str, messages: u64) {
        self.left_out.pass_over(topic, messages);
    }

    /// Notes entries of the mapping without a topic.
    pub fn set_unmatched(&mut self, entries: Vec<String>) {
        self.left_out.set_unmatched(entries);
    }

    /// Tells `watcher` of this part and of those after it.
    pub fn watch_parts(&mut self, watcher: Arc<dyn PartWatcher>) {
        watcher.begun(&self.exp);
        self.session.watcher = Some(watcher);
    }

    /// Checks from now on that these topics come, and how often.
    pub fn require(&mut self, required: &[Required]) {
        self.session.require(required);
    }

    /// Notes whether the caller leaves out messages as [`DropReason::Paused`].
    pub fn set_paused(&mut self, paused: bool) {
        self.session.paused = paused;
    }

    /// Returns true if no part is recorded until a start.
    pub fn is_stopped(&self) -> bool {
        self.standstill.is_some() && !self.is_holding()
    }

    /// The board with the latest status.
    pub fn board(&self) -> StatusBoard {
        self.session.board.clone()
    }

    /// Collects the status, logs changes of required topics, and posts the status on the board.
    /// Call this about once a second.
    pub fn post_status(&mut self, queue: QueueFill) {
        self.let_time_pass();
        let now = Instant::now();
        let mut topics = self.session.collect_status(now, &mut self.topics);
        if let Some(standstill) = &self.standstill {
            standstill.show_ended(&mut topics);
        }
        let (file_bytes, file_limit_bytes) = self.frames.fill();
        self.session.board.post(Status {
            experiment: self.exp.name().to_string(),
            paused: self.session.paused,
            stopped: self.is_stopped(),
            snapshot: self.snapshot_status(),
            elapsed_secs: (now - self.session.started).as_secs_f64(),
            queue: QueueFill { file_bytes, file_limit_bytes, ..queue },
            disk: self.disk(),
            sync: self.exp.sync_status(),
            publish: self.session.watcher.as_ref().map(|watcher| watcher.status()),
            topics,
            while_stopped: self.while_stopped.clone(),
            required: self.session.required(),
            refused: self.left_out.refused(),
        });
    }

    /// Returns once everything recorded so far is in the local store, also that of earlier parts.
    /// Does not wait for a server.
    ///
    /// # Errors
    /// Returns the error of the first track that could not be written; its rows are retried.
    pub fn flush(&self) -> Result<(), TrackError> {
        self.frames.wait_until_saved();
        let flushed = self.exp.flush_store();
        first_error([flushed, self.session.parts.wait_until_flushed()])
    }

    /// The account of the messages so far.
    pub fn account(&self) -> Account {
        Account {
            experiment: self.exp.name().to_string(),
            complete: false,
            failure: None,
            missing: Vec::new(),
            topics: accounts(&self.topics, &self.left_out),
            refused: self.left_out.refused(),
            unmatched: self.left_out.unmatched().to_vec(),
            not_asked_for: self.left_out.not_asked_for().clone(),
            while_stopped: self.while_stopped.clone(),
            not_saved: BTreeMap::new(),
            required: self.session.required(),
            earlier_parts: Vec::new(),
            sync: self.exp.sync_status(),
            publish: None,
        }
    }
}
