//! Bags: MCAP files and rosbag2's SQLite files, recorded through the same mapping and recorder as a
//! live graph. A message's receive time is its log time. Knows nothing of ROS and of how rows are
//! stored.

mod batch;
mod error;
mod file;
mod folder;
mod latched;
mod mcap_file;
mod merge;
mod packed;
mod sqlite;
mod topics;

use std::ops::ControlFlow;
use std::path::Path;
use std::thread::available_parallelism;

pub use error::{BagError, ImportError};
pub use mcap_file::McapDamage;

use crate::mapping::{Mapping, PartAction, PartChange, Trigger};
use crate::{
    DiskLevel, DropReason, LatchedMessage, PartChanged, PartError, Receipt, Received, Recorder,
    WhenBehind, WindowClock,
};
use batch::{BatchReader, DecodedMessage, MessageBatch};
use file::BagFile;
use latched::Latched;
use merge::Merge;
use mldash_message::Definitions;
use topics::{BagTopics, LeftOut, News};

/// More threads would have nothing to do: reading and recording take one thread each.
const MAX_DECODERS: usize = 4;

/// Bags that are read side by side, in the order of their messages' log times.
///
/// A bag is a file, or rosbag2's folder of files that are read one after another. A file is read
/// from its start to its end in bounded memory, and needs no index. Messages of a bag are sorted by
/// log time within 32 MiB of messages. A message that was written later than that comes when it is
/// read.
pub struct Bags {
    bags: Vec<Vec<BagFile>>,
    decoders: usize,
}

impl Bags {
    /// Finds the files of the bags. Reads only enough to tell bags from other files.
    ///
    /// # Errors
    ///
    /// Fails with the first path that can't be read or is not a bag.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, BagError> {
        let bags = paths.into_iter().map(|path| folder::files(path.as_ref()));
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self {
            bags: bags.collect::<Result<_, _>>()?,
            // Recording and writing rows keep two cores busy.
            decoders: cores.saturating_sub(2).min(MAX_DECODERS),
        })
    }

    /// Decodes on this many threads, besides the one that reads and the calling one, which records.
    /// With 0 the calling thread does everything. The rows are the same. The default is the number
    /// of cores that are free.
    pub fn decoders(mut self, threads: usize) -> Self {
        self.decoders = threads;
        self
    }

    /// The size on disk of all bags, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.bags.iter().flatten().map(BagFile::size_bytes).sum()
    }

    /// The number of files.
    pub fn files(&self) -> usize {
        self.bags.iter().map(Vec::len).sum()
    }

    /// Records every message that `mapping` asks for, and notes in `recorder` what can't be
    /// recorded and what was not there. Types that a bag does not define are taken from
    /// `definitions`. Calls `on_progress` with the bytes read so far, every few hundred KiB; it may
    /// end the import.
    ///
    /// # Errors
    ///
    /// Fails if a bag is cut off or damaged: its readable parts are recorded, and so are the other
    /// bags. Also fails if the disk runs low, the store takes no rows, or the import was stopped.
    pub fn import(
        self,
        mapping: &Mapping,
        definitions: &Definitions,
        recorder: &mut Recorder,
        mut on_progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), ImportError> {
        recorder.set_when_behind(WhenBehind::Wait);
        recorder.set_parts_continue(true);
        recorder.limit_parts(mapping.split());
        hold(mapping, recorder);
        let topics = BagTopics::new(mapping, definitions);
        let mut reader = BatchReader::new(Merge::new(self.bags), topics);
        let mut read = TopicsRead::default();
        let mut ended = None;
        let record = |batch: MessageBatch<DecodedMessage>| {
            let read_bytes = batch.read_bytes;
            let recorded = read.record(batch, recorder);
            ended = recorded.err().or_else(|| trouble(recorder));
            if ended.is_none() && on_progress(read_bytes).is_break() {
                ended = Some(ImportError::Stopped);
            }
            if ended.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match self.decoders {
            0 => batch::one_after_another(&mut reader, record),
            decoders => {
                batch::on_threads(&mut reader, decoders, record).map_err(ImportError::Thread)?;
            }
        }
        let (mut topics, errors) = reader.finish();
        read.note(topics.take_news(), recorder);
        recorder.set_unmatched(topics.unmatched());
        account_for_left_out(&topics, recorder, &read);
        match ended {
            Some(error) => Err(error),
            None if errors.is_empty() => Ok(()),
            None => Err(ImportError::Incomplete(errors)),
        }
    }
}

/// What becomes of the messages of the topics read so far, by their numbers in the bags.
#[derive(Default)]
struct TopicsRead(Vec<TopicRead>);

struct TopicRead {
    goes_to: GoesTo,
    /// What its messages do with the part that is recorded.
    triggers: Vec<Trigger>,
    latched: Latched,
}

enum GoesTo {
    /// The recorder's topic of this number.
    Recorder(usize),
    /// Nowhere: the mapping does not ask for this topic.
    Nowhere(String),
}

impl TopicsRead {
    /// Records messages, and changes the part where one says so. It is then in the next part; one
    /// that saves a snapshot is in that.
    fn record(
        &mut self,
        batch: MessageBatch<DecodedMessage>,
        recorder: &mut Recorder,
    ) -> Result<(), ImportError> {
        self.note(batch.news, recorder);
        for message in batch.messages {
            let Some(topic) = self.0.get_mut(message.topic) else { continue };
            let heard = topic.hear(message.payload.cdr()).into_iter();
            let (saves, changes): (Vec<_>, Vec<_>) =
                heard.partition(|change| change.action == PartAction::Save);
            for change in changes {
                if is_begun(recorder.change_part(&change))? {
                    self.repeat_latched(recorder);
                }
            }
            let received = message.log_time.map_or(Received::Unknown, Received::At);
            if self.number(message.topic).is_some()
                && let Some(full) = recorder.full_before(received)
            {
                tracing::info!("{} is full: {full}", recorder.experiment().name());
                let split = PartChange::new(PartAction::Split);
                if is_begun(recorder.change_part(&split))? {
                    self.repeat_latched(recorder);
                }
            }
            let Some(topic) = self.0.get_mut(message.topic) else { continue };
            match &topic.goes_to {
                GoesTo::Recorder(number) => {
                    let receipt = Receipt { received, sent_nanos: message.send_time };
                    topic.latched.keep(message.payload.cdr(), receipt);
                    recorder.record(*number, message.payload, receipt);
                }
                GoesTo::Nowhere(topic) => recorder.pass_over(topic, 1),
            }
            for save in saves {
                is_begun(recorder.save(&save, self.latched()))?;
            }
        }
        Ok(())
    }

    /// Records again, for the part that begins, what publishers keep for late subscribers.
    fn repeat_latched(&self, recorder: &mut Recorder) {
        for topic in &self.0 {
            if let GoesTo::Recorder(number) = topic.goes_to {
                for (cdr, receipt) in topic.latched.messages() {
                    recorder.repeat(number, cdr.clone(), *receipt);
                }
            }
        }
    }

    /// What publishers keep for late subscribers.
    fn latched(&self) -> Vec<LatchedMessage> {
        let topics = self.0.iter().filter_map(|topic| match topic.goes_to {
            GoesTo::Recorder(number) => Some((number, &topic.latched)),
            GoesTo::Nowhere(_) => None,
        });
        let messages = topics.flat_map(|(topic, latched)| {
            latched.messages().map(move |(cdr, receipt)| {
                let (cdr, receipt) = (cdr.clone(), *receipt);
                LatchedMessage { topic, cdr, receipt }
            })
        });
        messages.collect()
    }

    fn note(&mut self, news: Vec<News>, recorder: &mut Recorder) {
        for news in news {
            match news {
                News::Topic { plan, kept } => {
                    self.add(GoesTo::Recorder(recorder.add_topic(plan)), kept);
                }
                News::Unrecorded { topic } => self.add(GoesTo::Nowhere(topic), 0),
                News::Trigger(trigger) => {
                    if let Some(topic) = self.0.last_mut() {
                        topic.triggers.push(*trigger);
                    }
                }
                News::Refused { topic, reason } => recorder.refuse(topic, reason),
            }
        }
    }

    fn add(&mut self, goes_to: GoesTo, kept: usize) {
        let latched = Latched::new(kept);
        self.0.push(TopicRead { goes_to, triggers: Vec::new(), latched });
    }

    /// The recorder's number of a topic.
    fn number(&self, topic: usize) -> Option<usize> {
        match self.0.get(topic)?.goes_to {
            GoesTo::Recorder(number) => Some(number),
            GoesTo::Nowhere(_) => None,
        }
    }
}

impl TopicRead {
    /// The changes that a message asks for.
    fn hear(&mut self, cdr: &[u8]) -> Vec<PartChange> {
        let heard = self.triggers.iter_mut().filter_map(|trigger| match trigger.hear(cdr) {
            Ok(change) => change,
            Err(reason) => {
                tracing::warn!("a message changes no part: {reason}");
                None
            }
        });
        heard.collect()
    }
}

/// Holds the last seconds if the mapping says so and a topic of it can save them. There is no `~/save`
/// in an import, so without such a topic everything is recorded.
fn hold(mapping: &Mapping, recorder: &mut Recorder) {
    let Some(snapshot) = mapping.snapshot() else { return };
    if mapping.split_on().is_empty() {
        tracing::warn!(
            "the mapping has a `snapshot` and no `save_on`: nothing in a bag can save it, so everything \
             is recorded"
        );
        return;
    }
    tracing::info!("recording what `save_on` saves of the bags, by their log times");
    recorder.hold(snapshot, WindowClock::Received);
}

/// Returns true if a part has begun. A change that makes no sense, such as a stop after a stop,
/// changes nothing.
fn is_begun(changed: Result<PartChanged, PartError>) -> Result<bool, ImportError> {
    match changed {
        Ok(changed) => {
            tracing::info!("{changed}");
            Ok(changed.begun.is_some())
        }
        Err(error) if error.is_out_of_turn() => {
            tracing::warn!("{error}");
            Ok(false)
        }
        Err(error) => Err(ImportError::Part(error)),
    }
}

/// Accounts for messages that never reached the recorder.
fn account_for_left_out(topics: &BagTopics<'_>, recorder: &mut Recorder, read: &TopicsRead) {
    for left_out in topics.left_out() {
        let LeftOut { topic, type_name, messages, bytes, is_refused } = left_out;
        match is_refused {
            true => recorder.count_refused(topic, type_name, *messages, *bytes),
            false => recorder.pass_over(topic, *messages),
        }
    }
    for (topic, messages) in topics.too_large() {
        if let Some(number) = read.number(topic) {
            recorder.drop_messages(number, DropReason::TooLarge, messages);
        }
    }
}

/// Why the import should end: otherwise messages would be dropped that the bag still has later.
fn trouble(recorder: &Recorder) -> Option<ImportError> {
    if let Some(disk) = recorder.disk().filter(|disk| disk.level != DiskLevel::Enough) {
        return Some(ImportError::DiskLow(disk.complaint(recorder.experiment().folder())));
    }
    recorder.has_dropped(DropReason::StoreFull).then_some(ImportError::StoreFails)
}
